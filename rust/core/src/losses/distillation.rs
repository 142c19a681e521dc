//! Distillation (Hinton, Vinyals and Dean 2015): `τ² · KL(softmax(teacher/τ) ‖ softmax(student/τ))`
//! a row.

use super::contract::*;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;
use crate::simd::{Elementwise, elementwise, maps};

/// Rows a worker handles at a time.
const PIECE: usize = 64;

/// Independent sums, two AVX-512 registers.
const LANES: usize = 16;

pub struct Distillation {
    temperature: f64,
}

impl Loss for Distillation {
    const SPEC: &'static Spec = &Spec {
        name: "distillation",
        inputs: &[
            Input::required("student_logits", Kind::Embeddings, &[2]),
            Input::required("teacher_logits", Kind::Floats, &[2]),
        ],
        by_number: ByNumber::Rows,
        options: &[Setting::new("temperature", Domain::Positive)],
        reductions: Reduction::ALL,
    };

    fn parse(options: &Options<'_>) -> Result<Self> {
        Ok(Self {
            temperature: options.real("temperature")?,
        })
    }

    fn work<T: Real>(inputs: &super::Inputs<'_, T>) -> usize {
        // Exponentials.
        20 * inputs.values()
    }

    fn evaluate<T: Real>(&self, mut call: Call<'_, T>, workers: &Workers<'_>) -> Result<Outcome> {
        let students = call.inputs.floats("student_logits")?;
        let teachers = call.inputs.floats("teacher_logits")?;
        if students.cols() == 0 {
            return Err(Error::invalid(
                "student_logits",
                "needs at least one column",
            ));
        }
        teachers.check_count("teacher_logits", &students, "student_logits")?;
        teachers.check_cols("teacher_logits", &students, "student_logits")?;
        let (students, teachers) = (students.matrix()?, teachers.matrix()?);
        let cols = students.cols();
        let mut items = vec![0.0; students.rows()];
        let weight = call.reduction.weight(items.len());
        let mut gradients = call.gradients.take();
        let out = gradients.as_mut().map(|all| all.take("student_logits"));
        let mut rest = out;
        let mut pieces: Vec<_> = items
            .chunks_mut(PIECE)
            .map(|items| {
                let values = items.len() * cols;
                let out = rest.as_mut().and_then(|rest| rest.split_off_mut(..values));
                (items, out)
            })
            .collect();
        workers.for_each_piece(&mut pieces, 1, |piece, work| {
            let (mut student, mut teacher) = (Classes::new(cols), Classes::new(cols));
            for (items, out) in work {
                for (offset, item) in items.iter_mut().enumerate() {
                    let i = piece * PIECE + offset;
                    student.read(students.row(i), self.temperature);
                    teacher.read(teachers.row(i), self.temperature);
                    *item = self.row(&student, &teacher);
                    if let Some(out) = out {
                        elementwise(Slopes {
                            factor: self.temperature * weight,
                            student: &student,
                            teacher: &teacher,
                            out: &mut out[offset * cols..(offset + 1) * cols],
                        });
                    }
                }
            }
            Ok(())
        })?;
        Ok(Outcome {
            counted: items.len(),
            active: items.len(),
            values: Values::Items(items),
        })
    }
}

/// The softmax of one row.
struct Classes {
    /// Logits above the largest, divided by the temperature.
    logits: Vec<f64>,
    /// Their exponentials.
    powers: Vec<f64>,
    /// The exponentials' sum.
    sum: f64,
}

impl Classes {
    fn new(cols: usize) -> Self {
        Self {
            logits: vec![0.0; cols],
            powers: vec![0.0; cols],
            sum: 0.0,
        }
    }

    fn read<T: Real>(&mut self, row: &[T], temperature: f64) {
        self.sum = elementwise(Read {
            row,
            top: maps::max(row).wide(),
            // Infinite it would make NaN of the largest logit's 0.
            inverse: (1.0 / temperature).min(f64::MAX),
            to: self,
        });
    }
}

struct Read<'a, T> {
    row: &'a [T],
    top: f64,
    /// Of the temperature.
    inverse: f64,
    to: &'a mut Classes,
}

impl<T: Real> Elementwise for Read<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let places = self.to.logits.iter_mut().zip(&mut self.to.powers);
        for (&x, (logit, power)) in self.row.iter().zip(places) {
            *logit = (x.wide() - self.top) * self.inverse;
            *power = logit.exp_of_negative();
        }
        lanes(&self.to.powers, |_, power| power)
    }
}

/// The sum of what `term` makes of each value and its place, in an order that vectorises.
#[inline(always)]
fn lanes(values: &[f64], term: impl Fn(usize, f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for (k, block) in blocks.iter().enumerate() {
        for lane in 0..LANES {
            sums[lane] += term(k * LANES + lane, block[lane]);
        }
    }
    let head: f64 = sums.iter().sum();
    let last = values.len() - rest.len();
    let rest = rest.iter().enumerate();
    rest.fold(head, |sum, (k, &value)| sum + term(last + k, value))
}

struct Divergence<'a> {
    student: &'a Classes,
    teacher: &'a Classes,
}

impl Elementwise for Divergence<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Self { student, teacher } = self;
        let (above, below) = (teacher.sum.ln(), student.sum.ln());
        let count = teacher.powers.len();
        let (theirs, ours) = (&teacher.logits[..count], &student.logits[..count]);
        // Terms share by share: the difference of two sums would lose a small divergence.
        let sum = lanes(&teacher.powers, |k, power| {
            let term = power * ((theirs[k] - above) - (ours[k] - below));
            if power > 0.0 { term } else { 0.0 }
        });
        sum / teacher.sum
    }
}

struct Slopes<'a, T> {
    factor: f64,
    student: &'a Classes,
    teacher: &'a Classes,
    out: &'a mut [T],
}

impl<T: Real> Elementwise for Slopes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (q, p) = (1.0 / self.student.sum, 1.0 / self.teacher.sum);
        let powers = self.student.powers.iter().zip(&self.teacher.powers);
        for (out, (student, teacher)) in self.out.iter_mut().zip(powers) {
            *out = T::of(self.factor * (student * q - teacher * p));
        }
    }
}

impl Distillation {
    fn row(&self, student: &Classes, teacher: &Classes) -> f64 {
        self.temperature * self.temperature * elementwise(Divergence { student, teacher })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(temperature: f64, student: &[f64], teacher: &[f64]) -> f64 {
        let loss = Distillation { temperature };
        let (mut q, mut p) = (Classes::new(student.len()), Classes::new(teacher.len()));
        q.read(student, temperature);
        p.read(teacher, temperature);
        loss.row(&q, &p)
    }

    #[test]
    fn two_classes_have_the_divergence_of_two_coins() {
        let (p, q) = (0.8f64, 0.3f64);
        let logits = |p: f64| [p.ln() + 5.0, (1.0 - p).ln() + 5.0];
        let want = p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln();
        assert!((value(1.0, &logits(q), &logits(p)) - want).abs() < 1e-15);
    }

    #[test]
    fn equal_logits_cost_nothing_and_far_ones_stay_finite() {
        assert_eq!(value(2.0, &[1.0, -3.0, 0.5], &[1.0, -3.0, 0.5]), 0.0);
        let far = value(0.005, &[1e3, -1e3], &[-1e3, 1e3]);
        assert!((far / (0.005 * 2e3) - 1.0).abs() < 1e-12);
    }
}
