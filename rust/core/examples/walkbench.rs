use ruvector_core::index::hnsw::{Hnsw, Params};
use ruvector_core::matrix::Matrix;
use ruvector_core::metric::Metric;
use ruvector_core::pool::Workers;
use std::time::Instant;
fn read(path: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let dim: usize = args[2].parse().unwrap();
    let metric = Metric::parse(&args[3]).unwrap();
    let efs: Vec<usize> = args[4].split(',').map(|x| x.parse().unwrap()).collect();
    let x = read(&format!("{}.x", args[1]));
    let q = read(&format!("{}.q", args[1]));
    let t: Vec<i64> = std::fs::read(format!("{}.t", args[1]))
        .unwrap()
        .chunks_exact(8)
        .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let mut index = Hnsw::new(dim, metric, Params::new(16, 200, 0).unwrap()).unwrap();
    let w = Workers::serial();
    let s = Instant::now();
    index
        .add(Matrix::new(&x, x.len() / dim, dim).unwrap(), None, &w)
        .unwrap();
    println!("build {:.2}", s.elapsed().as_secs_f64());
    let n = q.len() / dim;
    for ef in efs {
        let mut best = f64::MAX;
        let mut recall = 0.0;
        for _ in 0..std::env::var("REP").map_or(9, |x| x.parse().unwrap()) {
            let s = Instant::now();
            let hits = index
                .search(Matrix::new(&q, n, dim).unwrap(), 10, Some(ef), &w)
                .unwrap();
            best = best.min(s.elapsed().as_secs_f64());
            let found: usize = hits
                .ids
                .chunks(10)
                .zip(t.chunks(10))
                .map(|(a, b)| a.iter().filter(|x| b.contains(x)).count())
                .sum();
            recall = found as f64 / (10 * n) as f64;
        }
        println!("ef {ef} recall {recall:.4} {:.0} q/s", n as f64 / best);
    }
}
