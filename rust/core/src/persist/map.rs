//! Files read where they lie.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// A whole file in the address space, read-only, shared by all that use parts of it.
///
/// The file must stay as it is meanwhile. [`super::replace`] leaves the old file's bytes to those
/// that mapped it; a program that shortens a mapped file in place makes reading the lost part fail
/// with SIGBUS, under this as under every map.
#[derive(Clone, Debug)]
pub struct Map(Arc<Mmap>);

impl Map {
    /// Maps the regular file at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(path, error))?;
        let found = file.metadata().map_err(|error| Error::file(path, error))?;
        if !found.is_file() {
            let name = path.display();
            return Err(Error::corrupt(format!("{name} is not a regular file")));
        }
        if found.len() == 0 {
            // Nothing can be mapped of it, and no kind of file is empty.
            let name = path.display();
            return Err(Error::corrupt(format!(
                "{name} was not written by ruvector"
            )));
        }
        // SAFETY: bytes are all that is read, through types for which any bits are valid and with
        // every index checked; the type's documentation says what must not happen to the file.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| Error::file(path, error))?;
        Ok(Self(Arc::new(map)))
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
