//! Which of many candidates become links.

use crate::index::rows::Rows;

use super::candidate::Candidate;

/// Chooses up to `capacity` of `candidates` (nearest first): Malkov and Yashunin's algorithm 4.
///
/// A candidate is passed over when it is no further from one already chosen than from the row
/// itself, so links point in different directions and one of several equal rows is enough.
/// `kept` ones are always chosen; there must not be more of them than `capacity`.
pub fn select(
    rows: &Rows,
    candidates: &[Candidate],
    capacity: usize,
    kept: impl Fn(u32) -> bool,
) -> Vec<Candidate> {
    if candidates.len() <= capacity {
        return candidates.to_vec();
    }
    let mut reserved = candidates.iter().filter(|c| kept(c.node())).count();
    let mut chosen: Vec<Candidate> = Vec::with_capacity(capacity);
    for &candidate in candidates {
        if chosen.len() == capacity {
            break;
        }
        if kept(candidate.node()) {
            reserved -= 1;
            chosen.push(candidate);
            continue;
        }
        let own = candidate.distance();
        let row = rows.stored(candidate.node() as usize);
        let apart =
            |other: &Candidate| rows.space.distance(row, rows.stored(other.node() as usize)) > own;
        if chosen.len() + reserved < capacity && chosen.iter().all(apart) {
            chosen.push(candidate);
        }
    }
    chosen
}
