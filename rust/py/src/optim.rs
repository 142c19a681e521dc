//! Optimiser steps over lists of flat parameters, float32 and float64 mixed.

use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use pyo3::prelude::*;
use ruvector_core::Error;
use ruvector_core::optim::{self, adam, sgd, sparse_adam};

use crate::arrays::{slice, slice_mut};
use crate::enter::enter;
use crate::errors::to_python;

/// Multiplications of a step per value, about.
const WORK: usize = 8;

#[derive(FromPyObject)]
enum Floats<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    F64(PyReadonlyArray1<'py, f64>),
}

/// Weights, gradient, velocity, learning rate, weight decay.
type SgdArrays<'py, T> = (
    PyReadwriteArray1<'py, T>,
    PyReadonlyArray1<'py, T>,
    Option<PyReadwriteArray1<'py, T>>,
    f64,
    f64,
);

#[derive(FromPyObject)]
enum SgdParameter<'py> {
    F32(SgdArrays<'py, f32>),
    F64(SgdArrays<'py, f64>),
}

/// Weights, gradient, first, second and largest moment, learning rate, weight decay.
type AdamArrays<'py, T> = (
    PyReadwriteArray1<'py, T>,
    PyReadonlyArray1<'py, T>,
    PyReadwriteArray1<'py, T>,
    PyReadwriteArray1<'py, T>,
    Option<PyReadwriteArray1<'py, T>>,
    f64,
    f64,
);

#[derive(FromPyObject)]
enum AdamParameter<'py> {
    F32(AdamArrays<'py, f32>),
    F64(AdamArrays<'py, f64>),
}

/// Weights, columns, rows, their gradient, first and second moment, learning rate, weight decay.
type TableArrays<'py, T> = (
    PyReadwriteArray1<'py, T>,
    usize,
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, T>,
    PyReadwriteArray1<'py, T>,
    PyReadwriteArray1<'py, T>,
    f64,
    f64,
);

#[derive(FromPyObject)]
enum TableParameter<'py> {
    F32(TableArrays<'py, f32>),
    F64(TableArrays<'py, f64>),
}

fn sgd_parameter<'a, T: numpy::Element>(
    arrays: &'a mut SgdArrays<'_, T>,
) -> PyResult<sgd::Parameter<'a, T>> {
    let (weights, gradient, velocity, lr, weight_decay) = arrays;
    Ok(sgd::Parameter {
        weights: slice_mut(weights, "params")?,
        gradient: slice(gradient, "gradients")?,
        velocity: velocity
            .as_mut()
            .map(|values| slice_mut(values, "state"))
            .transpose()?,
        lr: *lr,
        weight_decay: *weight_decay,
    })
}

fn adam_parameter<'a, T: numpy::Element>(
    arrays: &'a mut AdamArrays<'_, T>,
) -> PyResult<adam::Parameter<'a, T>> {
    let (weights, gradient, first, second, largest, lr, weight_decay) = arrays;
    Ok(adam::Parameter {
        weights: slice_mut(weights, "params")?,
        gradient: slice(gradient, "gradients")?,
        first_moment: slice_mut(first, "state")?,
        second_moment: slice_mut(second, "state")?,
        largest_moment: largest
            .as_mut()
            .map(|values| slice_mut(values, "state"))
            .transpose()?,
        lr: *lr,
        weight_decay: *weight_decay,
    })
}

fn table<'a, T: numpy::Element>(
    arrays: &'a mut TableArrays<'_, T>,
) -> PyResult<sparse_adam::Table<'a, T>> {
    let (weights, cols, rows, gradient, first, second, lr, weight_decay) = arrays;
    Ok(sparse_adam::Table {
        weights: slice_mut(weights, "params")?,
        first_moment: slice_mut(first, "state")?,
        second_moment: slice_mut(second, "state")?,
        cols: *cols,
        rows: slice(rows, "rows")?,
        gradient: slice(gradient, "gradients")?,
        lr: *lr,
        weight_decay: *weight_decay,
    })
}

/// The counter of steps, which advances together with the weights: an exception raised by a
/// signal after the sweep must not find one without the other.
fn counter<'a>(steps: &'a mut PyReadwriteArray1<'_, i64>) -> PyResult<&'a mut i64> {
    let py = steps.py();
    slice_mut(steps, "steps")?
        .first_mut()
        .ok_or_else(|| to_python(py, Error::invalid("steps", "is empty")))
}

