//! Feature reconstruction: a linear decoder's answer against the features (Kipf and Welling 2016,
//! for the autoencoder; the losses are those of generalised linear models).

use super::contract::*;
use super::inputs::*;
use super::linear::{Linear, LinearGradients};
use super::logistic::cross_entropies;
use super::softmax::{one_class, soft_targets};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

/// Features of one row that are looked at together.
const BLOCK: usize = 256;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    SquaredError,
    Binary,
    Categorical,
}

pub struct Features {
    form: Form,
    pos_weight: f64,
}

/// What the decoder must answer.
enum Target<'a, T> {
    Features(Matrix<'a, T>),
    Classes(&'a [i64]),
}

impl Loss for Features {
    const SPEC: &'static Spec = &Spec {
        name: "feature_reconstruction",
        inputs: &[
            Input::required("embeddings", Kind::Embeddings, &[2]),
            Input::required("weight", Kind::Parameters, &[2]),
            Input::optional("bias", Kind::Parameters, &[1]),
            Input::optional("features", Kind::Floats, &[2]),
            Input::optional("classes", Kind::Indices, &[1]),
        ],
        by_number: ByNumber::Rows,
        options: &[
            Setting::new(
                "form",
                Domain::Choice(&["squared_error", "binary", "categorical"]),
            ),
            Setting::new("pos_weight", Domain::Positive),
        ],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            form: match options.text("form")? {
                "binary" => Form::Binary,
                "categorical" => Form::Categorical,
                _ => Form::SquaredError,
            },
            pos_weight: options.real("pos_weight")?,
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let rows = inputs.floats("embeddings").map_or(0, |array| array.count());
        let decoder = inputs.floats("weight").map_or(0, |array| array.data.len());
        rows.saturating_mul(3 * decoder)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let embeddings = call.inputs.rows("embeddings")?;
        let decoder = Linear::new(
            call.inputs,
            call.inputs.floats("weight")?,
            embeddings.cols(),
        )?;
        let width = decoder.weight.cols();
        let target = self.target(call.inputs, embeddings.rows(), width)?;
        let count = embeddings.rows();
        let share = call.reduction.weight(count);
        let gradients = call.gradients.take().map(|mut buffers| LinearGradients {
            rows: buffers.take("embeddings"),
            weight: buffers.take("weight"),
            bias: buffers.take("bias"),
        });
        let head = |i: usize, logits: &mut [T]| match &target {
            Target::Classes(classes) => one_class(logits, classes[i] as usize, share),
            Target::Features(features) => self.row(logits, features.row(i), share),
        };
        let items = decoder.run(embeddings, gradients, head, workers)?;
        Ok(Outcome {
            values: Values::Items(items),
            counted: count,
            active: count,
        })
    }
}

impl Features {
    fn target<'a, T: Real>(
        &self,
        inputs: &Inputs<'a, T>,
        rows: usize,
        width: usize,
    ) -> Result<Target<'a, T>> {
        let wrong = |shape, expected: String| {
            let problem = format!("has shape {:?} but must have {expected}", Shape(shape));
            Err(Error::invalid("target", problem))
        };
        match (
            inputs.optional_floats("features")?,
            inputs.optional_indices("classes")?,
        ) {
            (Some(features), None) => {
                if features.shape != [rows, width] {
                    return wrong(features.shape, format!("shape {:?}", Shape(&[rows, width])));
                }
                let (low, high) = match self.form {
                    Form::SquaredError => (f64::NEG_INFINITY, f64::INFINITY),
                    Form::Binary => (0.0, 1.0),
                    Form::Categorical => (0.0, f64::INFINITY),
                };
                let outside = |x: &T| !(low..=high).contains(&x.wide());
                if let Some(at) = features.data.iter().position(outside) {
                    let problem = format!(
                        "holds {} in row {} but must lie between {low} and {high}",
                        features.data[at],
                        at / width
                    );
                    return Err(Error::invalid("target", problem));
                }
                Ok(Target::Features(features.matrix()?))
            }
            (None, Some(classes)) if self.form == Form::Categorical => {
                if classes.count() != rows {
                    return wrong(classes.shape, format!("{rows} entries, one a row"));
                }
                let outside = |&class: &i64| !(0..width as i64).contains(&class);
                if let Some(at) = classes.data.iter().position(outside) {
                    let problem = format!(
                        "holds class {} at position {at} but weight has columns 0 to {}",
                        classes.data[at],
                        width - 1
                    );
                    return Err(Error::invalid("target", problem));
                }
                Ok(Target::Classes(classes.data))
            }
            (None, Some(classes)) => wrong(
                classes.shape,
                "two dimensions unless form is 'categorical'".into(),
            ),
            _ => Err(Error::invalid(
                "target",
                "must be either features or classes",
            )),
        }
    }

    /// One row's value; its logits become the derivatives of `share` times it.
    fn row<T: Real>(&self, logits: &mut [T], wanted: &[T], share: f64) -> f64 {
        let each = 1.0 / logits.len() as f64;
        let pairs = |logits| wanted.iter().zip::<&mut [T]>(logits);
        match self.form {
            Form::Categorical => soft_targets(logits, wanted, share),
            Form::SquaredError => {
                let mut sum = 0.0;
                for (&wanted, logit) in pairs(logits) {
                    let excess = logit.wide() - wanted.wide();
                    sum += excess * excess;
                    *logit = T::of(2.0 * share * each * excess);
                }
                each * sum
            }
            Form::Binary => {
                let mut values = [T::zero(); BLOCK];
                let mut sum = 0.0;
                for (logits, wanted) in logits.chunks_mut(BLOCK).zip(wanted.chunks(BLOCK)) {
                    let values = &mut values[..logits.len()];
                    cross_entropies(self.pos_weight, share * each, wanted, logits, values);
                    sum += values.iter().map(|value| value.wide()).sum::<f64>();
                }
                each * sum
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Setup, check_gradient, normal};

    /// Rows of more than one block where `rows` is large.
    fn setup(rows: usize, bias: bool) -> Setup {
        let setup = Setup::new("feature_reconstruction")
            .floats(normal(rows * 3, 1), &[rows, 3])
            .floats(normal(15, 2), &[3, 5]);
        if bias {
            setup.floats(normal(5, 3), &[5])
        } else {
            setup.absent()
        }
    }

    #[test]
    fn gradients_equal_differences() {
        for form in ["squared_error", "binary", "categorical"] {
            for (rows, bias) in [(7, true), (1100, false)] {
                let targets = normal(rows * 5, 4).iter().map(|x| x.abs()).collect();
                let setup = setup(rows, bias).floats(targets, &[rows, 5]).absent();
                check_gradient(&setup.text("form", form).real("pos_weight", 2.0));
            }
        }
        let classes = setup(4, true).absent().indices(vec![0, 4, 2, 2]);
        check_gradient(&classes.text("form", "categorical").real("pos_weight", 1.0));
    }
}
