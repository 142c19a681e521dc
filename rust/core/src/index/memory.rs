//! Bytes an index takes, part by part.

use std::collections::HashMap;

use bytemuck::Pod;

use crate::persist::Store;

/// A part's name and its bytes.
pub type Part = (&'static str, usize);

/// The part that is reserved but not written to, and so takes no memory yet.
pub const SPARE: &str = "spare";

/// Bytes reserved beyond the values.
pub fn spare<T: Pod>(values: &Store<T>) -> usize {
    (values.capacity() - values.len()) * size_of::<T>()
}

/// Bytes of a hash map's table: a power of two of places, one in eight always free, and for each
/// an entry and a byte of its hash, of which a group is repeated at the end (hashbrown).
pub fn table<K, V>(map: &HashMap<K, V>) -> usize {
    const GROUP: usize = 16;
    match map.capacity() {
        0 => 0,
        capacity => {
            let places = (capacity * 8).div_ceil(7).next_power_of_two();
            places * (size_of::<(K, V)>() + 1) + GROUP
        }
    }
}
