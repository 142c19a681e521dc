//! Whether an entry is stored in a sparse matrix whose columns rise in each row.

use crate::graph::csr::Csr;

/// Columns that are compared one after the other, which the compiler does several at a time.
const SHORT: usize = 64;

#[inline]
pub(super) fn holds(graph: &Csr<'_, f32>, row: u32, column: u32) -> bool {
    let (columns, column) = (graph.columns(row as usize), column as i32);
    if columns.len() <= SHORT {
        return columns
            .iter()
            .fold(false, |found, &c| found | (c == column));
    }
    columns.binary_search(&column).is_ok()
}

/// The diagonal entries that are stored.
pub(super) fn loops(graph: &Csr<'_, f32>) -> usize {
    (0..graph.rows() as u32)
        .filter(|&node| holds(graph, node, node))
        .count()
}
