//! The arrays a loss reads and the buffers it writes.

use super::contract::{ByNumber, Kind, Spec};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::real::Real;

/// A row-major array of any number of dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a, V> {
    pub data: &'a [V],
    pub shape: &'a [usize],
}

impl<'a, V> Array<'a, V> {
    /// Entries of the first axis.
    pub fn count(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The last axis's length; 0 for a scalar.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(0)
    }

    /// All axes but the last as rows.
    pub fn matrix(&self) -> Result<Matrix<'a, V>> {
        let rows = self.shape[..self.shape.len().saturating_sub(1)]
            .iter()
            .product();
        Matrix::new(self.data, rows, self.cols())
    }

    /// Fails unless the array has as many entries on its first axis as `other`, called `name`.
    pub fn check_count<W>(
        &self,
        argument: &'static str,
        other: &Array<'_, W>,
        name: &str,
    ) -> Result<()> {
        if self.count() == other.count() {
            return Ok(());
        }
        Err(Error::invalid(
            argument,
            format!(
                "has shape {:?} but {name} has shape {:?}; the first axes must be equally long",
                Shape(self.shape),
                Shape(other.shape)
            ),
        ))
    }

    /// Fails unless the last axis is as long as that of `other`, called `name`.
    pub fn check_cols<W>(
        &self,
        argument: &'static str,
        other: &Array<'_, W>,
        name: &str,
    ) -> Result<()> {
        if self.cols() == other.cols() {
            return Ok(());
        }
        Err(Error::invalid(
            argument,
            format!(
                "has shape {:?} but {name} has shape {:?}; the last axes must be equally long",
                Shape(self.shape),
                Shape(other.shape)
            ),
        ))
    }
}

/// A shape that prints as Python prints it.
pub struct Shape<'a>(pub &'a [usize]);

impl std::fmt::Debug for Shape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [one] => write!(f, "({one},)"),
            all => {
                let parts: Vec<_> = all.iter().map(usize::to_string).collect();
                write!(f, "({})", parts.join(", "))
            }
        }
    }
}

