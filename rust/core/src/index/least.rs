//! The least of the values that pass by.

/// Values beside the sought ones that wait until they are sorted out together.
const SPARE: usize = 64;

/// Values that there is room for from the start, at most.
const ROOM: usize = 256;

/// The `kept` least values offered, in any order, and some others.
#[derive(Debug)]
pub struct Least<T> {
    values: Vec<T>,
    kept: usize,
    /// No greater value is among the least.
    bound: Option<T>,
}

impl<T: Ord + Copy> Least<T> {
    pub fn new(kept: usize) -> Self {
        Self {
            values: Vec::with_capacity((2 * kept + SPARE).min(ROOM)),
            kept,
            bound: None,
        }
    }

    /// No greater value is kept, once there are values enough.
    #[inline(always)]
    pub fn bound(&self) -> Option<T> {
        self.bound
    }

    #[inline(always)]
    pub fn offer(&mut self, value: T) {
        if self.bound.is_some_and(|bound| value > bound) {
            return;
        }
        self.values.push(value);
        if self.values.len() >= 2 * self.kept + SPARE {
            self.cut();
        }
    }

    /// Leaves the least alone.
    fn cut(&mut self) {
        if self.values.len() <= self.kept {
            return;
        }
        match self.kept.checked_sub(1) {
            Some(last) => {
                let (_, &mut bound, _) = self.values.select_nth_unstable(last);
                self.bound = Some(bound);
            }
            None => self.bound = self.values.iter().min().copied(),
        }
        self.values.truncate(self.kept);
    }

    /// The greatest of the least; none where there are fewer than wanted.
    pub fn greatest(&mut self) -> Option<T> {
        self.cut();
        let enough = self.values.len() == self.kept;
        self.values.iter().max().copied().filter(|_| enough)
    }

    /// The least, in any order.
    pub fn values_mut(&mut self) -> &mut [T] {
        self.cut();
        &mut self.values
    }

    /// The least, least first.
    pub fn sorted(&mut self) -> &[T] {
        let values = self.values_mut();
        values.sort_unstable();
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn they_are_the_first_of_all_in_order() {
        for (count, kept) in [(0, 3), (2, 3), (3, 3), (500, 1), (5000, 40), (30, 0)] {
            let mut stream = Stream::new(2, count as u64);
            let mut values: Vec<u64> = (0..count).map(|_| stream.below(900)).collect();
            let mut least = Least::new(kept);
            values.iter().for_each(|&value| least.offer(value));
            values.sort_unstable();
            let enough = kept > 0 && values.len() >= kept;
            values.truncate(kept);
            assert_eq!(least.greatest(), values.last().copied().filter(|_| enough));
            assert_eq!(least.sorted(), values);
        }
    }
}
