//! What an index looks like inside.

use super::Hnsw;

/// Counts and sizes, taken at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    pub rows: usize,
    /// Removed rows that are still walked.
    pub tombstones: usize,
    /// Rows by their highest level.
    pub level_counts: Vec<usize>,
    /// Links a row on level 0.
    pub degree_min: usize,
    pub degree_mean: f64,
    pub degree_max: usize,
    /// Rows that cannot be reached from the entry point.
    pub unreachable: usize,
    pub bytes_vectors: usize,
    pub bytes_codes: usize,
    pub bytes_ids: usize,
    pub bytes_links: usize,
    pub bytes_upper: usize,
    pub bytes_nodes: usize,
}

impl Hnsw {
    /// Looks at every link once.
    pub fn stats(&self) -> Stats {
        let graph = &*self.settled();
        let degrees: Vec<usize> = (0..graph.len() as u32)
            .map(|node| graph.links(0, node).len())
            .collect();
        let top = graph.entry().map_or(0, |entry| graph.level(entry) + 1);
        let mut level_counts = vec![0; usize::from(top)];
        let live = (0..graph.len()).filter(|&row| self.rows.is_live(row));
        for level in live.map(|row| graph.levels[row]) {
            level_counts[usize::from(level)] += 1;
        }
        let (bytes_vectors, bytes_ids) = self.rows.bytes();
        let (bytes_links, bytes_upper, bytes_nodes) = graph.bytes();
        Stats {
            rows: self.rows.live(),
            tombstones: self.rows.len() - self.rows.live(),
            level_counts,
            degree_min: degrees.iter().copied().min().unwrap_or(0),
            degree_mean: degrees.iter().sum::<usize>() as f64 / degrees.len().max(1) as f64,
            degree_max: degrees.iter().copied().max().unwrap_or(0),
            unreachable: graph.unreachable(),
            bytes_vectors,
            bytes_codes: self.rows.coding.memory(),
            bytes_ids,
            bytes_links,
            bytes_upper,
            bytes_nodes,
        }
    }
}
