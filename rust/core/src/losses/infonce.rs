//! InfoNCE with explicit negatives (van den Oord et al. 2018): per anchor
//! `lse(s⁺, s₁..s_K) - s⁺` with `s = cos / τ`, and its forms for several positives.

mod score;
mod table;

use super::contract::*;
use super::head::{Form, Negatives, head};
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
    present: Present<'a>,
    negatives: NegativeRows<'a, T>,
}

/// Which positives take part.
#[derive(Clone, Copy)]
struct Present<'a> {
    /// Positives of one anchor.
    width: usize,
    mask: Option<&'a [bool]>,
}

impl Present<'_> {
    fn has(&self, anchor: usize, positive: usize) -> bool {
        self.mask
            .is_none_or(|mask| mask[anchor * self.width + positive])
    }

    /// How many of `anchors` anchors have at least one positive.
    fn active(&self, anchors: usize) -> usize {
        let any = |i: &usize| (0..self.width).any(|p| self.has(*i, p));
        (0..anchors).filter(any).count()
    }
}

enum NegativeRows<'a, T> {
    /// All anchors' rows, one anchor after the other, with so many for each.
    Own(Matrix<'a, T>, usize),
    Shared(Matrix<'a, T>),
}

impl<'a, T: Real> Batch<'a, T> {
    fn new(inputs: &Inputs<'a, T>) -> Result<Self> {
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
        let mask = inputs.optional_mask("positive_mask")?;
        if let Some(mask) = mask
            && mask.shape != [anchors.count(), width]
        {
            return Err(Error::invalid(
                "positive_mask",
                format!(
                    "has shape {:?} but must have {:?}, one entry for each positive",
                    Shape(mask.shape),
                    Shape(&[anchors.count(), width])
                ),
            ));
        }
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
            present: Present {
                width,
                mask: mask.map(|mask| mask.data),
            },
            negatives,
        })
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

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let batch = Batch::new(call.inputs)?;
        let active = batch.present.active(batch.anchors.rows());
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

    fn evaluate_rows<T: Real>(
        &self,
        call: &Lookup<'_, T>,
        out: Option<&mut [T]>,
        workers: &Workers<'_>,
    ) -> Result<Option<Outcome>> {
        table::evaluate(self, call, out, workers)
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
        let (batch, width, cols) = (
            self.batch,
            self.batch.present.width,
            self.batch.anchors.cols(),
        );
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
                    *item = loss.derive(&batch.present, i, all, weight, &mut logits);
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
        let (batch, width, cols) = (
            self.batch,
            self.batch.present.width,
            self.batch.anchors.cols(),
        );
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
            exclude: &|_, _, _| {},
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
            logits.clear();
            logits.extend(batch.present.of(i, scored).map(|scored| scored.value));
            let head = head(loss.form, &mut logits, among);
            items[i] = head.loss;
            batch.present.spread(i, scored, &logits, weight);
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
    /// The loss of anchor `i` with its positives and negatives, whose logits are replaced by
    /// `weight` times the loss's derivatives to them.
    fn derive<T: Real>(
        &self,
        present: &Present<'_>,
        i: usize,
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
        logits.clear();
        logits.extend(present.of(i, positive).map(|scored| scored.value));
        let head = head(self.form, logits, Negatives { max, sum });
        present.spread(i, positive, logits, weight);
        for scored in negative {
            scored.value *= head.spread * weight;
        }
        head.loss
    }
}

impl Present<'_> {
    /// Those of `anchor`'s positives that take part.
    fn of<'s, 'a, T: Real>(
        &'s self,
        anchor: usize,
        scored: &'s [Scored<'a, T>],
    ) -> impl Iterator<Item = &'s Scored<'a, T>> {
        let pairs = scored.iter().enumerate();
        let pairs = pairs.filter(move |(p, _)| self.has(anchor, *p));
        pairs.map(|(_, scored)| scored)
    }

    /// Puts `weight` times the derivatives in their places, 0 where a positive is masked.
    fn spread<T: Real>(
        &self,
        anchor: usize,
        scored: &mut [Scored<'_, T>],
        derivatives: &[f64],
        weight: f64,
    ) {
        let mut derivatives = derivatives.iter();
        for (p, scored) in scored.iter_mut().enumerate() {
            scored.value = if self.has(anchor, p) {
                derivatives.next().copied().unwrap_or_default() * weight
            } else {
                0.0
            };
        }
    }
}
