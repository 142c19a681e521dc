//! Distance preservation (Kruskal 1964; Sammon 1969; Kamada and Kawai 1989): lengths of pairs
//! against given distances.

use super::contract::*;
use super::inputs::*;
use super::lengths::compare;
use super::pairs;
use crate::error::{Error, Result};
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
        pairs::work(inputs)
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};
    use super::*;

    #[test]
    fn gradients_equal_differences() {
        for weighting in ["uniform", "inverse", "inverse_square"] {
            let setup = Setup::new("distance_preservation")
                .floats(normal(40, 1), &[10, 4])
                .indices(vec![0, 1, 1, 9, 3])
                .indices(vec![1, 2, 2, 0, 3])
                .floats(vec![1.0, 2.0, 0.5, 0.25, 1.5], &[5]);
            check_gradient(&setup.text("weighting", weighting));
        }
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
