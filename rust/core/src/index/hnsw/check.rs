//! What must hold in every graph.

use crate::index::codes::Codes;

use super::Hnsw;
use super::graph::{EMPTY, Graph};
use super::params::MAX_LEVEL;

impl Hnsw {
    /// The first broken invariant, in words; also looked for in every file that is loaded.
    pub fn check(&self) -> std::result::Result<(), String> {
        if self.graph.len() != self.rows.len() {
            let (nodes, rows) = (self.graph.len(), self.rows.len());
            return Err(format!("the graph has {nodes} nodes for {rows} rows"));
        }
        let codes = self.rows.coding.codes.as_ref().map(Codes::len);
        if let Some(codes) = codes.filter(|&codes| codes != self.rows.len()) {
            return Err(format!(
                "there are {codes} codes for {} rows",
                self.rows.len()
            ));
        }
        self.rows.check()?;
        self.settled().check()
    }
}

impl Graph {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        self.check_levels()?;
        for node in 0..self.len() as u32 {
            for level in 0..=self.level(node) {
                self.check_links(level, node)?;
            }
            self.check_guard(node)?;
        }
        self.check_tree()?;
        self.check_dependants()?;
        match self.unreachable() {
            0 => Ok(()),
            count => Err(format!(
                "{count} rows cannot be reached from the entry point on level 0"
            )),
        }
    }

    /// Whether walks stay within the graph, whatever else it holds: all that is needed for
    /// searches that do no harm, and quick.
    pub(super) fn check_walks(&self) -> std::result::Result<(), String> {
        self.check_levels()?;
        let len = self.len() as u32;
        // One more makes EMPTY 0 and keeps the loop free of branches.
        let beyond = |links: &[u32]| {
            let largest = links.iter().map(|link| link.wrapping_add(1)).max();
            largest.is_some_and(|largest| largest > len)
        };
        if beyond(&self.base) || beyond(&self.upper) {
            return Err("a link leads to a row that does not exist".into());
        }
        for node in 0..len {
            for level in 1..=self.level(node) {
                let links = self.links(level, node);
                if links.iter().any(|&link| self.level(link) < level) {
                    return Err(format!("row {node} links below level {level}"));
                }
            }
        }
        Ok(())
    }

    fn check_levels(&self) -> std::result::Result<(), String> {
        if let Some(level) = self.levels.iter().find(|&&level| level > MAX_LEVEL) {
            return Err(format!("level {level} is beyond {MAX_LEVEL}"));
        }
        let top = self.levels.iter().copied().max();
        let entry = self.levels.get(self.entry as usize).copied();
        if entry != top || (top.is_none() && self.entry != EMPTY) {
            return Err(format!("the entry point has level {entry:?}, not {top:?}"));
        }
        Ok(())
    }

    fn check_links(&self, level: u8, node: u32) -> std::result::Result<(), String> {
        let place = self.place(level, node);
        let links = self.links(level, node);
        let problem = |what: String| Err(format!("row {node} on level {level} {what}"));
        if place[links.len()..].iter().any(|&link| link != EMPTY) {
            return problem("has links after the end of its list".into());
        }
        for (i, &link) in links.iter().enumerate() {
            if link as usize >= self.len() {
                return problem(format!("links to {link}, which does not exist"));
            }
            if link == node {
                return problem("links to itself".into());
            }
            if links[..i].contains(&link) {
                return problem(format!("links to {link} twice"));
            }
            if self.level(link) < level {
                return problem(format!("links to {link}, which is not on this level"));
            }
        }
        Ok(())
    }

    /// Every row but one has a parent, they are linked both ways, and parents lead to that one.
    fn check_tree(&self) -> std::result::Result<(), String> {
        let mut root = None;
        for (node, &parent) in (0..).zip(self.parents.iter()) {
            if parent == EMPTY {
                if let Some(root) = root.replace(node) {
                    return Err(format!("row {root} and row {node} have no parent"));
                }
                continue;
            }
            let linked = |a, b| self.links(0, a).contains(&b);
            if parent as usize >= self.len() || !linked(node, parent) || !linked(parent, node) {
                return Err(format!("row {node} and its parent {parent} are not linked"));
            }
        }
        let mut ends = vec![false; self.len()];
        for node in 0..self.len() as u32 {
            let mut path = Vec::new();
            let mut current = node;
            while current != EMPTY && !ends[current as usize] {
                path.push(current);
                if path.len() > self.len() {
                    return Err(format!("the parents of row {node} go round in a circle"));
                }
                current = self.parents[current as usize];
            }
            path.iter().for_each(|&passed| ends[passed as usize] = true);
        }
        Ok(())
    }

    /// They are counted right, and leave a row room for its parent.
    fn check_dependants(&self) -> std::result::Result<(), String> {
        let mut counts = vec![0usize; self.len()];
        for other in self.parents.iter().copied().chain(self.guards.values(0)) {
            if let Some(count) = counts.get_mut(other as usize) {
                *count += 1;
            }
        }
        for (node, (&count, &kept)) in counts.iter().zip(&self.dependants).enumerate() {
            if count != usize::from(kept) || count >= self.params.capacity(0) {
                return Err(format!("row {node} has {count} dependants, not {kept}"));
            }
        }
        Ok(())
    }

    fn check_guard(&self, node: u32) -> std::result::Result<(), String> {
        let guard = self.guards.get(node);
        if guard == EMPTY {
            return Ok(());
        }
        if guard as usize >= self.len() || !self.links(0, guard).contains(&node) {
            return Err(format!("row {node} is not linked to by its guard {guard}"));
        }
        Ok(())
    }

    /// Rows that no path of level-0 links leads to from the entry point.
    pub fn unreachable(&self) -> usize {
        let Some(entry) = self.entry() else {
            return 0;
        };
        let mut seen = vec![false; self.len()];
        seen[entry as usize] = true;
        let mut waiting = vec![entry];
        let mut reached = 1;
        while let Some(node) = waiting.pop() {
            for &link in self.links(0, node) {
                if !std::mem::replace(&mut seen[link as usize], true) {
                    reached += 1;
                    waiting.push(link);
                }
            }
        }
        self.len() - reached
    }
}
