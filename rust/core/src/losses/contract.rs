//! What every loss declares, receives and returns.

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Floats that get a gradient.
    Embeddings,
    /// Floats that get none.
    Floats,
    /// `i64`.
    Indices,
    Mask,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Floats => "floats",
            Self::Indices => "indices",
            Self::Mask => "mask",
        }
    }
}

/// One input of a loss.
#[derive(Debug)]
pub struct Input {
    pub name: &'static str,
    pub kind: Kind,
    /// Allowed numbers of dimensions.
    pub ranks: &'static [usize],
    pub optional: bool,
}

impl Input {
    pub const fn required(name: &'static str, kind: Kind, ranks: &'static [usize]) -> Self {
        Self {
            name,
            kind,
            ranks,
            optional: false,
        }
    }

    pub const fn optional(name: &'static str, kind: Kind, ranks: &'static [usize]) -> Self {
        Self {
            name,
            kind,
            ranks,
            optional: true,
        }
    }
}

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// Finite and greater than 0.
    Positive,
    /// Finite and at least 0.
    NonNegative,
    Finite,
    /// An integer of at least the given number.
    Integer(i64),
    Flag,
    Choice(&'static [&'static str]),
}

/// One option of a loss.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub domain: Domain,
}

impl Setting {
    pub const fn new(name: &'static str, domain: Domain) -> Self {
        Self { name, domain }
    }
}

/// What a loss looks like from outside.
#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub inputs: &'static [Input],
    pub options: &'static [Setting],
    pub reductions: &'static [Reduction],
}

/// How the values of the items become the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Mean,
    Sum,
    /// One value an item; the gradient is that of their sum.
    None,
}

impl Reduction {
    pub const ALL: &'static [Self] = &[Self::Mean, Self::Sum, Self::None];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::None => "none",
        }
    }

    /// What one item's gradient is multiplied by if a mean divides by `counted`.
    pub fn weight(self, counted: usize) -> f64 {
        match self {
            Self::Mean => 1.0 / counted.max(1) as f64,
            Self::Sum | Self::None => 1.0,
        }
    }
}

/// A value of an option.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    Real(f64),
    Integer(i64),
    Flag(bool),
    Text(String),
}

/// The options of one call, checked against the loss's [`Spec`].
pub struct Options<'a> {
    values: Vec<(&'static str, &'a OptionValue)>,
}

impl<'a> Options<'a> {
    /// Every option of `spec` must be given, nothing else, each within its domain.
    pub fn new(spec: &'static Spec, given: &'a [(String, OptionValue)]) -> Result<Self> {
        if let Some((name, _)) = given
            .iter()
            .find(|(name, _)| spec.options.iter().all(|option| option.name != name))
        {
            return Err(Error::invalid(
                "options",
                format!("names {name:?}, which {} does not have", spec.name),
            ));
        }
        let mut values = Vec::with_capacity(spec.options.len());
        for option in spec.options {
            let (_, value) = given
                .iter()
                .find(|(name, _)| name == option.name)
                .ok_or_else(|| Error::invalid(option.name, "is missing"))?;
            if !fits(option.domain, value) {
                return Err(Error::invalid(
                    option.name,
                    format!("is {value:?} but must be {:?}", option.domain),
                ));
            }
            values.push((option.name, value));
        }
        Ok(Self { values })
    }

    fn get(&self, name: &'static str) -> Result<&'a OptionValue> {
        self.values
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
            .ok_or_else(|| Error::invalid(name, "is not an option of this loss"))
    }

    pub fn real(&self, name: &'static str) -> Result<f64> {
        match self.get(name)? {
            OptionValue::Real(value) => Ok(*value),
            other => Err(Error::invalid(
                name,
                format!("is {other:?} but must be a number"),
            )),
        }
    }

    pub fn integer(&self, name: &'static str) -> Result<i64> {
        match self.get(name)? {
            OptionValue::Integer(value) => Ok(*value),
            other => Err(Error::invalid(
                name,
                format!("is {other:?} but must be an integer"),
            )),
        }
    }

    pub fn flag(&self, name: &'static str) -> Result<bool> {
        match self.get(name)? {
            OptionValue::Flag(value) => Ok(*value),
            other => Err(Error::invalid(
                name,
                format!("is {other:?} but must be a bool"),
            )),
        }
    }

    pub fn text(&self, name: &'static str) -> Result<&'a str> {
        match self.get(name)? {
            OptionValue::Text(value) => Ok(value),
            other => Err(Error::invalid(
                name,
                format!("is {other:?} but must be a string"),
            )),
        }
    }
}

fn fits(domain: Domain, value: &OptionValue) -> bool {
    match (domain, value) {
        (Domain::Positive, OptionValue::Real(x)) => x.is_finite() && *x > 0.0,
        (Domain::NonNegative, OptionValue::Real(x)) => x.is_finite() && *x >= 0.0,
        (Domain::Finite, OptionValue::Real(x)) => x.is_finite(),
        (Domain::Integer(low), OptionValue::Integer(x)) => *x >= low,
        (Domain::Flag, OptionValue::Flag(_)) => true,
        (Domain::Choice(choices), OptionValue::Text(x)) => choices.contains(&x.as_str()),
        _ => false,
    }
}

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
    Mask(Array<'a, bool>),
}

/// The inputs of one call, checked against the loss's [`Spec`] for kind and rank.
pub struct Inputs<'a, T> {
    spec: &'static Spec,
    arguments: &'a [Argument<'a, T>],
}

