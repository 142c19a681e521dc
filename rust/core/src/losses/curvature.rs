//! Lengths of edges against those after a step of discrete Ricci flow (Ni et al. 2019).

use super::contract::*;
use super::inputs::*;
use super::lengths::compare;
use super::pairs;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;

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
        pairs::work(inputs)
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};

    #[test]
    fn gradients_equal_differences() {
        let setup = Setup::new("curvature")
            .floats(normal(40, 1), &[10, 4])
            .indices(vec![0, 1, 1, 9, 3])
            .indices(vec![1, 2, 2, 0, 3])
            .floats(vec![1.0, 2.0, 0.5, 0.25, 1.5], &[5]);
        check_gradient(&setup.absent().real("step", 0.5).real("scale", 2.0));
    }
}
