//! Rows in fewer bits than `f32` has.

use crate::error::{Error, Result};
use crate::index::lines::{LANES, Table};
use crate::index::space::norm;
use crate::persist::Store;
use crate::simd::{Elementwise, elementwise, half, maps};

/// Values unpacked at a time.
pub const BLOCK: usize = 256;

/// Words at the end of a row: two numbers, what 0 and one step stand for.
const SCALES: usize = 4;

/// What an index keeps of its vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    Float32,
    /// Halves, with a factor for each row.
    Float16,
    /// Bytes that count equal steps from the smallest to the largest value of each row.
    Int8,
}

impl Storage {
    pub const ALL: [Self; 3] = [Self::Float32, Self::Float16, Self::Int8];

    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
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
            Self::Float16 => 1,
            Self::Int8 => 2,
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
    pub storage: Storage,
    dim: usize,
}

impl Packed {
    pub fn new(dim: usize, storage: Storage) -> Self {
        Self::from_data(Store::default(), dim, storage)
    }

    /// Rows as the table's data gave them.
    pub fn from_data(data: Store<u16>, dim: usize, storage: Storage) -> Self {
        let words = match storage {
            Storage::Int8 => dim.div_ceil(2),
            Storage::Float16 | Storage::Float32 => dim,
        };
        let words = words + SCALES;
        Self {
            table: Table::of(data, words),
            storage,
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
        let words = self.table.part_mut(i..i + 1);
        let (values, scales) = words.split_at_mut(words.len() - SCALES);
        // Adding 0 makes -0 the same as 0.
        let least = row.iter().copied().fold(f32::INFINITY, f32::min) + 0.0;
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) + 0.0;
        let mut ends = match self.storage {
            Storage::Int8 => write_bytes(row, least, most, bytemuck::cast_slice_mut(values)),
            Storage::Float16 | Storage::Float32 => write_halves(row, least, most, values),
        };
        if unit {
            let mut decoded = vec![0.0; row.len()];
            unpack(self.storage, values, ends, 0, &mut decoded);
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
        let mut ends = [0; SCALES];
        ends.copy_from_slice(scales);
        let ends = bytemuck::cast::<[u16; SCALES], [f32; 2]>(ends);
        let end = self.dim.min(start + out.len());
        let (held, beyond) = out.split_at_mut(end - start);
        unpack(self.storage, values, ends, start, held);
        beyond.fill(0.0);
    }
}

/// Writes values as equal steps from the `least` to the `most` of them; returns the least and a
/// step.
fn write_bytes(row: &[f32], least: f32, most: f32, bytes: &mut [u8]) -> [f32; 2] {
    let range = f64::from(most) - f64::from(least);
    let steps = if range > 0.0 { 255.0 / range } else { 0.0 };
    for (byte, &x) in bytes.iter_mut().zip(row) {
        *byte = ((f64::from(x) - f64::from(least)) * steps).round() as u8;
    }
    [least, (range / 255.0) as f32]
}

/// Writes values as halves of what is returned second, a power of two near the largest of them.
fn write_halves(row: &[f32], least: f32, most: f32, halves: &mut [u16]) -> [f32; 2] {
    let largest = most.max(-least).max(f32::MIN_POSITIVE);
    let scale = f64::from(largest).log2().floor().exp2();
    let scaled: Vec<f32> = row.iter().map(|&x| (f64::from(x) / scale) as f32).collect();
    half::encode(&scaled, halves);
    // What rounds to -0 is the same as 0.
    for word in halves.iter_mut().filter(|word| **word == 0x8000) {
        *word = 0;
    }
    [0.0, scale as f32]
}

/// `out = least + step · values`, of the values from number `start` on.
#[inline]
fn unpack(
    storage: Storage,
    values: &[u16],
    [least, step]: [f32; 2],
    start: usize,
    out: &mut [f32],
) {
    struct Stretch<'a>(&'a [u8], [f32; 2], &'a mut [f32]);

    impl Elementwise for Stretch<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let Self(bytes, [least, step], out) = self;
            for (&byte, value) in bytes.iter().zip(out) {
                *value = least + step * f32::from(byte);
            }
        }
    }

    let end = start + out.len();
    match storage {
        Storage::Int8 => {
            let bytes: &[u8] = bytemuck::cast_slice(values);
            elementwise(Stretch(&bytes[start..end], [least, step], out));
        }
        Storage::Float16 | Storage::Float32 => {
            half::decode(&values[start..end], out);
            maps::scale(step, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn parts_of_rows_are_those_of_whole_rows() {
        let mut stream = Stream::new(9, 0);
        for storage in [Storage::Float16, Storage::Int8] {
            for dim in [1, 2, 15, 16, 255, 256, 257, 300, 513] {
                let row: Vec<f32> = (0..dim).map(|_| stream.uniform() as f32 - 0.3).collect();
                let mut packed = Packed::new(dim, storage);
                packed.table.resize(3).unwrap();
                packed.put(1, &row, false);
                let mut whole = vec![f32::NAN; packed.padded()];
                packed.read(1, 0, &mut whole);
                assert!(whole[dim..].iter().all(|&x| x == 0.0));
                for (x, y) in row.iter().zip(&whole) {
                    assert!((x - y).abs() <= 0.5 / 255.0 + 1e-6, "{storage:?} {x} {y}");
                }
                let mut part = vec![f32::NAN; 16];
                for start in (0..packed.padded()).step_by(16) {
                    packed.read(1, start, &mut part);
                    assert_eq!(part, whole[start..start + 16]);
                }
            }
        }
    }

    #[test]
    fn rows_of_length_one_stay_so() {
        let mut stream = Stream::new(9, 1);
        for storage in [Storage::Float16, Storage::Int8] {
            let mut packed = Packed::new(40, storage);
            packed.table.resize(1).unwrap();
            for _ in 0..50 {
                let mut row: Vec<f32> = (0..40).map(|_| stream.uniform() as f32 - 0.5).collect();
                let length = norm(&row) as f32;
                row.iter_mut().for_each(|x| *x /= length);
                packed.put(0, &row, true);
                packed.read(0, 0, &mut row);
                assert!((norm(&row) - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn zeros_of_either_sign_are_the_same() {
        for storage in [Storage::Float16, Storage::Int8] {
            let mut packed = Packed::new(3, storage);
            packed.table.resize(3).unwrap();
            packed.put(0, &[0.0, -0.0, 0.0], false);
            packed.put(1, &[-0.0, 0.0, -0.0], false);
            packed.put(2, &[0.0; 3], true);
            assert_eq!(packed.table.part(0), packed.table.part(1));
            let mut row = [f32::NAN; 3];
            packed.read(2, 0, &mut row);
            assert_eq!(row, [0.0; 3]);
        }
    }

    #[test]
    fn storages_are_found_by_name_and_code() {
        for storage in Storage::ALL {
            assert_eq!(Storage::parse(storage.name()).unwrap(), storage);
            assert_eq!(Storage::of_code(storage.code()), Some(storage));
        }
        assert!(Storage::parse("int4").is_err());
        assert_eq!(Storage::of_code(3), None);
    }
}
