//! Which of many candidates become links.

use crate::index::codes::Query;
use crate::index::rows::Rows;

use crate::index::candidate::Candidate;

/// Candidates measured together against one that was chosen: those further on may never be needed.
const BLOCK: usize = 48;

/// Distances between stored rows, many at a time.
#[derive(Debug, Default)]
pub struct Measure {
    query: Query,
    /// The row, where it has to be unpacked.
    buffer: Vec<f32>,
    values: Vec<f32>,
    numbers: Vec<u32>,
    apart: Vec<bool>,
}

impl Measure {
    /// The distances of `others` from a row, for ordering: by codes where there are any and `exact`
    /// is not asked for. They have the bits of [`Rows::between_by`].
    pub fn distances(&mut self, rows: &Rows, exact: bool, row: u32, others: &[u32]) -> &[f32] {
        match &rows.coding.codes {
            Some(codes) if !exact => {
                rows.aim(row as usize, &mut self.query);
                codes.distances(&mut self.query, others, &mut self.values);
            }
            _ => {
                let vector = rows.view(row as usize, &mut self.buffer);
                let distance = |&other: &u32| rows.distance(vector, other as usize);
                self.values.clear();
                self.values.extend(others.iter().map(distance));
            }
        }
        &self.values
    }

    /// `others` with their distances from a row, nearest first.
    pub fn sorted(&mut self, rows: &Rows, exact: bool, row: u32, others: &[u32]) -> Vec<Candidate> {
        let distances = self.distances(rows, exact, row, others);
        let pairs = distances.iter().zip(others);
        let mut sorted: Vec<Candidate> = pairs
            .map(|(&distance, &other)| Candidate::new(distance, other))
            .collect();
        sorted.sort_unstable();
        sorted
    }

    /// Which of `others`, further away than `with`, [`is_apart`].
    pub fn apart(
        &mut self,
        rows: &Rows,
        exact: bool,
        with: Candidate,
        others: &[Candidate],
    ) -> &[bool] {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.clear();
        numbers.extend(others.iter().map(|other| other.node()));
        self.distances(rows, exact, with.node(), &numbers);
        self.numbers = numbers;
        self.apart.clear();
        let pairs = self.values.iter().zip(others);
        let apart = pairs.map(|(&distance, &other)| is_apart(distance, with, other));
        self.apart.extend(apart);
        &self.apart
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        let floats = self.buffer.capacity() + self.values.capacity();
        let words = floats + self.numbers.capacity();
        self.query.bytes() + words * size_of::<f32>() + self.apart.capacity()
    }
}

/// Whether a candidate is further from a nearer one, which is `distance` away, than from the row
/// itself. One that is as far stays too: else a copy of the row, from which everything is as far,
/// would leave it no link to anything but copies.
fn is_apart(distance: f32, near: Candidate, further: Candidate) -> bool {
    let own = further.distance();
    distance > own || (distance == own && near.distance() < own)
}

/// How links are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// At most so many.
    pub capacity: usize,
    /// Where fewer remain, the nearest of those passed over follow.
    pub fill: usize,
    /// Whether distances are taken in full precision though there are codes.
    pub exact: bool,
}

/// Chooses among `candidates` (nearest first): Malkov and Yashunin's algorithm 4.
///
/// A candidate is passed over when it is no further from one already chosen than from the row
/// itself, so links point in different directions and one of several equal rows is enough. `kept`
/// ones are always chosen; there must not be more of them than there is capacity.
///
/// New rows choose up to `2m` on level 0 and fill to m/2, pruned lists fill up. Measured one run
/// each at equal ef: choosing 2m instead of m took Gaussian 20,000 × 128 (cosine, ef 400) from
/// .949 to .974; filling took sorted clusters (ip, ef 64) from .984 to .999, and Fashion-MNIST
/// (20,000 rows, ef 20) from .991 to .994 with 11 % slower search and 14 % longer building.
pub fn select(
    rows: &Rows,
    candidates: &[Candidate],
    choice: Choice,
    measure: &mut Measure,
    kept: impl Fn(u32) -> bool,
) -> Vec<Candidate> {
    let capacity = choice.capacity;
    if candidates.len() <= capacity {
        return candidates.to_vec();
    }
    let nodes = candidates.iter().map(|candidate| candidate.node());
    let kept: Vec<u32> = nodes.filter(|&node| kept(node)).collect();
    let mut reserved = kept.len();
    let mut chosen: Vec<Candidate> = Vec::with_capacity(capacity);
    let mut pruned: Vec<Candidate> = Vec::with_capacity(candidates.len());
    // Those of a block that are not near anything chosen yet.
    let mut open: Vec<Candidate> = Vec::with_capacity(BLOCK);
    for block in candidates.chunks(BLOCK) {
        open.clear();
        open.extend_from_slice(block);
        let mut strike = |with: Candidate, open: &mut Vec<Candidate>, from: usize| {
            let apart = measure.apart(rows, choice.exact, with, &open[from..]);
            let mut left = from;
            for (i, &apart) in (from..).zip(apart) {
                let candidate = open[i];
                if apart || kept.contains(&candidate.node()) {
                    open[left] = candidate;
                    left += 1;
                } else {
                    pruned.push(candidate);
                }
            }
            open.truncate(left);
        };
        for &other in &chosen {
            strike(other, &mut open, 0);
        }
        let mut next = 0;
        while chosen.len() < capacity
            && let Some(&candidate) = open.get(next)
        {
            next += 1;
            if kept.contains(&candidate.node()) {
                reserved -= 1;
            } else if chosen.len() + reserved >= capacity {
                continue;
            }
            chosen.push(candidate);
            strike(candidate, &mut open, next);
        }
        if chosen.len() == capacity {
            return chosen;
        }
    }
    let missing = choice.fill.saturating_sub(chosen.len());
    pruned.sort_unstable();
    chosen.extend(pruned.into_iter().take(missing));
    chosen
}

