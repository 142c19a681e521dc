//! Which codec an index uses, and when that is thought over.

use std::io::{Read, Seek};

use crate::error::Result;
use crate::index::space::Space;
use crate::index::vectors::Views;
use crate::persist::{Check, Reader, Writer};
use crate::pool::Workers;

use super::{Codec, Codes, MAX_DIM, Plan, Projection, TRAIN_ROWS, suits, train};

/// A codec is chosen anew when the rows have become this many times as many.
const GROWTH: usize = 4;

/// A file's word for a codec without projection.
const UNPROJECTED: u64 = 0;

/// And looked at when new rows are this part of all.
const SHARE: u64 = 16;

/// But at least so many.
const MIN_UNSEEN: u64 = 256;

/// How the rows of an index are coded.
#[derive(Clone, Debug, Default)]
pub struct Coding {
    /// None where codes would not tell neighbours apart, or the rows are few.
    pub codes: Option<Codes>,
    /// How many rows there were when this was decided; 0 before it was.
    trained: u64,
    /// Rows stored since it was last looked at whether the codec suits them.
    pub unseen: u64,
}

/// What looking at the rows led to.
#[derive(Debug)]
pub enum Look {
    /// It was not time yet.
    NotDue,
    /// The codec suits the new rows too.
    Fits,
    Renewed(Box<Coding>),
}

impl Coding {
    /// Whether the first `len` rows, of which the last are new, are to be coded in another way.
    pub fn look(
        &self,
        space: &Space,
        vectors: &impl Views,
        len: usize,
        workers: &Workers<'_>,
    ) -> Result<Look> {
        if len < TRAIN_ROWS {
            return Ok(Look::NotDue);
        }
        if (len as u64) < self.trained.saturating_mul(GROWTH as u64) {
            let Some(codes) = &self.codes else {
                return Ok(Look::NotDue);
            };
            if self.unseen < (len as u64 / SHARE).max(MIN_UNSEEN) {
                return Ok(Look::NotDue);
            }
            let new = len.saturating_sub(self.unseen as usize)..len;
            if suits(&codes.codec, space, vectors, new, workers)? {
                return Ok(Look::Fits);
            }
        }
        let codes = match train(space, vectors, len, workers)? {
            Plan::Exact => None,
            Plan::Coded(codec) => {
                let mut codes = Codes::new(codec, space.metric);
                codes.make_room(&mut codes.with_room(len)?);
                codes.append(vectors, 0..len, workers)?;
                Some(codes)
            }
        };
        Ok(Look::Renewed(Box::new(Self {
            codes,
            trained: len as u64,
            unseen: 0,
        })))
    }

    pub fn memory(&self) -> usize {
        self.codes.as_ref().map_or(0, Codes::memory)
    }

    /// Bytes reserved beyond.
    pub fn spare(&self) -> usize {
        self.codes.as_ref().map_or(0, Codes::spare)
    }

    /// What a file needs to know beside the sections: when it was decided, the values of a code's
    /// projection, and how many rows are `unseen`.
    pub fn head(&self, unseen: u64) -> [u64; 4] {
        let projection = self
            .codes
            .as_ref()
            .and_then(|codes| codes.codec.projection.as_ref());
        let values = projection.map_or(UNPROJECTED, |projection| projection.values() as u64);
        [
            self.trained,
            u64::from(self.codes.is_some()),
            values,
            unseen,
        ]
    }

    /// Adds the sections of the first `len` rows to a file, after one of [`Coding::head`].
    pub fn write<'a>(&'a self, writer: Writer<'a>, len: usize) -> Writer<'a> {
        let Some(codes) = &self.codes else {
            return writer;
        };
        let lines = codes.codec.lines * len;
        let writer = writer
            .section("codes", &codes.data()[..lines])
            .section("code mean", &codes.codec.mean);
        match &codes.codec.projection {
            None => writer,
            Some(projection) => {
                let (matrix, scales) = projection.parts();
                writer
                    .section("projection", matrix)
                    .section("projection step", scales)
            }
        }
    }

    /// Reads the coding of `len` rows back; none where the file has none.
    pub fn read<S: Read + Seek>(
        reader: &mut Reader<'_, S>,
        space: &Space,
        len: usize,
    ) -> Result<Option<Self>> {
        let Some(head) = reader.section_if_present::<u64>("coding", 4)? else {
            return Ok(None);
        };
        let (trained, is_coded, values) = (head[0], head[1] == 1, head[2] as usize);
        if space.dim > MAX_DIM && is_coded || values > space.dim || head[1] > 1 {
            return Err(reader.damaged("its coding is impossible"));
        }
        let mut codes = None;
        if is_coded {
            let mean: Vec<f32> = reader.section("code mean", space.dim)?;
            let projection = match head[2] {
                UNPROJECTED => None,
                _ => {
                    let size = Projection::size(space.dim, values);
                    let matrix = reader.store("projection", size, Check::Now)?;
                    let scales = reader.section("projection step", values)?;
                    Some(Projection::from_parts(matrix, scales, space.dim))
                }
            };
            let steps = projection
                .iter()
                .flat_map(|projection| projection.parts().1);
            if mean.iter().chain(steps).any(|x| !x.is_finite()) {
                return Err(reader.damaged("its coding is impossible"));
            }
            let codec = Codec::new(mean, projection, space.metric);
            let data = reader.store("codes", codec.lines.saturating_mul(len), Check::Later)?;
            codes = Some(Codes::from_data(codec, space.metric, data));
        }
        Ok(Some(Self {
            codes,
            trained,
            unseen: head[3],
        }))
    }
}
