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

/// What is no offset within a bucket.
const HOLE: u32 = u32::MAX;

/// Entries of a bucket's rows that are worth marking for each of its draws.
const MARKED: usize = 4;

/// Tables that one work item uses again and again.
#[derive(Default)]
struct Scratch {
    /// The offsets drawn, by a hash of them.
    drawn: Vec<u32>,
    /// Bits by a hash of an edge's offset: where none is set there is no edge.
    edges: Vec<u64>,
}

fn hash(offset: u32, shift: u32) -> usize {
    (offset.wrapping_mul(0x9e37_79b1) >> shift) as usize
}

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

    /// Marks the edges of a bucket, and others: a lower end first, or beyond the bucket, is a pair
    /// that is not drawn here, and leaving it out would cost more than looking it up. Returns how
    /// far hashes are shifted, or nothing where there are too many edges for few draws.
    fn mark(&self, bucket: usize, throws: usize, marks: &mut Vec<u64>) -> Option<u32> {
        let Task { graph, pairs, .. } = *self.task;
        let start = bucket as u64 * self.size;
        let end = (start + self.size).min(pairs.count());
        let rows = if start < end {
            pairs.rows(start, end)
        } else {
            [0..0, 0..0]
        };
        let entries: i64 = rows
            .iter()
            .map(|rows| graph.indptr()[rows.end] - graph.indptr()[rows.start])
            .sum();
        if entries as usize > MARKED * throws {
            return None;
        }
        let bits = (32 * entries as usize).next_power_of_two().max(64);
        let shift = 32 - bits.trailing_zeros();
        marks.clear();
        marks.resize(bits / 64, 0);
        for row in rows.into_iter().flatten() {
            // Numbers of a row's pairs follow each other.
            let first = pairs.first_of(row as u64).wrapping_sub(start) as u32;
            for &column in graph.columns(row) {
                let later = u32::from(pairs.directed && column as usize > row);
                let at = hash(first.wrapping_add(column as u32).wrapping_sub(later), shift);
                marks[at / 64] |= 1 << (at % 64);
            }
        }
        Some(shift)
    }

    /// What a bucket's draws came to, in their order.
    fn fill(&self, bucket: usize, throws: usize, scratch: &mut Scratch, out: &mut Vec<u32>) {
        let Task {
            graph, pairs, seed, ..
        } = *self.task;
        let marked = self.mark(bucket, throws, &mut scratch.edges);
        let (edges, table) = (&scratch.edges, &mut scratch.drawn);
        let mut draws = Draws::new(seed, BUCKET, bucket as u64);
        let slots = (2 * throws).next_power_of_two().max(2);
        let shift = 32 - slots.trailing_zeros();
        table.clear();
        table.resize(slots, HOLE);
        let start = bucket as u64 * self.size;
        let end = pairs.count().saturating_sub(start);
        for _ in 0..throws {
            let offset = draws.below(self.size as u32);
            let mut slot = hash(offset, shift);
            while table[slot] != HOLE && table[slot] != offset {
                slot = (slot + 1) & (slots - 1);
            }
            let mut refused = table[slot] == offset || u64::from(offset) >= end;
            table[slot] = offset;
            let suspect = marked.is_none_or(|shift| {
                let at = hash(offset, shift);
                edges[at / 64] >> (at % 64) & 1 == 1
            });
            if suspect && !refused {
                let (u, v) = pairs.pair(start + u64::from(offset));
                refused = holds(graph, u, v);
            }
            out.push(if refused { HOLE } else { offset });
        }
    }
}

/// Where each piece's throws begin in each bucket, and how many throws the buckets get.
type Starts = (Vec<Vec<u32>>, Vec<u32>);

fn starts(workers: &Workers<'_>, buckets: &Buckets<'_, '_>) -> Result<Starts> {
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
    let for_cache = (task.wanted / 2048).max(2).ilog2().min(12);
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
        let mut scratch = Scratch::default();
        for bucket in range {
            buckets.fill(bucket, totals[bucket] as usize, &mut scratch, &mut out);
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
                } else {
                    let number = bucket as u64 * buckets.size + u64::from(item);
                    let (u, v) = task.pairs.pair(number);
                    (out[place], out[place + 1]) = (i64::from(u), i64::from(v));
                }
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
                let offset = (number % buckets.size) as u32;
                let free = !holds(task.graph, u, v) && !held.contains(&offset);
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
