//! Replaces a file whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::pool::Workers;

/// Characters of a file's name that its temporary file's begins with, after a dot.
pub(super) const STEM: usize = 40;

/// Writes through `write` to a temporary file beside `path`, makes it durable and renames it.
///
/// A reader sees the old file or the new one. The file's bytes are synchronised before the rename
/// and its directory after it, so that once this returns a power cut does not take the new file
/// away, and one before leaves the old one. On failure, or when asked to stop before the rename,
/// the temporary file is removed; a process that is killed leaves it behind under a name
/// beginning with a dot and ending in `.tmp`, which the next save to the same path removes on
/// Linux. On Unix the new file gets the old one's permissions.
pub fn replace(
    path: &Path,
    workers: &Workers<'_>,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    // Through a link the file it points to is replaced, not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|found| !found.is_file()) {
        return Err(Error::invalid(
            "path",
            format!("is {}, which is not a regular file", path.display()),
        ));
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (temporary, mut file) =
        create_beside(&target, directory).map_err(|error| error.in_file(path))?;
    #[cfg(target_os = "linux")]
    super::leftovers::sweep(&target, directory);
    let outcome = write(&mut file)
        .and_then(|()| {
            #[cfg(unix)]
            if let Some(old) = &old {
                file.set_permissions(old.permissions())?;
            }
            Ok(file.sync_all()?)
        })
        .and_then(|()| {
            // Windows does not rename a file that is open.
            drop(file);
            workers.check()?;
            Ok(fs::rename(&temporary, &target)?)
        });
    if let Err(error) = outcome {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(error.in_file(path));
    }
    #[cfg(unix)]
    sync_directory(directory).map_err(|error| Error::file(path, error))?;
    Ok(())
}

/// Not every file system can, and not every directory may be read by who may write to it.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        Err(error) if [InvalidInput, PermissionDenied, Unsupported].contains(&error.kind()) => {
            Ok(())
        }
        outcome => outcome,
    }
}

fn create_beside(target: &Path, directory: &Path) -> Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = target
        .file_name()
        .ok_or_else(|| {
            Error::invalid(
                "path",
                format!("is {}, which names no file", target.display()),
            )
        })?
        .to_string_lossy();
    // Long names would exceed the file system's limit with the suffix.
    let stem: String = name.chars().take(STEM).collect();
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".{stem}.{}.{number}.tmp", std::process::id()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
        {
            Ok(file) => {
                // Tells other processes that it is in use. Not every file system has locks.
                let _ = file.try_lock();
                return Ok((temporary, file));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
}