/// What [`select`] would choose among `links`, a full list that it left in this order, and `new`
/// candidates, where that displaces none of the rows that point in different directions. Then
/// most of what would be compared again is known: all but the furthest of the others stay.
pub fn select_again(
    rows: &Rows,
    links: &[Candidate],
    new: &[Candidate],
    choice: Choice,
    measure: &mut Measure,
    kept: impl Fn(u32) -> bool,
) -> Option<Vec<Candidate>> {
    let descent = |links: &[Candidate]| links.windows(2).position(|pair| pair[1] < pair[0]);
    if links.len() < choice.capacity || choice.fill < choice.capacity {
        return None;
    }
    // Those chosen, in order, and those passed over. Where all are in order it cannot be told how
    // many were chosen.
    let (first, rest) = links.split_at(descent(links)? + 1);
    if descent(rest).is_some() {
        return None;
    }
    let (mut chosen, mut pruned) = (first.to_vec(), rest.to_vec());
    let mut numbers = Vec::with_capacity(links.len() + new.len());
    for &candidate in new {
        let place = chosen.partition_point(|&other| other < candidate);
        numbers.clear();
        numbers.extend(chosen.iter().map(|other| other.node()));
        let distances = measure.distances(rows, choice.exact, candidate.node(), &numbers);
        let (before, after) = distances.split_at(place);
        let mut earlier = before.iter().zip(&chosen);
        let apart = earlier.all(|(&distance, &near)| is_apart(distance, near, candidate));
        if !apart && !kept(candidate.node()) {
            let place = pruned.partition_point(|&other| other < candidate);
            pruned.insert(place, candidate);
            continue;
        }
        let mut later = after.iter().zip(&chosen[place..]);
        let apart = |(&distance, &other): (&f32, &Candidate)| {
            is_apart(distance, candidate, other) || kept(other.node())
        };
        if !later.all(apart) {
            return None;
        }
        chosen.insert(place, candidate);
    }
    let room = choice.capacity.checked_sub(chosen.len())?;
    if pruned.iter().skip(room).any(|other| kept(other.node())) {
        return None;
    }
    pruned.truncate(room);
    chosen.extend(pruned);
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::packed::Storage;
    use crate::index::space::Space;
    use crate::matrix::Matrix;
    use crate::metric::Metric;
    use crate::rng::Stream;

    const DIM: usize = 4;

    fn random_rows(count: usize, seed: u64) -> Rows {
        let mut stream = Stream::new(seed, 0);
        let data: Vec<f32> = (0..count * DIM).map(|_| stream.uniform() as f32).collect();
        let mut rows = Rows::new(Space::new(DIM, Metric::L2).unwrap(), Storage::Float32);
        let vectors = Matrix::new(&data, count, DIM).unwrap();
        rows.append(vectors, None).unwrap();
        rows
    }

    /// Algorithm 4 as it is written down.
    fn plainly(rows: &Rows, candidates: &[Candidate], choice: Choice, kept: u32) -> Vec<Candidate> {
        let (mut chosen, mut pruned) = (Vec::<Candidate>::new(), Vec::new());
        let mut reserved = candidates.iter().filter(|c| c.node() == kept).count();
        for &candidate in candidates {
            let apart = |other: &Candidate| {
                let distance = rows.between(candidate.node() as usize, other.node() as usize);
                distance > candidate.distance()
            };
            if candidate.node() == kept {
                reserved -= 1;
                chosen.push(candidate);
            } else if chosen.len() + reserved < choice.capacity && chosen.iter().all(apart) {
                chosen.push(candidate);
            } else {
                pruned.push(candidate);
            }
        }
        chosen.truncate(choice.capacity);
        let missing = choice.fill.saturating_sub(chosen.len());
        chosen.extend(pruned.into_iter().take(missing));
        chosen
    }

    #[test]
    fn blocks_choose_what_single_comparisons_choose() {
        for seed in 0..50 {
            let rows = random_rows(201, seed);
            let mut measure = Measure::default();
            let others: Vec<u32> = (1..201).collect();
            let candidates = measure.sorted(&rows, false, 0, &others);
            for (capacity, fill) in [(1, 1), (4, 4), (16, 8), (32, 32)] {
                let choice = Choice {
                    capacity,
                    fill,
                    exact: seed % 2 == 0,
                };
                let kept = candidates[candidates.len() - 1 - seed as usize].node();
                let got = select(&rows, &candidates, choice, &mut measure, |row| row == kept);
                assert_eq!(got, plainly(&rows, &candidates, choice, kept));
            }
        }
    }

    #[test]
    fn one_more_leads_to_what_choosing_among_all_does() {
        let mut again = 0;
        for seed in 0..200 {
            let rows = random_rows(42, seed);
            let mut measure = Measure::default();
            let choice = Choice {
                capacity: 16,
                fill: 16,
                exact: false,
            };
            let others: Vec<u32> = (2..42).collect();
            let candidates = measure.sorted(&rows, false, 0, &others);
            let links = select(&rows, &candidates, choice, &mut measure, |_| false);
            let new = measure.sorted(&rows, false, 0, &[1]);
            let kept = |row: u32| row as u64 == 1 + seed % 30;
            let got = select_again(&rows, &links, &new, choice, &mut measure, kept);
            if let Some(got) = got
                && !links.iter().any(|link| kept(link.node()))
            {
                let mut all = [links, new].concat();
                all.sort_unstable();
                assert_eq!(got, select(&rows, &all, choice, &mut measure, kept));
                again += 1;
            }
        }
        assert!(again > 50, "{again}");
    }
}
