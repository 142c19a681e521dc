//! In-batch InfoNCE: the other rows of a batch are the negatives.
//!
//! One-way (van den Oord et al. 2018), symmetric (CLIP, Radford et al. 2021) and NT-Xent
//! (SimCLR, Chen et al. 2020), in memory linear in the batch.

use std::ops::Range;

use super::contract::*;
use super::false_negatives::{Pairs, Same, take_out};
use super::head::{Form, Negatives, head};
use super::inputs::{Array, Inputs};
use super::sweep::{Adjust, Sweep, Targets};
use crate::error::{Error, Result};
use crate::linalg::unit::{UnitGradient, UnitRows, Units};
use crate::matrix::Matrix;
use crate::metric::Row;
use crate::pool::Workers;
use crate::real::Real;
use crate::simd;

/// Pairs a worker handles at a time.
const PIECE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    OneWay,
    Symmetric,
    NtXent,
}

pub struct InBatch {
    temperature: f64,
    mode: Mode,
}

impl Loss for InBatch {
    const SPEC: &'static Spec = &Spec {
        name: "inbatch_infonce",
        inputs: &[
            Input::required("anchors", Kind::Embeddings, &[2]),
            Input::required("positives", Kind::Embeddings, &[2]),
            Input::optional("negatives", Kind::Embeddings, &[2]),
            Input::optional("ids", Kind::Indices, &[1]),
            Input::optional("exclude_indptr", Kind::Indices, &[1]),
            Input::optional("exclude_indices", Kind::Indices, &[1]),
            Input::optional("sampling_probabilities", Kind::Floats, &[1]),
        ],
        by_number: ByNumber::Rows,
        options: &[
            Setting::new("temperature", Domain::Positive),
            Setting::new("mode", Domain::Choice(&["symmetric", "oneway", "ntxent"])),
        ],
        reductions: Reduction::ALL,
    };

    const FINDS_NAN: bool = true;

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            temperature: options.real("temperature")?,
            mode: match options.text("mode")? {
                "oneway" => Mode::OneWay,
                "ntxent" => Mode::NtXent,
                _ => Mode::Symmetric,
            },
        })
    }

    fn work<T: Real>(inputs: &Inputs<'_, T>) -> usize {
        let rows = inputs.floats("anchors").map_or(0, |array| array.count());
        inputs.values().saturating_mul(3 * rows)
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let anchors = call.inputs.floats("anchors")?;
        let positives = call.inputs.floats("positives")?;
        if anchors.cols() == 0 {
            return Err(Error::invalid("anchors", "needs at least one column"));
        }
        positives.check_count("positives", &anchors, "anchors")?;
        positives.check_cols("positives", &anchors, "anchors")?;
        let extra = call.inputs.optional_floats("negatives")?;
        if let Some(extra) = extra {
            extra.check_cols("negatives", &anchors, "anchors")?;
        }
        let ids = call.inputs.optional_indices("ids")?;
        if let Some(ids) = ids {
            ids.check_count("ids", &anchors, "anchors")?;
        }
        let count = anchors.count();
        let probabilities = call.inputs.optional_floats("sampling_probabilities")?;
        let batch = Batch {
            anchors: anchors.matrix()?,
            positives: positives.matrix()?,
            extra: match extra {
                Some(extra) => extra.matrix()?,
                None => Matrix::new(&[], 0, anchors.cols())?,
            },
            same: Same::new(count, ids.map(|ids| ids.data)),
            pairs: Pairs::new(
                count,
                call.inputs.optional_indices("exclude_indptr")?,
                call.inputs.optional_indices("exclude_indices")?,
            )?,
            chances: probabilities
                .map(|given| {
                    self.log_chances(given, count + extra.map_or(0, |extra| extra.count()))
                })
                .transpose()?,
        };
        let buffers = call.gradients.take().map(|mut gradients| Buffers {
            anchors: gradients.take("anchors"),
            positives: gradients.take("positives"),
            extra: gradients.take("negatives"),
        });
        let cosines = batch.cosines(workers)?;
        let chance = |i: usize| batch.chances.as_ref().map_or(0.0, |all| all[i].wide());
        let mut pass = Pass {
            loss: self,
            logits: (0..count)
                .map(|i| cosines[i] / self.temperature - chance(i))
                .collect(),
            cosines,
            items: vec![0.0; count],
            pulls: vec![0.0; count],
            weight: call.reduction.weight(count) / self.temperature,
        };
        match self.mode {
            Mode::NtXent => pass.stacked(&batch, buffers, workers)?,
            Mode::OneWay | Mode::Symmetric => pass.paired(&batch, buffers, workers)?,
        }
        Ok(Outcome {
            values: Values::Items(pass.items),
            counted: count,
            active: count,
        })
    }
}

