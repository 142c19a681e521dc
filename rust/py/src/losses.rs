//! All losses through one function.

use numpy::{
    Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use ruvector_core::Error;
use ruvector_core::losses::{
    self, Argument, Array, Domain, Entry, Inputs, Kind, OptionValue, Reduction,
};

use crate::arrays::is_double;
use crate::enter::enter;
use crate::errors::to_python;

/// A value of an option, in the order in which Python's types are tried.
#[derive(FromPyObject)]
enum Value {
    Flag(bool),
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<Value> for OptionValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Flag(value) => Self::Flag(value),
            Value::Integer(value) => Self::Integer(value),
            Value::Real(value) => Self::Real(value),
            Value::Text(value) => Self::Text(value),
        }
    }
}

/// An input that Python still owns.
enum Borrowed<'py, T: Element> {
    Absent,
    Floats(PyReadonlyArrayDyn<'py, T>),
    Indices(PyReadonlyArrayDyn<'py, i64>),
    Columns(PyReadonlyArrayDyn<'py, i32>),
    Mask(PyReadonlyArrayDyn<'py, bool>),
}

impl<'py, T: Element> Borrowed<'py, T> {
    /// With `by_number`, row numbers stand for embeddings.
    fn new(kind: Kind, array: Option<Bound<'py, PyAny>>, by_number: bool) -> PyResult<Self> {
        let Some(array) = array else {
            return Ok(Self::Absent);
        };
        Ok(match kind {
            Kind::Embeddings if by_number => Self::Indices(array.extract()?),
            Kind::Embeddings | Kind::Parameters | Kind::Floats => Self::Floats(array.extract()?),
            Kind::Indices => Self::Indices(array.extract()?),
            Kind::Columns => Self::Columns(array.extract()?),
            Kind::Mask => Self::Mask(array.extract()?),
        })
    }

    fn argument(&self, py: Python<'_>, name: &'static str) -> PyResult<Argument<'_, T>> {
        Ok(match self {
            Self::Absent => Argument::Absent,
            Self::Floats(array) => Argument::Floats(view(py, array, name)?),
            Self::Indices(array) => Argument::Indices(view(py, array, name)?),
            Self::Columns(array) => Argument::Columns(view(py, array, name)?),
            Self::Mask(array) => Argument::Mask(view(py, array, name)?),
        })
    }
}

fn not_contiguous(py: Python<'_>, name: &'static str) -> PyErr {
    let problem = "must be C-contiguous; use numpy.ascontiguousarray";
    to_python(py, Error::invalid(name, problem))
}

fn view<'a, V: Element>(
    py: Python<'_>,
    array: &'a PyReadonlyArrayDyn<'_, V>,
    name: &'static str,
) -> PyResult<Array<'a, V>> {
    Ok(Array {
        data: array.as_slice().map_err(|_| not_contiguous(py, name))?,
        shape: array.shape(),
    })
}

/// A loss's value, or one an item, and its number of active items. With `out`, one array an
/// input with a gradient or None where that is absent, the gradients as well. With `table`, row
/// numbers stand for embeddings, and `out` begins with one array of its shape for all of these.
#[pyfunction]
#[pyo3(signature = (name, options, inputs, reduction, out, table=None))]
fn loss<'py>(
    py: Python<'py>,
    name: &str,
    options: Vec<(String, Value)>,
    inputs: Vec<Option<Bound<'py, PyAny>>>,
    reduction: &str,
    out: Option<Vec<Option<Bound<'py, PyAny>>>>,
    table: Option<Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyArray1<f64>>, usize)> {
    let entry = losses::find(name).map_err(|error| to_python(py, error))?;
    let options: Vec<_> = options
        .into_iter()
        .map(|(name, value)| (name, OptionValue::from(value)))
        .collect();
    let reduction = Reduction::ALL
        .iter()
        .copied()
        .find(|known| known.name() == reduction)
        .ok_or_else(|| {
            let problem = format!("is {reduction:?} but must be 'mean', 'sum' or 'none'");
            to_python(py, Error::invalid("reduction", problem))
        })?;
    let is_double = inputs.iter().flatten().chain(&table).any(is_double);
    if is_double {
        evaluate::<f64>(py, entry, &options, inputs, reduction, out, table)
    } else {
        evaluate::<f32>(py, entry, &options, inputs, reduction, out, table)
    }
}

