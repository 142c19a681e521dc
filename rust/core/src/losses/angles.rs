//! Angles of triples against given ones, by their cosines (RKD-A of Park et al. 2019).

use super::contract::*;
use super::inputs::*;
use super::pairs::{AHEAD, prefetch};
use crate::batch::{by_row, check_indices};
use crate::error::{Error, Result};
use crate::metric::COSINE_EPS;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise};

/// Triples a worker handles at a time.
const PIECE: usize = 128;

/// Independent sums, two AVX-512 registers.
const LANES: usize = 16;

pub struct AnglePreservation {
    huber: bool,
}

/// One triple's lengths of its two arms, their cosine and the loss's derivative to that.
#[derive(Clone, Copy)]
struct Corner {
    lengths: [f64; 2],
    cosine: f64,
    slope: f64,
}

impl Loss for AnglePreservation {
    const SPEC: &'static Spec = &Spec {
        name: "angle_preservation",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("vertex", Kind::Indices, &[1]),
            Input::required("first", Kind::Indices, &[1]),
            Input::required("second", Kind::Indices, &[1]),
            Input::required("cosines", Kind::Floats, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[Setting::new(
            "penalty",
            Domain::Choice(&["squared", "huber"]),
        )],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            huber: options.text("penalty")? == "huber",
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let cols = inputs.floats("embeddings").map_or(0, |array| array.cols());
        let triples = inputs.indices("vertex").map_or(0, |array| array.count());
        inputs.values() + triples.saturating_mul(12 * cols)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let embeddings = call.inputs.rows("embeddings")?;
        let vertex = call.inputs.indices("vertex")?;
        let mut ends = [vertex.data; 3];
        for (role, name) in ["vertex", "first", "second"].into_iter().enumerate() {
            let array = call.inputs.indices(name)?;
            array.check_count(name, &vertex, "vertex")?;
            check_indices(array.data, embeddings.rows(), name)?;
            ends[role] = array.data;
        }
        let cosines = call.inputs.floats("cosines")?;
        cosines.check_count("cosines", &vertex, "vertex")?;
        if let Some(at) = cosines.data.iter().position(|x| x.abs() > T::one()) {
            let wrong = cosines.data[at];
            let problem = format!("holds {wrong} at position {at} but must lie between -1 and 1");
            return Err(Error::invalid("cosines", problem));
        }
        let count = vertex.count();
        let points = |item: usize| ends.map(|end| embeddings.row(end[item] as usize));
        let corners = workers.map(count.div_ceil(PIECE), |piece| {
            let range = piece * PIECE..((piece + 1) * PIECE).min(count);
            let corner = |item| {
                if item + AHEAD < count {
                    points(item + AHEAD).into_iter().for_each(prefetch);
                }
                self.corner(points(item), cosines.data[item].wide())
            };
            Ok(range.map(corner).collect::<Vec<_>>())
        })?;
        let (items, corners): (Vec<f64>, Vec<Corner>) = corners.into_iter().flatten().unzip();
        if let Some(mut gradients) = call.gradients.take() {
            let share = call.reduction.weight(count);
            let out = gradients.take("embeddings");
            by_row(&ends, embeddings.cols(), out, workers, |item, role, to| {
                let [vertex, first, second] = points(item);
                let on = corners[item].shares(role, share);
                elementwise(Add {
                    on,
                    vertex,
                    first,
                    second,
                    to,
                });
            })?;
        }
        Ok(Outcome {
            values: Values::Items(items),
            counted: count,
            active: count,
        })
    }
}

impl AnglePreservation {
    fn corner<T: Real>(&self, [vertex, first, second]: [&[T]; 3], wanted: f64) -> (f64, Corner) {
        let [dot, a, b] = elementwise(Arms {
            vertex,
            first,
            second,
        });
        let squares = [a, b];
        let lengths = squares.map(f64::sqrt);
        let cosine = dot / (lengths[0] * lengths[1]).max(COSINE_EPS);
        let excess = cosine - wanted;
        let (value, slope) = if !self.huber {
            (excess * excess, 2.0 * excess)
        } else if excess.abs() <= 1.0 {
            (0.5 * excess * excess, excess)
        } else {
            (excess.abs() - 0.5, excess.signum())
        };
        let corner = Corner {
            lengths,
            cosine,
            slope,
        };
        (value, corner)
    }
}

