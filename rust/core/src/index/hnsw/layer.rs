//! The links of one level, for those who compute on graphs.

use crate::error::{Error, Result};

use super::Hnsw;

impl Hnsw {
    /// Where each row's links on `level` begin, and the links, rising; rows that are not on the
    /// level have none. Level 0 exists in an empty index too.
    pub fn layer(&self, level: usize) -> Result<(Vec<i64>, Vec<i32>)> {
        let graph = &*self.settled();
        let top = graph.entry().map_or(0, |entry| graph.level(entry));
        let level = u8::try_from(level)
            .ok()
            .filter(|&level| level <= top)
            .ok_or_else(|| {
                Error::invalid(
                    "level",
                    format!("is {level} but the highest level is {top}"),
                )
            })?;
        let mut indptr = vec![0];
        let mut indices: Vec<i32> = Vec::new();
        for node in 0..graph.len() as u32 {
            let start = indices.len();
            if graph.level(node) >= level {
                // Row numbers fit 31 bits.
                indices.extend(graph.links(level, node).iter().map(|&link| link as i32));
                indices[start..].sort_unstable();
            }
            indptr.push(indices.len() as i64);
        }
        Ok((indptr, indices))
    }
}
