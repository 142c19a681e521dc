//! A fixed number of nodes a layer, drawn by importance, so that layers do not grow.
//!
//! Nodes are drawn with replacement and the entries of a drawn column are divided by the number of
//! times it was to be expected: a block times the inputs is, in the mean, what the whole matrix
//! gives (Chen, Ma and Xiao 2018, FastGCN; Zou et al. 2019, LADIES).

use super::block::{Batch, Block, Places, Tables};
use super::draws::Draws;
use super::neighbors::Batches;
use crate::batch::check_indices;
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::pool::Workers;

const LAYERS: u8 = 33;

/// Sums of squared columns, each with all before it: what FastGCN draws by.
pub fn column_importance(matrix: &Csr<'_, f32>) -> Vec<f64> {
    let mut sums = vec![0.0; matrix.cols()];
    for row in 0..matrix.rows() {
        let (columns, values) = matrix.row(row);
        for (k, &column) in columns.iter().enumerate() {
            sums[column as usize] += square(values, k);
        }
    }
    let mut total = 0.0;
    for sum in &mut sums {
        total += *sum;
        *sum = total;
    }
    sums
}

fn square(values: Option<&[f32]>, k: usize) -> f64 {
    values.map_or(1.0, |values| f64::from(values[k]).powi(2))
}

/// A drawn node and what its column is multiplied by.
type Drawn = Vec<(u32, f32)>;

/// Draws `size` places by sums that rise; `node` names a place.
fn draw(sums: &[f64], size: usize, draws: &mut Draws, node: impl Fn(usize) -> u32) -> Drawn {
    let total = sums.last().copied().unwrap_or(0.0);
    if total <= 0.0 {
        return Vec::new();
    }
    let mut places: Vec<_> = (0..size)
        .map(|_| {
            let at = draws.uniform() * total;
            sums.partition_point(|&sum| sum <= at).min(sums.len() - 1)
        })
        .collect();
    places.sort_unstable();
    let runs = places.chunk_by(|a, b| a == b);
    runs.map(|run| {
        let place = run[0];
        let below = if place == 0 { 0.0 } else { sums[place - 1] };
        let expected = size as f64 * (sums[place] - below) / total;
        (node(place), (run.len() as f64 / expected) as f32)
    })
    .collect()
}

/// Draws among the columns of the outputs' rows, by their squares there.
fn draw_near(
    matrix: &Csr<'_, f32>,
    outputs: &[i64],
    size: usize,
    draws: &mut Draws,
    candidates: &mut Places,
) -> Drawn {
    let (mut nodes, mut sums) = (Vec::new(), Vec::new());
    for &output in outputs {
        let (columns, values) = matrix.row(output as usize);
        for (k, &column) in columns.iter().enumerate() {
            let place = candidates.insert(column as u32, &mut nodes) as usize;
            if place == sums.len() {
                sums.push(0.0);
            }
            sums[place] += square(values, k);
        }
    }
    candidates.clear(&nodes);
    let mut total = 0.0;
    for sum in &mut sums {
        total += *sum;
        *sum = total;
    }
    draw(&sums, size, draws, |place| nodes[place] as u32)
}

/// The entries of the outputs' rows in drawn columns.
fn block(matrix: &Csr<'_, f32>, outputs: Vec<i64>, drawn: &Drawn, places: &mut Places) -> Block {
    let count = outputs.len();
    let mut nodes = outputs;
    let mut factors = vec![0.0f32; count];
    for &(node, factor) in drawn {
        let place = places.insert(node, &mut nodes) as usize;
        factors.resize(nodes.len(), 0.0);
        factors[place] = factor;
    }
    let mut block = Block {
        indptr: vec![0],
        weights: None,
        ..Block::default()
    };
    let mut weights = Vec::new();
    let mut row = Vec::new();
    for &output in &nodes[..count] {
        let (columns, values) = matrix.row(output as usize);
        row.clear();
        for (k, &column) in columns.iter().enumerate() {
            if let Some(place) = places.get(column as u32)
                && factors[place as usize] > 0.0
            {
                let value = values.map_or(1.0, |values| values[k]);
                row.push((place as i32, value * factors[place as usize]));
            }
        }
        row.sort_unstable_by_key(|&(place, _)| place);
        block.indices.extend(row.iter().map(|&(place, _)| place));
        weights.extend(row.iter().map(|&(_, weight)| weight));
        block.indptr.push(block.indices.len() as i64);
    }
    block.weights = Some(weights);
    block.nodes = nodes;
    block
}

/// For each batch of seeds the blocks of its layers; `sizes` has an entry a layer, that of the
/// seeds first. With `importance`, [`column_importance`] of the matrix, layers are drawn from all
/// nodes (FastGCN), without it from the columns of the layer above (LADIES).
pub fn layers(
    workers: &Workers<'_>,
    matrix: &Csr<'_, f32>,
    batches: Batches<'_>,
    sizes: &[usize],
    importance: Option<&[f64]>,
    seed: u64,
) -> Result<Vec<Batch>> {
    check_indices(batches.seeds, matrix.rows(), "seeds")?;
    if importance.is_some_and(|sums| sums.len() != matrix.cols()) {
        return Err(Error::invalid("importance", "needs a sum for each column"));
    }
    let (tables, others) = (Tables::new(matrix.rows()), Tables::new(matrix.rows()));
    workers.map(batches.count(), |i| {
        tables.with(|places| {
            let mut draws = Draws::new(seed, LAYERS, batches.first + i as u64);
            let (mut outputs, positions) = places.distinct(batches.seeds(i));
            let mut blocks: Vec<Block> = Vec::with_capacity(sizes.len());
            for &size in sizes {
                let drawn = match importance {
                    Some(sums) => draw(sums, size, &mut draws, |node| node as u32),
                    None => others.with(|candidates| {
                        draw_near(matrix, &outputs, size, &mut draws, candidates)
                    }),
                };
                let block = block(matrix, outputs, &drawn, places);
                outputs = block.nodes.clone();
                blocks.push(block);
            }
            places.clear(&outputs);
            blocks.reverse();
            Ok(Batch { positions, blocks })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_columns_are_weighted_by_their_expectation() {
        let drawn = draw(&[1.0, 1.0, 4.0], 6, &mut Draws::new(0, 0, 0), |p| p as u32);
        // Place 1 has no mass; the others' counts are their factors times 1.5 and 4.5.
        assert!(drawn.iter().all(|&(node, _)| node != 1));
        let counts: f32 = drawn
            .iter()
            .map(|&(node, factor)| factor * if node == 0 { 1.5 } else { 4.5 })
            .sum();
        assert!((counts - 6.0).abs() < 1e-5);
        assert!(draw(&[0.0, 0.0], 3, &mut Draws::new(0, 0, 0), |p| p as u32).is_empty());
    }
}