fn evaluate<'py, T: losses::Element + Element>(
    py: Python<'py>,
    entry: &'static Entry,
    options: &[(String, OptionValue)],
    inputs: Vec<Option<Bound<'py, PyAny>>>,
    reduction: Reduction,
    out: Option<Vec<Option<Bound<'py, PyAny>>>>,
    table: Option<Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyArray1<f64>>, usize)> {
    let specs = entry.spec.inputs;
    let table = table
        .map(|table| table.extract::<PyReadonlyArrayDyn<'_, T>>())
        .transpose()?;
    let arrays = specs
        .iter()
        .zip(inputs)
        .map(|(spec, array)| Borrowed::<T>::new(spec.kind, array, table.is_some()))
        .collect::<PyResult<Vec<_>>>()?;
    let arguments = specs
        .iter()
        .zip(&arrays)
        .map(|(spec, array)| array.argument(py, spec.name))
        .collect::<PyResult<Vec<_>>>()?;
    let mut buffers = out
        .map(|out| {
            out.iter()
                .map(|array| array.as_ref().map(|array| writable::<T>(array)).transpose())
                .collect::<PyResult<Vec<_>>>()
        })
        .transpose()?;
    let gradients = buffers
        .as_mut()
        .map(|buffers| {
            buffers
                .iter_mut()
                .map(|buffer| match buffer {
                    None => Ok(<&mut [T]>::default()),
                    Some(buffer) => buffer.as_slice_mut().map_err(|_| not_contiguous(py, "out")),
                })
                .collect::<PyResult<Vec<_>>>()
        })
        .transpose()?;
    let inputs = match &table {
        None => Inputs::new(entry.spec, &arguments),
        Some(table) => Inputs::of_rows(entry.spec, &arguments, view(py, table, "embeddings")?),
    };
    let inputs = inputs.map_err(|error| to_python(py, error))?;
    let work = losses::work(entry, &inputs);
    let reduced = enter(py, work, |workers| {
        losses::run(entry, options, &inputs, reduction, gradients, workers)
    })?;
    Ok((PyArray1::from_vec(py, reduced.values), reduced.active))
}

fn writable<'py, T: Element>(array: &Bound<'py, PyAny>) -> PyResult<PyReadwriteArrayDyn<'py, T>> {
    let py = array.py();
    array.cast::<PyArrayDyn<T>>()?.try_readwrite().map_err(|_| {
        let problem = "holds an array that is read-only or overlaps an input or another";
        to_python(py, Error::invalid("out", problem))
    })
}

type InputRow = (&'static str, &'static str, Vec<usize>, bool);
type OptionRow = (&'static str, &'static str, Vec<&'static str>, i64);
type SpecRow = (
    &'static str,
    Vec<InputRow>,
    Vec<OptionRow>,
    Vec<&'static str>,
    &'static str,
);

/// The registry: name, inputs, options and reductions of every loss, and how it takes rows of a
/// table by number.
#[pyfunction]
fn loss_specs() -> Vec<SpecRow> {
    let row = |entry: &Entry| {
        let spec = entry.spec;
        let inputs = spec.inputs.iter().map(|input| {
            let kind = input.kind.name();
            (input.name, kind, input.ranks.to_vec(), input.optional)
        });
        let options = spec.options.iter().map(|option| {
            let (domain, choices, low) = match option.domain {
                Domain::Positive => ("positive", vec![], 0),
                Domain::NonNegative => ("non_negative", vec![], 0),
                Domain::Finite => ("finite", vec![], 0),
                Domain::Integer(low) => ("integer", vec![], low),
                Domain::Flag => ("flag", vec![], 0),
                Domain::Choice(choices) => ("choice", choices.to_vec(), 0),
            };
            (option.name, domain, choices, low)
        });
        let reductions = spec.reductions.iter().map(|reduction| reduction.name());
        (
            spec.name,
            inputs.collect(),
            options.collect(),
            reductions.collect(),
            spec.by_number.describe(),
        )
    };
    losses::REGISTRY.iter().map(row).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(loss, module)?)?;
    module.add_function(wrap_pyfunction!(loss_specs, module)?)?;
    Ok(())
}
