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
