//! Rows in fewer bits than `f32` has.

use crate::error::{Error, Result};
use crate::index::lines::{LANES, Table};
use crate::index::space::norm;
use crate::persist::Store;
use crate::simd::{Elementwise, elementwise};

/// Values unpacked at a time.
pub const BLOCK: usize = 256;

/// Words at the end of a row of bytes: its smallest value and its step.
const SCALES: usize = 4;

/// What an index keeps of its vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    Float32,
    /// Bytes that count equal steps from the smallest to the largest value of each row.
    Int8,
}

impl Storage {
    pub const ALL: [Self; 2] = [Self::Float32, Self::Int8];

    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Int8 => "int8",
        }
    }

    pub fn parse(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|storage| storage.name() == name);
        known.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|storage| storage.name()).collect();
            Error::invalid(
                "storage",
                format!("is {name:?} but must be one of {}", names.join(", ")),
            )
        })
    }

    /// The storage as files name it.
    pub fn code(self) -> u64 {
        match self {
            Self::Float32 => 0,
            Self::Int8 => 1,
        }
    }

    pub fn of_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|storage| storage.code() == code)
    }
}

/// Rows of `dim` values in fewer bits.
#[derive(Clone, Debug)]
pub struct Packed {
    pub table: Table<u16>,
    dim: usize,
}

impl Packed {
    pub fn new(dim: usize) -> Self {
        Self::from_data(Store::default(), dim)
    }

    /// Rows as the table's data gave them.
    pub fn from_data(data: Store<u16>, dim: usize) -> Self {
        let words = dim.div_ceil(2) + SCALES;
        Self {
            table: Table::of(data, words),
            dim,
        }
    }

    /// Values of a row that is filled up to whole lines.
    pub fn padded(&self) -> usize {
        self.dim.next_multiple_of(LANES)
    }

    /// A copy with room for `more` rows; none where there is room.
    pub fn with_room(&self, more: usize) -> Result<Option<Self>> {
        let table = self.table.with_room(more)?;
        Ok(table.map(|table| Self { table, ..*self }))
    }

    /// Writes row `i`; with `unit` so that what is read back has length 1.
    pub fn put(&mut self, i: usize, row: &[f32], unit: bool) {
        let smallest = row.iter().copied().fold(f32::INFINITY, f32::min);
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let range = f64::from(largest) - f64::from(smallest);
        let steps = if range > 0.0 { 255.0 / range } else { 0.0 };
        let words = self.table.part_mut(i..i + 1);
        let (values, scales) = words.split_at_mut(words.len() - SCALES);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(values);
        for (byte, &x) in bytes.iter_mut().zip(row) {
            *byte = ((f64::from(x) - f64::from(smallest)) * steps).round() as u8;
        }
        let mut ends = [smallest, (range / 255.0) as f32];
        if unit {
            let mut decoded = vec![0.0; row.len()];
            unpack(bytes, ends, &mut decoded);
            let length = norm(&decoded);
            if length > 0.0 {
                ends = ends.map(|end| (f64::from(end) / length) as f32);
            }
        }
        scales.copy_from_slice(&bytemuck::cast::<[f32; 2], [u16; SCALES]>(ends));
    }

    /// Reads the values from number `start` on of row `i`, and zeros beyond its end.
    #[inline]
    pub fn read(&self, i: usize, start: usize, out: &mut [f32]) {
        let words = self.table.part(i);
        let (values, scales) = words.split_at(words.len() - SCALES);
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let end = self.dim.min(start + out.len());
        let (held, beyond) = out.split_at_mut(end - start);
        let mut ends = [0; SCALES];
        ends.copy_from_slice(scales);
        let ends = bytemuck::cast::<[u16; SCALES], [f32; 2]>(ends);
        unpack(&bytes[start..end], ends, held);
        beyond.fill(0.0);
    }
}

/// `out = smallest + step · bytes`.
#[inline]
fn unpack(bytes: &[u8], [smallest, step]: [f32; 2], out: &mut [f32]) {
    struct Unpack<'a>(&'a [u8], [f32; 2], &'a mut [f32]);

    impl Elementwise for Unpack<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let Self(bytes, [smallest, step], out) = self;
            for (&byte, value) in bytes.iter().zip(out) {
                *value = smallest + step * f32::from(byte);
            }
        }
    }

    elementwise(Unpack(bytes, [smallest, step], out));
}
