//! Triplet loss: `max(0, δ(a, p) - δ(a, n) + margin)` with the squared distance (Schroff et al.
//! 2015), the distance (Hermans et al. 2017) or `1 - cos` as δ.

use super::contract::*;
use super::inputs::Gradients;
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::metric::{Row, distance};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, maps};

/// Triplets a worker handles at a time.
const PIECE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distance {
    Squared,
    Euclidean,
    Cosine,
}

pub struct Triplet {
    margin: f64,
    distance: Distance,
}

/// A pair's δ and its derivative to the vectors: a multiple of their difference, or of the cosine.
struct Side {
    delta: f64,
    cosine: f64,
    slope: f64,
}

struct Buffers<'a, T> {
    anchors: &'a mut [T],
    positives: &'a mut [T],
    negatives: &'a mut [T],
}

impl<'a, T: Real> Buffers<'a, T> {
    fn new(gradients: &mut Gradients<'a, T>) -> Self {
        Self {
            anchors: gradients.take("anchors"),
            positives: gradients.take("positives"),
            negatives: gradients.take("negatives"),
        }
    }

    fn split(&mut self, values: usize) -> Buffers<'a, T> {
        let part = |buffer: &mut &'a mut [T]| buffer.split_off_mut(..values).unwrap_or_default();
        Buffers {
            anchors: part(&mut self.anchors),
            positives: part(&mut self.positives),
            negatives: part(&mut self.negatives),
        }
    }
}

impl Loss for Triplet {
    const SPEC: &'static Spec = &Spec {
        name: "triplet",
        inputs: &[
            Input::required("anchors", Kind::Embeddings, &[2]),
            Input::required("positives", Kind::Embeddings, &[2]),
            Input::required("negatives", Kind::Embeddings, &[2]),
        ],
        by_number: ByNumber::Rows,
        options: &[
            Setting::new("margin", Domain::NonNegative),
            Setting::new(
                "distance",
                Domain::Choice(&["euclidean", "squared", "cosine"]),
            ),
        ],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            margin: options.real("margin")?,
            distance: match options.text("distance")? {
                "squared" => Distance::Squared,
                "cosine" => Distance::Cosine,
                _ => Distance::Euclidean,
            },
        })
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let anchors = call.inputs.floats("anchors")?;
        let positives = call.inputs.floats("positives")?;
        let negatives = call.inputs.floats("negatives")?;
        if anchors.cols() == 0 {
            return Err(Error::invalid("anchors", "needs at least one column"));
        }
        for (array, name) in [(positives, "positives"), (negatives, "negatives")] {
            array.check_count(name, &anchors, "anchors")?;
            array.check_cols(name, &anchors, "anchors")?;
        }
        let rows = [anchors.matrix()?, positives.matrix()?, negatives.matrix()?];
        let mut items = vec![0.0; anchors.count()];
        let weight = call.reduction.weight(items.len());
        let mut buffers = call.gradients.take().map(|mut g| Buffers::new(&mut g));
        let mut pieces: Vec<_> = items
            .chunks_mut(PIECE)
            .map(|items| {
                let values = items.len() * anchors.cols();
                (items, buffers.as_mut().map(|all| all.split(values)))
            })
            .collect();
        workers.for_each_piece(&mut pieces, 1, |piece, work| {
            for (items, buffers) in work {
                self.piece(rows, piece * PIECE, items, buffers.as_mut(), weight);
            }
            Ok(())
        })?;
        Ok(Outcome {
            counted: items.len(),
            active: items.iter().filter(|value| **value > 0.0).count(),
            values: Values::Items(items),
        })
    }
}

