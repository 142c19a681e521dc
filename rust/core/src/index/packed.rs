//! Rows in fewer bits than `f32` has.

use crate::error::{Error, Result};
use crate::index::lines::{LANES, Table};
use crate::index::space::norm;
use crate::matrix::Matrix;
use crate::metric::Metric;
use crate::persist::Store;
use crate::simd::{Elementwise, elementwise, half};

/// Values unpacked at a time.
pub const BLOCK: usize = 256;

/// Words at the end of a row of bytes: its smallest value and its step.
const SCALES: usize = 4;

/// What an index keeps of its vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    Float32,
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

    /// Fails unless rows of a metric can be kept.
    pub fn check(self, vectors: Matrix<'_, f32>, metric: Metric) -> Result<()> {
        if self != Self::Float16 || metric == Metric::Cosine {
            return Ok(());
        }
        for i in 0..vectors.rows() {
            if let Some(value) = vectors.row(i).iter().find(|x| x.abs() > half::MAX) {
                return Err(Error::invalid(
                    "vectors",
                    format!(
                        "holds {value} in row {i} but float16 storage keeps values up to {}; \
                         scale the data down or use storage=\"float32\"",
                        half::MAX
                    ),
                ));
            }
        }
        Ok(())
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
            Storage::Int8 => dim.div_ceil(2) + SCALES,
            Storage::Float16 | Storage::Float32 => dim,
        };
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

    /// Writes row `i`; with `unit` so that what is read back has length 1, or nearly.
    pub fn put(&mut self, i: usize, row: &[f32], unit: bool) {
        if self.storage == Storage::Float16 {
            half::encode(row, self.table.part_mut(i..i + 1));
            return;
        }
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
        let end = self.dim.min(start + out.len());
        let (held, beyond) = out.split_at_mut(end - start);
        beyond.fill(0.0);
        if self.storage == Storage::Float16 {
            half::decode(&words[start..end], held);
            return;
        }
        let (values, scales) = words.split_at(words.len() - SCALES);
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let mut ends = [0; SCALES];
        ends.copy_from_slice(scales);
        let ends = bytemuck::cast::<[u16; SCALES], [f32; 2]>(ends);
        unpack(&bytes[start..end], ends, held);
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
        let mut packed = Packed::new(40, Storage::Int8);
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
