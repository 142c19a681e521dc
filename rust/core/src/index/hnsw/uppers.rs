//! Where the lists of rows above level 0 begin.

use crate::error::{Error, Result};

/// Rows told of together.
const BITS: usize = u64::BITS as usize;

/// The first list of each row that has any: one row in `m`, so a number for every row would mostly
/// tell nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Uppers {
    words: Vec<Word>,
    firsts: Vec<u32>,
    rows: usize,
    lists: u32,
}

/// Which of some rows have lists, and how many of the rows before them do.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    bits: u64,
    before: u32,
}

impl Uppers {
    pub fn of(levels: &[u8]) -> Result<Self> {
        let mut uppers = Self::default();
        uppers.extend(levels)?;
        Ok(uppers)
    }

    /// Appends rows whose highest levels these are.
    pub fn extend(&mut self, levels: &[u8]) -> Result<()> {
        let words = (self.rows + levels.len()).div_ceil(BITS) - self.words.len();
        let more = levels.iter().filter(|&&level| level > 0).count();
        self.words
            .try_reserve(words)
            .and_then(|()| self.firsts.try_reserve(more))
            .map_err(|_| Error::out_of_memory())?;
        for &level in levels {
            let bit = self.rows % BITS;
            if bit == 0 {
                self.words.push(Word {
                    bits: 0,
                    before: self.firsts.len() as u32,
                });
            }
            if level > 0 {
                if let Some(word) = self.words.last_mut() {
                    word.bits |= 1 << bit;
                }
                self.firsts.push(self.lists);
                self.lists += u32::from(level);
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// Rows before this one that have lists.
    #[inline(always)]
    fn rank(&self, row: usize) -> usize {
        let Word { bits, before } = self.words[row / BITS];
        before as usize + (bits & ((1 << (row % BITS)) - 1)).count_ones() as usize
    }

    /// The first list of a row that has some.
    #[inline(always)]
    pub fn first(&self, row: usize) -> usize {
        self.firsts[self.rank(row)] as usize
    }

    /// Lists of all rows.
    pub fn lists(&self) -> usize {
        self.lists as usize
    }

    /// Forgets the rows from number `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.rows {
            return;
        }
        let kept = self.rank(len);
        self.lists = self.firsts.get(kept).copied().unwrap_or(self.lists);
        self.firsts.truncate(kept);
        self.words.truncate(len.div_ceil(BITS));
        if let Some(last) = self.words.last_mut()
            && !len.is_multiple_of(BITS)
        {
            last.bits &= (1 << (len % BITS)) - 1;
        }
        self.rows = len;
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        self.words.shrink_to_fit();
        self.firsts.shrink_to_fit();
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<Word>() + self.firsts.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn lists_follow_one_another() {
        let mut stream = Stream::new(4, 0);
        let levels: Vec<u8> = (0..700)
            .map(|_| stream.below(12).saturating_sub(8) as u8)
            .collect();
        let agree = |uppers: &Uppers, levels: &[u8]| {
            let mut lists = 0;
            for (row, &level) in levels.iter().enumerate() {
                assert!(level == 0 || uppers.first(row) == lists);
                lists += usize::from(level);
            }
            assert_eq!(uppers.lists(), lists);
        };
        let mut uppers = Uppers::default();
        for part in levels.chunks(90) {
            uppers.extend(part).unwrap();
        }
        agree(&uppers, &levels);
        for len in [700, 699, 640, 601, 64, 63, 1, 0] {
            uppers.truncate(len);
            agree(&uppers, &levels[..len]);
            let mut again = uppers.clone();
            again.extend(&levels[len..]).unwrap();
            agree(&again, &levels);
        }
        agree(&Uppers::of(&levels).unwrap(), &levels);
    }
}
