//! Neighbours should be embedded near each other: `tr(ZᵀLZ) = Σ w ‖zᵢ - zⱼ‖²` over edges.
//!
//! A node's gradient is a weighted sum of differences to its neighbours, gathered from a list for
//! each node: a fixed order, no writes to other rows. Differences, not `L·Z`, since nearby rows far
//! from the origin would cancel.

use super::contract::*;
use super::inputs::Inputs;
use super::links::{Edges, Links, row_sums};
use crate::error::{Error, Result};
use crate::graph::csr::Csr;
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, maps};

/// Nodes of one work item; few, for degrees are often skewed.
const ROWS: usize = 32;

/// Neighbours summed in the element type before they are added to the node's total.
const LIST: usize = 256;

/// Of the next node, the neighbours that are asked for where only a value is wanted.
const AHEAD: usize = 12;

/// Their cache lines; the processor follows a longer row by itself.
const LINES: usize = 8;

pub struct Laplacian {
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `w ‖zᵢ - zⱼ‖²`.
    Plain,
    /// `w ‖zᵢ/√dᵢ - zⱼ/√dⱼ‖²`.
    Symmetric,
    /// `w / √(dᵢdⱼ) · ‖zᵢ - zⱼ‖²`.
    Edge,
}

impl Loss for Laplacian {
    const SPEC: &'static Spec = &Spec {
        name: "laplacian",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::optional("src", Kind::Indices, &[1]),
            Input::optional("dst", Kind::Indices, &[1]),
            // Either one an edge or, beside a matrix, one an entry.
            Input::optional("weights", Kind::Floats, &[1]),
            // A symmetric matrix, columns rising, in place of `src` and `dst`.
            Input::optional("indptr", Kind::Indices, &[1]),
            Input::optional("indices", Kind::Columns, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[Setting::new(
            "normalization",
            Domain::Choice(&["none", "symmetric", "edge"]),
        )],
        reductions: &[Reduction::Mean, Reduction::Sum],
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            form: match options.text("normalization")? {
                "none" => Form::Plain,
                "symmetric" => Form::Symmetric,
                _ => Form::Edge,
            },
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let cols = inputs.floats("embeddings").map_or(0, |array| array.cols());
        let listed = inputs.optional_indices("src").ok().flatten();
        let entries = match listed {
            Some(src) => 2 * src.data.len(),
            None => inputs
                .columns("indices")
                .map_or(0, |array| array.data.len()),
        };
        entries.saturating_mul(cols)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let inputs = call.inputs;
        let z = inputs.floats("embeddings")?.matrix()?;
        if z.cols() == 0 {
            return Err(Error::invalid("embeddings", "needs at least one column"));
        }
        let gradient = call.gradients.as_mut().map(|to| to.take("embeddings"));
        let weights = inputs.optional_floats("weights")?.map(|array| array.data);
        let normalised = self.form != Form::Plain;
        let (links, degrees) = if let Some(indptr) = inputs.optional_indices("indptr")? {
            let columns = inputs.columns("indices")?.data;
            let matrix = Csr::new(indptr.data, columns, weights, z.rows())?;
            if matrix.rows() != z.rows() {
                return Err(wrong_rows(z.rows(), matrix.rows()));
            }
            check_weights(weights)?;
            let degrees = normalised.then(|| row_sums(matrix, workers)).transpose()?;
            (Links::of_matrix(matrix, columns, workers)?, degrees)
        } else {
            let (src, dst) = (inputs.indices("src")?, inputs.indices("dst")?);
            dst.check_count("dst", &src, "src")?;
            if let Some(weights) = inputs.optional_floats("weights")? {
                weights.check_count("weights", &src, "src")?;
            }
            check_weights(weights)?;
            let edges = Edges {
                src: src.data,
                dst: dst.data,
                weights,
            };
            edges.check(z.rows())?;
            let degrees = normalised
                .then(|| edges.degrees(z.rows(), workers))
                .transpose()?;
            let both = gradient.is_some();
            (Links::of_edges(&edges, z.rows(), both, workers)?, degrees)
        };
        let inverse = |degree: f64| {
            if degree > 0.0 {
                1.0 / degree.sqrt()
            } else {
                0.0
            }
        };
        let energy = Energy {
            form: self.form,
            z,
            roots: degrees
                .into_iter()
                .flatten()
                .map(|degree| T::of(inverse(degree)))
                .collect(),
            scale: 2.0 * call.reduction.weight(links.edges),
            links,
        };
        let total = inputs.finite_or(energy.run(gradient, workers)?)?;
        Ok(Outcome {
            values: Values::Total(total),
            counted: energy.links.edges,
            active: energy.links.edges,
        })
    }
}

fn wrong_rows(rows: usize, nodes: usize) -> Error {
    let problem = format!("has {rows} rows but the graph has {nodes} nodes; they must be equal");
    Error::invalid("embeddings", problem)
}

