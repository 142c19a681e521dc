//! How far a walk has gone with each row.

/// A stage of each row: 0 until it is raised.
#[derive(Debug, Default)]
pub struct Marks {
    /// `base` + stage; below `base` are earlier walks'.
    values: Vec<u8>,
    base: u8,
}

/// The highest stage.
const STAGES: u8 = 2;

impl Marks {
    /// Puts all rows of an index of `rows` back to stage 0.
    pub fn start(&mut self, rows: usize) {
        if self.values.len() < rows {
            self.values.resize(rows.next_power_of_two(), 0);
        }
        match self.base.checked_add(STAGES) {
            Some(base) if base <= u8::MAX - STAGES => self.base = base,
            _ => {
                self.values.fill(0);
                self.base = 0;
            }
        }
    }

    /// Raises a row to `stage` (1 or 2); false if it was there.
    #[inline(always)]
    pub fn raise(&mut self, row: u32, stage: u8) -> bool {
        let value = &mut self.values[row as usize];
        let raised = *value < self.base + stage;
        if raised {
            *value = self.base + stage;
        }
        raised
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.values.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_walk_starts_anew() {
        let mut marks = Marks::default();
        for _ in 0..1000 {
            marks.start(3);
            assert!(marks.raise(1, 1) && !marks.raise(1, 1));
            assert!(marks.raise(1, 2) && !marks.raise(1, 1) && !marks.raise(1, 2));
            assert!(marks.raise(0, 2) && !marks.raise(0, 1));
        }
    }
}
