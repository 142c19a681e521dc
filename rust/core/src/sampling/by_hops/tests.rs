use super::*;
use crate::rng::Stream;

#[test]
fn lists_and_bits_choose_the_same() {
    let nodes = 300usize;
    let mut stream = Stream::new(2, 0);
    let vectors: Vec<f64> = (0..nodes * 5).map(|_| stream.uniform() - 0.5).collect();
    let vectors = Matrix::new(&vectors, nodes, 5).unwrap();
    let task = Task {
        vectors,
        wanted: Wanted {
            least: 1,
            most: Some(1),
            k: 7,
            draw: None,
            skip: Skip::Count(2),
            similarity: Similarity::Dot,
        },
        inverse: vec![1.0; nodes],
        bytes: None,
    };
    let sources: Vec<i64> = (0..130).collect();
    let (mut listed, mut ends) = (Vec::new(), Vec::new());
    for i in 0..130 {
        let count = stream.below(60);
        let mut row: Vec<u32> = (0..count).map(|_| stream.below(300) as u32).collect();
        row.sort_unstable();
        row.dedup();
        if i == 3 {
            row.clear();
        }
        listed.extend(row);
        ends.push(listed.len());
    }
    let bits = as_bits(&listed, &ends, 5);
    let (mut one, mut other) = (Mined::default(), Mined::default());
    task.among_nodes(&sources, &mut listed, &ends, &mut one);
    task.among_bits(&Workers::serial(), &sources, &bits, &mut other)
        .unwrap();
    assert_eq!(one.indices, other.indices);
    assert_eq!(
        (&one.counts, &one.candidates),
        (&other.counts, &other.candidates)
    );
    for (a, b) in one.similarities.iter().zip(&other.similarities) {
        assert!(a == b || (a - b).abs() < 1e-6);
    }
}

#[test]
fn bytes_choose_what_the_product_chooses() {
    let (nodes, dim) = (2100usize, 24);
    let mut stream = Stream::new(3, 0);
    let mut rows: Vec<f32> = (0..nodes * dim)
        .map(|_| stream.uniform() as f32 - 0.5)
        .collect();
    // Rows of zeros, of other lengths, close to each other, and the same.
    rows[5 * dim..6 * dim].fill(0.0);
    rows[7 * dim..9 * dim].iter_mut().for_each(|x| *x *= 1e3);
    for i in 0..40 {
        let at = (900 + 7 * i) * dim;
        rows.copy_within(30 * dim..31 * dim, at);
        rows[at + i / 4] += 1e-4;
    }
    let sources: Vec<i64> = (0..2 * GROUP as i64 + 3).map(|i| i * 67).collect();
    let mut bits: Vec<u64> = (0..sources.len() * nodes.div_ceil(64))
        .map(|_| stream.next_u64())
        .collect();
    // Nobody, few, all.
    let words = nodes.div_ceil(64);
    bits[..words].fill(0);
    bits[words..2 * words].fill(9);
    bits[2 * words..3 * words].fill(!0);
    for row in bits.chunks_mut(words) {
        row[words - 1] &= !0 >> (64 * words - nodes);
    }
    let same = rows[..dim].repeat(nodes);
    for (rows, similarity, skip, all) in [
        (&rows, Similarity::Cosine, Skip::Count(0), true),
        (&rows, Similarity::Dot, Skip::Count(60), true),
        (&rows, Similarity::Cosine, Skip::Share(0.4), false),
        (&same, Similarity::Dot, Skip::Count(0), false),
    ] {
        let vectors = Matrix::new(rows, nodes, dim).unwrap();
        let norms = (0..nodes).map(|i| norm(vectors.row(i)) as f32);
        let inverse = norms.map(|norm| match similarity {
            Similarity::Cosine if norm > 0.0 => 1.0 / norm,
            Similarity::Cosine => 0.0,
            Similarity::Dot => 1.0,
        });
        let mut task = Task {
            vectors,
            wanted: Wanted {
                least: 1,
                most: Some(1),
                k: 9,
                draw: None,
                skip,
                similarity,
            },
            inverse: inverse.collect(),
            bytes: None,
        };
        if !filtered::is_open(vectors, &task.ground()) {
            return;
        }
        let workers = Workers::serial();
        let (mut one, mut other) = (Mined::default(), Mined::default());
        task.among_bits(&workers, &sources, &bits, &mut one)
            .unwrap();
        let slab = Slab::new(&task.ground(), 0..nodes, &workers).unwrap();
        let mut some = Mined::default();
        let done = task
            .by_bytes(&workers, &slab, &sources, &bits, &mut some)
            .unwrap();
        assert_eq!(done == sources.len(), all, "{skip:?}");
        let mut parts = Mined::default();
        task.by_parts(&workers, &slab, &sources, &bits, &mut parts)
            .unwrap();
        assert_eq!(parts, one);
        task.bytes = Some(slab);
        task.among_bits(&workers, &sources, &bits, &mut other)
            .unwrap();
        assert_eq!(one, other);
    }
}