fn check_weights<T: Real>(weights: Option<&[T]>) -> Result<()> {
    let bad = |weight: T| !(weight >= T::zero() && weight < T::infinity());
    let Some(weights) = weights else {
        return Ok(());
    };
    if !weights.iter().fold(false, |any, &weight| any | bad(weight)) {
        return Ok(());
    }
    let at = weights.iter().position(|&weight| bad(weight)).unwrap_or(0);
    let problem = format!(
        "holds {} at position {at} but must be finite and at least 0",
        weights[at]
    );
    Err(Error::invalid("weights", problem))
}

struct Energy<'a, T: Clone> {
    form: Form,
    z: Matrix<'a, T>,
    links: Links<'a, T>,
    /// `1/√d` of each node, 0 where d is; empty for the plain form.
    roots: Vec<T>,
    /// What a node's sum of differences is multiplied by.
    scale: f64,
}

/// What one work item reuses from node to node.
struct Scratch<T> {
    weights: Vec<T>,
    scales: Vec<T>,
    center: Vec<T>,
}

impl<T: Real> Energy<'_, T> {
    /// The sum over edges; each edge counts where it leaves.
    fn run(&self, gradient: Option<&mut [T]>, workers: &Workers<'_>) -> Result<f64> {
        let (nodes, cols) = (self.links.nodes(), self.z.cols());
        let mut totals = vec![0.0; nodes.div_ceil(ROWS)];
        let mut places = gradient.map(|gradient| gradient.chunks_mut(ROWS * cols));
        let mut pieces: Vec<_> = totals
            .iter_mut()
            .map(|total| (total, places.as_mut().and_then(Iterator::next)))
            .collect();
        workers.for_each_piece(&mut pieces, 1, |piece, pieces| {
            let mut scratch = Scratch {
                weights: Vec::with_capacity(LIST),
                scales: Vec::with_capacity(LIST),
                center: vec![T::zero(); cols],
            };
            for (total, place) in pieces {
                let mut rows = place.as_mut().map(|place| place.chunks_exact_mut(cols));
                for node in piece * ROWS..nodes.min((piece + 1) * ROWS) {
                    let to = rows.as_mut().and_then(Iterator::next);
                    **total += self.node(node, to, &mut scratch);
                }
            }
            Ok(())
        })?;
        Ok(totals.iter().sum())
    }

    /// The edges that leave `node`, and the gradient of all that touch it.
    fn node(&self, node: usize, mut to: Option<&mut [T]>, scratch: &mut Scratch<T>) -> f64 {
        let span = self.links.span(node);
        let row = self.z.row(node);
        if let Some(to) = to.as_deref_mut() {
            to.fill(T::zero());
        }
        let root = self.roots.get(node).copied().unwrap_or(T::one());
        let mut center = std::mem::take(&mut scratch.center);
        let origin = if self.form == Form::Symmetric {
            center.copy_from_slice(row);
            maps::scale(root, &mut center);
            &center
        } else {
            row
        };
        // No edge shows what a node without edges holds.
        let mut total = if span.split < span.end || maps::all_finite(row) {
            0.0
        } else {
            f64::NAN
        };
        if let Some(to) = to.as_deref_mut() {
            for first in (span.start..span.split).step_by(LIST) {
                let last = span.split.min(first + LIST);
                self.list(first..last, root, origin, Some(&mut *to), false, scratch);
            }
        }
        if to.is_none() && node + 1 < self.links.nodes() {
            let next = self.links.span(node + 1);
            for &j in &self.links.columns()[next.split..next.end.min(next.split + AHEAD)] {
                simd::prefetch(self.z.row(j as usize), LINES);
            }
        }
        for first in (span.split..span.end).step_by(LIST) {
            let last = span.end.min(first + LIST);
            total += self
                .list(first..last, root, origin, to.as_deref_mut(), true, scratch)
                .wide();
        }
        if let Some(to) = to {
            let outer = if self.form == Form::Symmetric {
                root.wide()
            } else {
                1.0
            };
            maps::scale(T::of(self.scale * outer), to);
        }
        scratch.center = center;
        total
    }

    /// Some of one node's neighbours.
    fn list(
        &self,
        range: std::ops::Range<usize>,
        root: T,
        origin: &[T],
        to: Option<&mut [T]>,
        squares: bool,
        scratch: &mut Scratch<T>,
    ) -> T {
        let count = range.len();
        let indices = match &to {
            Some(_) => &self.links.columns()[range.start..],
            // What follows are edges that come in, which a value does not need.
            None => &self.links.columns()[range.clone()],
        };
        let mut weights = self.links.weights().map(|weights| &weights[range]);
        let mut scales = None;
        let other = |&j: &i32| self.roots[j as usize];
        if self.form == Form::Symmetric {
            scratch.scales.clear();
            scratch.scales.extend(indices[..count].iter().map(other));
            scales = Some(&scratch.scales[..]);
        }
        if self.form == Form::Edge {
            scratch.weights.clear();
            let roots = indices[..count].iter().map(|j| root * other(j));
            match weights {
                None => scratch.weights.extend(roots),
                Some(weights) => {
                    let products = roots.zip(weights).map(|(root, &weight)| root * weight);
                    scratch.weights.extend(products);
                }
            }
            weights = Some(&scratch.weights[..]);
        }
        let links = simd::Links {
            indices,
            count,
            weights,
            scales,
        };
        simd::table::<T>().differences(links, origin, self.z.data(), to, squares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{Argument, Array, OptionValue, find, run};
    use crate::rng::Stream;

    const NODES: usize = 70;
    const COLS: usize = 19;

    fn evaluate(form: &str, arguments: &[Argument<'_, f64>], threads: usize) -> (f64, Vec<f64>) {
        let entry = find("laplacian").unwrap();
        let inputs = Inputs::new(entry.spec, arguments).unwrap();
        let options = [("normalization".into(), OptionValue::Text(form.into()))];
        let workers = Workers::of(threads);
        let mut gradient = vec![f64::NAN; NODES * COLS];
        let buffers = Some(vec![&mut gradient[..]]);
        let got = run(entry, &options, &inputs, Reduction::Sum, buffers, &workers).unwrap();
        let alone = run(entry, &options, &inputs, Reduction::Sum, None, &workers).unwrap();
        assert_eq!(got.values, alone.values);
        (got.values[0], gradient)
    }

    /// A star whose centre has more neighbours than one list, all edges twice, as edges and as a
    /// matrix of doubled weights.
    #[test]
    fn edges_and_matrix_give_what_the_definition_gives() {
        let mut stream = Stream::new(1, 0);
        let z: Vec<f64> = (0..NODES * COLS).map(|_| stream.uniform()).collect();
        let mut pairs: Vec<(usize, usize)> = (1..NODES - 1).map(|i| (0, i)).collect();
        pairs.extend((1..NODES - 2).map(|i| (i, i + 1)));
        let src: Vec<i64> = pairs
            .iter()
            .cycle()
            .take(8 * pairs.len())
            .map(|p| p.0 as i64)
            .collect();
        let dst: Vec<i64> = pairs
            .iter()
            .cycle()
            .take(8 * pairs.len())
            .map(|p| p.1 as i64)
            .collect();
        let (mut indptr, mut indices) = (vec![0i64], Vec::new());
        for i in 0..NODES {
            let linked = |&j: &usize| pairs.contains(&(i.min(j), i.max(j)));
            indices.extend((0..NODES).filter(linked).map(|j| j as i32));
            indptr.push(indices.len() as i64);
        }
        let weights = vec![8.0; indices.len()];
        let degree = |i: usize| 8.0 * (indptr[i + 1] - indptr[i]) as f64;
        let shapes = [[src.len()], [indptr.len()], [indices.len()]];
        let z_shape = [NODES, COLS];
        let embeddings = Argument::Floats(Array {
            data: &z,
            shape: &z_shape,
        });
        let indexed = |data, shape| Argument::Indices(Array { data, shape });
        let edges = [
            embeddings,
            indexed(&src, &shapes[0][..]),
            indexed(&dst, &shapes[0][..]),
            Argument::Absent,
            Argument::Absent,
            Argument::Absent,
        ];
        let matrix = [
            embeddings,
            Argument::Absent,
            Argument::Absent,
            Argument::Floats(Array {
                data: &weights,
                shape: &shapes[2],
            }),
            indexed(&indptr, &shapes[1][..]),
            Argument::Columns(Array {
                data: &indices,
                shape: &shapes[2],
            }),
        ];
        for form in ["none", "symmetric", "edge"] {
            let (mut want, mut slopes) = (0.0, vec![0.0; NODES * COLS]);
            for &(i, j) in &pairs {
                let roots = [degree(i).sqrt(), degree(j).sqrt()];
                let scales = if form == "symmetric" { roots } else { [1.0; 2] };
                let product = if form == "edge" {
                    roots[0] * roots[1]
                } else {
                    1.0
                };
                for k in 0..COLS {
                    let away = z[i * COLS + k] / scales[0] - z[j * COLS + k] / scales[1];
                    want += 8.0 / product * away * away;
                    slopes[i * COLS + k] += 16.0 / product * away / scales[0];
                    slopes[j * COLS + k] -= 16.0 / product * away / scales[1];
                }
            }
            for arguments in [&edges, &matrix] {
                let (value, gradient) = evaluate(form, arguments, 1);
                assert!((value - want).abs() < 1e-11 * want, "{form}");
                for (got, want) in gradient.iter().zip(&slopes) {
                    assert!((got - want).abs() < 1e-11, "{form}");
                }
                assert_eq!((value, gradient), evaluate(form, arguments, 3));
            }
        }
    }
}
