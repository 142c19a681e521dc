//! InfoNCE with explicit negatives (van den Oord et al. 2018): per anchor
//! `lse(s⁺, s₁..s_K) - s⁺` with `s = cos / τ`, and its forms for several positives.

mod score;
pub(super) mod table;

use super::contract::*;
use super::head::{Form, Head, Negatives, head};
use super::inputs::*;
use super::sweep::{Sweep, Targets};
use crate::error::{Error, Result};
use crate::linalg::unit::UnitRows;
use crate::matrix::Matrix;
use crate::metric::Row;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{self, maps};
use score::{Scored, Sums, finite, score, send};

/// Anchors a worker handles at a time.
const PIECE: usize = 16;

pub struct InfoNce {
    temperature: f64,
    form: Form,
}

/// The inputs after their shapes were compared.
struct Batch<'a, T> {
    anchors: Matrix<'a, T>,
    positives: Matrix<'a, T>,
    /// Positives of one anchor.
    width: usize,
    present: Present<'a>,
    negatives: NegativeRows<'a, T>,
}

/// Which positives take part. All anchors' positives are counted through.
#[derive(Clone, Copy)]
pub(super) enum Present<'a> {
    All,
    /// Those that are marked.
    Marked(&'a [bool]),
    /// Each in one of several losses, from 1 on, or in none, 0. The losses share the negatives and
    /// add up with these weights.
    Grouped(&'a [i64], &'a [f64]),
}

impl Present<'_> {
    fn has(&self, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::Marked(mask) => mask[place],
            Self::Grouped(groups, _) => groups[place] > 0,
        }
    }

    /// The number and weight of each loss.
    fn groups(&self) -> impl Iterator<Item = (i64, f64)> {
        let weights: &[f64] = match self {
            Self::Grouped(_, weights) => weights,
            _ => &[1.0],
        };
        (1..).zip(weights.iter().copied())
    }

    fn is_in(&self, group: i64, place: usize) -> bool {
        match self {
            Self::Grouped(groups, _) => groups[place] == group,
            _ => self.has(place),
        }
    }
}

enum NegativeRows<'a, T> {
    /// All anchors' rows, one anchor after the other, with so many for each.
    Own(Matrix<'a, T>, usize),
    Shared(Matrix<'a, T>),
}

impl<'a, T: Real> Batch<'a, T> {
    /// `present` is given the number of anchors and that of positives of each.
    fn new(
        inputs: &Inputs<'a, T>,
        present: impl FnOnce([usize; 2]) -> Result<Present<'a>>,
    ) -> Result<Self> {
        let anchors = inputs.floats("anchors")?;
        let positives = inputs.floats("positives")?;
        if anchors.cols() == 0 {
            return Err(Error::invalid("anchors", "needs at least one column"));
        }
        positives.check_count("positives", &anchors, "anchors")?;
        positives.check_cols("positives", &anchors, "anchors")?;
        let width = match positives.shape {
            [_, width, _] => *width,
            _ => 1,
        };
        let present = present([anchors.count(), width])?;
        let negatives = match inputs.optional_floats("negatives")? {
            None => NegativeRows::Own(Matrix::new(&[], 0, anchors.cols())?, 0),
            Some(negatives) => {
                negatives.check_cols("negatives", &anchors, "anchors")?;
                match negatives.shape {
                    [_, count, _] => {
                        negatives.check_count("negatives", &anchors, "anchors")?;
                        NegativeRows::Own(negatives.matrix()?, *count)
                    }
                    _ => NegativeRows::Shared(negatives.matrix()?),
                }
            }
        };
        Ok(Self {
            anchors: anchors.matrix()?,
            positives: positives.matrix()?,
            width,
            present,
            negatives,
        })
    }
}

/// The input `positive_mask` for positives of this shape.
fn marked<'a, T: Real>(inputs: &Inputs<'a, T>, shape: [usize; 2]) -> Result<Present<'a>> {
    match inputs.optional_mask("positive_mask")? {
        None => Ok(Present::All),
        Some(mask) if mask.shape == shape => Ok(Present::Marked(mask.data)),
        Some(mask) => Err(Error::invalid(
            "positive_mask",
            format!(
                "has shape {:?} but must have {:?}, one entry for each positive",
                Shape(mask.shape),
                Shape(&shape)
            ),
        )),
    }
}

