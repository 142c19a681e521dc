//! Which rows a search may return.

use std::ops::Range;

use crate::index::bitmap::Bitmap;

/// Row numbers in order: all of a range, or those listed.
#[derive(Clone, Copy)]
pub enum Numbers<'a> {
    Range(usize, usize),
    List(&'a [u32]),
}

impl<'a> Numbers<'a> {
    /// Those of `len` rows that are `allowed`, which `list` has room for.
    pub fn allowed(len: usize, allowed: Option<&Bitmap>, list: &'a mut Vec<u32>) -> Self {
        match allowed {
            Some(allowed) if allowed.count() < len || allowed.len() > len => {
                let rows = allowed.rows().take_while(|&row| row < len);
                list.extend(rows.map(|row| row as u32));
                Self::List(list)
            }
            _ => Self::Range(0, len),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Range(start, end) => end - start,
            Self::List(list) => list.len(),
        }
    }

    /// The rows at these places among them.
    pub fn part(&self, places: Range<usize>) -> Self {
        match self {
            Self::Range(start, _) => Self::Range(start + places.start, start + places.end),
            Self::List(list) => Self::List(&list[places]),
        }
    }

    #[inline(always)]
    pub fn at(&self, place: usize) -> usize {
        match self {
            Self::Range(start, _) => start + place,
            Self::List(list) => list[place] as usize,
        }
    }

    pub fn iter(self) -> impl Iterator<Item = usize> + Clone + 'a {
        (0..self.len()).map(move |place| self.at(place))
    }
}
