//! Softmax cross-entropy of one row.

use crate::real::Real;
use crate::simd::maps;

/// `Σ_c target_c (lse(logits) - logits_c)`; replaces the logits by `factor` times its derivatives.
pub fn soft_targets<T: Real>(logits: &mut [T], targets: &[T], factor: f64) -> f64 {
    let top = maps::max(logits);
    let mut gap = 0.0;
    let mut mass = 0.0;
    for (&logit, &target) in logits.iter().zip(targets) {
        gap += target.wide() * (top.wide() - logit.wide());
        mass += target.wide();
    }
    let sum = maps::exp_sum(top, logits).wide();
    for (logit, &target) in logits.iter_mut().zip(targets) {
        *logit = T::of(factor * (mass * logit.wide() / sum - target.wide()));
    }
    mass * sum.ln() + gap
}

/// `lse(logits) - logits[class]`; replaces the logits by `factor` times its derivatives.
pub fn one_class<T: Real>(logits: &mut [T], class: usize, factor: f64) -> f64 {
    let top = maps::max(logits);
    let gap = top.wide() - logits[class].wide();
    maps::exp_sum(top, logits);
    // Exact where the class is the largest logit and all but alone.
    let own = logits[class].wide();
    logits[class] = T::zero();
    let others = maps::sum(logits);
    let total = own + others;
    maps::scale(T::of(factor / total), logits);
    logits[class] = T::of(-factor * others / total);
    if gap == 0.0 {
        others.ln_1p()
    } else {
        total.ln() + gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(logits: &[f64], class: usize) -> (f64, Vec<f64>) {
        let mut slopes = logits.to_vec();
        (one_class(&mut slopes, class, 1.0), slopes)
    }

    #[test]
    fn derivatives_equal_differences_and_both_forms_agree() {
        let logits = [0.3, -1.0, 2.0, 0.7];
        for class in 0..4 {
            let (value, slopes) = of(&logits, class);
            let mut targets = [0.0; 4];
            targets[class] = 1.0;
            let mut soft = logits;
            assert!((soft_targets(&mut soft, &targets, 1.0) - value).abs() < 1e-14);
            for c in 0..4 {
                let end = |step: f64| {
                    let mut moved = logits;
                    moved[c] += step;
                    of(&moved, class).0
                };
                assert!(((end(1e-6) - end(-1e-6)) / 2e-6 - slopes[c]).abs() < 1e-8);
                assert!((soft[c] - slopes[c]).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn extreme_logits_are_exact() {
        assert_eq!(of(&[1e4, 0.0], 1), (1e4, vec![1.0, -1.0]));
        let (value, slopes) = of(&[50.0, 0.0], 0);
        assert!((value / (-50f64).exp() - 1.0).abs() < 1e-12);
        assert!((slopes[0] + (-50f64).exp()).abs() < 1e-30);
    }
}
