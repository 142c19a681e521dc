//! Some neighbours of each node, layer by layer (Hamilton, Ying and Leskovec 2017, GraphSAGE).

use super::block::{Batch, Block, Places, Tables};
use super::draws::Draws;
use crate::batch::check_indices;
use crate::error::Result;
use crate::graph::csr::Csr;
use crate::pool::Workers;
use crate::simd;

/// Rows that are asked for before they are read.
const AHEAD: usize = 16;

const NEIGHBORS: u8 = 32;

/// How the seeds are cut into batches, and whose number the first has: a batch depends on the seed
/// of the draws, its own number and its seeds, not on what is sampled together with it.
#[derive(Clone, Copy, Debug)]
pub struct Batches<'a> {
    pub seeds: &'a [i64],
    pub size: usize,
    pub first: u64,
}

impl<'a> Batches<'a> {
    pub(super) fn count(&self) -> usize {
        self.seeds.len().div_ceil(self.size.max(1))
    }

    pub(super) fn seeds(&self, i: usize) -> &'a [i64] {
        let size = self.size.max(1);
        &self.seeds[i * size..self.seeds.len().min((i + 1) * size)]
    }
}

/// Samples the neighbours of every node of the block's outputs.
fn block(
    graph: &Csr<'_, f32>,
    outputs: Vec<i64>,
    fanout: usize,
    draws: &mut Draws,
    places: &mut Places,
) -> Block {
    let count = outputs.len();
    let mut nodes = outputs;
    let mut indptr = Vec::with_capacity(count + 1);
    indptr.push(0);
    let mut indices: Vec<i32> = Vec::new();
    let mut weights: Option<Vec<f32>> = graph.values().map(|_| Vec::new());
    let mut weighted: Vec<(i32, f32)> = Vec::new();
    let mut scale: Option<Vec<f32>> = None;
    for i in 0..count {
        if i + 2 * AHEAD < count {
            let later = nodes[i + 2 * AHEAD] as usize;
            simd::prefetch(&graph.indptr()[later..later + 2], 1);
        }
        if i + AHEAD < count {
            simd::prefetch(graph.columns(nodes[i + AHEAD] as usize), 2);
        }
        let (columns, values) = graph.row(nodes[i] as usize);
        if fanout < columns.len() && fanout > 0 {
            let scale = scale.get_or_insert_with(|| vec![1.0; count]);
            scale[i] = (columns.len() as f64 / fanout as f64) as f32;
        }
        if let (Some(values), Some(weights)) = (values, &mut weights) {
            weighted.clear();
            draws.subset(columns.len(), fanout, |at| {
                let place = places.insert(columns[at] as u32, &mut nodes) as i32;
                weighted.push((place, values[at]));
            });
            weighted.sort_unstable_by_key(|&(place, _)| place);
            indices.extend(weighted.iter().map(|&(place, _)| place));
            weights.extend(weighted.iter().map(|&(_, weight)| weight));
        } else {
            let begin = indices.len();
            draws.subset(columns.len(), fanout, |at| {
                indices.push(places.insert(columns[at] as u32, &mut nodes) as i32);
            });
            sort(&mut indices[begin..]);
        }
        indptr.push(indices.len() as i64);
    }
    Block {
        indptr,
        indices,
        weights,
        scale,
        nodes,
    }
}

/// Most rows are short and nearly sorted.
fn sort(row: &mut [i32]) {
    if row.len() > 32 {
        return row.sort_unstable();
    }
    for i in 1..row.len() {
        let value = row[i];
        let mut at = i;
        while at > 0 && row[at - 1] > value {
            row[at] = row[at - 1];
            at -= 1;
        }
        row[at] = value;
    }
}

/// For each batch of seeds the blocks of its layers.
///
/// `fanouts` has an entry a layer, that of the seeds first: so many neighbours of each node are
/// drawn uniformly without replacement, or all where there are no more. Blocks keep the weights of
/// the entries drawn; a row times its `scale` has, in the mean, the product of the whole row.
pub fn neighbors(
    workers: &Workers<'_>,
    graph: &Csr<'_, f32>,
    batches: Batches<'_>,
    fanouts: &[usize],
    seed: u64,
) -> Result<Vec<Batch>> {
    check_indices(batches.seeds, graph.rows(), "seeds")?;
    let tables = Tables::new(graph.rows());
    workers.map(batches.count(), |i| {
        tables.with(|places| {
            let mut draws = Draws::new(seed, NEIGHBORS, batches.first + i as u64);
            let (mut outputs, positions) = places.distinct(batches.seeds(i));
            let mut blocks: Vec<Block> = Vec::with_capacity(fanouts.len());
            for &fanout in fanouts {
                if workers.check().is_err() {
                    break;
                }
                let block = block(graph, outputs, fanout, &mut draws, places);
                outputs = block.nodes.clone();
                blocks.push(block);
            }
            places.clear(&outputs);
            workers.check()?;
            blocks.reverse();
            Ok(Batch { positions, blocks })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolated_nodes_repeats_and_fanouts_beyond_the_degree_are_fine() {
        // 0 - 1 - 2, 3 alone.
        let graph = Csr::new(&[0, 1, 3, 4, 4], &[1, 0, 2, 1], None, 4).unwrap();
        let batches = Batches {
            seeds: &[3, 1, 3],
            size: 10,
            first: 0,
        };
        let sampled = neighbors(&Workers::serial(), &graph, batches, &[5, 0], 1).unwrap();
        assert_eq!(sampled[0].positions, [0, 1, 0]);
        let [inner, outer] = &sampled[0].blocks[..] else {
            panic!("two layers were asked for");
        };
        assert_eq!(outer.nodes, [3, 1, 0, 2]);
        assert_eq!(
            (&outer.indptr[..], &outer.indices[..]),
            (&[0, 0, 2][..], &[2, 3][..])
        );
        assert_eq!(inner.nodes, outer.nodes);
        assert_eq!(inner.indptr, [0, 0, 0, 0, 0]);
    }

    #[test]
    fn weights_go_with_their_entries_and_rows_tell_what_they_stand_for() {
        // Row 0 leads to 3, 2 and 1 by 13, 12 and 11, row 3 to 0 by 30.
        let values = [11.0, 12.0, 13.0, 30.0];
        let graph = Csr::new(&[0, 3, 3, 3, 4], &[1, 2, 3, 0], Some(&values), 4).unwrap();
        for (fanout, scale) in [(3, None), (2, Some(vec![1.5, 1.0])), (0, None)] {
            let batches = Batches {
                seeds: &[0, 3],
                size: 2,
                first: 0,
            };
            let sampled = neighbors(&Workers::serial(), &graph, batches, &[fanout], 1).unwrap();
            let block = &sampled[0].blocks[0];
            let weights = block.weights.as_ref().unwrap();
            assert_eq!(weights.len(), fanout.min(3) + fanout.min(1));
            for (&place, &weight) in block.indices.iter().zip(weights) {
                let node = block.nodes[place as usize];
                let want = if node == 0 { 30.0 } else { 10.0 + node as f32 };
                assert_eq!(weight, want);
            }
            assert_eq!(block.scale, scale);
        }
    }

    #[test]
    fn rows_are_sorted() {
        for length in [0, 1, 2, 20, 50] {
            let mut row: Vec<i32> = (0..length).map(|i| (i * 37 + 11) % 53).collect();
            let mut expected = row.clone();
            expected.sort_unstable();
            sort(&mut row);
            assert_eq!(row, expected);
        }
    }
}
