//! Nearly all rows within a radius.

use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::hits::Hit;
use crate::index::ranges::{Ranges, Reach, Room};
use crate::index::sift::Errors;
use crate::matrix::Matrix;
use crate::pool::Workers;

use super::Hnsw;
use super::count::Uncounted;
use super::filter::Scratch;
use super::scratch::{Entry, Scratch as Walking};
use super::search::pool_size;
use crate::index::candidate::Candidate;

/// Queries a thread takes at a time.
const QUERIES: usize = 8;

/// A row that was compared.
const SEEN: u8 = 1;

/// A row whose links were looked at.
const EXPANDED: u8 = 2;

impl Hnsw {
    /// All rows within `reach` of every query that a walk finds which expands the `ef` nearest it
    /// comes to and everything within reach; of those `allowed` if that is given.
    ///
    /// The walk goes over all rows, for those within reach lead to each other. By their codes where
    /// they have them; those are measured in full precision that may be within reach for all that
    /// the codes of others around the query were off by.
    pub fn within(
        &self,
        queries: Matrix<'_, f32>,
        reach: Reach,
        ef: Option<usize>,
        allowed: Option<&Bitmap>,
        workers: &Workers<'_>,
    ) -> Result<Ranges> {
        let ef = pool_size(ef, 1)?;
        let prepared = self.rows.space.prepare(queries, workers)?;
        let count = allowed.map_or(self.rows.live(), Bitmap::count);
        let few = allowed.is_some() && self.is_few_to_measure(count, ef);
        if few || ef >= self.rows.live() {
            let among = self.rows.among(allowed);
            return Ranges::scan(
                &self.rows,
                &among,
                &prepared,
                queries.rows(),
                reach,
                workers,
            );
        }
        Ranges::collect(queries.rows(), QUERIES, reach, workers, |range, room| {
            self.filter_scratches.with(|scratch| {
                let mut one = |query| {
                    self.scratches.with(|walking| {
                        let scratches = (&mut *scratch, walking);
                        let query = prepared.row(query);
                        self.within_one(query, reach.radius, ef, allowed, scratches, room, workers)
                    })
                };
                range.map(&mut one).collect()
            })
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn within_one(
        &self,
        query: &[f32],
        radius: f64,
        ef: usize,
        allowed: Option<&Bitmap>,
        (scratch, walking): (&mut Scratch, &mut Walking),
        room: &Room,
        workers: &Workers<'_>,
    ) -> Result<Vec<Hit>> {
        let Some(entry) = self.graph.entry() else {
            return Ok(Vec::new());
        };
        self.rows
            .aim_at(query, &mut walking.work, &mut walking.query);
        let mut walk = self.walk();
        walk.exact = self.rows.coding.codes.is_none();
        loop {
            let start = walk.descend(query, entry, 0, walking);
            let Scratch {
                marks,
                pool,
                others: inside,
                ..
            } = &mut *scratch;
            marks.start(self.graph.len());
            pool.start(ef, 0);
            inside.clear();
            marks.raise(start.node(), SEEN);
            walking.fresh.clear();
            walking.fresh.push(start.node());
            let mut errors = Errors::new(&self.rows.space);
            let mut hits = Vec::new();
            let (mut expanded, mut taken) = (0, None);
            let blurred = loop {
                walk.measure(query, walking);
                for (&row, &distance) in walking.fresh.iter().zip(&walking.distances) {
                    pool.enter(Candidate::new(distance, row));
                    let distance = if walk.exact {
                        distance
                    } else if f64::from(distance) > errors.limit(radius) {
                        continue;
                    } else {
                        let exact = self.rows.distance(query, row as usize);
                        errors.note(exact, distance);
                        exact
                    };
                    let distance = self.rows.space.shown(distance);
                    if f64::from(distance) > radius {
                        continue;
                    }
                    inside.push(row);
                    let live = self.rows.is_live(row as usize);
                    if live && allowed.is_none_or(|allowed| allowed.contains(row as usize)) {
                        let id = self.rows.ids()[row as usize];
                        hits.push(Hit { distance, id });
                    }
                }
                // First the nearest, which lead to where the query is.
                let next = match pool.next() {
                    Some(next) => {
                        pool.pass();
                        Some(next.node())
                    }
                    None => {
                        if taken.is_none() && !walk.exact {
                            let found = pool.candidates();
                            let found = found.map(|one| Entry::new(one.distance(), one.node()));
                            walking.pool.clear();
                            walking.pool.extend(found);
                            if self.measure_again(query, walking, Uncounted) {
                                break true;
                            }
                        }
                        // Only now is it sure that these hits stay.
                        for _ in taken.unwrap_or(0)..hits.len() {
                            room.take()?;
                        }
                        taken = Some(hits.len());
                        inside.pop()
                    }
                };
                let Some(next) = next else {
                    break false;
                };
                walking.fresh.clear();
                if marks.raise(next, EXPANDED) {
                    expanded += 1;
                    if expanded % 1024 == 0 {
                        workers.check()?;
                    }
                    for &link in self.graph.links(0, next) {
                        if marks.raise(link, SEEN) {
                            self.rows.ask_for_code(link as usize);
                            walking.fresh.push(link);
                        }
                    }
                }
            };
            if !blurred {
                return Ok(hits);
            }
            walk.exact = true;
        }
    }
}
