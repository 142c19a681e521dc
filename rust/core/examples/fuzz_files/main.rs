//! Loads damaged and crafted index files for a given time.
//!
//! ```text
//! cargo run --release -p ruvector-core --example fuzz_files -- SECONDS [SEED [FIRST_CASE]]
//! ```
//!
//! Prints its seed. On a finding it names the case, keeps its file and fails; the same seed and
//! the case as `FIRST_CASE` repeat it.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for developers: what it cannot do ends it"
)]

mod craft;
mod driver;
mod memory;

use std::time::{Duration, SystemTime};

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().unwrap());
    let seconds = arguments.next().unwrap_or(60);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = arguments
        .next()
        .unwrap_or_else(|| clock.unwrap().as_millis() as u64);
    let first = arguments.next().unwrap_or(0);
    println!("seed {seed}, {seconds} s");
    match driver::run(seed, first, Duration::from_secs(seconds)) {
        Ok(counts) => println!("no finding: {counts:?}"),
        Err(finding) => {
            println!("{finding}");
            std::process::exit(1);
        }
    }
}