impl InBatch {
    /// Logarithms of the probabilities with which positives and extra negatives were drawn.
    fn log_chances<T: Real>(&self, given: Array<'_, T>, wanted: usize) -> Result<Vec<T>> {
        let name = "sampling_probabilities";
        if self.mode != Mode::OneWay {
            return Err(Error::invalid(
                name,
                "correct one direction alone; use them with mode 'oneway'",
            ));
        }
        if given.data.len() != wanted {
            return Err(Error::invalid(
                name,
                format!(
                    "has {} entries but there are {wanted} positives and negatives",
                    given.data.len()
                ),
            ));
        }
        if let Some(at) = given
            .data
            .iter()
            .position(|p| !(p.wide() > 0.0 && p.is_finite()))
        {
            return Err(Error::invalid(
                name,
                format!(
                    "holds {} at {at} but must be finite and above 0",
                    given.data[at].wide()
                ),
            ));
        }
        Ok(given.data.iter().map(|p| p.ln()).collect())
    }
}

struct Batch<'a, T> {
    anchors: Matrix<'a, T>,
    positives: Matrix<'a, T>,
    extra: Matrix<'a, T>,
    same: Same,
    pairs: Pairs,
    /// Logarithms of the chances of positives and extra negatives.
    chances: Option<Vec<T>>,
}

impl<T: Real> Batch<'_, T> {
    /// Takes what is no negative from anchor `i`'s logits for the positives.
    fn exclude_positives(&self, i: usize, first: usize, keys: &Range<usize>, row: &mut [T]) {
        self.same.exclude(i, first, keys, row);
        take_out(self.pairs.of_anchor.row(i), first, keys, row);
    }

    /// Subtracts the logarithms of their chances from logits for the positives and what follows.
    fn correct(&self, keys: &Range<usize>, row: &mut [T]) {
        if let Some(chances) = &self.chances {
            for (logit, &chance) in row.iter_mut().zip(&chances[keys.clone()]) {
                *logit -= chance;
            }
        }
    }

    /// Takes what is no negative from positive `j`'s logits for the anchors.
    fn exclude_anchors(&self, j: usize, first: usize, keys: &Range<usize>, row: &mut [T]) {
        self.same.exclude(j, first, keys, row);
        take_out(self.pairs.of_positive.row(j), first, keys, row);
    }

    /// The cosine of each pair.
    fn cosines(&self, workers: &Workers<'_>) -> Result<Vec<f64>> {
        let count = self.anchors.rows();
        let pieces = workers.map(count.div_ceil(PIECE), |piece| {
            let pairs = piece * PIECE..((piece + 1) * PIECE).min(count);
            let cosine = |i| Row::new(self.anchors.row(i)).cosine(&Row::new(self.positives.row(i)));
            Ok(pairs.map(cosine).collect::<Vec<_>>())
        })?;
        Ok(pieces.concat())
    }
}

struct Buffers<'a, T> {
    anchors: &'a mut [T],
    positives: &'a mut [T],
    extra: &'a mut [T],
}

struct Pass<'a> {
    loss: &'a InBatch,
    cosines: Vec<f64>,
    /// Each pair's own logit.
    logits: Vec<f64>,
    items: Vec<f64>,
    /// The derivative to each pair's own cosine.
    pulls: Vec<f64>,
    /// What a derivative to a logit is multiplied by to become one to a cosine.
    weight: f64,
}

