//! Core failures as the exceptions of `ruvector.errors`.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyType;
use ruvector_core::Error;

/// Turns a core failure into its Python exception.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let class = match error {
        // The signal's own exception is already set where there is one.
        Error::Interrupted => {
            return PyErr::take(py).unwrap_or_else(|| PyKeyboardInterrupt::new_err(message));
        }
        // Keeps errno, so that Python raises FileNotFoundError and its like.
        Error::Io(error) => return error.into(),
        Error::Invalid { .. } => "InvalidArgumentError",
        Error::DuplicateId { .. } | Error::RepeatedId { .. } => "DuplicateIdError",
        Error::Corrupt { .. } => "CorruptFileError",
        Error::UnsupportedVersion { .. } => "UnsupportedVersionError",
    };
    let found = py
        .import("ruvector.errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| Ok(class.cast_into::<PyType>()?));
    match found {
        Ok(class) => PyErr::from_type(class, message),
        Err(error) => error,
    }
}
