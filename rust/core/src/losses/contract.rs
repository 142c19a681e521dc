//! What every loss declares, receives and returns.

use super::inputs::{Gradients, Inputs};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Workers;
use crate::real::Real;

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Floats that get a gradient.
    Embeddings,
    /// Floats that get a gradient and are never rows of a table, such as a weight matrix.
    Parameters,
    /// Floats that get none.
    Floats,
    /// `i64`.
    Indices,
    /// `i32`, the columns of a sparse matrix.
    Columns,
    Mask,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Parameters => "parameters",
            Self::Floats => "floats",
            Self::Indices => "indices",
            Self::Columns => "columns",
            Self::Mask => "mask",
        }
    }

    pub fn has_gradient(self) -> bool {
        matches!(self, Self::Embeddings | Self::Parameters)
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

/// How a loss takes one table of embeddings and numbers of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByNumber {
    /// Row numbers may stand wherever embeddings do.
    Rows,
    /// Its embeddings are such a table, whose rows other inputs name.
    Table,
    /// Not at all, for this reason.
    Never(&'static str),
}

impl ByNumber {
    /// The form's name, or why there is none.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Table => "table",
            Self::Never(reason) => reason,
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
    pub by_number: ByNumber,
    pub options: &'static [Setting],
    pub reductions: &'static [Reduction],
}

impl Spec {
    /// What messages call the row numbers in the place of `input`: a loss of one embedding input
    /// calls them rows.
    pub fn number_name(&self, input: &Input) -> &'static str {
        let embeddings = self.inputs.iter().filter(|i| i.kind == Kind::Embeddings);
        if embeddings.count() == 1 {
            "rows"
        } else {
            input.name
        }
    }
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

/// Everything one evaluation receives.
pub struct Call<'a, T> {
    pub inputs: &'a Inputs<'a, T>,
    /// Absent when only the value is wanted; the value is the same bit for bit.
    pub gradients: Option<Gradients<'a, T>>,
    pub reduction: Reduction,
}

/// An evaluation on rows of one table.
pub struct Lookup<'a, T> {
    pub inputs: &'a Inputs<'a, T>,
    pub table: Matrix<'a, T>,
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

    /// As [`Self::evaluate`] with the table's rows read where they lie and its gradient written to
    /// `out`; nothing where the loss has no such form, so that rows are copied for it. Row numbers
    /// were checked. A failure is told by what the copies say.
    fn evaluate_rows<T: Real>(
        &self,
        _call: &Lookup<'_, T>,
        _out: Option<&mut [T]>,
        _workers: &Workers<'_>,
    ) -> Result<Option<Outcome>> {
        Ok(None)
    }
}
