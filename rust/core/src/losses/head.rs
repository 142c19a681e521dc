//! The scalar end of InfoNCE: from one anchor's logits to its loss and their derivatives.

/// How several positives of one anchor enter the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Mean over p of `lse(s_p, N) - s_p`.
    MeanOwn,
    /// Mean over p of `lse(P ∪ N) - s_p`.
    MeanShared,
    /// `lse(P ∪ N) - lse(P)`.
    LogOfSum,
}

impl Form {
    pub const NAMES: &'static [&'static str] = &["mean_own", "mean_shared", "log_of_sum"];

    pub fn parse(name: &str) -> Self {
        match name {
            "mean_shared" => Self::MeanShared,
            "log_of_sum" => Self::LogOfSum,
            _ => Self::MeanOwn,
        }
    }
}

/// The negatives' logits s: their maximum and Σ exp(s - max); `-∞` and 0 where there are none.
#[derive(Clone, Copy, Debug)]
pub struct Negatives {
    pub max: f64,
    pub sum: f64,
}

/// One anchor's loss. Its derivative to a negative's logit s is `spread · exp(s - max)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    pub loss: f64,
    pub spread: f64,
}

/// The loss of one anchor whose positives have these logits, which are replaced by the loss's
/// derivatives to them. Without positives everything is 0.
pub fn head(form: Form, positives: &mut [f64], negatives: Negatives) -> Head {
    if positives.is_empty() {
        return Head::default();
    }
    match form {
        Form::MeanOwn => mean_own(positives, negatives),
        Form::MeanShared => mean_shared(positives, negatives),
        Form::LogOfSum => log_of_sum(positives, negatives),
    }
}

fn mean_own(positives: &mut [f64], negatives: Negatives) -> Head {
    let share = 1.0 / positives.len() as f64;
    let mut head = Head::default();
    for logit in positives {
        let top = logit.max(negatives.max);
        let shift = (negatives.max - top).exp();
        let others = negatives.sum * shift;
        let own = (*logit - top).exp();
        let total = own + others;
        head.loss += share * log_of_total(own, others, top - *logit);
        head.spread += share * shift / total;
        *logit = -share * others / total;
    }
    head
}

/// `ln(own + others) + gap`, exact where the positive is the largest logit and all but alone.
fn log_of_total(own: f64, others: f64, gap: f64) -> f64 {
    if gap == 0.0 {
        others.ln_1p()
    } else {
        (own + others).ln() + gap
    }
}

fn largest(logits: &[f64]) -> f64 {
    logits.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn mean_shared(positives: &mut [f64], negatives: Negatives) -> Head {
    let count = positives.len() as f64;
    let top = largest(positives).max(negatives.max);
    let shift = (negatives.max - top).exp();
    let among_negatives = negatives.sum * shift;
    let among_positives: f64 = positives.iter().map(|s| (s - top).exp()).sum();
    let total = among_positives + among_negatives;
    let gap = positives.iter().map(|s| top - s).sum::<f64>() / count;
    let loss = if count == 1.0 {
        log_of_total(among_positives, among_negatives, gap)
    } else {
        total.ln() + gap
    };
    for logit in positives {
        let own = (*logit - top).exp();
        let others = among_negatives + (among_positives - own);
        // q - 1/P without the cancellation at P = 1.
        *logit = (own * (count - 1.0) - others) / (count * total);
    }
    Head {
        loss,
        spread: shift / total,
    }
}

fn log_of_sum(positives: &mut [f64], negatives: Negatives) -> Head {
    let top_positive = largest(positives);
    let top = top_positive.max(negatives.max);
    let sum: f64 = positives.iter().map(|s| (s - top_positive).exp()).sum();
    let gap = top - top_positive;
    let loss = if gap == 0.0 {
        (negatives.sum * (negatives.max - top).exp() / sum).ln_1p()
    } else {
        gap + (negatives.sum / sum + (-gap).exp()).ln()
    };
    let shift = (negatives.max - top).exp();
    let among_negatives = negatives.sum * shift;
    let total = sum * (-gap).exp() + among_negatives;
    for logit in positives {
        *logit = -(*logit - top_positive).exp() / sum * (among_negatives / total);
    }
    Head {
        loss,
        spread: shift / total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [Form; 3] = [Form::MeanOwn, Form::MeanShared, Form::LogOfSum];

    fn of(form: Form, positives: &[f64], negatives: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
        let mut derivatives = positives.to_vec();
        let max = largest(negatives);
        let sum = negatives.iter().map(|s| (s - max).exp()).sum();
        let head = head(form, &mut derivatives, Negatives { max, sum });
        let spread = negatives.iter().map(|s| head.spread * (s - max).exp());
        (head.loss, derivatives, spread.collect())
    }

    #[test]
    fn the_known_example_has_its_known_values() {
        let value = |form| of(form, &[2.0, 1.0], &[0.0, -1.0]).0;
        for (form, want) in FORMS.into_iter().zip([0.289, 0.940, 0.127]) {
            assert!((value(form) - want).abs() < 1e-3, "{form:?}");
        }
    }

    #[test]
    fn derivatives_equal_differences() {
        let (positives, negatives) = ([0.3, -1.0, 0.9], [0.5, 1.4, -0.2]);
        let h = 1e-6;
        for form in FORMS {
            let (_, on_positives, on_negatives) = of(form, &positives, &negatives);
            for k in 0..3 {
                let shifted = |sign: f64, positive: bool| {
                    let (mut p, mut n) = (positives, negatives);
                    (if positive { &mut p } else { &mut n })[k] += sign * h;
                    of(form, &p, &n).0
                };
                let slope = |positive| (shifted(1.0, positive) - shifted(-1.0, positive)) / 2e-6;
                assert!((slope(true) - on_positives[k]).abs() < 1e-8, "{form:?}");
                assert!((slope(false) - on_negatives[k]).abs() < 1e-8, "{form:?}");
            }
        }
    }

    #[test]
    fn nothing_overflows_at_the_smallest_temperatures() {
        for form in FORMS {
            for (s, n) in [(-1000.0, 1000.0), (1000.0, -1000.0)] {
                let (loss, p, q) = of(form, &[s], &[n]);
                assert!((loss - (n - s).max(0.0)).abs() < 1e-9, "{form:?}");
                assert!(p.iter().chain(&q).all(|d| d.is_finite()));
            }
        }
    }

    #[test]
    fn one_positive_makes_the_forms_agree_and_no_negatives_cost_nothing() {
        let reference = of(Form::MeanOwn, &[0.4], &[1.0, 0.1]);
        for form in FORMS {
            let (loss, p, n) = of(form, &[0.4], &[1.0, 0.1]);
            assert!((loss - reference.0).abs() < 1e-15);
            assert!((p[0] - reference.1[0]).abs() < 1e-15);
            assert!((n[0] - reference.2[0]).abs() < 1e-15);
            assert_eq!(of(form, &[0.4], &[]), (0.0, vec![-0.0], vec![]));
        }
        let head = head(Form::MeanShared, &mut [], Negatives { max: 0.0, sum: 1.0 });
        assert_eq!((head.loss, head.spread), (0.0, 0.0));
    }
}
