//! Many random pairs at once, close together in memory.
//!
//! Independent draws from all pairs fall into equal buckets of numbers like balls thrown one after
//! the other. So first only the buckets are drawn; then every bucket draws its own pairs, looking
//! up edges and earlier draws where they fit the cache; then the order of the throws is played
//! again, to bring the pairs into it. What was an edge or a repeat left a hole, which further
//! draws fill. Which places are holes does not depend on the names of the pairs that passed, so
//! the pairs are a uniform sample in uniform order.

use std::collections::HashSet;

use super::draws::Draws;
use super::members::holds;
use super::random_edges::Task;
use crate::error::Result;
use crate::pool::Workers;

/// More pairs than this would need more buckets than the second cache has lines for.
pub(super) const MOST_PAIRS: u64 = 1 << 46;

/// Throws of one work item.
const PIECE: usize = 1 << 18;

/// Buckets of one work item.
const GROUP: usize = 64;

const ORDER: u8 = 3;
const BUCKET: u8 = 4;
const HOLES: u8 = 5;

const HOLE: u64 = u64::MAX;
const EMPTY: u32 = u32::MAX;

struct Buckets<'a, 'b> {
    task: &'b Task<'a, 'b>,
    bits: u32,
    /// Numbers of a bucket; below 2³².
    size: u64,
}

impl Buckets<'_, '_> {
    fn count(&self) -> usize {
        1 << self.bits
    }

    /// Calls `take` with the buckets of a piece's throws.
    #[inline]
    fn replay(&self, piece: usize, throws: usize, mut take: impl FnMut(usize)) {
        let mut draws = Draws::new(self.task.seed, ORDER, piece as u64);
        let (mask, each) = (self.count() as u64 - 1, (64 / self.bits) as usize);
        let mut left = throws;
        while left > 0 {
            let mut bits = draws.next_u64();
            for _ in 0..each.min(left) {
                take((bits & mask) as usize);
                bits >>= self.bits;
            }
            left -= each.min(left);
        }
    }

    /// What a bucket's draws came to, in their order.
    fn fill(&self, bucket: usize, throws: usize, table: &mut Vec<u32>, out: &mut Vec<u64>) {
        let Task {
            graph, pairs, seed, ..
        } = *self.task;
        let mut draws = Draws::new(seed, BUCKET, bucket as u64);
        let slots = (2 * throws).next_power_of_two().max(2);
        let shift = 32 - slots.trailing_zeros();
        table.clear();
        table.resize(slots, EMPTY);
        let start = bucket as u64 * self.size;
        for _ in 0..throws {
            let offset = draws.below(self.size as u32);
            let mut slot = (offset.wrapping_mul(0x9e37_79b1) >> shift) as usize;
            while table[slot] != EMPTY && table[slot] != offset {
                slot = (slot + 1) & (slots - 1);
            }
            let repeated = table[slot] == offset;
            table[slot] = offset;
            let number = start + u64::from(offset);
            if repeated || number >= pairs.count() {
                out.push(HOLE);
                continue;
            }
            let (u, v) = pairs.pair(number);
            let edge = holds(graph, u, v);
            out.push(if edge { HOLE } else { pack(u, v) });
        }
    }
}

fn pack(u: u32, v: u32) -> u64 {
    u64::from(u) << 32 | u64::from(v)
}

/// Where each piece's throws begin in each bucket, and how many throws the buckets get.
fn starts(workers: &Workers<'_>, buckets: &Buckets<'_, '_>) -> Result<(Vec<Vec<u32>>, Vec<u32>)> {
    let wanted = buckets.task.wanted as usize;
    let mut pieces = workers.map(wanted.div_ceil(PIECE), |piece| {
        let mut counts = vec![0u32; buckets.count()];
        let throws = PIECE.min(wanted - piece * PIECE);
        buckets.replay(piece, throws, |bucket| counts[bucket] += 1);
        Ok(counts)
    })?;
    let mut totals = vec![0u32; buckets.count()];
    for piece in &mut pieces {
        for (count, total) in piece.iter_mut().zip(&mut totals) {
            let before = *total;
            *total += *count;
            *count = before;
        }
    }
    Ok((pieces, totals))
}

/// The pairs, two numbers each. Few of all pairs may be edges or asked for.
pub(super) fn spread(workers: &Workers<'_>, task: &Task<'_, '_>) -> Result<Vec<i64>> {
    let numbers = task.pairs.count();
    let for_cache = (task.wanted / 1024).max(2).ilog2().min(13);
    let bits = for_cache.max((numbers >> 31).max(1).ilog2() + 1);
    let buckets = Buckets {
        task,
        bits,
        size: numbers.div_ceil(1 << bits),
    };
    let (pieces, totals) = starts(workers, &buckets)?;
    // The bucket's beginning within its group.
    let mut begins = vec![0u32; totals.len()];
    for group in 0..totals.len().div_ceil(GROUP) {
        let mut sum = 0;
        for bucket in group * GROUP..totals.len().min((group + 1) * GROUP) {
            begins[bucket] = sum;
            sum += totals[bucket];
        }
    }
    let groups = workers.map(totals.len().div_ceil(GROUP), |group| {
        let range = group * GROUP..totals.len().min((group + 1) * GROUP);
        let throws = totals[range.clone()].iter().map(|&count| count as usize);
        let mut out = Vec::with_capacity(throws.sum());
        let mut table = Vec::new();
        for bucket in range {
            buckets.fill(bucket, totals[bucket] as usize, &mut table, &mut out);
        }
        Ok(out)
    })?;
    let mut chosen = vec![0i64; 2 * task.wanted as usize];
    let mut work: Vec<_> = chosen
        .chunks_mut(2 * PIECE)
        .zip(pieces)
        .map(|(out, starts)| (out, starts, Vec::new()))
        .collect();
    workers.for_each_piece(&mut work, 1, |piece, work| {
        for (out, cursors, holes) in work {
            for (cursor, begin) in cursors.iter_mut().zip(&begins) {
                *cursor += begin;
            }
            let mut place = 0;
            buckets.replay(piece, out.len() / 2, |bucket| {
                let item = groups[bucket / GROUP][cursors[bucket] as usize];
                cursors[bucket] += 1;
                if item == HOLE {
                    holes.push(place);
                }
                out[place] = (item >> 32) as i64;
                out[place + 1] = i64::from(item as u32);
                place += 2;
            });
        }
        Ok(())
    })?;
    let mut draws = Draws::new(task.seed, HOLES, 0);
    let mut late = HashSet::new();
    for (out, _, holes) in &mut work {
        workers.check()?;
        for &mut place in holes {
            let (u, v) = loop {
                let number = draws.below_u64(numbers);
                let (u, v) = task.pairs.pair(number);
                let bucket = (number / buckets.size) as usize;
                let begin = begins[bucket] as usize;
                let held = &groups[bucket / GROUP][begin..begin + totals[bucket] as usize];
                let free = !holds(task.graph, u, v) && !held.contains(&pack(u, v));
                if free && late.insert(number) {
                    break (u, v);
                }
            };
            (out[place], out[place + 1]) = (i64::from(u), i64::from(v));
        }
    }
    drop(work);
    Ok(chosen)
}
