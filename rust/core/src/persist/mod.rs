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

mod atomic;
mod reader;
mod writer;

pub use atomic::replace;
pub use reader::Reader;
pub use writer::Writer;

#[cfg(target_endian = "big")]
compile_error!("the file format is little-endian and sections are written as they lie in memory");

/// As in PNG: a high bit, a name, and line ends that a text-mode copy would change.
const MAGIC: [u8; 8] = *b"\x89RUV\r\n\x1a\n";

/// The version written, and the newest that can be read.
pub const VERSION: u32 = 1;

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
