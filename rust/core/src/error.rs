//! One error type for the crate. Each variant becomes one Python exception.

use std::path::{Path, PathBuf};

/// What went wrong, in words that say what was got, what was expected and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument whose value, shape or content cannot be used.
    #[error("{argument} {problem}")]
    Invalid {
        argument: &'static str,
        problem: String,
    },

    /// An id that is already stored.
    #[error("id {id} is already in the index; choose another id")]
    DuplicateId { id: i64 },

    /// An id that occurs twice in one call.
    #[error("ids holds {id} twice, in rows {first} and {second}; ids must be unique")]
    RepeatedId {
        id: i64,
        first: usize,
        second: usize,
    },

    /// A file that is damaged or was not written by ruvector.
    #[error("{problem}")]
    Corrupt { problem: String },

    /// An index in memory whose change was cut short.
    #[error("{problem}")]
    Broken { problem: String },

    /// A file of a format this version cannot read.
    #[error(
        "{file} has format version {found} but this version of ruvector reads up to {supported}; \
         upgrade ruvector to open it"
    )]
    UnsupportedVersion {
        file: String,
        found: u32,
        supported: u32,
    },

    /// A change to an index that lies in a mapped file.
    #[error(
        "the index is mapped from {file} and cannot be changed; load it without mmap=True to \
         change it"
    )]
    ReadOnly { file: String },

    /// A file that could not be read or written.
    #[error("{error}: {}", path.display())]
    File {
        path: PathBuf,
        error: std::io::Error,
    },

    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// The caller asked to stop; nothing was changed.
    #[error("interrupted")]
    Interrupted,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Invalid`] about `argument`.
    pub fn invalid(argument: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            argument,
            problem: problem.into(),
        }
    }

    /// An [`Error::Broken`].
    pub fn broken(problem: impl Into<String>) -> Self {
        Self::Broken {
            problem: problem.into(),
        }
    }

    /// An [`Error::Corrupt`].
    pub fn corrupt(problem: impl Into<String>) -> Self {
        Self::Corrupt {
            problem: problem.into(),
        }
    }

    /// What becomes Python's `MemoryError`.
    pub fn out_of_memory() -> Self {
        Self::Io(std::io::ErrorKind::OutOfMemory.into())
    }

    /// An [`Error::File`] about `path`.
    pub fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File {
            path: path.to_path_buf(),
            error,
        }
    }

    /// Names the file that a bare failure to read or write was about.
    pub fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Io(error) if error.kind() != std::io::ErrorKind::OutOfMemory => {
                Self::file(path, error)
            }
            other => other,
        }
    }
}