impl<'a, T: Real> Inputs<'a, T> {
    pub fn new(spec: &'static Spec, arguments: &'a [Argument<'a, T>]) -> Result<Self> {
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
        for (input, argument) in spec.inputs.iter().zip(arguments) {
            let shape = match (input.kind, argument) {
                (_, Argument::Absent) if input.optional => continue,
                (Kind::Embeddings | Kind::Floats, Argument::Floats(array)) => array.shape,
                (Kind::Indices, Argument::Indices(array)) => array.shape,
                (Kind::Mask, Argument::Mask(array)) => array.shape,
                _ => {
                    return Err(Error::invalid(
                        input.name,
                        format!("must be an array of {}", input.kind.name()),
                    ));
                }
            };
            if !input.ranks.contains(&shape.len()) {
                let ranks: Vec<_> = input.ranks.iter().map(usize::to_string).collect();
                return Err(Error::invalid(
                    input.name,
                    format!(
                        "has shape {:?} but must have {} dimension(s)",
                        Shape(shape),
                        ranks.join(" or ")
                    ),
                ));
            }
        }
        Ok(Self { spec, arguments })
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
                Argument::Mask(array) => array.data.len(),
            })
            .sum()
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

/// Where the gradients go: one buffer an [`Kind::Embeddings`] input, as long as the input, empty
/// where the input is absent. What they hold before is overwritten.
pub struct Gradients<'a, T> {
    buffers: Vec<(&'static str, &'a mut [T])>,
}

impl<'a, T: Real> Gradients<'a, T> {
    pub fn new(inputs: &Inputs<'_, T>, buffers: Vec<&'a mut [T]>) -> Result<Self> {
        let wanted: Vec<_> = inputs
            .spec
            .inputs
            .iter()
            .zip(inputs.arguments)
            .filter(|(input, _)| input.kind == Kind::Embeddings)
            .map(|(input, argument)| match argument {
                Argument::Floats(array) => (input.name, array.data.len()),
                _ => (input.name, 0),
            })
            .collect();
        let lengths = wanted.iter().map(|(_, length)| *length);
        if !lengths.eq(buffers.iter().map(|buffer| buffer.len())) {
            return Err(Error::invalid(
                "out",
                "must hold one buffer for each embedding input, of the input's shape",
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

/// Everything one evaluation receives.
pub struct Call<'a, T> {
    pub inputs: &'a Inputs<'a, T>,
    /// Absent when only the value is wanted; the value is the same bit for bit.
    pub gradients: Option<Gradients<'a, T>>,
    pub reduction: Reduction,
}

/// What one evaluation returns besides the gradients.
pub struct Outcome {
    pub values: Values,
    /// What a mean divides by.
    pub counted: usize,
    /// Items that contributed, as the loss defines it.
    pub active: usize,
}

/// The unreduced loss.
pub enum Values {
    /// One value an item.
    Items(Vec<f64>),
    /// The sum over items too many to list; such a loss does not offer [`Reduction::None`].
    Total(f64),
}

/// A loss. The registry turns an implementation into what the bindings call.
pub trait Loss: Sized + Sync {
    const SPEC: &'static Spec;

    /// Whether every NaN and infinity in an input makes `evaluate` fail, so that the inputs need
    /// no look of their own. Whatever it fails with, the caller is told argument and row.
    const FINDS_NAN: bool = false;

    /// Reads options that are already known to fit [`Self::SPEC`].
    fn parse(options: &Options<'_>) -> Result<Self>;

    /// A rough count of multiplications, by which threads are chosen.
    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        inputs.values()
    }

    /// The unreduced loss, and the gradients of the reduced one where wanted: each item's
    /// gradient times [`Reduction::weight`].
    fn evaluate<T: Real>(&self, call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome>;
}
