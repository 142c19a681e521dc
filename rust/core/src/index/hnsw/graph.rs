//! Links, levels and the spanning tree.

use crate::error::{Error, Result};
use crate::index::room;
use crate::persist::Store;

use super::guards::Guards;
use super::params::Params;
use super::uppers::Uppers;

/// Ends a list of links that is shorter than its place, and stands for no parent.
pub const EMPTY: u32 = u32::MAX;

/// The layered graph.
///
/// Level 0 contains a spanning tree in both directions: every row but one has a `parent` among
/// its links and is among its parent's, and pruning never drops these. So every row can be
/// reached from every other one, whatever else is pruned.
#[derive(Clone, Debug)]
pub struct Graph {
    pub params: Params,
    /// `2m` places a row.
    pub(super) base: Store<u32>,
    /// `m` places for each row and level above 0.
    pub(super) upper: Store<u32>,
    /// The first of a row's lists in `upper`, counted in lists.
    pub(super) uppers: Uppers,
    pub(super) levels: Store<u8>,
    pub(super) parents: Store<u32>,
    pub(super) guards: Guards,
    /// Rows whose parent or guard a row is. It links to all of them, so they are less than 256.
    pub(super) dependants: Vec<u8>,
    /// A row of the highest level, or [`EMPTY`].
    pub(super) entry: u32,
    /// Rows there ever were: rows move when others leave, and a number given again would repeat
    /// its level.
    pub(super) drawn: u64,
}

/// Storage that takes the old one's place when the graph outgrows it.
pub(super) struct Room {
    base: Option<Store<u32>>,
    upper: Option<Store<u32>>,
    levels: Option<Store<u8>>,
    parents: Option<Store<u32>>,
    dependants: Option<Vec<u8>>,
}

impl Graph {
    pub fn new(params: Params) -> Self {
        Self {
            params,
            base: Store::default(),
            upper: Store::default(),
            uppers: Uppers::default(),
            levels: Store::default(),
            parents: Store::default(),
            guards: Guards::default(),
            dependants: Vec::new(),
            entry: EMPTY,
            drawn: 0,
        }
    }

    /// A graph from its parts, whose lengths must agree; [`super::check`] judges the rest.
    pub(super) fn from_parts(
        params: Params,
        base: Store<u32>,
        upper: Store<u32>,
        levels: Store<u8>,
        parents: Store<u32>,
        guards: Guards,
        entry: u32,
        drawn: u64,
    ) -> Result<Self> {
        let mut graph = Self {
            params,
            base,
            upper,
            uppers: Uppers::of(&levels)?,
            levels,
            parents,
            guards,
            dependants: Vec::new(),
            entry,
            drawn,
        };
        // Changes alone ask for dependants, and what is mapped is not changed.
        if graph.parents.is_mapped() {
            return Ok(graph);
        }
        graph.dependants = vec![0; graph.levels.len()];
        for other in graph.parents.iter().copied().chain(graph.guards.values(0)) {
            if let Some(dependants) = graph.dependants.get_mut(other as usize) {
                *dependants = dependants.saturating_add(1);
            }
        }
        Ok(graph)
    }

