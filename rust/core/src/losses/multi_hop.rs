//! Multi-hop contrastive loss: `Σ_h w_h · InfoNCE(anchor, its nodes at distance h, negatives)`.

use super::contract::*;
use super::head::Form;
use super::infonce::InfoNce;
use super::inputs::*;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Values a worker adds at a time.
const PIECE: usize = 1 << 14;

pub struct MultiHop {
    temperature: f64,
    form: String,
}

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
        options: &[
            Setting::new("temperature", Domain::Positive),
            Setting::new("positives", Domain::Choice(Form::NAMES)),
        ],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            temperature: options.real("temperature")?,
            form: options.text("positives")?.to_owned(),
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let anchors = inputs.floats("anchors").map_or(0, |array| array.count());
        match inputs.optional_floats("negatives") {
            Ok(Some(array)) if array.shape.len() == 2 => 3 * anchors * array.data.len(),
            _ => 4 * inputs.values(),
        }
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let anchors = call.inputs.floats("anchors")?;
        let positives = call.inputs.floats("positives")?;
        let negatives = call.inputs.optional_floats("negatives")?;
        let weights = call.inputs.floats("hop_weights")?;
        let hops = call.inputs.indices("hops")?;
        let (count, width) = (anchors.count(), positives.shape[1]);
        if anchors.cols() == 0 {
            return Err(Error::invalid("anchors", "needs at least one column"));
        }
        positives.check_count("positives", &anchors, "anchors")?;
        positives.check_cols("positives", &anchors, "anchors")?;
        if let Some(negatives) = &negatives {
            negatives.check_cols("negatives", &anchors, "anchors")?;
            if negatives.shape.len() == 3 {
                negatives.check_count("negatives", &anchors, "anchors")?;
            }
        }
        check_hops(&hops, &[count, width], weights.count())?;
        let active = (0..count)
            .filter(|i| hops.data[i * width..(i + 1) * width].iter().any(|h| *h > 0))
            .count();
        let mut target = call.gradients.take().map(|mut gradients| {
            let out = ["anchors", "positives", "negatives"].map(|name| gradients.take(name));
            let part = [0, 1, 2].map(|k| vec![T::zero(); out[k].len()]);
            (out, part)
        });
        if let Some((out, _)) = &mut target {
            out.iter_mut().for_each(|buffer| buffer.fill(T::zero()));
        }
        let options = [
            ("temperature".into(), OptionValue::Real(self.temperature)),
            ("positives".into(), OptionValue::Text(self.form.clone())),
        ];
        let loss = InfoNce::parse(&Options::new(InfoNce::SPEC, &options)?)?;
        let scale = call.reduction.weight(active);
        let mut items = vec![0.0; count];
        for (number, weight) in (1..).zip(weights.data) {
            let weight = weight.wide();
            let mask: Vec<bool> = hops.data.iter().map(|hop| *hop == number).collect();
            if weight == 0.0 || !mask.contains(&true) {
                continue;
            }
            let arguments = [
                Argument::Floats(anchors),
                Argument::Floats(positives),
                negatives.map_or(Argument::Absent, Argument::Floats),
                Argument::Mask(Array {
                    data: &mask,
                    shape: hops.shape,
                }),
            ];
            let inputs = Inputs::new(InfoNce::SPEC, &arguments)?;
            let gradients = match &mut target {
                None => None,
                Some((_, part)) => {
                    let buffers = part.iter_mut().map(Vec::as_mut_slice).collect();
                    Some(Gradients::new(&inputs, buffers)?)
                }
            };
            let call = Call {
                inputs: &inputs,
                gradients,
                reduction: Reduction::Sum,
            };
            if let Values::Items(values) = loss.evaluate(call, workers)?.values {
                let pairs = items.iter_mut().zip(values);
                pairs.for_each(|(item, value)| *item += weight * value);
            }
            if let Some((out, part)) = &mut target {
                for (out, part) in out.iter_mut().zip(part) {
                    add(T::of(scale * weight), part, out, workers)?;
                }
            }
        }
        Ok(Outcome {
            values: Values::Items(items),
            counted: active,
            active,
        })
    }
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

fn add<T: Real>(factor: T, part: &[T], out: &mut [T], workers: &Workers<'_>) -> Result<()> {
    workers.for_each_piece(out, PIECE, |piece, out| {
        let start = piece * PIECE;
        simd::table::<T>().axpy(factor, &part[start..start + out.len()], out);
        Ok(())
    })
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