impl Loss for InfoNce {
    const SPEC: &'static Spec = &Spec {
        name: "infonce",
        inputs: &[
            Input::required("anchors", Kind::Embeddings, &[2]),
            Input::required("positives", Kind::Embeddings, &[2, 3]),
            Input::optional("negatives", Kind::Embeddings, &[2, 3]),
            Input::optional("positive_mask", Kind::Mask, &[2]),
        ],
        by_number: ByNumber::Rows,
        options: &[
            Setting::new("temperature", Domain::Positive),
            Setting::new("positives", Domain::Choice(Form::NAMES)),
        ],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            temperature: options.real("temperature")?,
            form: Form::parse(options.text("positives")?),
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let anchors = inputs.floats("anchors").map_or(0, |array| array.count());
        match inputs.optional_floats("negatives") {
            Ok(Some(array)) if array.shape.len() == 2 => 3 * anchors * array.data.len(),
            _ => 4 * inputs.values(),
        }
    }

    fn evaluate<T: Real>(&self, call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let inputs = call.inputs;
        self.run(call, |shape| marked(inputs, shape), workers)
    }

    fn evaluate_rows<T: Real>(
        &self,
        call: &Lookup<'_, T>,
        out: Option<&mut [T]>,
        workers: &Workers<'_>,
    ) -> Result<Option<Outcome>> {
        table::evaluate(self, call, |shape| marked(call.inputs, shape), out, workers)
    }
}

impl InfoNce {
    pub(super) fn new(temperature: f64, form: Form) -> Self {
        Self { temperature, form }
    }

    /// The loss of the inputs `anchors`, `positives` and `negatives`; `present` is given the number
    /// of anchors and that of positives of each.
    pub(super) fn run<'a, T: Real>(
        &self,
        mut call: Call<'a, T>,
        present: impl FnOnce([usize; 2]) -> Result<Present<'a>>,
        workers: &Workers<'_>,
    ) -> Result<Outcome> {
        let batch = Batch::new(call.inputs, present)?;
        let places = |i| i * batch.width..(i + 1) * batch.width;
        let has_any = |&i: &usize| places(i).any(|place| batch.present.has(place));
        let active = (0..batch.anchors.rows()).filter(has_any).count();
        let mut pass = Pass {
            loss: self,
            items: vec![0.0; batch.anchors.rows()],
            weight: call.reduction.weight(active) / self.temperature,
            gradients: call.gradients.take().map(|mut gradients| Buffers {
                anchors: gradients.take("anchors"),
                positives: gradients.take("positives"),
                negatives: gradients.take("negatives"),
            }),
            batch: &batch,
        };
        match batch.negatives {
            NegativeRows::Own(rows, count) => pass.own(rows, count, workers)?,
            NegativeRows::Shared(rows) => pass.shared(rows, workers)?,
        }
        Ok(Outcome {
            values: Values::Items(pass.items),
            counted: active,
            active,
        })
    }
}

struct Buffers<'a, T> {
    anchors: &'a mut [T],
    positives: &'a mut [T],
    negatives: &'a mut [T],
}

impl<T> Buffers<'_, T> {
    /// Takes the first values of each buffer off.
    fn split(&mut self, anchors: usize, positives: usize, negatives: usize) -> Self {
        Self {
            anchors: self.anchors.split_off_mut(..anchors).unwrap_or_default(),
            positives: self
                .positives
                .split_off_mut(..positives)
                .unwrap_or_default(),
            negatives: self
                .negatives
                .split_off_mut(..negatives)
                .unwrap_or_default(),
        }
    }
}

