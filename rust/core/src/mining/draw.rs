//! Uniform draws without repeats.

use std::collections::HashSet;

use super::eligible::Eligible;
use crate::rng::Stream;

/// Up to `wanted` distinct eligible rows outside `taken`, each set equally likely, in the order
/// of the draw.
pub(super) fn uniform(
    stream: &mut Stream,
    eligible: &Eligible<'_>,
    taken: &[u32],
    wanted: usize,
) -> Vec<u32> {
    let mut used: HashSet<u32> = taken.iter().copied().collect();
    let available = eligible.count().saturating_sub(used.len());
    let wanted = wanted.min(available);
    let mut drawn = Vec::with_capacity(wanted);
    // Trying rows is quick where most will do. Where few will, the rest comes from a list: each
    // draw is uniform over what is left either way, so changing over does not bias it.
    let mut tries = 8 * wanted + 64;
    while drawn.len() < wanted && tries > 0 {
        tries -= 1;
        let row = stream.below(eligible.pool() as u64) as u32;
        if eligible.contains(row) && used.insert(row) {
            drawn.push(row);
        }
    }
    if drawn.len() < wanted {
        let mut left: Vec<u32> = eligible.rows().filter(|row| !used.contains(row)).collect();
        while drawn.len() < wanted && !left.is_empty() {
            let at = stream.below(left.len() as u64) as usize;
            drawn.push(left.swap_remove(at));
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::mining::eligible::{Lists, class_sizes};
    use crate::mining::question::{Positives, Question};

    #[test]
    fn the_last_eligible_rows_of_a_large_pool_are_found_uniformly() {
        // Five of 20,000 rows are left: trying alone would mostly fail.
        let pool = vec![1.0f32; 20_000];
        let excluded: Vec<i64> = (0..20_000).filter(|row| row % 4_000 != 7).collect();
        let indptr = [0, excluded.len() as i64];
        let question = Question {
            anchors: Matrix::new(&pool[..1], 1, 1).unwrap(),
            pool: Matrix::new(&pool, 20_000, 1).unwrap(),
            pool_is_anchors: false,
            positives: Positives::Unknown,
            labels: None,
            exclude: Some(Lists::new(&indptr, &excluded, 1, 20_000, "exclude").unwrap()),
        };
        let eligible = Eligible::new(&question, &class_sizes(None), 0);
        assert_eq!(eligible.count(), 5);
        let mut firsts = [0u32; 5];
        for seed in 0..400 {
            let drawn = uniform(&mut Stream::new(seed, 0), &eligible, &[4_007], 9);
            let mut sorted = drawn.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [7, 8_007, 12_007, 16_007]);
            firsts[drawn[0] as usize / 4_000] += 1;
        }
        let chi2: f64 = [0, 2, 3, 4]
            .map(|i: usize| (f64::from(firsts[i]) - 100.0).powi(2) / 100.0)
            .iter()
            .sum();
        assert!(chi2 < 16.3, "chi-square {chi2} beyond the 0.999 quantile");
    }
}
