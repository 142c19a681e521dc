//! Core failures as the exceptions of `ruvector.errors`.

use std::io::ErrorKind;
use std::path::PathBuf;

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
        Error::File { path, error } => return of_file(&error, Some(path)),
        Error::Io(error) => return of_file(&error, None),
        Error::Invalid { .. } => "InvalidArgumentError",
        Error::DuplicateId { .. } | Error::RepeatedId { .. } => "DuplicateIdError",
        Error::Corrupt { .. } => "CorruptFileError",
        Error::Broken { .. } => "BrokenIndexError",
        Error::UnsupportedVersion { .. } => "UnsupportedVersionError",
        Error::ReadOnly { .. } => "ReadOnlyIndexError",
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

/// From an errno Python makes FileNotFoundError and its like.
fn of_file(error: &std::io::Error, path: Option<PathBuf>) -> PyErr {
    let message = error.to_string();
    let Some(errno) = error.raw_os_error() else {
        return match (error.kind(), path) {
            (ErrorKind::OutOfMemory, _) => PyMemoryError::new_err(message),
            (_, Some(path)) => PyOSError::new_err(format!("{message}: {}", path.display())),
            (_, None) => PyOSError::new_err(message),
        };
    };
    let suffix = format!(" (os error {errno})");
    let text = message.strip_suffix(&suffix).unwrap_or(&message).to_owned();
    match path {
        // As a string: that is what `open` sets.
        Some(path) => PyOSError::new_err((errno, text, path.into_os_string())),
        None => PyOSError::new_err((errno, text)),
    }
}
