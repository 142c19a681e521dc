//! Reads files without trusting them.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::crc::{PIECE, checksum};
use super::{ENTRY, HEADER, MAGIC, MAX_SECTIONS, Map, NAME, Store, VERSION, aligned};
use crate::error::{Error, Result};
use crate::pool::Workers;

#[derive(Clone)]
struct Section {
    name: [u8; NAME],
    offset: u64,
    length: u64,
    crc: u32,
}

/// When the checksum of a section that is mapped is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// On opening, which reads all of it.
    Now,
    /// By [`Mapping::verify`]; whoever uses it until then must expect any values.
    Later,
}

/// A file whose header and table have been found whole.
///
/// Every length was compared with the file's real size before anything is allocated for it.
/// Sections that nobody asks for are not read.
pub struct Reader<'w, S> {
    source: S,
    name: String,
    version: u32,
    sections: Vec<Section>,
    map: Option<Map>,
    workers: &'w Workers<'w>,
}

impl<'w> Reader<'w, File> {
    /// Opens the file at `path`, which must be of this `kind`.
    pub fn open(path: &Path, kind: &str, workers: &'w Workers<'w>) -> Result<Self> {
        let source = File::open(path).map_err(|error| Error::file(path, error))?;
        let found = source
            .metadata()
            .map_err(|error| Error::file(path, error))?;
        let name = path.display().to_string();
        if !found.is_file() {
            return Err(Error::corrupt(format!("{name} is not a regular file")));
        }
        Self::new(source, found.len(), name, kind, workers)
    }
}

impl<'a, 'w> Reader<'w, Cursor<&'a [u8]>> {
    /// Reads a file's bytes; `name` is what messages call them.
    pub fn from_bytes(
        bytes: &'a [u8],
        name: &str,
        kind: &str,
        workers: &'w Workers<'w>,
    ) -> Result<Self> {
        let source = Cursor::new(bytes);
        Self::new(source, bytes.len() as u64, name.into(), kind, workers)
    }
}

impl<'w> Reader<'w, Cursor<Map>> {
    /// Maps the file at `path`, which must be of this `kind`; its stores stay where they are.
    pub fn map(path: &Path, kind: &str, workers: &'w Workers<'w>) -> Result<Self> {
        let map = Map::open(path)?;
        let size = map.as_ref().len() as u64;
        let source = Cursor::new(map.clone());
        let name = path.display().to_string();
        let mut reader = Self::new(source, size, name, kind, workers)?;
        reader.map = Some(map);
        Ok(reader)
    }
}

