//! Replaces a file whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::pool::Workers;

/// Characters of a file's name that its temporary file's begins with, after a dot.
pub(super) const STEM: usize = 40;

/// Temporary files that are tried before a save gives up.
const ATTEMPTS: usize = 10_000;

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
            // Windows does not rename a file that is open. Elsewhere its lock keeps others from
            // removing it until it has its name.
            #[cfg(windows)]
            drop(file);
            workers.check()?;
            Ok(fs::rename(&temporary, &target)?)
        });
    #[cfg(not(windows))]
    drop(file);
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
    for _ in 0..ATTEMPTS {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".{stem}.{}.{number}.tmp", std::process::id()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
        {
            Ok(file) if claim(&file, &temporary) => return Ok((temporary, file)),
            // Whoever holds its lock removes it.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::from(std::io::Error::new(
        ErrorKind::WouldBlock,
        "temporary files beside it are taken away or locked by others",
    )))
}

/// Tells others that a new temporary file is in use; false if one of them was about to remove it
/// or has done so. Not every file system has locks; where there are none nobody removes it.
fn claim(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Ok(()) => is_at(file, path),
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => true,
    }
}

/// Whether `path` leads to an open file, which another may have removed or replaced since.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Nobody removes temporary files of others here.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::super::leftovers::remove_if_free;
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ruvector-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_another_holds_or_has_taken_is_not_claimed() {
        let folder = folder("claim");
        let path = folder.join("new");
        let file = File::create_new(&path).unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        assert!(!claim(&file, &path));
        other.unlock().unwrap();
        assert!(claim(&file, &path));
        assert!(!remove_if_free(&path));
        fs::remove_file(&path).unwrap();
        assert!(!claim(&file, &path));
        let again = File::create_new(&path).unwrap();
        assert!(!claim(&file, &path));
        assert!(claim(&again, &path));
        drop(again);
        assert!(remove_if_free(&path) && !path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    /// A sweeper that knows no process, as one in another container, takes no file in use.
    #[test]
    fn a_claimed_file_stays() {
        use std::sync::atomic::AtomicBool;
        let folder = folder("race");
        let done = AtomicBool::new(false);
        let mut tried = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for entry in fs::read_dir(&folder).unwrap().flatten() {
                        if entry.file_name().to_string_lossy().ends_with(".tmp") {
                            remove_if_free(&entry.path());
                        }
                    }
                }
            });
            let target = folder.join("index");
            for i in 0..2000 {
                let (temporary, mut file) = create_beside(&target, &folder).unwrap();
                file.write_all(&[1]).unwrap();
                if i % 8 == 0 {
                    std::thread::yield_now();
                }
                tried += usize::from(fs::rename(&temporary, &target).is_ok());
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(tried, 2000);
        fs::remove_dir_all(folder).unwrap();
    }
}