#[pyfunction]
fn sgd_step(
    py: Python<'_>,
    mut parameters: Vec<SgdParameter<'_>>,
    mut steps: PyReadwriteArray1<'_, i64>,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
) -> PyResult<()> {
    let (mut singles, mut doubles) = (Vec::new(), Vec::new());
    for parameter in &mut parameters {
        match parameter {
            SgdParameter::F32(arrays) => singles.push(sgd_parameter(arrays)?),
            SgdParameter::F64(arrays) => doubles.push(sgd_parameter(arrays)?),
        }
    }
    let values = singles.iter().map(|p| p.weights.len()).sum::<usize>()
        + doubles.iter().map(|p| p.weights.len()).sum::<usize>();
    let steps = counter(&mut steps)?;
    let rule = sgd::Sgd {
        momentum,
        dampening,
        nesterov,
    };
    enter(py, WORK * values, move |workers| {
        sgd::step(workers, &rule, *steps == 0, singles)?;
        sgd::step(workers, &rule, *steps == 0, doubles)?;
        *steps += 1;
        Ok(())
    })
}

#[pyfunction]
fn adam_step(
    py: Python<'_>,
    mut parameters: Vec<AdamParameter<'_>>,
    mut steps: PyReadwriteArray1<'_, i64>,
    betas: (f64, f64),
    eps: f64,
    decoupled: bool,
) -> PyResult<()> {
    let (mut singles, mut doubles) = (Vec::new(), Vec::new());
    for parameter in &mut parameters {
        match parameter {
            AdamParameter::F32(arrays) => singles.push(adam_parameter(arrays)?),
            AdamParameter::F64(arrays) => doubles.push(adam_parameter(arrays)?),
        }
    }
    let values = singles.iter().map(|p| p.weights.len()).sum::<usize>()
        + doubles.iter().map(|p| p.weights.len()).sum::<usize>();
    let steps = counter(&mut steps)?;
    let rule = adam::Adam {
        betas,
        eps,
        decoupled,
    };
    enter(py, WORK * values, move |workers| {
        adam::step(workers, &rule, *steps + 1, singles)?;
        adam::step(workers, &rule, *steps + 1, doubles)?;
        *steps += 1;
        Ok(())
    })
}

#[pyfunction]
fn sparse_adam_step(
    py: Python<'_>,
    mut tables: Vec<TableParameter<'_>>,
    mut steps: PyReadwriteArray1<'_, i64>,
    betas: (f64, f64),
    eps: f64,
) -> PyResult<()> {
    let (mut singles, mut doubles) = (Vec::new(), Vec::new());
    for parameter in &mut tables {
        match parameter {
            TableParameter::F32(arrays) => singles.push(table(arrays)?),
            TableParameter::F64(arrays) => doubles.push(table(arrays)?),
        }
    }
    let values = singles.iter().map(|t| t.gradient.len()).sum::<usize>()
        + doubles.iter().map(|t| t.gradient.len()).sum::<usize>();
    let steps = counter(&mut steps)?;
    let rule = adam::Adam {
        betas,
        eps,
        decoupled: false,
    };
    enter(py, WORK * values, move |workers| {
        let singles = sparse_adam::check(workers, singles)?;
        let doubles = sparse_adam::check(workers, doubles)?;
        singles.step(workers, &rule, *steps + 1)?;
        doubles.step(workers, &rule, *steps + 1)?;
        *steps += 1;
        Ok(())
    })
}

#[pyfunction]
fn first_not_finite(py: Python<'_>, array: Floats<'_>) -> PyResult<Option<usize>> {
    match array {
        Floats::F32(array) => {
            let data = slice(&array, "gradients")?;
            enter(py, data.len(), |workers| {
                optim::first_not_finite(workers, data)
            })
        }
        Floats::F64(array) => {
            let data = slice(&array, "gradients")?;
            enter(py, data.len(), |workers| {
                optim::first_not_finite(workers, data)
            })
        }
    }
}

#[pyfunction]
fn squared_norm(py: Python<'_>, array: Floats<'_>) -> PyResult<f64> {
    match array {
        Floats::F32(array) => {
            let data = slice(&array, "gradients")?;
            enter(py, data.len(), |workers| optim::squared_norm(workers, data))
        }
        Floats::F64(array) => {
            let data = slice(&array, "gradients")?;
            enter(py, data.len(), |workers| optim::squared_norm(workers, data))
        }
    }
}

#[pyfunction]
fn optimizer_names() -> Vec<&'static str> {
    optim::NAMES.to_vec()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sgd_step, module)?)?;
    module.add_function(wrap_pyfunction!(adam_step, module)?)?;
    module.add_function(wrap_pyfunction!(sparse_adam_step, module)?)?;
    module.add_function(wrap_pyfunction!(first_not_finite, module)?)?;
    module.add_function(wrap_pyfunction!(squared_norm, module)?)?;
    module.add_function(wrap_pyfunction!(optimizer_names, module)?)?;
    Ok(())
}
