//! Distillation (Hinton, Vinyals and Dean 2015): `τ² · KL(softmax(teacher/τ) ‖ softmax(student/τ))`
//! a row.

use super::contract::*;
use crate::error::{Error, Result};
use crate::pool::Workers;
use crate::real::Real;

/// Rows a worker handles at a time.
const PIECE: usize = 64;

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
            let (mut student, mut teacher) = (Vec::new(), Vec::new());
            for (items, out) in work {
                for (offset, item) in items.iter_mut().enumerate() {
                    let i = piece * PIECE + offset;
                    let below = self.softmax(students.row(i), &mut student);
                    let above = self.softmax(teachers.row(i), &mut teacher);
                    *item = self.row(&student, below, &teacher, above);
                    if let Some(out) = out {
                        let out = &mut out[offset * cols..(offset + 1) * cols];
                        let scale = self.temperature * weight;
                        for ((out, q), p) in out.iter_mut().zip(&student).zip(&teacher) {
                            *out = T::of(scale * (q.share - p.share));
                        }
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

/// One class of a softmax.
#[derive(Clone, Copy, Debug)]
struct Class {
    /// Its logit above the largest.
    logit: f64,
    share: f64,
}

impl Distillation {
    /// Fills `out`; returns the log-sum-exp of its logits.
    fn softmax<T: Real>(&self, logits: &[T], out: &mut Vec<Class>) -> f64 {
        let top = logits
            .iter()
            .map(|x| x.wide())
            .fold(f64::NEG_INFINITY, f64::max);
        out.clear();
        let mut sum = 0.0;
        for logit in logits {
            let logit = (logit.wide() - top) / self.temperature;
            let share = logit.exp();
            sum += share;
            out.push(Class { logit, share });
        }
        out.iter_mut().for_each(|class| class.share /= sum);
        sum.ln()
    }

    fn row(&self, student: &[Class], below: f64, teacher: &[Class], above: f64) -> f64 {
        // Terms share by share: the difference of two sums would lose a small divergence.
        let divergence: f64 = teacher
            .iter()
            .zip(student)
            .filter(|(p, _)| p.share > 0.0)
            .map(|(p, q)| p.share * ((p.logit - above) - (q.logit - below)))
            .sum();
        self.temperature * self.temperature * divergence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(temperature: f64, student: &[f64], teacher: &[f64]) -> f64 {
        let loss = Distillation { temperature };
        let (mut q, mut p) = (Vec::new(), Vec::new());
        let below = loss.softmax(student, &mut q);
        let above = loss.softmax(teacher, &mut p);
        loss.row(&q, below, &p, above)
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
