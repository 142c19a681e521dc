//! The links of one level, for those who compute on graphs.

use crate::error::{Error, Result};

use super::Hnsw;

impl Hnsw {
    /// Where each row's links on `level` begin, and the links, rising; rows that are not on the
    /// level have none, and those that were removed are left out. Level 0 exists in an empty index too.
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
        // Places in the list of ids, which hidden rows are not on.
        let mut places: Vec<Option<i32>> = Vec::with_capacity(graph.len());
        let mut live = 0;
        for row in 0..graph.len() {
            let is_live = self.rows.is_live(row);
            places.push(is_live.then_some(live));
            live += i32::from(is_live);
        }
        let mut indptr = vec![0];
        let mut indices: Vec<i32> = Vec::new();
        for node in (0..graph.len() as u32).filter(|&node| places[node as usize].is_some()) {
            let start = indices.len();
            if graph.level(node) >= level {
                // Row numbers fit 31 bits.
                let links = graph.links(level, node).iter();
                indices.extend(links.filter_map(|&link| places[link as usize]));
                indices[start..].sort_unstable();
            }
            indptr.push(indices.len() as i64);
        }
        Ok((indptr, indices))
    }
}