impl Corner {
    /// How much of either arm the gradient of the point in `role` has: vertex, first or second.
    /// What the ends get, the vertex loses.
    fn shares(&self, role: usize, share: f64) -> [f64; 2] {
        let [a, b] = self.lengths;
        let across = 1.0 / (a * b).max(COSINE_EPS);
        let along = |length: f64| {
            if a * b <= COSINE_EPS {
                0.0
            } else {
                self.cosine / (length * length)
            }
        };
        let shares = match role {
            0 => [along(a) - across, along(b) - across],
            1 => [-along(a), across],
            _ => [across, -along(b)],
        };
        shares.map(|of| share * self.slope * of)
    }
}

/// Adds so much of either arm, in `f64`: arms that are parts of longer ones lose no digits.
struct Add<'a, T> {
    on: [f64; 2],
    vertex: &'a [T],
    first: &'a [T],
    second: &'a [T],
    to: &'a mut [T],
}

impl<T: Real> Elementwise for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [on_a, on_b] = self.on;
        let points = self.vertex.iter().zip(self.first).zip(self.second);
        for (to, ((&v, &a), &b)) in self.to.iter_mut().zip(points) {
            let (a, b) = (a.wide() - v.wide(), b.wide() - v.wide());
            *to += T::of(on_a * a + on_b * b);
        }
    }
}

/// Product of two arms and their squares, in `f64`.
struct Arms<'a, T> {
    vertex: &'a [T],
    first: &'a [T],
    second: &'a [T],
}

impl<T: Real> Elementwise for Arms<'_, T> {
    type Output = [f64; 3];

    #[inline(always)]
    fn run(self) -> [f64; 3] {
        let mut sums = [[0.0; LANES]; 3];
        let mut add = |lane: usize, v: T, a: T, b: T| {
            let (a, b) = (a.wide() - v.wide(), b.wide() - v.wide());
            sums[0][lane] += a * b;
            sums[1][lane] += a * a;
            sums[2][lane] += b * b;
        };
        let (vertex, vertex_rest) = self.vertex.as_chunks::<LANES>();
        let (first, first_rest) = self.first.as_chunks::<LANES>();
        let (second, second_rest) = self.second.as_chunks::<LANES>();
        for ((v, a), b) in vertex.iter().zip(first).zip(second) {
            for lane in 0..LANES {
                add(lane, v[lane], a[lane], b[lane]);
            }
        }
        let rest = vertex_rest.iter().zip(first_rest).zip(second_rest);
        for (lane, ((&v, &a), &b)) in rest.enumerate() {
            add(lane, v, a, b);
        }
        sums.map(|lanes| lanes.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};
    use super::*;

    #[test]
    fn gradients_equal_differences() {
        for penalty in ["squared", "huber"] {
            let setup = Setup::new("angle_preservation")
                .floats(normal(40, 1), &[10, 4])
                .indices(vec![0, 1, 1, 9, 3])
                .indices(vec![1, 2, 2, 0, 4])
                .indices(vec![2, 3, 5, 8, 4])
                .floats(vec![1.0, -1.0, 0.5, 0.25, 0.9], &[5]);
            check_gradient(&setup.text("penalty", penalty));
        }
    }

    #[test]
    fn a_right_angle_has_cosine_zero_and_a_missing_arm_no_gradient() {
        let run = |points: Vec<f64>| {
            let setup = Setup::new("angle_preservation")
                .floats(points, &[3, 2])
                .indices(vec![0])
                .indices(vec![1])
                .indices(vec![2])
                .floats(vec![0.5], &[1]);
            setup.text("penalty", "squared").run(Reduction::Sum, 1)
        };
        assert_eq!(run(vec![1.0, 1.0, 3.0, 1.0, 1.0, 2.0]).0, [0.25]);
        let (value, gradients) = run(vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(value, [0.25]);
        assert_eq!(gradients, [[0.0; 6]]);
    }
}
