//! Lengths of pairs against wanted lengths: distance preservation (Kruskal 1964; Sammon 1969;
//! Kamada and Kawai 1989), and lengths after a step of discrete Ricci flow (Ni et al. 2019).

use super::contract::*;
use super::inputs::*;
use super::pairs::{Edges, pull_differences, work};
use crate::error::{Error, Result};
use crate::metric::distance;
use crate::pool::Workers;
use crate::real::Real;

/// Given distances.
pub struct DistancePreservation {
    weighting: Weighting,
}

#[derive(Clone, Copy)]
enum Weighting {
    Uniform,
    Inverse,
    InverseSquare,
}

impl Loss for DistancePreservation {
    const SPEC: &'static Spec = &Spec {
        name: "distance_preservation",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("src", Kind::Indices, &[1]),
            Input::required("dst", Kind::Indices, &[1]),
            Input::required("distances", Kind::Floats, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[Setting::new(
            "weighting",
            Domain::Choice(&["uniform", "inverse", "inverse_square"]),
        )],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        let weighting = match options.text("weighting")? {
            "inverse" => Weighting::Inverse,
            "inverse_square" => Weighting::InverseSquare,
            _ => Weighting::Uniform,
        };
        Ok(Self { weighting })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        work(inputs)
    }

    fn evaluate<T: Real>(&self, call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let distances = call.inputs.floats("distances")?;
        distances.check_count("distances", &call.inputs.indices("src")?, "src")?;
        let divides = !matches!(self.weighting, Weighting::Uniform);
        let wrong = |x: f64| x < 0.0 || (divides && x == 0.0);
        if let Some(at) = distances.data.iter().position(|x| wrong(x.wide())) {
            let bound = if divides { "above 0" } else { "at least 0" };
            let problem = format!(
                "holds {} at position {at} but must be {bound}",
                distances.data[at]
            );
            return Err(Error::invalid("distances", problem));
        }
        let wanted = |p: usize| {
            let length = distances.data[p].wide();
            let weight = match self.weighting {
                Weighting::Uniform => 1.0,
                Weighting::Inverse => 1.0 / length,
                Weighting::InverseSquare => 1.0 / (length * length),
            };
            (length, weight)
        };
        compare(call, wanted, workers)
    }
}

/// Lengths that curvature asks for.
pub struct Curvature {
    step: f64,
    scale: f64,
}

impl Loss for Curvature {
    const SPEC: &'static Spec = &Spec {
        name: "curvature",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("src", Kind::Indices, &[1]),
            Input::required("dst", Kind::Indices, &[1]),
            Input::required("curvature", Kind::Floats, &[1]),
            Input::optional("lengths", Kind::Floats, &[1]),
        ],
        by_number: ByNumber::Table,
        options: &[
            Setting::new("step", Domain::NonNegative),
            Setting::new("scale", Domain::Positive),
        ],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            step: options.real("step")?,
            scale: options.real("scale")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        work(inputs)
    }

    fn evaluate<T: Real>(&self, call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let src = call.inputs.indices("src")?;
        let curvature = call.inputs.floats("curvature")?;
        curvature.check_count("curvature", &src, "src")?;
        let lengths = call.inputs.optional_floats("lengths")?;
        if let Some(lengths) = lengths {
            lengths.check_count("lengths", &src, "src")?;
            if let Some(at) = lengths.data.iter().position(|&x| x < T::zero()) {
                let length = lengths.data[at];
                let problem = format!("holds {length} at position {at} but must be at least 0");
                return Err(Error::invalid("lengths", problem));
            }
        }
        let wanted = |p: usize| {
            let length = lengths.map_or(1.0, |lengths| lengths.data[p].wide());
            let factor = (1.0 - self.step * curvature.data[p].wide()).max(0.0);
            (self.scale * length * factor, 1.0)
        };
        compare(call, wanted, workers)
    }
}

/// `weight (|zᵢ - zⱼ| - length)²` an item, with `wanted` telling length and weight. Where the
/// points coincide the distance has no derivative and the pair none either.
fn compare<T: Real>(
    mut call: Call<'_, T>,
    wanted: impl Fn(usize) -> (f64, f64) + Sync,
    workers: &Workers<'_>,
) -> Result<Outcome> {
    let edges = Edges::new(call.inputs, workers)?;
    let scored = edges.map(workers, |edge, a, b| {
        let distance = distance(a.values, b.values);
        let (length, weight) = wanted(edge);
        let excess = distance - length;
        let slope = if distance > 0.0 {
            2.0 * weight * excess / distance
        } else {
            0.0
        };
        (weight * excess * excess, slope)
    })?;
    if let Some(mut gradients) = call.gradients.take() {
        let share = call.reduction.weight(edges.len());
        let out = gradients.take("embeddings");
        pull_differences(&edges, |edge| share * scored[edge].1, out, workers)?;
    }
    Ok(Outcome {
        values: Values::Items(scored.iter().map(|scored| scored.0).collect()),
        counted: edges.len(),
        active: edges.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};
    use super::*;

    fn setup(name: &str) -> Setup {
        Setup::new(name)
            .floats(normal(40, 1), &[10, 4])
            .indices(vec![0, 1, 1, 9, 3])
            .indices(vec![1, 2, 2, 0, 3])
            .floats(vec![1.0, 2.0, 0.5, 0.25, 1.5], &[5])
    }

    #[test]
    fn gradients_equal_differences() {
        for weighting in ["uniform", "inverse", "inverse_square"] {
            check_gradient(&setup("distance_preservation").text("weighting", weighting));
        }
        let curved = setup("curvature").absent();
        check_gradient(&curved.real("step", 0.5).real("scale", 2.0));
    }

    #[test]
    fn a_known_triangle_has_its_known_stress() {
        let of = |weighting| {
            let setup = Setup::new("distance_preservation")
                .floats(vec![0.0, 0.0, 3.0, 4.0], &[2, 2])
                .indices(vec![0])
                .indices(vec![1])
                .floats(vec![2.0], &[1]);
            setup.text("weighting", weighting).run(Reduction::Sum, 1)
        };
        assert_eq!(of("uniform").0, [9.0]);
        assert_eq!(of("inverse").0, [4.5]);
        assert_eq!(of("inverse_square").0, [2.25]);
        let towards = of("uniform").1;
        assert!((towards[0][2] - 3.6).abs() < 1e-12 && (towards[0][0] + 3.6).abs() < 1e-12);
    }
}