struct Pass<'a, T> {
    loss: &'a InfoNce,
    batch: &'a Batch<'a, T>,
    items: Vec<f64>,
    /// What a derivative to a logit is multiplied by to become one to a cosine.
    weight: f64,
    gradients: Option<Buffers<'a, T>>,
}

impl<T: Real> Pass<'_, T> {
    /// Every anchor with negatives of its own: two passes over them while they are in cache.
    fn own(&mut self, negatives: Matrix<'_, T>, count: usize, workers: &Workers<'_>) -> Result<()> {
        struct Work<'w, T> {
            items: &'w mut [f64],
            gradients: Option<Buffers<'w, T>>,
        }
        let batch = self.batch;
        let (width, cols) = (batch.width, batch.anchors.cols());
        let mut gradients = self.gradients.as_mut();
        let mut pieces: Vec<_> = self
            .items
            .chunks_mut(PIECE)
            .map(|items| {
                let n = items.len() * cols;
                Work {
                    gradients: gradients
                        .as_mut()
                        .map(|buffers| buffers.split(n, n * width, n * count)),
                    items,
                }
            })
            .collect();
        let (loss, weight) = (self.loss, self.weight);
        workers.for_each_piece(&mut pieces, 1, |piece, work| {
            let (mut positive, mut negative) = (Vec::new(), Vec::new());
            let (mut logits, mut sums) = (Vec::new(), Sums::new());
            for work in work {
                for (offset, item) in work.items.iter_mut().enumerate() {
                    let i = piece * PIECE + offset;
                    let anchor = finite(Row::new(batch.anchors.row(i)))?;
                    let rows = batch.positives.slice(i * width, (i + 1) * width);
                    let rows = sums.of(&anchor, rows);
                    score(&anchor, rows, loss.temperature, &mut positive)?;
                    let rows = sums.of(&anchor, negatives.slice(i * count, (i + 1) * count));
                    score(&anchor, rows, loss.temperature, &mut negative)?;
                    let all = (&mut positive[..], &mut negative[..]);
                    *item = loss.derive(batch.present, i * width, all, weight, &mut logits);
                    if let Some(buffers) = &mut work.gradients {
                        let mut to = buffers.split(cols, cols * width, cols * count);
                        to.anchors.fill(T::zero());
                        let along = send(&anchor, &positive, to.anchors, &mut to.positives)
                            + send(&anchor, &negative, to.anchors, &mut to.negatives);
                        let table = simd::table::<T>();
                        table.axpy(T::of(-along), anchor.values, to.anchors);
                    }
                }
            }
            Ok(())
        })
    }

    /// One set of negatives for all anchors.
    fn shared(&mut self, negatives: Matrix<'_, T>, workers: &Workers<'_>) -> Result<()> {
        let batch = self.batch;
        let (width, cols) = (batch.width, batch.anchors.cols());
        let loss = self.loss;
        let scores = workers.map(batch.anchors.rows().div_ceil(PIECE), |piece| {
            let (mut all, mut scored, mut sums) = (Vec::new(), Vec::new(), Sums::new());
            for i in piece * PIECE..((piece + 1) * PIECE).min(batch.anchors.rows()) {
                let anchor = finite(Row::new(batch.anchors.row(i)))?;
                let rows = batch.positives.slice(i * width, (i + 1) * width);
                let rows = sums.of(&anchor, rows);
                score(&anchor, rows, loss.temperature, &mut scored)?;
                all.extend_from_slice(&scored);
            }
            Ok(all)
        })?;
        let mut scores = scores.concat();
        let queries = UnitRows::of(&[batch.anchors], workers)?;
        let keys = UnitRows::of(&[negatives], workers)?;
        if keys.all().norms.iter().any(|length| !length.is_finite()) {
            return Err(Error::invalid(
                "negatives",
                "has a row without a finite length",
            ));
        }
        let sweep = Sweep {
            queries: queries.all(),
            keys: keys.all(),
            temperature: loss.temperature,
            adjust: &|_, _, _| {},
        };
        let mut targets = self.gradients.as_ref().map(|_| {
            (
                sweep.zero_gradient(batch.anchors.rows()),
                sweep.zero_gradient(negatives.rows()),
            )
        });
        let (items, weight) = (&mut self.items, self.weight);
        let mut logits = Vec::new();
        let mut row = |i: usize, among: Negatives| {
            let scored = &mut scores[i * width..(i + 1) * width];
            let head = loss.lead(batch.present, i * width, scored, among, weight, &mut logits);
            items[i] = head.loss;
            head.spread * weight
        };
        let views = targets
            .as_mut()
            .map(|(queries, keys)| Targets { queries, keys });
        sweep.run(&mut row, views, workers)?;
        let (Some(buffers), Some((to_queries, to_keys))) = (&mut self.gradients, targets) else {
            return Ok(());
        };
        sweep
            .queries
            .pull_back(&to_queries, 0, buffers.anchors, workers)?;
        sweep
            .keys
            .pull_back(&to_keys, 0, buffers.negatives, workers)?;
        let positives = buffers.positives.chunks_mut((PIECE * width * cols).max(1));
        let mut pieces: Vec<_> = buffers
            .anchors
            .chunks_mut(PIECE * cols)
            .zip(positives)
            .collect();
        workers.for_each_piece(&mut pieces, 1, |piece, work| {
            for (to_anchors, to_positives) in work {
                let mut rest: &mut [T] = to_positives;
                for (offset, to_anchor) in to_anchors.chunks_exact_mut(cols).enumerate() {
                    let i = piece * PIECE + offset;
                    let anchor = Row::new(batch.anchors.row(i));
                    let scored = &scores[i * width..(i + 1) * width];
                    let along = send(&anchor, scored, to_anchor, &mut rest);
                    simd::table::<T>().axpy(T::of(-along), anchor.values, to_anchor);
                }
            }
            Ok(())
        })
    }
}

