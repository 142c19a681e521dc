//! Weighted products, softmax and maximum over the entries of sparse rows; layer normalisation.

use numpy::{Element, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1, PyReadwriteArray2};
use pyo3::prelude::*;
use ruvector_core::graph::csr::Csr;
use ruvector_core::graph::{segments, weighted};
use ruvector_core::linalg::layer_norm as norm;
use ruvector_core::real::Real;

use crate::arrays::{is_double, matrix, matrix_mut, slice, slice_mut};
use crate::enter::enter;

type Any<'py> = Bound<'py, PyAny>;
type Vector<'py, T> = PyReadonlyArray1<'py, T>;
type Rows<'py, T> = PyReadonlyArray2<'py, T>;
type RowsMut<'py, T> = PyReadwriteArray2<'py, T>;

/// Offsets and columns, and how many columns there are.
type Pattern<'py> = (Vector<'py, i64>, Vector<'py, i32>, usize);

/// Calls `$run` for the element type of `$array`.
macro_rules! typed {
    ($array:expr, $run:ident($($argument:expr),*)) => {
        if is_double($array) {
            $run::<f64>($($argument),*)
        } else {
            $run::<f32>($($argument),*)
        }
    };
}

fn csr<'a>(pattern: &'a Pattern<'_>) -> PyResult<(&'a [i64], &'a [i32], usize)> {
    let (indptr, indices, cols) = pattern;
    Ok((slice(indptr, "indptr")?, slice(indices, "indices")?, *cols))
}

/// Writes to `out[i]` the sum of `x[column e]`, weighed head by head, over the entries e of row i.
#[pyfunction]
#[pyo3(signature = (pattern, weights, x, out, order=None))]
fn csr_weighted_sum<'py>(
    pattern: Pattern<'py>,
    weights: Any<'py>,
    x: Any<'py>,
    out: Any<'py>,
    order: Option<Vector<'py, i64>>,
) -> PyResult<()> {
    typed!(&x, weighted_sum_as(&pattern, &weights, &x, &out, order))
}

fn weighted_sum_as<T: Real + Element>(
    pattern: &Pattern<'_>,
    weights: &Any<'_>,
    x: &Any<'_>,
    out: &Any<'_>,
    order: Option<Vector<'_, i64>>,
) -> PyResult<()> {
    let py = x.py();
    let (weights, x): (Rows<'_, T>, Rows<'_, T>) = (weights.extract()?, x.extract()?);
    let mut out: RowsMut<'_, T> = out.extract()?;
    let (weights, x) = (matrix(&weights, "weights")?, matrix(&x, "x")?);
    let order = order.as_ref().map(|o| slice(o, "order")).transpose()?;
    let (indptr, indices, cols) = csr(pattern)?;
    let mut y = matrix_mut(&mut out, "out")?;
    enter(py, indices.len().saturating_mul(x.cols()), |workers| {
        let pattern = Csr::new(indptr, indices, None, cols)?;
        weighted::weighted_sum(workers, pattern, order, weights, x, y.data())
    })
}

/// Writes to `out[e]` the products of `a[row e]` and `b[column e]`, head by head.
#[pyfunction]
fn csr_sampled_products<'py>(
    pattern: Pattern<'py>,
    a: Any<'py>,
    b: Any<'py>,
    out: Any<'py>,
) -> PyResult<()> {
    typed!(&a, sampled_products_as(&pattern, &a, &b, &out))
}

fn sampled_products_as<T: Real + Element>(
    pattern: &Pattern<'_>,
    a: &Any<'_>,
    b: &Any<'_>,
    out: &Any<'_>,
) -> PyResult<()> {
    let py = a.py();
    let (a, b): (Rows<'_, T>, Rows<'_, T>) = (a.extract()?, b.extract()?);
    let mut out: RowsMut<'_, T> = out.extract()?;
    let (a, b) = (matrix(&a, "a")?, matrix(&b, "b")?);
    let (indptr, indices, cols) = csr(pattern)?;
    let mut products = matrix_mut(&mut out, "out")?;
    let heads = products.cols();
    enter(py, indices.len().saturating_mul(a.cols()), |workers| {
        let pattern = Csr::new(indptr, indices, None, cols)?;
        weighted::sampled_products(workers, pattern, heads, a, b, products.data())
    })
}

