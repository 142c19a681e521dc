//! Multi-hop contrastive loss: `Σ_h w_h · InfoNCE(anchor, its nodes at distance h, negatives)`.

use super::contract::*;
use super::head::Form;
use super::infonce::{InfoNce, Present, table};
use super::inputs::*;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;

pub struct MultiHop(InfoNce);

impl Loss for MultiHop {
    const SPEC: &'static Spec = &Spec {
        name: "multi_hop",
        inputs: &[
            Input::required("anchors", Kind::Embeddings, &[2]),
            Input::required("positives", Kind::Embeddings, &[3]),
            Input::optional("negatives", Kind::Embeddings, &[2, 3]),
            Input::required("hops", Kind::Indices, &[2]),
            Input::required("hop_weights", Kind::Floats, &[1]),
        ],
        by_number: ByNumber::Rows,
        options: &[
            Setting::new("temperature", Domain::Positive),
            Setting::new("positives", Domain::Choice(Form::NAMES)),
        ],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        let form = Form::parse(options.text("positives")?);
        Ok(Self(InfoNce::new(options.real("temperature")?, form)))
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let anchors = inputs.floats("anchors").map_or(0, |array| array.count());
        match inputs.optional_floats("negatives") {
            Ok(Some(array)) if array.shape.len() == 2 => 3 * anchors * array.data.len(),
            _ => 4 * inputs.values(),
        }
    }

    fn evaluate<T: Real>(&self, call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let inputs = call.inputs;
        let weights = weights(inputs)?;
        self.0
            .run(call, |shape| grouped(inputs, shape, &weights), workers)
    }

    fn evaluate_rows<T: Real>(
        &self,
        call: &Lookup<'_, T>,
        out: Option<&mut [T]>,
        workers: &Workers<'_>,
    ) -> Result<Option<Outcome>> {
        let weights = weights(call.inputs)?;
        let present = |shape| grouped(call.inputs, shape, &weights);
        table::evaluate(&self.0, call, present, out, workers)
    }
}

/// The input `hop_weights`.
fn weights<T: Real>(inputs: &Inputs<'_, T>) -> Result<Vec<f64>> {
    let weights = inputs.floats("hop_weights")?.data;
    let weights: Vec<f64> = weights.iter().map(|weight| weight.wide()).collect();
    match weights.iter().find(|weight| !weight.is_finite()) {
        None => Ok(weights),
        Some(weight) => Err(Error::invalid(
            "hop_weights",
            format!("holds {weight} but must be finite"),
        )),
    }
}

/// The positives by hop: an InfoNCE for each hop.
fn grouped<'a, T: Real>(
    inputs: &Inputs<'a, T>,
    shape: [usize; 2],
    weights: &'a [f64],
) -> Result<Present<'a>> {
    let hops = inputs.indices("hops")?;
    check_hops(&hops, &shape, weights.len())?;
    Ok(Present::Grouped(hops.data, weights))
}

fn check_hops(hops: &Array<'_, i64>, shape: &[usize], count: usize) -> Result<()> {
    if hops.shape != shape {
        let problem = format!(
            "has shape {:?} but must have {:?}, one entry for each positive",
            Shape(hops.shape),
            Shape(shape)
        );
        return Err(Error::invalid("hops", problem));
    }
    let known = 0..=count as i64;
    match hops.data.iter().find(|hop| !known.contains(hop)) {
        None => Ok(()),
        Some(hop) => Err(Error::invalid(
            "hops",
            format!("holds {hop} but must be between 0 and {count}, the number of hop_weights"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_without_a_weight_is_refused() {
        fn hops(data: &[i64; 2]) -> Array<'_, i64> {
            Array {
                data,
                shape: &[1, 2],
            }
        }
        assert!(check_hops(&hops(&[0, 2]), &[1, 2], 2).is_ok());
        for bad in [[0, 3], [-1, 0]] {
            let error = check_hops(&hops(&bad), &[1, 2], 2).unwrap_err();
            assert!(error.to_string().contains("between 0 and 2"));
        }
        let error = check_hops(&hops(&[0, 1]), &[2, 1], 2).unwrap_err();
        assert!(error.to_string().contains("(1, 2) but must have (2, 1)"));
    }
}
