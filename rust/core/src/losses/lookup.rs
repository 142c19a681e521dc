//! Losses on rows of one table: row numbers in the place of embeddings, one gradient.

use super::contract::{Call, Input, Kind, Lookup, Loss, Outcome};
use super::evaluate_here;
use super::inputs::{Argument, Array, Gradients, Inputs, Shape};
use crate::batch::{Lists, check_indices, gather};
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Rows of the table that a worker adds up at a time.
const PIECE: usize = 64;

/// The inputs in whose place row numbers stand.
fn by_number<'a, T: Real>(
    inputs: &'a Inputs<'_, T>,
) -> impl Iterator<Item = (&'static Input, Array<'a, i64>)> {
    let pairs = inputs.spec().inputs.iter().zip(inputs.arguments());
    pairs.filter_map(|(input, argument)| match argument {
        Argument::Indices(array) if input.kind == Kind::Embeddings => Some((input, *array)),
        _ => None,
    })
}

/// Row numbers by the names that messages give them.
fn numbers<'a, T: Real>(
    inputs: &'a Inputs<'_, T>,
) -> impl Iterator<Item = (&'static str, Array<'a, i64>)> {
    by_number(inputs).map(|(input, array)| (inputs.spec().number_name(input), array))
}

/// A rough count of multiplications; what a loss makes of its rows is not known here.
pub fn work<T: Real>(inputs: &Inputs<'_, T>, cols: usize) -> usize {
    let rows: usize = numbers(inputs).map(|(_, array)| array.data.len()).sum();
    16 * rows * cols
}

/// Evaluates `loss` on rows of `table`.
pub fn evaluate<L: Loss, T: Real>(
    loss: &L,
    mut call: Call<'_, T>,
    table: Array<'_, T>,
    workers: &Workers<'_>,
) -> Result<Outcome> {
    let inputs = call.inputs;
    let table = table.matrix()?;
    if table.cols() == 0 {
        return Err(Error::invalid("embeddings", "needs at least one column"));
    }
    for (name, array) in numbers(inputs) {
        check_indices(array.data, table.rows(), name)?;
    }
    let lookup = Lookup {
        inputs,
        table,
        reduction: call.reduction,
    };
    let mut out = call.gradients.as_mut().map(|to| to.take("embeddings"));
    match loss.evaluate_rows(&lookup, out.as_deref_mut(), workers) {
        Ok(Some(outcome)) => Ok(outcome),
        Ok(None) | Err(Error::Invalid { .. }) => {
            copied(loss, &lookup, out, call.gradients.as_mut(), workers)
        }
        Err(error) => Err(error),
    }
}

/// Evaluates `loss` on copies of the rows; gradients of parameters go to `parameters` directly.
fn copied<L: Loss, T: Real>(
    loss: &L,
    lookup: &Lookup<'_, T>,
    out: Option<&mut [T]>,
    mut parameters: Option<&mut Gradients<'_, T>>,
    workers: &Workers<'_>,
) -> Result<Outcome> {
    let (table, inputs) = (lookup.table, lookup.inputs);
    let cols = table.cols();
    let lists: Vec<Array<'_, i64>> = numbers(inputs).map(|(_, array)| array).collect();
    let mut copies = Vec::new();
    for array in &lists {
        let mut rows = vec![T::zero(); array.data.len() * cols];
        gather(table, array.data, &mut rows, workers)?;
        copies.push((rows, [array.shape, &[cols]].concat()));
    }
    let mut remaining = copies.iter();
    let pairs = inputs.spec().inputs.iter().zip(inputs.arguments());
    let arguments: Vec<_> = pairs
        .map(|(input, argument)| match (input.kind, argument) {
            (Kind::Embeddings, Argument::Indices(_)) => {
                remaining.next().map_or(Argument::Absent, |(data, shape)| {
                    Argument::Floats(Array { data, shape })
                })
            }
            _ => *argument,
        })
        .collect();
    let inputs = Inputs::new(inputs.spec(), &arguments)?;
    let mut parts: Vec<Vec<T>> = copies
        .iter()
        .filter(|_| out.is_some())
        .map(|(rows, _)| vec![T::zero(); rows.len()])
        .collect();
    let gradients = out.as_ref().map(|_| {
        let mut parts = parts.iter_mut();
        let buffers = arguments.iter().zip(inputs.spec().inputs);
        let buffers = buffers
            .filter(|(_, input)| input.kind.has_gradient())
            .map(|(argument, input)| match (input.kind, argument) {
                (_, Argument::Absent) => Default::default(),
                (Kind::Embeddings, _) => parts.next().map(Vec::as_mut_slice).unwrap_or_default(),
                _ => parameters
                    .as_mut()
                    .map(|buffers| buffers.take(input.name))
                    .unwrap_or_default(),
            })
            .collect();
        Gradients::new(&inputs, buffers)
    });
    let call = Call {
        inputs: &inputs,
        gradients: gradients.transpose()?,
        reduction: lookup.reduction,
    };
    let shapes = copies.iter().map(|(_, shape)| shape.as_slice());
    let outcome =
        evaluate_here(loss, call, workers).map_err(|error| tell_of_table(error, lookup, shapes))?;
    if let Some(out) = out {
        add_up(&lists, &parts, cols, out, workers)?;
    }
    Ok(outcome)
}