impl<'w, S: Read + Seek> Reader<'w, S> {
    fn new(
        mut source: S,
        size: u64,
        name: String,
        kind: &str,
        workers: &'w Workers<'w>,
    ) -> Result<Self> {
        let mut header = [0; HEADER];
        let foreign = || Error::corrupt(format!("{name} was not written by ruvector"));
        if size < HEADER as u64 {
            let mut start = vec![0; (size as usize).min(MAGIC.len())];
            read(&mut source, &mut start, &name)?;
            return Err(if MAGIC.starts_with(&start) && !start.is_empty() {
                damaged(&name, "it ends within the header")
            } else {
                foreign()
            });
        }
        read(&mut source, &mut header, &name)?;
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
        read(&mut source, &mut table, &name)?;
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
            version: found,
            sections,
            map: None,
            workers,
        };
        reader.check_layout((HEADER + table.len()) as u64, size)?;
        Ok(reader)
    }

    /// Names differ; sections follow each other with gaps of zeros and nothing after the last.
    fn check_layout(&mut self, table_end: u64, size: u64) -> Result<()> {
        let mut end = table_end;
        for i in 0..self.sections.len() {
            let Section {
                name,
                offset,
                length,
                ..
            } = self.sections[i];
            if self.sections[..i].iter().any(|other| other.name == name) {
                return Err(self.damaged("two of its sections have the same name"));
            }
            let next = offset.checked_add(length);
            if aligned(end) != Some(offset) || next.is_none_or(|next| next > size) {
                return Err(self.damaged("its sections overlap or leave the file"));
            }
            let mut gap = [0; HEADER];
            let gap = &mut gap[..(offset - end) as usize];
            self.source.seek(SeekFrom::Start(end))?;
            read(&mut self.source, gap, &self.name)?;
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

    /// The version of the file's format, 1 to [`VERSION`].
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether stores stay in the file.
    pub fn is_mapped(&self) -> bool {
        self.map.is_some()
    }

    /// Whether there is a section of this name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<Section> {
        let found = self.sections.iter().find(|s| text(&s.name) == name);
        found.cloned()
    }

    /// The section called `name` if it holds `count` values of `size` bytes.
    fn expect(&self, name: &str, count: usize, size: usize) -> Result<Section> {
        let Some(section) = self.find(name) else {
            return Err(self.damaged(&format!("section {name:?} is missing")));
        };
        let length = section.length;
        // The length lies within the file, so a matching count is safe to allocate.
        if count
            .checked_mul(size)
            .is_none_or(|bytes| bytes as u64 != length)
        {
            return Err(self.damaged(&format!("section {name:?} has {length} bytes")));
        }
        Ok(section)
    }

    /// The values of section `name`, of which there must be `count`.
    pub fn section<T: bytemuck::Pod>(&mut self, name: &str, count: usize) -> Result<Vec<T>> {
        let section = self.expect(name, count, size_of::<T>())?;
        let mut values: Vec<T> = bytemuck::allocation::try_zeroed_vec(count)
            .map_err(|()| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        self.source.seek(SeekFrom::Start(section.offset))?;
        let mut crc = crc32fast::Hasher::new();
        for piece in bytemuck::cast_slice_mut::<T, u8>(&mut values).chunks_mut(PIECE) {
            self.workers.check()?;
            read(&mut self.source, piece, &self.name)?;
            crc.update(piece);
        }
        if crc.finalize() != section.crc {
            return Err(self.mismatch(name));
        }
        Ok(values)
    }

    /// As [`Reader::section`], or nothing where the file has no such section.
    pub fn section_if_present<T: bytemuck::Pod>(
        &mut self,
        name: &str,
        count: usize,
    ) -> Result<Option<Vec<T>>> {
        self.has(name)
            .then(|| self.section(name, count))
            .transpose()
    }

    /// As [`Reader::section`], but left where it is if the file is mapped.
    pub fn store<T: bytemuck::Pod>(
        &mut self,
        name: &str,
        count: usize,
        check: Check,
    ) -> Result<Store<T>> {
        let Some(map) = &self.map else {
            return Ok(self.section(name, count)?.into());
        };
        let section = self.expect(name, count, size_of::<T>())?;
        if check == Check::Now && checksum(bytes_of(map, &section), self.workers)? != section.crc {
            return Err(self.mismatch(name));
        }
        // Offsets are multiples of 64 within the file, so this fails for no section.
        Store::mapped(map, section.offset as usize, count)
            .ok_or_else(|| self.damaged(&format!("section {name:?} does not lie right")))
    }

    /// As [`Reader::store`], or nothing where the file has no such section.
    pub fn store_if_present<T: bytemuck::Pod>(
        &mut self,
        name: &str,
        count: usize,
        check: Check,
    ) -> Result<Option<Store<T>>> {
        self.has(name)
            .then(|| self.store(name, count, check))
            .transpose()
    }

    /// The threads that read.
    pub fn workers(&self) -> &'w Workers<'w> {
        self.workers
    }

    /// What an index keeps of the file it is mapped from.
    pub fn mapping(&self) -> Option<Mapping> {
        self.map.as_ref().map(|map| Mapping {
            map: map.clone(),
            path: PathBuf::from(&self.name),
            sections: self.sections.clone(),
        })
    }

    fn mismatch(&self, section: &str) -> Error {
        mismatch(&self.name, section)
    }
}

/// A mapped file and its checksums.
pub struct Mapping {
    map: Map,
    path: PathBuf,
    sections: Vec<Section>,
}

impl Mapping {
    /// The failure of whoever wants to change what is mapped.
    pub fn read_only(&self) -> Error {
        Error::ReadOnly {
            file: self.path.display().to_string(),
        }
    }

    /// Compares the checksums of all sections, which reads the whole file.
    pub fn verify(&self, workers: &Workers<'_>) -> Result<()> {
        for section in &self.sections {
            if checksum(bytes_of(&self.map, section), workers)? != section.crc {
                let file = self.path.display().to_string();
                return Err(mismatch(&file, &text(&section.name)));
            }
        }
        Ok(())
    }
}

/// Layout was checked against the size of the map, so the section is within it.
fn bytes_of<'a>(map: &'a Map, section: &Section) -> &'a [u8] {
    &map.as_ref()[section.offset as usize..][..section.length as usize]
}

fn mismatch(name: &str, section: &str) -> Error {
    damaged(
        name,
        &format!("the checksum of section {section:?} does not match"),
    )
}

fn damaged(name: &str, problem: &str) -> Error {
    Error::corrupt(format!(
        "{name} is damaged: {problem}; restore it from a copy or build it again"
    ))
}

fn read(source: &mut impl Read, bytes: &mut [u8], name: &str) -> Result<()> {
    source
        .read_exact(bytes)
        .map_err(|error| Error::file(Path::new(name), error))
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
