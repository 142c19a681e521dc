//! Core failures as the exceptions of `ruvector.errors`.

use std::io::ErrorKind;

use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyOSError};
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
        // From an errno Python makes FileNotFoundError and its like.
        Error::Io(error) => {
            return match error.raw_os_error() {
                Some(errno) => {
                    let suffix = format!(" (os error {errno})");
                    let text = message.strip_suffix(&suffix).unwrap_or(&message);
                    PyOSError::new_err((errno, text.to_owned()))
                }
                None if error.kind() == ErrorKind::OutOfMemory => PyMemoryError::new_err(message),
                None => error.into(),
            };
        }
        Error::Invalid { .. } => "InvalidArgumentError",
        Error::DuplicateId { .. } | Error::RepeatedId { .. } => "DuplicateIdError",
        Error::Corrupt { .. } => "CorruptFileError",
        Error::Broken { .. } => "BrokenIndexError",
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
