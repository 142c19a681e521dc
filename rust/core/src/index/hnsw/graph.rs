//! Links, levels and the spanning tree.

use crate::error::Result;
use crate::index::lines::{out_of_memory, prefer_huge_pages};

use super::params::Params;

/// Ends a list of links that is shorter than its place, and stands for no parent.
pub const EMPTY: u32 = u32::MAX;

/// The layered graph.
///
/// Level 0 contains a spanning tree in both directions: every row but the first has a `parent`
/// among its links and is among its parent's, and pruning never drops these. So every row can be
/// reached from every other one, whatever else is pruned.
#[derive(Clone, Debug)]
pub struct Graph {
    pub params: Params,
    /// `2m` places a row.
    pub(super) base: Vec<u32>,
    /// `m` places for each row and level above 0.
    pub(super) upper: Vec<u32>,
    /// The first of a row's lists in `upper`, counted in lists.
    offsets: Vec<u32>,
    pub(super) levels: Vec<u8>,
    pub(super) parents: Vec<u32>,
    /// The row whose link to a row is kept because walks did not find it otherwise.
    pub(super) guards: Vec<u32>,
    /// Rows whose parent or guard a row is.
    dependants: Vec<u16>,
    /// A row of the highest level, or [`EMPTY`].
    pub(super) entry: u32,
}

impl Graph {
    pub fn new(params: Params) -> Self {
        Self {
            params,
            base: Vec::new(),
            upper: Vec::new(),
            offsets: Vec::new(),
            levels: Vec::new(),
            parents: Vec::new(),
            guards: Vec::new(),
            dependants: Vec::new(),
            entry: EMPTY,
        }
    }

    /// A graph from its parts, whose lengths must agree; [`super::check`] judges the rest.
    pub(super) fn from_parts(
        params: Params,
        base: Vec<u32>,
        upper: Vec<u32>,
        levels: Vec<u8>,
        parents: Vec<u32>,
        guards: Vec<u32>,
        entry: u32,
    ) -> Self {
        let mut graph = Self {
            params,
            base,
            upper,
            offsets: Vec::with_capacity(levels.len()),
            levels,
            parents,
            guards,
            dependants: Vec::new(),
            entry,
        };
        let mut lists = 0;
        for &level in &graph.levels {
            graph.offsets.push(lists);
            lists += u32::from(level);
        }
        graph.dependants = vec![0; graph.levels.len()];
        for &other in graph.parents.iter().chain(&graph.guards) {
            if let Some(dependants) = graph.dependants.get_mut(other as usize) {
                *dependants = dependants.saturating_add(1);
            }
        }
        graph
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
            _ => self.offsets[node as usize] as usize + usize::from(level) - 1,
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
            || self.guards[link as usize] == node
    }

    /// Whether a row can take one more child and keep most of its links for its own choice.
    pub(super) fn has_room(&self, node: u32) -> bool {
        usize::from(self.dependants[node as usize]) < (self.params.m / 2).max(1)
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
        let old = std::mem::replace(&mut self.guards[node as usize], guard);
        if let Some(dependants) = self.dependants.get_mut(old as usize) {
            *dependants -= 1;
        }
        self.dependants[guard as usize] += 1;
    }

    /// Appends `count` rows without links.
    pub(super) fn grow(&mut self, count: usize) -> Result<()> {
        let start = self.len();
        let levels: Vec<u8> = (start..start + count)
            .map(|number| self.params.level(number))
            .collect();
        let lists: usize = levels.iter().map(|&level| usize::from(level)).sum();
        let base = count * self.params.capacity(0);
        let upper = lists * self.params.capacity(1);
        self.base.try_reserve(base).map_err(|_| out_of_memory())?;
        self.upper.try_reserve(upper).map_err(|_| out_of_memory())?;
        prefer_huge_pages(&mut self.base);

        let mut list = self.upper.len() / self.params.capacity(1);
        for &level in &levels {
            self.offsets.push(list as u32);
            list += usize::from(level);
        }
        self.base.resize(self.base.len() + base, EMPTY);
        self.upper.resize(self.upper.len() + upper, EMPTY);
        self.levels.extend(levels);
        self.parents.resize(start + count, EMPTY);
        self.guards.resize(start + count, EMPTY);
        self.dependants.resize(start + count, 0);
        Ok(())
    }

    /// Removes the rows from number `len` on. Links to them must have gone before.
    pub(super) fn truncate(&mut self, len: usize) {
        for others in [&self.parents, &self.guards] {
            for &other in others.get(len..).unwrap_or_default() {
                if let Some(dependants) = self.dependants.get_mut(other as usize) {
                    *dependants -= 1;
                }
            }
        }
        if let Some(&lists) = self.offsets.get(len) {
            self.upper
                .truncate(lists as usize * self.params.capacity(1));
        }
        self.base.truncate(len * self.params.capacity(0));
        self.offsets.truncate(len);
        self.levels.truncate(len);
        self.parents.truncate(len);
        self.guards.truncate(len);
        self.dependants.truncate(len);
    }

    /// Bytes of links, of upper levels, and of everything else.
    pub fn bytes(&self) -> (usize, usize, usize) {
        let per_node = size_of::<u32>() * 3 + size_of::<u16>() + size_of::<u8>();
        (
            size_of_val(self.base.as_slice()),
            size_of_val(self.upper.as_slice()),
            self.len() * per_node,
        )
    }
}
