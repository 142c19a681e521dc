//! Some seconds of what `cargo run --example fuzz_files` does for longer.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the driver is a program for developers"
)]

#[path = "../examples/fuzz_files/craft.rs"]
mod craft;
#[path = "../examples/fuzz_files/driver.rs"]
mod driver;
#[path = "../examples/fuzz_files/memory.rs"]
mod memory;

use std::time::Duration;

#[test]
fn bad_files_do_no_harm() {
    let counts = driver::run(20_261_121, 0, Duration::from_secs(5)).unwrap();
    // Or nothing deeper than the header would have been reached.
    assert!(counts.loaded > 0 && counts.mapped > counts.found_later && counts.found_later > 0);
    assert!(
        counts.coded > counts.wrong_codes && counts.wrong_codes > 0,
        "{counts:?}"
    );
}
