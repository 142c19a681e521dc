//! Rows sorted by class.

use std::ops::Range;

/// Rows in the order of their classes; each place belongs to one range of equal labels.
pub(super) struct Classes {
    /// The row at each place.
    pub order: Vec<u32>,
    /// The place of each row.
    pub places: Vec<u32>,
    /// The places of each class.
    pub ranges: Vec<Range<usize>>,
    /// The class of each place.
    class: Vec<u32>,
}

impl Classes {
    /// A row of a negative label is a class of its own, after all others.
    pub fn new(labels: &[i64]) -> Self {
        let key = |row: u32| {
            let label = labels[row as usize];
            if label < 0 {
                (true, i64::from(row))
            } else {
                (false, label)
            }
        };
        let mut order: Vec<u32> = (0..labels.len() as u32).collect();
        order.sort_by_key(|&row| key(row));
        let mut places = vec![0; order.len()];
        let mut class = Vec::with_capacity(order.len());
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (place, &row) in order.iter().enumerate() {
            places[row as usize] = place as u32;
            match ranges.last_mut() {
                Some(range) if key(order[range.start]) == key(row) => range.end = place + 1,
                _ => ranges.push(place..place + 1),
            }
            class.push(ranges.len() as u32 - 1);
        }
        Self {
            order,
            places,
            ranges,
            class,
        }
    }

    /// The places of the class of a place.
    pub fn of(&self, place: usize) -> Range<usize> {
        self.ranges[self.class[place] as usize].clone()
    }

    /// The positives of a place, rising.
    pub fn positives(&self, place: usize) -> impl Iterator<Item = usize> {
        self.of(place).filter(move |&other| other != place)
    }

    pub fn most_positives(&self) -> usize {
        let sizes = self.ranges.iter().map(ExactSizeIterator::len);
        sizes.max().unwrap_or(0).saturating_sub(1)
    }

    /// The classes that have places within `part`, each cut to it.
    pub fn within(&self, part: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let first = self
            .class
            .get(part.start)
            .map_or(0, |&class| class as usize);
        let ranges = self.ranges[first..].iter();
        ranges
            .take_while({
                let end = part.end;
                move |range| range.start < end
            })
            .map(move |range| range.start.max(part.start)..range.end.min(part.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_a_range_and_no_label_a_class_of_its_own() {
        let classes = Classes::new(&[3, -1, 0, 3, -1, 0]);
        assert_eq!(classes.order, [2, 5, 0, 3, 1, 4]);
        assert_eq!(classes.ranges, [0..2, 2..4, 4..5, 5..6]);
        assert_eq!(classes.places, [2, 4, 0, 3, 5, 1]);
        assert_eq!(classes.positives(3).collect::<Vec<_>>(), [2]);
        assert_eq!(classes.most_positives(), 1);
        let cut: Vec<_> = classes.within(1..5).collect();
        assert_eq!(cut, [1..2, 2..4, 4..5]);
        assert_eq!(Classes::new(&[]).within(0..0).count(), 0);
        assert_eq!(Classes::new(&[]).most_positives(), 0);
    }
}
