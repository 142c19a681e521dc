//! Links, levels and the spanning tree.

use crate::error::Result;
use crate::index::lines::out_of_memory;

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
    /// Tree edges leading away from a row.
    children: Vec<u16>,
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
            children: Vec::new(),
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
        entry: u32,
    ) -> Self {
        let mut graph = Self {
            params,
            base,
            upper,
            offsets: Vec::with_capacity(levels.len()),
            levels,
            parents,
            children: Vec::new(),
            entry,
        };
        let mut lists = 0;
        for &level in &graph.levels {
            graph.offsets.push(lists);
            lists += u32::from(level);
        }
        graph.children = vec![0; graph.levels.len()];
        for &parent in &graph.parents {
            if let Some(children) = graph.children.get_mut(parent as usize) {
                *children = children.saturating_add(1);
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

    /// Whether an edge belongs to the spanning tree.
    pub fn in_tree(&self, a: u32, b: u32) -> bool {
        self.parents[a as usize] == b || self.parents[b as usize] == a
    }

    /// Whether a row can take one more child and keep half its links for its own choice.
    pub(super) fn has_room(&self, node: u32) -> bool {
        usize::from(self.children[node as usize]) < (self.params.m / 2).max(1)
    }

    pub(super) fn set_parent(&mut self, node: u32, parent: u32) {
        self.parents[node as usize] = parent;
        self.children[parent as usize] += 1;
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

        let mut list = self.upper.len() / self.params.capacity(1);
        for &level in &levels {
            self.offsets.push(list as u32);
            list += usize::from(level);
        }
        self.base.resize(self.base.len() + base, EMPTY);
        self.upper.resize(self.upper.len() + upper, EMPTY);
        self.levels.extend(levels);
        self.parents.resize(start + count, EMPTY);
        self.children.resize(start + count, 0);
        Ok(())
    }

    /// Removes the rows from number `len` on. Links to them must have gone before.
    pub(super) fn truncate(&mut self, len: usize) {
        for &parent in self.parents.get(len..).unwrap_or_default() {
            if let Some(children) = self.children.get_mut(parent as usize) {
                *children -= 1;
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
        self.children.truncate(len);
    }

    /// Bytes of links, of upper levels, and of everything else.
    pub fn bytes(&self) -> (usize, usize, usize) {
        let per_node = size_of::<u32>() * 2 + size_of::<u16>() + size_of::<u8>();
        (
            size_of_val(self.base.as_slice()),
            size_of_val(self.upper.as_slice()),
            self.len() * per_node,
        )
    }
}
