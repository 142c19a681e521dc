//! Losses of single rows.

use super::contract::{Call, Outcome, Values};
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;

/// Values that a worker handles at a time, about.
const PIECE: usize = 1 << 14;

/// What `item` makes of each row of the input `name`: a value and, where it is given a place for
/// it, the gradient times the weight it is also given. Fails where a value is not finite because
/// the row is not.
pub fn each_row<T: Real>(
    mut call: Call<'_, T>,
    name: &'static str,
    workers: &Workers<'_>,
    item: impl Fn(&[T], Option<(&mut [T], f64)>) -> f64 + Sync,
) -> Result<Outcome> {
    let array = call.inputs.floats(name)?;
    let rows = array.matrix()?;
    let (count, cols) = (rows.rows(), rows.cols());
    if cols == 0 {
        return Err(Error::invalid(name, "needs at least one column"));
    }
    let weight = call.reduction.weight(count);
    let height = (PIECE / cols).max(1);
    let mut values = vec![0.0; count];
    match call.gradients.as_mut().map(|to| to.take(name)) {
        None => workers.for_each_piece(&mut values, height, |piece, values| {
            for (i, value) in values.iter_mut().enumerate() {
                *value = item(rows.row(piece * height + i), None);
            }
            Ok(())
        })?,
        Some(gradient) => {
            let mut pieces: Vec<_> = values
                .chunks_mut(height)
                .zip(gradient.chunks_mut(height * cols))
                .collect();
            workers.for_each_piece(&mut pieces, 1, |at, pieces| {
                for (values, gradient) in pieces {
                    let places = gradient.chunks_exact_mut(cols);
                    for ((i, value), place) in values.iter_mut().enumerate().zip(places) {
                        *value = item(rows.row(at * height + i), Some((place, weight)));
                    }
                }
                Ok(())
            })?;
        }
    }
    call.inputs.finite_or(values.iter().sum())?;
    Ok(Outcome {
        values: Values::Items(values),
        counted: count,
        active: count,
    })
}

#[cfg(test)]
mod tests {
    use crate::losses::{Argument, Array, Inputs, OptionValue, Reduction, find, run};
    use crate::pool::Workers;

    fn evaluate(
        name: &str,
        options: &[(String, OptionValue)],
        z: &[f64],
        reduction: Reduction,
    ) -> (Vec<f64>, Vec<f64>) {
        let shape = [z.len() / 3, 3];
        let arguments = [Argument::Floats(Array {
            data: z,
            shape: &shape,
        })];
        let entry = find(name).unwrap();
        let inputs = Inputs::new(entry.spec, &arguments).unwrap();
        let mut gradient = vec![f64::NAN; z.len()];
        let buffers = Some(vec![&mut gradient[..]]);
        let workers = Workers::of(2);
        let got = run(entry, options, &inputs, reduction, buffers, &workers).unwrap();
        let alone = run(entry, options, &inputs, reduction, None, &workers).unwrap();
        assert_eq!(got.values, alone.values);
        (got.values, gradient)
    }

    #[test]
    fn values_and_slopes_of_rows_are_those_of_the_formulas() {
        let z = [3.0, 4.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.25, 0.0];
        let target = [("target".into(), OptionValue::Real(2.0))];
        let (values, slopes) = evaluate("norm", &target, &z, Reduction::Sum);
        let last = (1.0f64 + 0.0625).sqrt();
        assert!((values[0] - (9.0 + 4.0 + (last - 2.0).powi(2))).abs() < 1e-14);
        assert!((slopes[0] - 2.0 * 3.0 / 5.0 * 3.0).abs() < 1e-14);
        assert_eq!(slopes[3..6], [0.0; 3]);
        for (form, want, slope) in [
            ("l1", [7.0, 0.0, 1.25], [1.0, 1.0, -1.0, 1.0]),
            ("huber", [6.5, 0.0, 0.75 + 0.0625], [1.0, 1.0, -1.0, 0.5]),
        ] {
            let options = [
                ("form".into(), OptionValue::Text(form.into())),
                ("delta".into(), OptionValue::Real(0.5)),
            ];
            let (values, slopes) = evaluate("sparsity", &options, &z, Reduction::None);
            assert_eq!(values, want);
            assert_eq!([slopes[0], slopes[1], slopes[6], slopes[7]], slope);
            assert_eq!(slopes[2..6], [0.0; 4]);
            let (_, mean) = evaluate("sparsity", &options, &z, Reduction::Mean);
            assert!((mean[6] + 1.0 / 3.0).abs() < 1e-15);
        }
    }
}