/// Replaces scores by their softmax over each row's entries, head by head.
#[pyfunction]
fn csr_softmax<'py>(pattern: Pattern<'py>, scores: Any<'py>) -> PyResult<()> {
    typed!(&scores, softmax_as(&pattern, &scores))
}

fn softmax_as<T: Real + Element>(pattern: &Pattern<'_>, scores: &Any<'_>) -> PyResult<()> {
    let py = scores.py();
    let mut scores: RowsMut<'_, T> = scores.extract()?;
    let (indptr, indices, cols) = csr(pattern)?;
    let mut scores = matrix_mut(&mut scores, "scores")?;
    let heads = scores.cols();
    enter(py, 16 * scores.data().len(), |workers| {
        let pattern = Csr::new(indptr, indices, None, cols)?;
        segments::segment_softmax(workers, pattern, heads, scores.data())
    })
}

/// Replaces the gradient of a softmax's shares by that of the scores.
#[pyfunction]
fn csr_softmax_backward<'py>(
    pattern: Pattern<'py>,
    shares: Any<'py>,
    gradient: Any<'py>,
) -> PyResult<()> {
    typed!(&shares, softmax_backward_as(&pattern, &shares, &gradient))
}

fn softmax_backward_as<T: Real + Element>(
    pattern: &Pattern<'_>,
    shares: &Any<'_>,
    gradient: &Any<'_>,
) -> PyResult<()> {
    let py = shares.py();
    let shares: Rows<'_, T> = shares.extract()?;
    let mut gradient: RowsMut<'_, T> = gradient.extract()?;
    let shares = matrix(&shares, "shares")?;
    let (indptr, indices, cols) = csr(pattern)?;
    let mut gradient = matrix_mut(&mut gradient, "gradient")?;
    enter(py, 4 * shares.data().len(), |workers| {
        let pattern = Csr::new(indptr, indices, None, cols)?;
        segments::segment_softmax_backward(workers, pattern, shares, gradient.data())
    })
}

/// Writes to `out[i]` the largest values among the rows of x that row i names, to `which` whose.
#[pyfunction]
fn csr_max<'py>(
    pattern: Pattern<'py>,
    x: Any<'py>,
    out: Any<'py>,
    which: RowsMut<'py, i32>,
) -> PyResult<()> {
    typed!(&x, max_as(&pattern, &x, &out, which))
}

fn max_as<T: Real + Element>(
    pattern: &Pattern<'_>,
    x: &Any<'_>,
    out: &Any<'_>,
    mut which: RowsMut<'_, i32>,
) -> PyResult<()> {
    let py = x.py();
    let x: Rows<'_, T> = x.extract()?;
    let mut out: RowsMut<'_, T> = out.extract()?;
    let x = matrix(&x, "x")?;
    let (indptr, indices, cols) = csr(pattern)?;
    let mut y = matrix_mut(&mut out, "out")?;
    let mut which = matrix_mut(&mut which, "which")?;
    enter(py, indices.len().saturating_mul(x.cols()), |workers| {
        let pattern = Csr::new(indptr, indices, None, cols)?;
        segments::segment_max(workers, pattern, x, y.data(), which.data())
    })
}

/// Writes to `out` the gradients of the rows that `which` names; the pattern is transposed.
#[pyfunction]
fn csr_max_backward<'py>(
    transposed: Pattern<'py>,
    which: Rows<'py, i32>,
    gradient: Any<'py>,
    out: Any<'py>,
) -> PyResult<()> {
    typed!(
        &gradient,
        max_backward_as(&transposed, &which, &gradient, &out)
    )
}

fn max_backward_as<T: Real + Element>(
    transposed: &Pattern<'_>,
    which: &Rows<'_, i32>,
    gradient: &Any<'_>,
    out: &Any<'_>,
) -> PyResult<()> {
    let py = gradient.py();
    let gradient: Rows<'_, T> = gradient.extract()?;
    let mut out: RowsMut<'_, T> = out.extract()?;
    let (which, gradient) = (matrix(which, "which")?, matrix(&gradient, "gradient")?);
    let (indptr, indices, cols) = csr(transposed)?;
    let mut out = matrix_mut(&mut out, "out")?;
    enter(
        py,
        indices.len().saturating_mul(gradient.cols()),
        |workers| {
            let transposed = Csr::new(indptr, indices, None, cols)?;
            segments::segment_max_backward(workers, transposed, which, gradient, out.data())
        },
    )
}

