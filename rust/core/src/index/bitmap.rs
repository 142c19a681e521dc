//! A set of row numbers, one bit each.

/// Which of the rows 0 to `len` belong to a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
    count: usize,
}

impl Bitmap {
    /// The empty set of `len` possible rows.
    pub fn new(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
            len,
            count: 0,
        }
    }

    /// The set of the rows whose value is true.
    pub fn from_bools(values: &[bool]) -> Self {
        // Eight truth values, a bit each in eight bytes, moved together into the highest byte.
        let byte =
            |&eight: &[u8; 8]| u64::from_le_bytes(eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        let word = |bytes: &[u8; 64]| {
            let eights = bytes.as_chunks::<8>().0.iter().enumerate();
            eights.fold(0, |word, (i, eight)| word | byte(eight) << (8 * i))
        };
        // Chunks of a length known beforehand: of others, each would be copied by a call.
        let (chunks, rest) = bytemuck::cast_slice(values).as_chunks::<64>();
        let mut words: Vec<u64> = chunks.iter().map(word).collect();
        if !rest.is_empty() {
            let mut last = [0; 64];
            last[..rest.len()].copy_from_slice(rest);
            words.push(word(&last));
        }
        Self {
            count: words.iter().map(|word| word.count_ones() as usize).sum(),
            words,
            len: values.len(),
        }
    }

    /// How many rows could belong to it.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many rows belong to it.
    pub fn count(&self) -> usize {
        self.count
    }

    #[inline(always)]
    pub fn contains(&self, row: usize) -> bool {
        self.words
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// False if it belonged to the set already. Rows from `len` on are refused in the same way.
    pub fn insert(&mut self, row: usize) -> bool {
        if row >= self.len || self.contains(row) {
            return false;
        }
        self.words[row / 64] |= 1 << (row % 64);
        self.count += 1;
        true
    }

    /// False if it did not belong to the set.
    pub fn remove(&mut self, row: usize) -> bool {
        if !self.contains(row) {
            return false;
        }
        self.words[row / 64] &= !(1 << (row % 64));
        self.count -= 1;
        true
    }

    /// Changes how many rows could belong; new ones do not.
    pub fn resize(&mut self, len: usize) {
        self.words.resize(len.div_ceil(64), 0);
        if len < self.len {
            if let Some(last) = self.words.last_mut()
                && !len.is_multiple_of(64)
            {
                *last &= (1 << (len % 64)) - 1;
            }
            self.count = self
                .words
                .iter()
                .map(|word| word.count_ones() as usize)
                .sum();
        }
        self.len = len;
    }

    /// A set from its bits; none if there are bits for rows from `len` on.
    pub fn from_words(words: Vec<u64>, len: usize) -> Option<Self> {
        let excess = match (words.last(), len % 64) {
            (Some(last), used @ 1..) => last >> used,
            _ => 0,
        };
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        (words.len() == len.div_ceil(64) && excess == 0).then_some(Self { words, len, count })
    }

    /// The bits, 64 rows a word, lowest first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The rows that belong to it, in order.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            std::iter::successors((word != 0).then_some(word), |&rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| i * 64 + rest.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_set_of_what_was_put_in() {
        let mut set = Bitmap::new(130);
        assert!([0, 63, 64, 129].iter().all(|&row| set.insert(row)));
        assert!(!set.insert(63) && !set.insert(130) && !set.contains(500));
        assert!(set.remove(64) && !set.remove(64));
        assert_eq!(set.rows().collect::<Vec<_>>(), [0, 63, 129]);
        set.resize(64);
        assert_eq!((set.count(), set.contains(129)), (2, false));
        set.resize(200);
        assert_eq!(set.rows().collect::<Vec<_>>(), [0, 63]);
        assert_eq!((set.len(), set.count()), (200, 2));
        let bools: Vec<bool> = (0..200).map(|row| row == 0 || row == 63).collect();
        assert_eq!(Bitmap::from_bools(&bools), set);
    }
}
