//! Temporary files of processes that were killed while they saved.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::atomic::{STEM, is_at};

/// Removes what saves to `target` have left in its `directory`, as far as that is certain: the
/// name is one that only such a save gives, its process does not exist on this machine, and
/// nobody, on another machine or in another container, holds the file's lock. Where locks do not
/// work nothing is removed. A failure to remove is no failure to save.
pub(super) fn sweep(target: &Path, directory: &Path) {
    let Some(name) = target.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    // Another long name may begin alike. Without /proc all processes seem dead.
    if name.chars().count() > STEM || !Path::new("/proc/self").exists() {
        return;
    }
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let found = entry.file_name();
        let process = found.to_str().and_then(|found| process_of(found, name));
        let Some(process) = process else {
            continue;
        };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && !Path::new("/proc").join(process).exists() {
            remove_if_free(&entry.path());
        }
    }
}

/// The process that `found` belongs to, if it is a temporary file of `name`.
fn process_of<'a>(found: &'a str, name: &str) -> Option<&'a str> {
    let rest = found.strip_prefix('.')?.strip_prefix(name)?;
    let (process, number) = rest
        .strip_prefix('.')?
        .strip_suffix(".tmp")?
        .split_once('.')?;
    let is_number = |text: &str| text.parse::<u64>().is_ok_and(|n| n.to_string() == text);
    (is_number(process) && is_number(number)).then_some(process)
}

/// Removes a file that nobody has locked; whether it did.
pub(super) fn remove_if_free(path: &Path) -> bool {
    // Locks over a network want the file open for writing.
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return false;
    };
    // The lock is held until the file is gone, so that whoever has just made it sees one or the
    // other. Since it was opened it may have got its own name, and another this one.
    file.try_lock().is_ok() && is_at(&file, path) && fs::remove_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_of_one_file_are_known() {
        assert_eq!(process_of(".index.17.0.tmp", "index"), Some("17"));
        assert_eq!(process_of(".a.b.17.3.tmp", "a.b"), Some("17"));
        for other in [
            "index.17.0.tmp",
            ".index.17.tmp",
            ".index.17.0",
            ".index.17.0.tmp2",
            ".index.x.0.tmp",
            ".index.017.0.tmp",
            ".index.17.+1.tmp",
            ".index.17.0.1.tmp",
            ".index2.17.0.tmp",
            ".index..0.tmp",
            ".inde.17.0.tmp",
        ] {
            assert_eq!(process_of(other, "index"), None, "{other}");
        }
    }

    #[test]
    fn what_may_be_in_use_stays() {
        let folder = std::env::temp_dir().join(format!("ruvector-sweep-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // No process has so large a number.
        let dead = u64::from(u32::MAX);
        let own = std::process::id();
        let names = [
            format!(".index.{dead}.0.tmp"),
            format!(".index.{dead}.1.tmp"),
            format!(".index.{own}.0.tmp"),
            format!(".other.{dead}.0.tmp"),
            format!(".index.{dead}.2.tmp"),
        ];
        for name in &names[..4] {
            fs::write(folder.join(name), b"x").unwrap();
        }
        fs::create_dir(folder.join(&names[4])).unwrap();
        let held = fs::File::open(folder.join(&names[1])).unwrap();
        held.lock().unwrap();
        sweep(&folder.join("index"), &folder);
        let left = |i: usize| folder.join(&names[i]).exists();
        assert_eq!([0, 1, 2, 3, 4].map(left), [false, true, true, true, true]);
        drop(held);
        sweep(&folder.join("index"), &folder);
        assert_eq!([0, 1, 2, 3, 4].map(left), [false, false, true, true, true]);
        fs::remove_dir_all(folder).unwrap();
    }
}