impl Pass<'_> {
    /// The anchors against the positives, then, for the symmetric loss, the other way round.
    fn paired<T: Real>(
        &mut self,
        batch: &Batch<'_, T>,
        buffers: Option<Buffers<'_, T>>,
        workers: &Workers<'_>,
    ) -> Result<()> {
        let count = batch.anchors.rows();
        let left = UnitRows::of(&[batch.anchors], workers)?;
        let right = UnitRows::of(&[batch.positives, batch.extra], workers)?;
        let (left, right) = (left.all(), right.all());
        check(&[left, right])?;
        let adjust: Adjust<'_, T> = &|i, keys, row| {
            batch.exclude_positives(i, 0, &keys, row);
            batch.correct(&keys, row);
        };
        let adjust_back: Adjust<'_, T> = &|j, keys, row| batch.exclude_anchors(j, 0, &keys, row);
        let forward = Sweep {
            queries: left,
            keys: right,
            temperature: self.loss.temperature,
            adjust,
        };
        let mut gradients = buffers.as_ref().map(|_| {
            (
                forward.zero_gradient(count),
                forward.zero_gradient(right.len()),
            )
        });
        if self.loss.mode == Mode::OneWay {
            forward.run(
                &mut |i, among| self.row(i, 1.0, among),
                targets(&mut gradients),
                workers,
            )?;
        } else if !forward.run_both(
            count,
            &mut |_, i, among| self.row(i, 0.5, among),
            targets(&mut gradients),
            workers,
        )? {
            forward.run(
                &mut |i, among| self.row(i, 0.5, among),
                targets(&mut gradients),
                workers,
            )?;
            let backward = Sweep {
                queries: right.slice(0..count),
                keys: left,
                adjust: adjust_back,
                ..forward
            };
            let turned = targets(&mut gradients).map(|Targets { queries, keys }| Targets {
                queries: keys,
                keys: queries,
            });
            backward.run(&mut |i, among| self.row(i, 0.5, among), turned, workers)?;
        }
        let (Some(buffers), Some((to_left, to_right))) = (buffers, gradients) else {
            return Ok(());
        };
        left.pull_back(&to_left, 0, buffers.anchors, workers)?;
        self.pull_back(batch, right, &to_right, 0, buffers, workers)
    }

    /// All rows against all rows.
    fn stacked<T: Real>(
        &mut self,
        batch: &Batch<'_, T>,
        buffers: Option<Buffers<'_, T>>,
        workers: &Workers<'_>,
    ) -> Result<()> {
        let count = batch.anchors.rows();
        let rows = UnitRows::of(&[batch.anchors, batch.positives, batch.extra], workers)?;
        let rows = rows.all();
        check(&[rows])?;
        let sweep = Sweep {
            queries: rows.slice(0..2 * count),
            keys: rows,
            temperature: self.loss.temperature,
            adjust: &|i, keys, row| {
                // A pair stands for two rows here, so an exclusion holds between all of them.
                for first in [0, count] {
                    batch.exclude_positives(i % count, first, &keys, row);
                    batch.exclude_anchors(i % count, first, &keys, row);
                }
            },
        };
        let mut gradients = buffers.as_ref().map(|_| {
            (
                sweep.zero_gradient(2 * count),
                sweep.zero_gradient(rows.len()),
            )
        });
        sweep.run(
            &mut |i, among| self.row(i % count, 0.5, among),
            targets(&mut gradients),
            workers,
        )?;
        let (Some(buffers), Some((as_queries, mut to_rows))) = (buffers, gradients) else {
            return Ok(());
        };
        let add = |part: &[T], to: &mut [T]| {
            if let Some(to) = to.get_mut(..part.len()) {
                simd::table::<T>().axpy(T::one(), part, to);
            }
        };
        add(&as_queries.unit, &mut to_rows.unit);
        add(&as_queries.direct, &mut to_rows.direct);
        rows.slice(0..count)
            .pull_back(&to_rows, 0, buffers.anchors, workers)?;
        let rest = rows.slice(count..rows.len());
        self.pull_back(batch, rest, &to_rows, count, buffers, workers)
    }

    /// One row of a direction that makes up `share` of the loss.
    fn row(&mut self, pair: usize, share: f64, among: Negatives) -> f64 {
        let mut logit = [self.logits[pair]];
        let head = head(Form::MeanOwn, &mut logit, among);
        self.items[pair] += share * head.loss;
        self.pulls[pair] += share * logit[0] * self.weight;
        share * head.spread * self.weight
    }

    /// Finishes the gradients of positives and extra negatives, which are `rows` in this order
    /// and start at row `first` of `gradient`, and adds the pull of each pair's own cosine.
    fn pull_back<T: Real>(
        &self,
        batch: &Batch<'_, T>,
        rows: Units<'_, T>,
        gradient: &UnitGradient<T>,
        first: usize,
        buffers: Buffers<'_, T>,
        workers: &Workers<'_>,
    ) -> Result<()> {
        let (count, cols) = (batch.anchors.rows(), batch.anchors.cols());
        rows.slice(0..count)
            .pull_back(gradient, first, buffers.positives, workers)?;
        rows.slice(count..count + batch.extra.rows()).pull_back(
            gradient,
            first + count,
            buffers.extra,
            workers,
        )?;
        let mut pieces: Vec<_> = buffers
            .anchors
            .chunks_mut(PIECE * cols)
            .zip(buffers.positives.chunks_mut(PIECE * cols))
            .collect();
        workers.for_each_piece(&mut pieces, 1, |piece, work| {
            let table = simd::table::<T>();
            let mut to_other = vec![T::zero(); cols];
            for (to_anchors, to_positives) in work {
                let rows = to_anchors.chunks_exact_mut(cols);
                for (k, (to_x, to_y)) in rows.zip(to_positives.chunks_exact_mut(cols)).enumerate() {
                    let i = piece * PIECE + k;
                    let x = Row::new(batch.anchors.row(i));
                    let y = Row::new(batch.positives.row(i));
                    let along = x.pull(&y, self.cosines[i], self.pulls[i], to_x, &mut to_other);
                    table.axpy(T::of(-along), x.values, to_x);
                    table.axpy(T::one(), &to_other, to_y);
                }
            }
            Ok(())
        })
    }
}

fn targets<T>(pair: &mut Option<(UnitGradient<T>, UnitGradient<T>)>) -> Option<Targets<'_, T>> {
    pair.as_mut()
        .map(|(queries, keys)| Targets { queries, keys })
}

fn check<T: Real>(sets: &[Units<'_, T>]) -> Result<()> {
    let mut lengths = sets.iter().flat_map(|set| set.norms);
    if lengths.all(|length| length.is_finite()) {
        return Ok(());
    }
    Err(Error::invalid(
        "embeddings",
        "has a row without a finite length",
    ))
}
