use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::{Check, MAGIC, Reader, VERSION, Writer, replace};
use crate::error::{Error, Result};
use crate::pool::Workers;

const KIND: &str = "test";

fn sample() -> Vec<u8> {
    Writer::new(KIND)
        .section("numbers", &[1u32, 2, 3])
        .section("nothing", &[0u8; 0])
        .section("floats", &[1.5f32; 17])
        .bytes()
        .unwrap()
}

fn read(bytes: &[u8]) -> Result<(Vec<u32>, Vec<f32>)> {
    let workers = Workers::serial();
    let mut reader = Reader::from_bytes(bytes, "sample", KIND, &workers)?;
    reader.section::<u8>("nothing", 0)?;
    Ok((reader.section("numbers", 3)?, reader.section("floats", 17)?))
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ruvector-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn what_was_written_is_read() {
    let (numbers, floats) = read(&sample()).unwrap();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(floats, [1.5; 17]);
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = sample();
    for length in 0..bytes.len() {
        assert!(matches!(read(&bytes[..length]), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    let mut bytes = sample();
    for i in 0..bytes.len() {
        for bit in 0..8 {
            bytes[i] ^= 1 << bit;
            assert!(
                matches!(
                    read(&bytes),
                    Err(Error::Corrupt { .. } | Error::UnsupportedVersion { .. })
                ),
                "byte {i}, bit {bit}"
            );
            bytes[i] ^= 1 << bit;
        }
    }
}

#[test]
fn bytes_after_the_end_are_an_error() {
    let mut bytes = sample();
    bytes.push(0);
    assert!(matches!(read(&bytes), Err(Error::Corrupt { .. })));
}

#[test]
fn a_newer_version_is_named() {
    let mut bytes = sample();
    bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let message = read(&bytes).unwrap_err().to_string();
    let wanted = format!("sample has format version {}", VERSION + 1);
    assert!(message.starts_with(&wanted), "{message}");
}

#[test]
fn another_kind_is_named() {
    let bytes = Writer::new("other").bytes().unwrap();
    let message = read(&bytes).unwrap_err().to_string();
    assert!(message.contains("\"other\""), "{message}");
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_other() {
    let directory = directory("failed");
    let path = directory.join("file");
    replace(
        &path,
        &Workers::serial(),
        |file| Ok(file.write_all(b"old")?),
    )
    .unwrap();
    let failed = replace(&path, &Workers::serial(), |file| {
        file.write_all(b"half of the new")?;
        Err(Error::Interrupted)
    });
    assert!(failed.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_write_that_is_asked_to_stop_leaves_the_old_file_and_no_other() {
    let directory = directory("stopped");
    let path = directory.join("file");
    let bytes = Writer::new(KIND).section("many", &[7u8; 100]);
    bytes.save(&path, &Workers::serial()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let stop = AtomicBool::new(false);
    let workers = Workers::new(1, &stop);
    let late = replace(&path, &workers, |file| {
        file.write_all(b"all of the new")?;
        stop.store(true, Ordering::Relaxed);
        Ok(())
    });
    assert!(matches!(late, Err(Error::Interrupted)));
    assert!(matches!(
        bytes.save(&path, &workers),
        Err(Error::Interrupted)
    ));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    let mut reader = Reader::open(&path, KIND, &workers).unwrap();
    let read = reader.section::<u8>("many", 100);
    assert!(matches!(read, Err(Error::Interrupted)));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn failures_name_the_file() {
    let missing = std::env::temp_dir().join("ruvector-no-such-directory/file");
    let workers = Workers::serial();
    let read = Reader::open(&missing, KIND, &workers);
    let written = Writer::new(KIND).save(&missing, &workers);
    for error in [read.err().unwrap(), written.unwrap_err()] {
        assert!(matches!(error, Error::File { path, .. } if path == missing));
    }
}

#[test]
fn optional_sections_may_be_missing_but_not_wrong() {
    let bytes = sample();
    let workers = Workers::serial();
    let mut reader = Reader::from_bytes(&bytes, "sample", KIND, &workers).unwrap();
    assert!(reader.has("floats") && !reader.has("codes"));
    assert_eq!(reader.version(), VERSION);
    let found = reader.section_if_present::<u32>("numbers", 3).unwrap();
    assert_eq!(found.unwrap(), [1, 2, 3]);
    let found = reader.store_if_present::<u8>("codes", 3, Check::Now);
    assert!(found.unwrap().is_none());
    assert!(reader.section_if_present::<u32>("numbers", 2).is_err());
}

#[test]
fn sections_of_the_same_name_are_an_error() {
    let twice = Writer::new(KIND).section("a", &[1u8]).section("a", &[2u8]);
    let bytes = twice.bytes().unwrap();
    let message = read(&bytes).unwrap_err().to_string();
    assert!(message.contains("the same name"), "{message}");
}

#[test]
fn a_mapped_store_reads_the_file_and_is_copied_when_changed() {
    let directory = directory("mapped");
    let path = directory.join("file");
    std::fs::write(&path, sample()).unwrap();
    let workers = Workers::serial();
    let mut reader = Reader::map(&path, KIND, &workers).unwrap();
    let mut floats = reader.store::<f32>("floats", 17, Check::Later).unwrap();
    assert!(floats.is_mapped() && floats.clone().is_mapped());
    assert!(reader.store::<f32>("floats", 16, Check::Now).is_err());
    let mapping = reader.mapping().unwrap();
    mapping.verify(&workers).unwrap();
    drop(reader);
    floats[3] = 2.0;
    assert!(!floats.is_mapped());
    assert_eq!((floats[3], floats[4], floats.len()), (2.0, 1.5, 17));

    let mut damaged = sample();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let mut reader = Reader::map(&path, KIND, &workers).unwrap();
    assert!(reader.store::<f32>("floats", 17, Check::Now).is_err());
    let later = reader.store::<f32>("floats", 17, Check::Later).unwrap();
    assert!(later.is_mapped() && reader.mapping().unwrap().verify(&workers).is_err());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_directory_is_not_replaced() {
    let directory = directory("refused");
    assert!(replace(&directory, &Workers::serial(), |_| Ok(())).is_err());
    std::fs::remove_dir_all(directory).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), signed: bool) {
        if signed {
            // Beyond the magic number and version, or nothing deeper is reached.
            let length = bytes.len().min(8);
            bytes[..length].copy_from_slice(&MAGIC[..length]);
            if let Some(version) = bytes.get_mut(8..12) {
                version.copy_from_slice(&VERSION.to_le_bytes());
            }
        }
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn tables_with_right_checksums_cannot_lead_outside(
        entry in 0usize..3, offset: u64, length: u64, near: bool,
    ) {
        let mut bytes = sample();
        let at = super::HEADER + entry * super::ENTRY;
        let fold = |value: u64| if near { value % 512 } else { value };
        bytes[at + 16..at + 24].copy_from_slice(&fold(offset).to_le_bytes());
        bytes[at + 24..at + 32].copy_from_slice(&fold(length).to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..60]);
        crc.update(&bytes[super::HEADER..super::HEADER + 3 * super::ENTRY]);
        bytes[60..64].copy_from_slice(&crc.finalize().to_le_bytes());
        let _ = read(&bytes);
    }
}
