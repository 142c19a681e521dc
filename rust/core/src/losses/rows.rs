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
