//! Making room without making readers wait.
//!
//! A vector that grows beyond its capacity moves, and everybody who reads it would have to wait.
//! So a copy with room is made while they read on, and takes the old one's place in no time.

use crate::error::Result;
use crate::index::lines::out_of_memory;

/// A copy of `values` with room for `more`; none where they have it.
pub fn copy<T: Clone>(values: &Vec<T>, more: usize) -> Result<Option<Vec<T>>> {
    let wanted = values.len() + more;
    if wanted <= values.capacity() {
        return Ok(None);
    }
    let mut copy = Vec::new();
    copy.try_reserve_exact(wanted.max(2 * values.len()))
        .map_err(|_| out_of_memory())?;
    copy.extend_from_slice(values);
    Ok(Some(copy))
}

/// Puts a copy in its place and what was there in the copy's, to be freed later.
pub fn swap<T>(values: &mut T, copy: &mut Option<T>) {
    if let Some(copy) = copy {
        std::mem::swap(values, copy);
    }
}