/// One input as it came.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a, T> {
    Absent,
    Floats(Array<'a, T>),
    Indices(Array<'a, i64>),
    Columns(Array<'a, i32>),
    Mask(Array<'a, bool>),
}

/// The inputs of one call, checked against the loss's [`Spec`] for kind and rank.
pub struct Inputs<'a, T> {
    spec: &'static Spec,
    arguments: &'a [Argument<'a, T>],
    /// Where row numbers stand for embeddings.
    table: Option<Array<'a, T>>,
}

impl<'a, T: Real> Inputs<'a, T> {
    pub fn new(spec: &'static Spec, arguments: &'a [Argument<'a, T>]) -> Result<Self> {
        Self::check(spec, arguments, None)
    }

    /// Inputs whose embeddings are rows of `table`, given by their numbers.
    pub fn of_rows(
        spec: &'static Spec,
        arguments: &'a [Argument<'a, T>],
        table: Array<'a, T>,
    ) -> Result<Self> {
        Self::check(spec, arguments, Some(table))
    }

    fn check(
        spec: &'static Spec,
        arguments: &'a [Argument<'a, T>],
        table: Option<Array<'a, T>>,
    ) -> Result<Self> {
        if arguments.len() != spec.inputs.len() {
            return Err(Error::invalid(
                "inputs",
                format!(
                    "holds {} arrays but {} takes {}",
                    arguments.len(),
                    spec.name,
                    spec.inputs.len()
                ),
            ));
        }
        if table.is_some() && spec.by_number != ByNumber::Rows {
            return Err(Error::invalid(
                "embeddings",
                format!("cannot be a table of rows by number for {}", spec.name),
            ));
        }
        for (input, argument) in spec.inputs.iter().zip(arguments) {
            let by_number = table.is_some() && input.kind == Kind::Embeddings;
            let name = if by_number {
                spec.number_name(input)
            } else {
                input.name
            };
            let shape = match (input.kind, argument) {
                (_, Argument::Absent) if input.optional => continue,
                (_, Argument::Indices(array)) if by_number => array.shape,
                _ if by_number => {
                    return Err(Error::invalid(name, "must be an array of row numbers"));
                }
                (Kind::Embeddings | Kind::Parameters | Kind::Floats, Argument::Floats(array)) => {
                    array.shape
                }
                (Kind::Indices, Argument::Indices(array)) => array.shape,
                (Kind::Columns, Argument::Columns(array)) => array.shape,
                (Kind::Mask, Argument::Mask(array)) => array.shape,
                _ => {
                    return Err(Error::invalid(
                        input.name,
                        format!("must be an array of {}", input.kind.name()),
                    ));
                }
            };
            let ranks = input.ranks.iter().map(|rank| rank - usize::from(by_number));
            if !ranks.clone().any(|rank| rank == shape.len()) {
                let ranks: Vec<_> = ranks.map(|rank| rank.to_string()).collect();
                return Err(Error::invalid(
                    name,
                    format!(
                        "has shape {:?} but must have {} dimension(s)",
                        Shape(shape),
                        ranks.join(" or ")
                    ),
                ));
            }
        }
        Ok(Self {
            spec,
            arguments,
            table,
        })
    }

    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    pub fn arguments(&self) -> &'a [Argument<'a, T>] {
        self.arguments
    }

    /// The table whose rows stand for embeddings.
    pub fn table(&self) -> Option<Array<'a, T>> {
        self.table
    }

    fn get(&self, name: &'static str) -> Result<&'a Argument<'a, T>> {
        self.spec
            .inputs
            .iter()
            .position(|input| input.name == name)
            .map(|at| &self.arguments[at])
            .ok_or_else(|| Error::invalid(name, "is not an input of this loss"))
    }

    /// An input that may be absent.
    pub fn optional_floats(&self, name: &'static str) -> Result<Option<Array<'a, T>>> {
        match self.get(name)? {
            Argument::Floats(array) => Ok(Some(*array)),
            Argument::Absent => Ok(None),
            _ => Err(Error::invalid(name, "must be floats")),
        }
    }

    pub fn floats(&self, name: &'static str) -> Result<Array<'a, T>> {
        self.optional_floats(name)?
            .ok_or_else(|| Error::invalid(name, "is missing"))
    }

    /// An input of at least one column, as rows.
    pub fn rows(&self, name: &'static str) -> Result<Matrix<'a, T>> {
        let array = self.floats(name)?;
        if array.cols() == 0 {
            return Err(Error::invalid(name, "needs at least one column"));
        }
        array.matrix()
    }

    /// An input that may be absent.
    pub fn optional_indices(&self, name: &'static str) -> Result<Option<Array<'a, i64>>> {
        match self.get(name)? {
            Argument::Indices(array) => Ok(Some(*array)),
            Argument::Absent => Ok(None),
            _ => Err(Error::invalid(name, "must be integers")),
        }
    }

    pub fn indices(&self, name: &'static str) -> Result<Array<'a, i64>> {
        self.optional_indices(name)?
            .ok_or_else(|| Error::invalid(name, "is missing"))
    }

    pub fn columns(&self, name: &'static str) -> Result<Array<'a, i32>> {
        match self.get(name)? {
            Argument::Columns(array) => Ok(*array),
            Argument::Absent => Err(Error::invalid(name, "is missing")),
            _ => Err(Error::invalid(name, "must be columns")),
        }
    }

    /// An input that may be absent.
    pub fn optional_mask(&self, name: &'static str) -> Result<Option<Array<'a, bool>>> {
        match self.get(name)? {
            Argument::Mask(array) => Ok(Some(*array)),
            Argument::Absent => Ok(None),
            _ => Err(Error::invalid(name, "must be booleans")),
        }
    }

    /// All values of all arrays: the work of a loss that looks at each a few times.
    pub fn values(&self) -> usize {
        self.arguments
            .iter()
            .map(|argument| match argument {
                Argument::Absent => 0,
                Argument::Floats(array) => array.data.len(),
                Argument::Indices(array) => array.data.len(),
                Argument::Columns(array) => array.data.len(),
                Argument::Mask(array) => array.data.len(),
            })
            .sum()
    }

    /// Returns a total that every NaN and infinity in an input reaches: fails where one did, and
    /// lets sums of large finite values overflow.
    pub fn finite_or(&self, total: f64) -> Result<f64> {
        if !total.is_finite() {
            self.check_finite()?;
        }
        Ok(total)
    }

    /// Fails with the first input and row that hold a NaN or an infinity.
    pub fn check_finite(&self) -> Result<()> {
        for (input, argument) in self.spec.inputs.iter().zip(self.arguments) {
            if let Argument::Floats(array) = argument {
                let per_row = array.shape.iter().skip(1).product();
                Matrix::new(array.data, array.count(), per_row)?.check_finite(input.name)?;
            }
        }
        Ok(())
    }
}

/// Where the gradients go: one buffer an input that [`Kind::has_gradient`], as long as the input,
/// empty where the input is absent. With a table one called `embeddings`, as long as that, comes
/// first and stands for all embeddings. What they hold before is overwritten.
pub struct Gradients<'a, T> {
    buffers: Vec<(&'static str, &'a mut [T])>,
}

impl<'a, T: Real> Gradients<'a, T> {
    pub fn new(inputs: &Inputs<'_, T>, buffers: Vec<&'a mut [T]>) -> Result<Self> {
        let table = inputs.table.map(|table| ("embeddings", table.data.len()));
        let of_table = |kind: Kind| table.is_some() && kind == Kind::Embeddings;
        let pairs = inputs.spec.inputs.iter().zip(inputs.arguments);
        let own = pairs
            .filter(|(input, _)| input.kind.has_gradient() && !of_table(input.kind))
            .map(|(input, argument)| match argument {
                Argument::Floats(array) => (input.name, array.data.len()),
                _ => (input.name, 0),
            });
        let wanted: Vec<_> = table.into_iter().chain(own).collect();
        let lengths = wanted.iter().map(|(_, length)| *length);
        if !lengths.eq(buffers.iter().map(|buffer| buffer.len())) {
            return Err(Error::invalid(
                "out",
                "must hold one buffer for each input with a gradient, of the input's shape",
            ));
        }
        let names = wanted.into_iter().map(|(name, _)| name);
        Ok(Self {
            buffers: names.zip(buffers).collect(),
        })
    }

    /// The buffer of input `name`; empty when taken before.
    pub fn take(&mut self, name: &'static str) -> &'a mut [T] {
        self.buffers
            .iter_mut()
            .find(|(known, _)| *known == name)
            .map(|(_, buffer)| std::mem::take(buffer))
            .unwrap_or_default()
    }
}
