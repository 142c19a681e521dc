//! Some of the candidates of each source, all alike.

use super::draws::Draws;
use super::hops::Found;

const THIN: u8 = 12;

/// Lists of nodes, and of how many each is a part.
pub(super) struct Thinned {
    pub nodes: Vec<u32>,
    pub ends: Vec<usize>,
    pub candidates: Vec<i64>,
}

/// How many, of how many nodes, drawn with which seed; the first source's number.
#[derive(Clone, Copy)]
pub(super) struct Draw {
    pub wanted: usize,
    pub nodes: usize,
    pub seed: u64,
    pub first: usize,
}

/// Draws from what searches found, or from what they did not find. Lists are sorted.
pub(super) fn thin(found: &mut Found, others: bool, draw: Draw) -> Thinned {
    let mut thinned = Thinned {
        nodes: Vec::new(),
        ends: Vec::new(),
        candidates: Vec::new(),
    };
    let count = match found {
        Found::Bits(bits) => bits.len() / draw.nodes.div_ceil(64).max(1),
        Found::Nodes(_, ends) => ends.len(),
    };
    let (mut ranks, mut begin) = (Vec::new(), 0);
    for source in 0..count {
        let listed = match found {
            Found::Bits(bits) => {
                let words = bits.len() / count;
                Listed::Bits(&bits[source * words..(source + 1) * words])
            }
            Found::Nodes(nodes, ends) => {
                let listed = &mut nodes[begin..ends[source]];
                begin = ends[source];
                listed.sort_unstable();
                Listed::Nodes(listed)
            }
        };
        let given = listed.len();
        let candidates = if others { draw.nodes - given } else { given };
        ranks.clear();
        let mut draws = Draws::new(draw.seed, THIN, (draw.first + source) as u64);
        draws.subset(candidates, draw.wanted, |rank| ranks.push(rank));
        if others {
            listed.not_at(&ranks, &mut thinned.nodes);
        } else {
            listed.at(&ranks, &mut thinned.nodes);
        }
        thinned.ends.push(thinned.nodes.len());
        thinned.candidates.push(candidates as i64);
    }
    thinned
}

/// Nodes that rise.
enum Listed<'a> {
    Bits(&'a [u64]),
    Nodes(&'a [u32]),
}

impl Listed<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Bits(bits) => bits.iter().map(|word| word.count_ones() as usize).sum(),
            Self::Nodes(nodes) => nodes.len(),
        }
    }

    /// Those at places that rise.
    fn at(&self, ranks: &[usize], out: &mut Vec<u32>) {
        match self {
            Self::Bits(bits) => set_bits(bits.iter().copied(), ranks, out),
            Self::Nodes(nodes) => out.extend(ranks.iter().map(|&rank| nodes[rank])),
        }
    }

    /// Of all others those at places that rise and exist.
    fn not_at(&self, ranks: &[usize], out: &mut Vec<u32>) {
        match self {
            Self::Bits(bits) => set_bits(bits.iter().map(|word| !word), ranks, out),
            Self::Nodes(nodes) => {
                let mut before = 0;
                out.extend(ranks.iter().map(|&rank| {
                    while before < nodes.len() && nodes[before] as usize <= rank + before {
                        before += 1;
                    }
                    (rank + before) as u32
                }));
            }
        }
    }
}

fn set_bits(bits: impl Iterator<Item = u64>, ranks: &[usize], out: &mut Vec<u32>) {
    let mut ranks = ranks.iter().copied().peekable();
    let mut passed = 0;
    for (i, mut word) in bits.enumerate() {
        let end = passed + word.count_ones() as usize;
        while let Some(rank) = ranks.next_if(|&rank| rank < end) {
            while passed < rank {
                word &= word - 1;
                passed += 1;
            }
            out.push((64 * i) as u32 + word.trailing_zeros());
        }
        passed = end;
        if ranks.peek().is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_bits_give_the_same_and_each_candidate_equally_often() {
        let listed: Vec<u32> = (0..150)
            .filter(|i| i % 7 < 2 || (60..75).contains(i))
            .collect();
        let mut bits = vec![0u64; 3];
        for &node in &listed {
            bits[node as usize / 64] |= 1 << (node % 64);
        }
        for others in [false, true] {
            let mut hits = [0u32; 150];
            for first in 0..4000 {
                let draw = Draw {
                    wanted: 20,
                    nodes: 150,
                    seed: 3,
                    first,
                };
                let mut turned: Vec<u32> = listed.iter().rev().copied().collect();
                turned.extend(&listed);
                let ends = vec![listed.len(), 2 * listed.len()];
                let by_list = thin(&mut Found::Nodes(turned, ends), others, draw);
                let two = [bits.clone(), bits.clone()].concat();
                let by_bits = thin(&mut Found::Bits(two), others, draw);
                assert_eq!(by_list.nodes, by_bits.nodes);
                assert_eq!((&by_list.ends, by_list.ends[0]), (&by_bits.ends, 20));
                assert_eq!(by_list.candidates, by_bits.candidates);
                for &node in &by_list.nodes[..20] {
                    assert_eq!(listed.contains(&node), !others);
                    hits[node as usize] += 1;
                }
            }
            let count = hits.iter().filter(|&&hit| hit > 0).count();
            let given = if others {
                150 - listed.len()
            } else {
                listed.len()
            };
            assert_eq!(count, given);
            let chance = 20.0 / given as f64;
            let mean = 4000.0 * chance;
            for &hit in hits.iter().filter(|&&hit| hit > 0) {
                let far = (f64::from(hit) - mean).abs() / (mean * (1.0 - chance)).sqrt();
                assert!(far < 4.5, "{far} standard deviations");
            }
        }
    }

    #[test]
    fn where_few_are_left_all_come() {
        let draw = Draw {
            wanted: 9,
            nodes: 70,
            seed: 0,
            first: 0,
        };
        let near: Vec<u32> = (0..70).filter(|i| i % 30 != 9).collect();
        let ends = vec![near.len(), near.len()];
        let thinned = thin(&mut Found::Nodes(near, ends), true, draw);
        assert_eq!(thinned.nodes[..3], [9, 39, 69]);
        assert_eq!(
            (thinned.ends, thinned.candidates),
            (vec![3, 12], vec![3, 70])
        );
    }
}
