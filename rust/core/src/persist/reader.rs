//! Reads files without trusting them.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use super::{ENTRY, HEADER, MAGIC, MAX_SECTIONS, NAME, VERSION, aligned};
use crate::error::{Error, Result};

struct Section {
    name: [u8; NAME],
    offset: u64,
    length: u64,
    crc: u32,
}

/// A file whose header and table have been found whole.
///
/// Every length was compared with the file's real size before anything is allocated for it.
pub struct Reader<S> {
    source: S,
    name: String,
    sections: Vec<Section>,
}

impl Reader<File> {
    /// Opens the file at `path`, which must be of this `kind`.
    pub fn open(path: &Path, kind: &str) -> Result<Self> {
        let source = File::open(path)?;
        let found = source.metadata()?;
        let name = path.display().to_string();
        if !found.is_file() {
            return Err(Error::corrupt(format!("{name} is not a regular file")));
        }
        Self::new(source, found.len(), name, kind)
    }
}

impl<'a> Reader<Cursor<&'a [u8]>> {
    /// Reads a file's bytes; `name` is what messages call them.
    pub fn from_bytes(bytes: &'a [u8], name: &str, kind: &str) -> Result<Self> {
        Self::new(Cursor::new(bytes), bytes.len() as u64, name.into(), kind)
    }
}

impl<S: Read + Seek> Reader<S> {
    fn new(mut source: S, size: u64, name: String, kind: &str) -> Result<Self> {
        let mut header = [0; HEADER];
        let foreign = || Error::corrupt(format!("{name} was not written by ruvector"));
        if size < HEADER as u64 {
            let mut start = vec![0; (size as usize).min(MAGIC.len())];
            source.read_exact(&mut start)?;
            return Err(if MAGIC.starts_with(&start) && !start.is_empty() {
                damaged(&name, "it ends within the header")
            } else {
                foreign()
            });
        }
        source.read_exact(&mut header)?;
        if header[..8] != MAGIC {
            return Err(foreign());
        }
        let found = u32_at(&header, 8);
        if found > VERSION {
            return Err(Error::UnsupportedVersion {
                file: name,
                found,
                supported: VERSION,
            });
        }
        let count = u32_at(&header, 12) as usize;
        if found == 0 || count > MAX_SECTIONS || size < (HEADER + count * ENTRY) as u64 {
            return Err(damaged(&name, "its header is not possible"));
        }
        let mut table = vec![0; count * ENTRY];
        source.read_exact(&mut table)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[..60]);
        crc.update(&table);
        if crc.finalize() != u32_at(&header, 60) {
            return Err(damaged(&name, "the checksum of its header does not match"));
        }
        if u64_at(&header, 32) != size {
            let expected = u64_at(&header, 32);
            return Err(damaged(
                &name,
                &format!("it has {size} bytes but should have {expected}"),
            ));
        }
        if header[40..60].iter().any(|&byte| byte != 0) {
            return Err(damaged(&name, "its header is not possible"));
        }
        let held = text(&header[16..32]);
        if held != kind {
            return Err(Error::corrupt(format!(
                "{name} holds {held:?} but {kind:?} was expected; load it with the class that \
                 saved it"
            )));
        }
        let sections = sections(&table);
        let mut reader = Self {
            source,
            name,
            sections,
        };
        reader.check_layout((HEADER + table.len()) as u64, size)?;
        Ok(reader)
    }

    /// Sections follow each other with gaps of zeros and nothing after the last.
    fn check_layout(&mut self, table_end: u64, size: u64) -> Result<()> {
        let mut end = table_end;
        for i in 0..self.sections.len() {
            let Section { offset, length, .. } = self.sections[i];
            let next = offset.checked_add(length);
            if aligned(end) != Some(offset) || next.is_none_or(|next| next > size) {
                return Err(self.damaged("its sections overlap or leave the file"));
            }
            let mut gap = [0; HEADER];
            let gap = &mut gap[..(offset - end) as usize];
            self.source.seek(SeekFrom::Start(end))?;
            self.source.read_exact(gap)?;
            if gap.iter().any(|&byte| byte != 0) {
                return Err(self.damaged("there are bytes between its sections"));
            }
            end = offset + length;
        }
        if end != size {
            return Err(self.damaged("there are bytes after its last section"));
        }
        Ok(())
    }

    /// An [`Error::Corrupt`] that names the file and what to do.
    pub fn damaged(&self, problem: &str) -> Error {
        damaged(&self.name, problem)
    }

    /// How many values section `name` has room for; none if it is missing.
    pub fn count<T>(&self, name: &str) -> usize {
        let section = self.sections.iter().find(|s| text(&s.name) == name);
        section.map_or(0, |section| section.length as usize / size_of::<T>())
    }

    /// The values of section `name`, of which there must be `count`.
    pub fn section<T: bytemuck::Pod>(&mut self, name: &str, count: usize) -> Result<Vec<T>> {
        let section = self.sections.iter().find(|s| text(&s.name) == name);
        let Some(&Section {
            offset,
            length,
            crc,
            ..
        }) = section
        else {
            return Err(self.damaged(&format!("section {name:?} is missing")));
        };
        // The length lies within the file, so a matching count is safe to allocate.
        if count
            .checked_mul(size_of::<T>())
            .is_none_or(|bytes| bytes as u64 != length)
        {
            return Err(self.damaged(&format!("section {name:?} has {length} bytes")));
        }
        let mut values = Vec::new();
        values
            .try_reserve_exact(count)
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        values.resize(count, T::zeroed());
        self.source.seek(SeekFrom::Start(offset))?;
        self.source
            .read_exact(bytemuck::cast_slice_mut(&mut values))?;
        if crc32fast::hash(bytemuck::cast_slice(&values)) != crc {
            return Err(self.damaged(&format!("the checksum of section {name:?} does not match")));
        }
        Ok(values)
    }
}

fn damaged(name: &str, problem: &str) -> Error {
    Error::corrupt(format!(
        "{name} is damaged: {problem}; restore it from a copy or build it again"
    ))
}

fn sections(table: &[u8]) -> Vec<Section> {
    let (entries, _) = table.as_chunks::<ENTRY>();
    entries
        .iter()
        .map(|entry| {
            let mut name = [0; NAME];
            name.copy_from_slice(&entry[..NAME]);
            Section {
                name,
                offset: u64_at(entry, 16),
                length: u64_at(entry, 24),
                crc: u32_at(entry, 32),
            }
        })
        .collect()
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(field)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(field)
}