    pub fn len(&self) -> usize {
        self.levels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    pub fn level(&self, node: u32) -> u8 {
        self.levels[node as usize]
    }

    /// Where searches start.
    pub fn entry(&self) -> Option<u32> {
        (self.entry != EMPTY).then_some(self.entry)
    }

    fn range(&self, level: u8, node: u32) -> std::ops::Range<usize> {
        let size = self.params.capacity(level);
        let list = match level {
            0 => node as usize,
            _ => self.uppers.first(node as usize) + usize::from(level) - 1,
        };
        list * size..(list + 1) * size
    }

    /// The place of a row's links on a level: links, then [`EMPTY`].
    #[inline(always)]
    pub fn place(&self, level: u8, node: u32) -> &[u32] {
        let range = self.range(level, node);
        if level == 0 {
            &self.base[range]
        } else {
            &self.upper[range]
        }
    }

    /// A row's links on a level it has.
    pub fn links(&self, level: u8, node: u32) -> &[u32] {
        let place = self.place(level, node);
        let degree = place.iter().position(|&link| link == EMPTY);
        &place[..degree.unwrap_or(place.len())]
    }

    /// Replaces a row's links.
    pub(super) fn set(&mut self, level: u8, node: u32, links: impl Iterator<Item = u32>) {
        let range = self.range(level, node);
        let place = if level == 0 {
            &mut self.base[range]
        } else {
            &mut self.upper[range]
        };
        place.fill(EMPTY);
        for (slot, link) in place.iter_mut().zip(links) {
            *slot = link;
        }
    }

    /// Whether pruning must not drop the level-0 link of `node` to `link`.
    pub fn is_kept(&self, node: u32, link: u32) -> bool {
        self.parents[node as usize] == link
            || self.parents[link as usize] == node
            || self.guards.get(link) == node
    }

    /// Whether a row can take one more child and keep most of its links for its own choice.
    pub(super) fn has_room(&self, node: u32) -> bool {
        usize::from(self.dependants[node as usize]) < self.most_dependants()
    }

    /// Dependants below which a row has room.
    pub(super) fn most_dependants(&self) -> usize {
        (self.params.m / 2).max(1)
    }

    /// Whether a row can guard one more: with its parent they may take three quarters of its links.
    pub(super) fn can_guard(&self, node: u32) -> bool {
        usize::from(self.dependants[node as usize]) < self.params.m * 3 / 2 - 1
    }

    pub(super) fn set_parent(&mut self, node: u32, parent: u32) {
        self.parents[node as usize] = parent;
        self.dependants[parent as usize] += 1;
    }

    pub(super) fn set_guard(&mut self, node: u32, guard: u32) {
        let old = self.guards.set(node, guard);
        if let Some(dependants) = self.dependants.get_mut(old as usize) {
            *dependants -= 1;
        }
        self.dependants[guard as usize] += 1;
    }

    /// The levels of the next `count` rows. A file may hold any number of those drawn before.
    fn next_levels(&self, count: usize) -> impl Iterator<Item = u8> {
        (0..count as u64).map(|i| self.params.level(self.drawn.wrapping_add(i)))
    }

    /// Room for `more` rows, to be given to [`Graph::make_room`].
    pub(super) fn room(&self, more: usize) -> Result<Room> {
        let lists: usize = self.next_levels(more).map(usize::from).sum();
        Ok(Room {
            base: room::store(&self.base, more * self.params.capacity(0))?,
            upper: room::store(&self.upper, lists * self.params.capacity(1))?,
            levels: room::store(&self.levels, more)?,
            parents: room::store(&self.parents, more)?,
            dependants: room::copy(&self.dependants, more)?,
        })
    }

    /// Moves to a larger place; `room` is left with the old one.
    pub(super) fn make_room(&mut self, room: &mut Room) {
        room::swap(&mut self.base, &mut room.base);
        room::swap(&mut self.upper, &mut room.upper);
        room::swap(&mut self.levels, &mut room.levels);
        room::swap(&mut self.parents, &mut room.parents);
        room::swap(&mut self.dependants, &mut room.dependants);
    }

    /// Appends `count` rows without links.
    pub(super) fn grow(&mut self, count: usize) -> Result<()> {
        let start = self.len();
        let levels: Vec<u8> = self.next_levels(count).collect();
        let lists: usize = levels.iter().map(|&level| usize::from(level)).sum();
        let base = count * self.params.capacity(0);
        let upper = lists * self.params.capacity(1);
        self.base
            .to_mut()
            .try_reserve(base)
            .map_err(|_| Error::out_of_memory())?;
        self.upper
            .to_mut()
            .try_reserve(upper)
            .map_err(|_| Error::out_of_memory())?;

        self.uppers.extend(&levels)?;
        self.drawn = self.drawn.wrapping_add(count as u64);
        let (base, upper) = (self.base.len() + base, self.upper.len() + upper);
        self.base.to_mut().resize(base, EMPTY);
        self.upper.to_mut().resize(upper, EMPTY);
        self.levels.to_mut().extend(levels);
        self.parents.to_mut().resize(start + count, EMPTY);
        self.guards.resize(start + count);
        self.dependants.resize(start + count, 0);
        Ok(())
    }

    /// Removes the rows from number `len` on. Links to them must have gone before.
    pub(super) fn truncate(&mut self, len: usize) {
        let parents = self.parents.get(len..).unwrap_or_default();
        for other in parents.iter().copied().chain(self.guards.values(len)) {
            if let Some(dependants) = self.dependants.get_mut(other as usize) {
                *dependants -= 1;
            }
        }
        self.uppers.truncate(len);
        self.upper
            .to_mut()
            .truncate(self.uppers.lists() * self.params.capacity(1));
        self.base.to_mut().truncate(len * self.params.capacity(0));
        self.levels.to_mut().truncate(len);
        self.parents.to_mut().truncate(len);
        self.guards.resize(len);
        self.dependants.truncate(len);
    }

    /// Bytes of links, of upper levels, and of everything else.
    pub fn bytes(&self) -> (usize, usize, usize) {
        let per_node = size_of::<u32>() + 2 * size_of::<u8>();
        (
            size_of_val(&*self.base),
            size_of_val(&*self.upper),
            self.len() * per_node + self.guards.bytes() + self.uppers.bytes(),
        )
    }
}