/// Writes to `out` the rows of x normalised, scaled and shifted, to `statistics` what they had.
#[pyfunction]
fn layer_norm<'py>(
    x: Any<'py>,
    scale: Any<'py>,
    shift: Any<'py>,
    eps: f64,
    out: Any<'py>,
    statistics: Any<'py>,
) -> PyResult<()> {
    typed!(
        &x,
        layer_norm_as(&x, &scale, &shift, eps, &out, &statistics)
    )
}

fn layer_norm_as<T: Real + Element>(
    x: &Any<'_>,
    scale: &Any<'_>,
    shift: &Any<'_>,
    eps: f64,
    out: &Any<'_>,
    statistics: &Any<'_>,
) -> PyResult<()> {
    let py = x.py();
    let (scale, shift): (Vector<'_, T>, Vector<'_, T>) = (scale.extract()?, shift.extract()?);
    let x: Rows<'_, T> = x.extract()?;
    let (mut out, mut statistics): (RowsMut<'_, T>, RowsMut<'_, T>) =
        (out.extract()?, statistics.extract()?);
    let parameters = [slice(&scale, "scale")?, slice(&shift, "shift")?];
    let x = matrix(&x, "x")?;
    let mut y = matrix_mut(&mut out, "out")?;
    let mut statistics = matrix_mut(&mut statistics, "statistics")?;
    enter(py, 8 * x.data().len(), |workers| {
        norm::layer_norm(workers, x, parameters, eps, y.data(), statistics.data())
    })
}

/// Writes the gradients of the rows, the scale and the shift of a layer normalisation.
#[pyfunction]
fn layer_norm_backward<'py>(
    x: Any<'py>,
    scale: Any<'py>,
    statistics: Any<'py>,
    gradient: Any<'py>,
    out: (Any<'py>, Any<'py>, Any<'py>),
) -> PyResult<()> {
    typed!(
        &x,
        layer_norm_backward_as(&x, &scale, &statistics, &gradient, &out)
    )
}

fn layer_norm_backward_as<T: Real + Element>(
    x: &Any<'_>,
    scale: &Any<'_>,
    statistics: &Any<'_>,
    gradient: &Any<'_>,
    out: &(Any<'_>, Any<'_>, Any<'_>),
) -> PyResult<()> {
    let py = x.py();
    let scale: Vector<'_, T> = scale.extract()?;
    let (x, statistics, gradient): (Rows<'_, T>, Rows<'_, T>, Rows<'_, T>) =
        (x.extract()?, statistics.extract()?, gradient.extract()?);
    let mut to_x: RowsMut<'_, T> = out.0.extract()?;
    let mut to_scale: PyReadwriteArray1<'_, T> = out.1.extract()?;
    let mut to_shift: PyReadwriteArray1<'_, T> = out.2.extract()?;
    let scale = slice(&scale, "scale")?;
    let (x, statistics) = (matrix(&x, "x")?, matrix(&statistics, "statistics")?);
    let gradient = matrix(&gradient, "gradient")?;
    let mut to_x = matrix_mut(&mut to_x, "to_x")?;
    let to_scale = slice_mut(&mut to_scale, "to_scale")?;
    let to_shift = slice_mut(&mut to_shift, "to_shift")?;
    enter(py, 8 * x.data().len(), |workers| {
        let out = [to_x.data(), to_scale, to_shift];
        norm::layer_norm_backward(workers, x, scale, statistics.data(), gradient, out)
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(csr_weighted_sum, module)?)?;
    module.add_function(wrap_pyfunction!(csr_sampled_products, module)?)?;
    module.add_function(wrap_pyfunction!(csr_softmax, module)?)?;
    module.add_function(wrap_pyfunction!(csr_softmax_backward, module)?)?;
    module.add_function(wrap_pyfunction!(csr_max, module)?)?;
    module.add_function(wrap_pyfunction!(csr_max_backward, module)?)?;
    module.add_function(wrap_pyfunction!(layer_norm, module)?)?;
    module.add_function(wrap_pyfunction!(layer_norm_backward, module)?)?;
    Ok(())
}
