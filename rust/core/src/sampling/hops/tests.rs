use super::*;
use crate::rng::Stream;

fn random(nodes: usize, degree: usize) -> (Vec<i64>, Vec<i32>) {
    let mut stream = Stream::new(1, 0);
    let mut indptr = vec![0];
    let mut indices = Vec::new();
    for _ in 0..nodes {
        let mut row: Vec<i32> = (0..degree)
            .map(|_| stream.below(nodes as u64) as i32)
            .collect();
        row.sort_unstable();
        row.dedup();
        indices.extend(row);
        indptr.push(indices.len() as i64);
    }
    (indptr, indices)
}

#[test]
fn searches_alone_and_together_find_the_same() {
    let (indptr, indices) = random(700, 3);
    let graph = Csr::new(&indptr, &indices, None, 700).unwrap();
    let sources: Vec<i64> = (0..600).chain([5, 5]).collect();
    for least in 0..4 {
        for most in 0..7 {
            let range = Distances { least, most };
            let mut searcher = Searcher::new(&graph);
            for sources in sources.chunks(TOGETHER) {
                let workers = Workers::serial();
                let reversed = Reversed::default();
                let bits = searcher
                    .together(sources, range, &reversed, &workers)
                    .unwrap();
                for (&source, bits) in sources.iter().zip(bits.chunks(11)) {
                    let (nodes, _) =
                        searcher
                            .marks
                            .search(&graph, source as u32, range, usize::MAX);
                    let mut nodes: Vec<_> = nodes.iter().map(|&n| n as i32).collect();
                    nodes.sort_unstable();
                    let mut out = vec![0; ones(bits)];
                    expand(bits, &mut out);
                    assert_eq!(out, nodes, "{source} {range:?}");
                }
            }
            let lists = |threads| hops(&Workers::of(threads), &graph, &sources, range).unwrap();
            assert_eq!(lists(1), lists(2));
        }
    }
}
