//! Making room without making readers wait.
//!
//! A vector that grows beyond its capacity moves, and everybody who reads it would have to wait.
//! So a copy with room is made while they read on, and takes the old one's place in no time.

use bytemuck::Pod;

use crate::error::{Error, Result};
use crate::persist::Store;
use crate::pool::Workers;

/// A copy of `values` with room for `more`; none where they have it.
pub fn copy<T: Clone>(values: &Vec<T>, more: usize) -> Result<Option<Vec<T>>> {
    let wanted = values.len() + more;
    if wanted <= values.capacity() {
        return Ok(None);
    }
    copied(values, wanted).map(Some)
}

/// The same of values that may lie in a file: those are not changed, and so need no room.
pub fn store<T: Pod>(values: &Store<T>, more: usize) -> Result<Option<Store<T>>> {
    let wanted = values.len() + more;
    if wanted <= values.capacity() {
        return Ok(None);
    }
    copied(values, wanted).map(|copy| Some(copy.into()))
}

fn copied<T: Clone>(values: &[T], wanted: usize) -> Result<Vec<T>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(wanted.max(2 * values.len()))
        .map_err(|_| Error::out_of_memory())?;
    prefer_huge_pages(&mut copy);
    copy.extend_from_slice(values);
    Ok(copy)
}

/// Bytes of memory touched by one thread at a time.
const TOUCHED: usize = 2 << 20;

/// Touches the pages that `more` values will take, on all threads: it is the system that clears
/// them, which takes longer than to write them afterwards.
pub fn touch<T: Pod + Send>(
    values: &mut Store<T>,
    more: usize,
    workers: &Workers<'_>,
) -> Result<()> {
    const PAGE: usize = 4096;
    let spare = values.to_mut().spare_capacity_mut();
    let more = more.min(spare.len());
    let size = |bytes: usize| (bytes / size_of::<T>()).max(1);
    workers.for_each_piece(&mut spare[..more], size(TOUCHED), |_, piece| {
        for place in piece.iter_mut().step_by(size(PAGE)) {
            place.write(T::zeroed());
        }
        Ok(())
    })
}

/// Puts a copy in its place and what was there in the copy's, to be freed later.
pub fn swap<T>(values: &mut T, copy: &mut Option<T>) {
    if let Some(copy) = copy {
        std::mem::swap(values, copy);
    }
}

/// Asks for huge pages behind a large buffer: walks touch it at random, and each small page costs a
/// look at the page tables.
fn prefer_huge_pages<T>(buffer: &mut Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        let start = (buffer.as_ptr() as usize).next_multiple_of(HUGE);
        let end = buffer.as_ptr() as usize + buffer.capacity() * size_of::<T>();
        let length = end.saturating_sub(start) / HUGE * HUGE;
        if length > 0 {
            // SAFETY: the range lies within the buffer's allocation; the advice changes no value.
            // It may be refused, which costs speed alone.
            let _ = unsafe { libc::madvise(start as *mut _, length, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = buffer;
}
