//! Values of one's own, or of a mapped file.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use bytemuck::Pod;

use super::Map;

/// A vector, or a slice of a mapped file that becomes a vector when it is changed.
///
/// Indexes refuse changes while they are mapped, so the copy is what keeps a mistake harmless.
pub struct Store<T: Pod>(Held<T>);

enum Held<T> {
    Owned(Vec<T>),
    Mapped {
        start: NonNull<T>,
        len: usize,
        map: Map,
    },
}

// SAFETY: the pointer leads into a read-only map that the value keeps open; T is plain data.
unsafe impl<T: Pod + Send> Send for Store<T> {}
// SAFETY: as above.
unsafe impl<T: Pod + Sync> Sync for Store<T> {}

impl<T: Pod> Store<T> {
    /// The `len` values that begin `offset` bytes into `map`; none if they leave it or do not lie
    /// at a multiple of their alignment.
    pub fn mapped(map: &Map, offset: usize, len: usize) -> Option<Self> {
        let end = len.checked_mul(size_of::<T>())?.checked_add(offset)?;
        let values: &[T] = bytemuck::try_cast_slice(map.as_ref().get(offset..end)?).ok()?;
        Some(Self(Held::Mapped {
            start: NonNull::from(values).cast(),
            len: values.len(),
            map: map.clone(),
        }))
    }

    /// Values it could hold without growing; those of a map take none of our memory.
    pub fn capacity(&self) -> usize {
        match &self.0 {
            Held::Owned(values) => values.capacity(),
            Held::Mapped { len, .. } => *len,
        }
    }

    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Held::Mapped { .. })
    }

    /// The vector, copied from the file if it lies there.
    #[inline]
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if self.is_mapped() {
            self.copy();
        }
        match &mut self.0 {
            Held::Owned(values) => values,
            Held::Mapped { .. } => unreachable!("it was copied"),
        }
    }

    #[cold]
    fn copy(&mut self) {
        self.0 = Held::Owned(self.to_vec());
    }
}

impl<T: Pod> Deref for Store<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Held::Owned(values) => values,
            // SAFETY: `mapped` found that many values there, and the map lives as long as self.
            Held::Mapped { start, len, .. } => unsafe {
                std::slice::from_raw_parts(start.as_ptr(), *len)
            },
        }
    }
}

impl<T: Pod> DerefMut for Store<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.to_mut()
    }
}

impl<T: Pod> From<Vec<T>> for Store<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Held::Owned(values))
    }
}

impl<T: Pod> Default for Store<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Pod> Clone for Store<T> {
    fn clone(&self) -> Self {
        match &self.0 {
            Held::Owned(values) => values.clone().into(),
            Held::Mapped { start, len, map } => Self(Held::Mapped {
                start: *start,
                len: *len,
                map: map.clone(),
            }),
        }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
