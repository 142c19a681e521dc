//! Nearly all rows within a radius.

use crate::error::Result;
use crate::index::bitmap::Bitmap;
use crate::index::hits::Hit;
use crate::index::ranges::{Ranges, Reach, Room};
use crate::matrix::Matrix;
use crate::pool::Workers;

use super::Hnsw;
use super::count::Uncounted;
use super::filter::Scratch;
use super::search::pool_size;
use crate::index::candidate::Candidate;

/// Queries a thread takes at a time.
const QUERIES: usize = 8;

/// Cache lines asked for of each vector.
const LINES: usize = 16;

/// A row that was compared.
const SEEN: u8 = 1;

/// A row whose links were looked at.
const EXPANDED: u8 = 2;

impl Hnsw {
    /// All rows within `reach` of every query that a walk finds which expands the `ef` nearest it
    /// comes to and everything within reach; of those `allowed` if that is given.
    ///
    /// The walk goes over all rows, for those within reach lead to each other.
    pub fn within(
        &self,
        queries: Matrix<'_, f32>,
        reach: Reach,
        ef: Option<usize>,
        allowed: Option<&Bitmap>,
        workers: &Workers<'_>,
    ) -> Result<Ranges> {
        let ef = pool_size(ef, 1)?;
        let prepared = self.rows.space.prepare(queries)?;
        let count = allowed.map_or(self.rows.live(), Bitmap::count);
        let few = allowed.is_some() && self.is_few(count, ef);
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
                range
                    .map(|query| {
                        let query = prepared.row(query);
                        self.within_one(query, reach.radius, ef, allowed, scratch, room, workers)
                    })
                    .collect()
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
        scratch: &mut Scratch,
        room: &Room,
        workers: &Workers<'_>,
    ) -> Result<Vec<Hit>> {
        let Some(entry) = self.graph.entry() else {
            return Ok(Vec::new());
        };
        let Scratch {
            marks,
            pool,
            fresh,
            others: inside,
            ..
        } = scratch;
        marks.start(self.graph.len());
        pool.start(ef);
        inside.clear();
        let start = self.start_of(query, entry, Uncounted);
        marks.raise(start.node(), SEEN);
        fresh.clear();
        fresh.push(start.node());
        let mut hits = Vec::new();
        let mut expanded = 0;
        loop {
            fresh
                .iter()
                .for_each(|&row| self.rows.ask_for(row as usize, LINES));
            for &row in &*fresh {
                let distance = self.rows.distance(query, row as usize);
                pool.enter(Candidate::new(distance, row));
                let distance = self.rows.space.shown(distance);
                if f64::from(distance) > radius {
                    continue;
                }
                inside.push(row);
                let live = self.rows.is_live(row as usize);
                if live && allowed.is_none_or(|allowed| allowed.contains(row as usize)) {
                    room.take()?;
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
                None => inside.pop(),
            };
            let Some(next) = next else {
                return Ok(hits);
            };
            fresh.clear();
            if marks.raise(next, EXPANDED) {
                expanded += 1;
                if expanded % 1024 == 0 {
                    workers.check()?;
                }
                let links = self.graph.links(0, next).iter();
                fresh.extend(links.filter(|&&link| marks.raise(link, SEEN)));
            }
        }
    }
}
