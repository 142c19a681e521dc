//! Files of sections with checksums, written whole or not at all.
//!
//! All numbers are little-endian. A file is a header of 64 bytes, a table of 48 bytes a section,
//! and the sections' bytes, each beginning at a multiple of 64 so that it can be memory-mapped.
//! Gaps are zero and nothing follows the last section, so there is one file for one content and
//! no byte whose change goes unnoticed.
//!
//! | header bytes | |
//! |---|---|
//! | 0-7 | magic |
//! | 8-11 | format version, u32 |
//! | 12-15 | number of sections, u32 |
//! | 16-31 | kind of content, ASCII filled with zeros |
//! | 32-39 | length of the file, u64 |
//! | 40-59 | zero |
//! | 60-63 | CRC-32 of bytes 0-59 and the table |
//!
//! | table entry bytes | |
//! |---|---|
//! | 0-15 | name, ASCII filled with zeros |
//! | 16-23 | offset, u64 |
//! | 24-31 | length, u64 |
//! | 32-35 | CRC-32 of the section |
//! | 36-47 | zero |

//!
//! # Versions
//!
//! [`VERSION`] is raised by a change that a reader of the version before would take for damage or
//! misread: a section of another length or meaning (a longer "head" too), one that goes missing,
//! or a new one without which the others say something false (rows to be left out of answers).
//! Readers refuse files of a newer version with [`crate::Error::UnsupportedVersion`], which asks
//! for an upgrade, and go on reading all older ones: [`Reader::version`] tells which it is, and
//! `tests/fixtures` keeps files of each.
//!
//! Sections that a reader does not know are passed over, so whatever may be ignored or derived
//! again (codes of vectors, caches) is added without a new version and asked for with
//! [`Reader::section_if_present`] or [`Reader::store_if_present`].
//!
//! # Mapped files
//!
//! [`Reader::map`] leaves long sections where they are: their [`Store`]s read the file. Header,
//! table and gaps are checked on opening like those of any file; the checksum of a section is
//! compared then or later, as [`Check`] says, and what is not compared must be harmless whatever
//! it holds: numbers that are followed (links) are checked to lead somewhere.

mod atomic;
mod crc;
#[cfg(target_os = "linux")]
mod leftovers;
mod map;
mod reader;
mod store;
mod writer;

pub use atomic::replace;
pub use map::Map;
pub use reader::{Check, Mapping, Reader};
pub use store::Store;
pub use writer::Writer;

#[cfg(target_endian = "big")]
compile_error!("the file format is little-endian and sections are written as they lie in memory");

/// As in PNG: a high bit, a name, and line ends that a text-mode copy would change.
const MAGIC: [u8; 8] = *b"\x89RUV\r\n\x1a\n";

/// The version written, and the newest that can be read.
pub const VERSION: u32 = 2;

const HEADER: usize = 64;
const ENTRY: usize = 48;
const NAME: usize = 16;
const ALIGNMENT: u64 = 64;

/// No content needs more; a larger number in a header is damage.
const MAX_SECTIONS: usize = 64;

/// The next offset at which a section may begin.
fn aligned(offset: u64) -> Option<u64> {
    offset.checked_next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests;
