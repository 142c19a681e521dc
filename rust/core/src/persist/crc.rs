//! Checksums of long sections.

use crate::error::Result;
use crate::pool::Workers;

/// Bytes between two looks at whether to stop.
pub const PIECE: usize = 4 << 20;

/// The CRC-32 of `bytes`, piece by piece on all threads.
pub fn checksum(bytes: &[u8], workers: &Workers<'_>) -> Result<u32> {
    let pieces: Vec<&[u8]> = bytes.chunks(PIECE).collect();
    let parts = workers.map(pieces.len(), |i| {
        let mut part = crc32fast::Hasher::new();
        part.update(pieces[i]);
        Ok(part)
    })?;
    let mut whole = crc32fast::Hasher::new();
    for part in &parts {
        whole.combine(part);
    }
    Ok(whole.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole() {
        for length in [0, 1, PIECE - 1, PIECE, 2 * PIECE + 5] {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7 % 251) as u8).collect();
            let got = checksum(&bytes, &Workers::of(2)).unwrap();
            assert_eq!(got, crc32fast::hash(&bytes));
        }
    }
}
