//! What a layer is computed from, and numbers within it.

use std::sync::{Mutex, PoisonError};

/// One layer's edges in numbers of its own: row `i` of the matrix is node `nodes[i]`, and so is
/// column `i`. The outputs are the first nodes.
#[derive(Debug, Default, PartialEq)]
pub struct Block {
    pub indptr: Vec<i64>,
    /// Rising in each row.
    pub indices: Vec<i32>,
    pub weights: Option<Vec<f32>>,
    /// What each row is multiplied by to stand for all its neighbours; `None`: all by 1.
    pub scale: Option<Vec<f32>>,
    /// The inputs' numbers in the graph.
    pub nodes: Vec<i64>,
}

/// The blocks of all layers, first layer first; each one's nodes are the outputs of the one
/// before. `positions` tells which output of the last each seed is.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    pub positions: Vec<i64>,
    pub blocks: Vec<Block>,
}

const NONE: u32 = u32::MAX;

/// The places of a graph's nodes in a block, taken back after use.
pub(super) struct Places(Vec<u32>);

impl Places {
    /// The node's place; if it has none, the end of `nodes`, to which it is added.
    #[inline]
    pub fn insert(&mut self, node: u32, nodes: &mut Vec<i64>) -> u32 {
        let place = &mut self.0[node as usize];
        if *place == NONE {
            *place = nodes.len() as u32;
            nodes.push(i64::from(node));
        }
        *place
    }

    pub fn get(&self, node: u32) -> Option<u32> {
        Some(self.0[node as usize]).filter(|&place| place != NONE)
    }

    pub fn clear(&mut self, nodes: &[i64]) {
        for &node in nodes {
            self.0[node as usize] = NONE;
        }
    }

    /// Distinct seeds in the order in which they first come, and which of them each seed is.
    pub fn distinct(&mut self, seeds: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let mut nodes = Vec::with_capacity(seeds.len());
        let place = |&seed: &i64| i64::from(self.insert(seed as u32, &mut nodes));
        let positions = seeds.iter().map(place).collect();
        (nodes, positions)
    }
}

/// Tables that wait for the next batch: making one takes longer than a small batch does.
pub(super) struct Tables {
    nodes: usize,
    idle: Mutex<Vec<Places>>,
}

impl Tables {
    pub fn new(nodes: usize) -> Self {
        Self {
            nodes,
            idle: Mutex::new(Vec::new()),
        }
    }

    pub fn with<R>(&self, job: impl FnOnce(&mut Places) -> R) -> R {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut places = taken.unwrap_or_else(|| Places(vec![NONE; self.nodes]));
        let result = job(&mut places);
        idle().push(places);
        result
    }
}