/// What is wrong with copies, in terms of the table and of row numbers, which the caller knows.
fn tell_of_table<'a, T: Real>(
    error: Error,
    lookup: &Lookup<'_, T>,
    copies: impl Iterator<Item = &'a [usize]>,
) -> Error {
    let Error::Invalid {
        argument,
        mut problem,
    } = error
    else {
        return error;
    };
    for (name, array) in numbers(lookup.inputs) {
        let is_finite = |row: i64| {
            let row = lookup.table.row(row as usize);
            row.iter().all(|value| value.is_finite())
        };
        if let Some(row) = array.data.iter().find(|&&row| !is_finite(row)) {
            return Error::invalid(
                "embeddings",
                format!(
                    "has NaN or infinity in row {row}, which {name} names; remove or replace such \
                     rows"
                ),
            );
        }
    }
    let table = [lookup.table.rows(), lookup.table.cols()];
    let of_columns = problem.contains("last axes");
    let mut blamed = argument;
    for ((input, array), copy) in by_number(lookup.inputs).zip(copies) {
        // Row numbers have no columns to compare.
        let (name, shape) = if of_columns {
            ("embeddings", &table[..])
        } else {
            (lookup.inputs.spec().number_name(input), array.shape)
        };
        let copied = format!("has shape {:?}", Shape(copy));
        let given = format!("has shape {:?}", Shape(shape));
        if argument == input.name {
            blamed = name;
            if problem.starts_with(&copied) {
                problem.replace_range(..copied.len(), &given);
            }
        }
        let copied = format!("{} {copied}", input.name);
        problem = problem.replace(&copied, &format!("{name} {given}"));
    }
    Error::Invalid {
        argument: blamed,
        problem,
    }
}

/// Overwrites each row of `out` with the sum of the rows of `parts` whose number it is.
fn add_up<T: Real>(
    lists: &[Array<'_, i64>],
    parts: &[Vec<T>],
    cols: usize,
    out: &mut [T],
    workers: &Workers<'_>,
) -> Result<()> {
    let entries = || {
        lists.iter().enumerate().flat_map(|(list, array)| {
            let rows = array.data.iter().enumerate();
            rows.map(move |(at, &row)| (row as usize, (list as u32, at)))
        })
    };
    let rows = Lists::new(out.len() / cols, entries, workers)?;
    workers.for_each_piece(out, PIECE * cols, |piece, out| {
        out.fill(T::zero());
        for (k, row) in out.chunks_exact_mut(cols).enumerate() {
            for &(list, at) in rows.of(piece * PIECE + k) {
                let part = &parts[list as usize][at * cols..(at + 1) * cols];
                simd::table::<T>().axpy(T::one(), part, row);
            }
        }
        Ok(())
    })
}
