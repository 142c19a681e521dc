//! Class numbers with class weights and a mask, for softmax cross-entropy.

use super::contract::*;
use super::inputs::*;
use super::softmax::one_class;
use crate::error::{Error, Result};
use crate::real::Real;

/// Class numbers with their weights; those of weight 0 are left out.
pub struct Labels<'a> {
    classes: &'a [i64],
    weights: Vec<f64>,
    /// Sum of the weights, by which a mean divides.
    total: f64,
}

impl<'a> Labels<'a> {
    pub fn new<T: Real>(inputs: &Inputs<'a, T>, rows: usize, width: usize) -> Result<Self> {
        let labels = inputs.indices("labels")?;
        let count = |name, given: usize, wanted: usize, what: &str| {
            if given == wanted {
                return Ok(());
            }
            let problem = format!("has {given} entries but there are {wanted} {what}");
            Err(Error::invalid(name, problem))
        };
        count("labels", labels.count(), rows, "rows of logits")?;
        let outside = |&label: &i64| !(-1..width as i64).contains(&label);
        if let Some(at) = labels.data.iter().position(outside) {
            let problem = format!(
                "holds {} at position {at} but must be a class from 0 to {} or -1 for none",
                labels.data[at],
                width - 1
            );
            return Err(Error::invalid("labels", problem));
        }
        let by_class = inputs.optional_floats("class_weights")?;
        if let Some(weights) = by_class {
            count("class_weights", weights.count(), width, "classes")?;
            if let Some(at) = weights.data.iter().position(|&w| w < T::zero()) {
                let problem = format!("holds {} for class {at}, below 0", weights.data[at]);
                return Err(Error::invalid("class_weights", problem));
            }
        }
        // Not every loss of labels takes a mask.
        let mask = inputs.optional_mask("mask").unwrap_or_default();
        if let Some(mask) = mask {
            count("mask", mask.count(), rows, "rows of logits")?;
        }
        let weight = |(i, &label): (usize, &i64)| {
            if label < 0 || mask.is_some_and(|mask| !mask.data[i]) {
                return 0.0;
            }
            by_class.map_or(1.0, |weights| weights.data[label as usize].wide())
        };
        let weights: Vec<f64> = labels.data.iter().enumerate().map(weight).collect();
        Ok(Self {
            classes: labels.data,
            total: weights.iter().sum(),
            weights,
        })
    }

    fn share(&self, reduction: Reduction) -> f64 {
        match reduction {
            Reduction::Mean if self.total > 0.0 => 1.0 / self.total,
            _ => 1.0,
        }
    }

    /// The value of one row, whose logits become derivatives.
    pub fn head<T: Real>(&self, reduction: Reduction) -> impl Fn(usize, &mut [T]) -> f64 + Sync {
        let share = self.share(reduction);
        move |i, logits| {
            let weight = self.weights[i];
            if weight == 0.0 {
                logits.fill(T::zero());
                return 0.0;
            }
            weight * one_class(logits, self.classes[i] as usize, share * weight)
        }
    }

    pub fn outcome(&self, items: Vec<f64>, reduction: Reduction) -> Outcome {
        let values = match reduction {
            // Weights need not add up to a whole number, which `counted` is.
            Reduction::Mean => {
                Values::Total(items.iter().sum::<f64>() * self.share(Reduction::Mean))
            }
            _ => Values::Items(items),
        };
        Outcome {
            values,
            counted: 1,
            active: self.weights.iter().filter(|&&weight| weight > 0.0).count(),
        }
    }
}
