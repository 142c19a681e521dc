//! Whether codes are what their rows give.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::index::vectors::Views;
use crate::pool::Workers;
use crate::simd::bytes::LINE;

use super::{CHUNK, Codes, Work};

impl Codes {
    /// The first row whose code is another one than its vector's.
    pub fn first_wrong(
        &self,
        vectors: &impl Views,
        workers: &Workers<'_>,
    ) -> Result<Option<usize>> {
        let len = self.len();
        let wrong = AtomicUsize::new(len);
        workers.for_each(len.div_ceil(CHUNK), |chunk| {
            let mut code = vec![0; self.codec.lines * LINE];
            let (mut work, mut buffer) = (Work::default(), Vec::new());
            let rows = chunk * CHUNK..len.min((chunk + 1) * CHUNK);
            for row in rows {
                let vector = vectors.view(row, &mut buffer);
                self.codec.encode(vector, &mut work, &mut code);
                if self.code(row) != code {
                    wrong.fetch_min(row, Ordering::Relaxed);
                    break;
                }
            }
            Ok(())
        })?;
        let wrong = wrong.into_inner();
        Ok((wrong < len).then_some(wrong))
    }
}