impl InfoNce {
    /// The loss of an anchor with its positives and negatives, whose logits are replaced by `weight`
    /// times the loss's derivatives to them; its positives begin at `place`.
    fn derive<T: Real>(
        &self,
        present: Present<'_>,
        place: usize,
        (positive, negative): (&mut [Scored<'_, T>], &mut [Scored<'_, T>]),
        weight: f64,
        logits: &mut Vec<f64>,
    ) -> f64 {
        logits.clear();
        logits.extend(negative.iter().map(|scored| scored.value));
        let max = maps::max(logits);
        let sum = maps::exp_sum(max, logits);
        for (scored, exponential) in negative.iter_mut().zip(logits.iter()) {
            scored.value = *exponential;
        }
        let among = Negatives { max, sum };
        let head = self.lead(present, place, positive, among, weight, logits);
        for scored in negative {
            scored.value *= head.spread * weight;
        }
        head.loss
    }

    /// As [`Self::derive`] where the negatives are known by their exponentials.
    fn lead<T: Real>(
        &self,
        present: Present<'_>,
        place: usize,
        positive: &mut [Scored<'_, T>],
        among: Negatives,
        weight: f64,
        logits: &mut Vec<f64>,
    ) -> Head {
        let mut whole = Head::default();
        for (group, share) in present.groups() {
            let is_in = |p: usize| present.is_in(group, place + p);
            logits.clear();
            let pairs = positive.iter().enumerate();
            logits.extend(pairs.filter(|(p, _)| is_in(*p)).map(|(_, s)| s.value));
            let head = head(self.form, logits, among);
            whole.loss += share * head.loss;
            whole.spread += share * head.spread;
            let members = positive.iter_mut().enumerate().filter(|(p, _)| is_in(*p));
            for ((_, scored), derivative) in members.zip(logits.iter()) {
                scored.value = derivative * share * weight;
            }
        }
        let absent = positive.iter_mut().enumerate();
        for (_, scored) in absent.filter(|(p, _)| !present.has(place + p)) {
            scored.value = 0.0;
        }
        whole
    }
}
