//! Lays sections out and writes them.

use std::io::Write;
use std::path::Path;

use super::crc::{PIECE, checksum};
use super::{ENTRY, HEADER, MAGIC, MAX_SECTIONS, NAME, VERSION, aligned, atomic};
use crate::error::{Error, Result};
use crate::pool::Workers;

/// The sections of a file to be written.
pub struct Writer<'a> {
    kind: &'static str,
    sections: Vec<(&'static str, &'a [u8])>,
}

impl<'a> Writer<'a> {
    /// A file of one `kind`, at most 16 ASCII characters.
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            sections: Vec::new(),
        }
    }

    /// Appends a section. Names are at most 16 ASCII characters and given once each.
    pub fn section<T: bytemuck::Pod>(mut self, name: &'static str, values: &'a [T]) -> Self {
        debug_assert!(name.len() <= NAME && self.sections.len() < MAX_SECTIONS);
        self.sections.push((name, bytemuck::cast_slice(values)));
        self
    }

    /// Puts the file in place of what is at `path`; on failure that stays as it was.
    pub fn save(&self, path: &Path, workers: &Workers<'_>) -> Result<()> {
        atomic::replace(path, workers, |file| self.write(file, workers))
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes, &Workers::serial())?;
        Ok(bytes)
    }

    /// Writes the file from its first byte to its last.
    pub fn write(&self, sink: &mut dyn Write, workers: &Workers<'_>) -> Result<()> {
        let too_long = || Error::invalid("file", "would exceed 2**64 bytes");
        let mut table = Vec::with_capacity(self.sections.len() * ENTRY);
        let mut end = (HEADER + self.sections.len() * ENTRY) as u64;
        for &(name, bytes) in &self.sections {
            let start = aligned(end).ok_or_else(too_long)?;
            end = start.checked_add(bytes.len() as u64).ok_or_else(too_long)?;
            table.extend(padded(name));
            table.extend(start.to_le_bytes());
            table.extend((bytes.len() as u64).to_le_bytes());
            table.extend(checksum(bytes, workers)?.to_le_bytes());
            table.extend([0; 12]);
        }
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        header.extend((self.sections.len() as u32).to_le_bytes());
        header.extend(padded(self.kind));
        header.extend(end.to_le_bytes());
        header.extend([0; 20]);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header);
        crc.update(&table);
        header.extend(crc.finalize().to_le_bytes());

        sink.write_all(&header)?;
        sink.write_all(&table)?;
        let mut position = (header.len() + table.len()) as u64;
        for (_, bytes) in &self.sections {
            let start = aligned(position).ok_or_else(too_long)?;
            sink.write_all(&[0; HEADER][..(start - position) as usize])?;
            for piece in bytes.chunks(PIECE) {
                workers.check()?;
                sink.write_all(piece)?;
            }
            position = start + bytes.len() as u64;
        }
        Ok(())
    }
}

fn padded(name: &str) -> [u8; NAME] {
    let mut field = [0; NAME];
    let length = name.len().min(NAME);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    field
}