impl Triplet {
    fn piece<T: Real>(
        &self,
        [anchors, positives, negatives]: [Matrix<'_, T>; 3],
        first: usize,
        items: &mut [f64],
        mut buffers: Option<&mut Buffers<'_, T>>,
        weight: f64,
    ) {
        let cols = anchors.cols();
        if let Some(buffers) = &mut buffers {
            buffers.anchors.fill(T::zero());
            buffers.positives.fill(T::zero());
            buffers.negatives.fill(T::zero());
        }
        for (offset, item) in items.iter_mut().enumerate() {
            let i = first + offset;
            let [a, p, n] = [anchors.row(i), positives.row(i), negatives.row(i)];
            let (near, far) = (self.side(a, p), self.side(a, n));
            *item = (near.delta - far.delta + self.margin).max(0.0);
            if *item > 0.0
                && let Some(buffers) = &mut buffers
            {
                let at = offset * cols..(offset + 1) * cols;
                let to_a = &mut buffers.anchors[at.clone()];
                let to_p = &mut buffers.positives[at.clone()];
                let to_n = &mut buffers.negatives[at];
                self.send(a, p, &near, weight, to_a, to_p);
                self.send(a, n, &far, -weight, to_a, to_n);
            }
        }
    }

    fn side<T: Real>(&self, a: &[T], b: &[T]) -> Side {
        if self.distance == Distance::Cosine {
            let cosine = Row::new(a).cosine(&Row::new(b));
            return Side {
                delta: 1.0 - cosine,
                cosine,
                slope: -1.0,
            };
        }
        let length = distance(a, b);
        let (delta, slope) = match self.distance {
            Distance::Squared => (length * length, 2.0),
            // Equal vectors have no direction to part in.
            _ if length == 0.0 => (0.0, 0.0),
            _ => (length, 1.0 / length),
        };
        Side {
            delta,
            cosine: 0.0,
            slope,
        }
    }

    /// Adds to `to_a` and overwrites `to_b`, which holds zeros.
    fn send<T: Real>(
        &self,
        a: &[T],
        b: &[T],
        side: &Side,
        weight: f64,
        to_a: &mut [T],
        to_b: &mut [T],
    ) {
        let slope = weight * side.slope;
        if self.distance == Distance::Cosine {
            let (a, b) = (Row::new(a), Row::new(b));
            let along = a.pull(&b, side.cosine, slope, to_a, to_b);
            simd::table::<T>().axpy(T::of(-along), a.values, to_a);
            return;
        }
        let limit = T::max_value().wide();
        let factor = T::of(slope.clamp(-limit, limit));
        maps::add_difference(factor, a, b, to_a);
        maps::add_difference(factor, b, a, to_b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triplet(distance: Distance) -> Triplet {
        Triplet {
            margin: 0.5,
            distance,
        }
    }

    #[test]
    fn each_distance_is_its_own() {
        let (a, b) = ([3.0f64, 0.0], [0.0, 4.0]);
        let delta = |kind| triplet(kind).side(&a, &b).delta;
        assert_eq!(delta(Distance::Squared), 25.0);
        assert_eq!(delta(Distance::Euclidean), 5.0);
        assert_eq!(delta(Distance::Cosine), 1.0);
    }

    #[test]
    fn a_satisfied_triplet_sends_nothing_and_an_equal_pair_nothing_of_its_side() {
        let loss = triplet(Distance::Euclidean);
        let (a, far, close) = ([0.0f32, 0.0], [9.0f32, 0.0], [0.3f32, 0.0]);
        let run = |p: &[f32], n: &[f32]| {
            let mut out = [[f32::NAN; 2]; 3];
            let [x, y, z] = &mut out;
            let mut buffers = Buffers {
                anchors: x,
                positives: y,
                negatives: z,
            };
            let rows = [&a[..], p, n].map(|row| Matrix::new(row, 1, 2).unwrap());
            let mut item = [f64::NAN];
            loss.piece(rows, 0, &mut item, Some(&mut buffers), 1.0);
            (item[0], out)
        };
        assert_eq!(run(&close, &far), (0.0, [[0.0; 2]; 3]));
        let (value, out) = run(&a, &close);
        assert!((value - 0.2).abs() < 1e-7);
        assert_eq!(out, [[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]);
    }
}
