//! Five real nodes, real faults, and what the targets themselves saw of it.
//!
//! The landing tests here are short; `cargo xtask bench fleet` runs the long form of each
//! and prints every requirement beside what was measured. Nothing here measures speed: the
//! bounds are promises of the product, and what the machine itself stood still is measured
//! (`machine.rs`), printed, and allowed for.
//! Start reading at `course.rs`; `loopback.rs`, `cuts.rs` and `versions.rs` are the faults.

mod course;
mod cuts;
mod fleet;
mod ground;
mod loopback;
mod machine;
mod node;
mod report;
mod storm;
mod targets;
mod versions;
mod watch;
mod writer;

/// Says in plain sight that a test was not run, and why; `cargo xtask test` counts the lines.
fn skip(why: &str) {
    use std::io::Write;
    if let Some(list) = std::env::var_os("ROUNDSMAN_TEST_SKIPS") {
        let list = std::fs::File::options()
            .append(true)
            .create(true)
            .open(list);
        writeln!(list.expect("the list of skips"), "{why}").expect("a line fits");
    }
    report::show(&format!("SKIPPED: {why}"));
}
