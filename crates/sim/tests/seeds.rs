//! Every promise holds for every seed; `ROUNDSMAN_SEEDS` raises their number for a campaign.
//!
//! That each promise bites is shown in `mutants.rs`.

use sim::{Plan, run, shrink};

#[expect(
    clippy::disallowed_methods,
    reason = "a campaign asks for more seeds than a landing"
)]
fn seeds() -> u64 {
    std::env::var("ROUNDSMAN_SEEDS")
        .map_or(2_000, |n| n.parse().expect("ROUNDSMAN_SEEDS is a number"))
}

/// Runs every `of`-th seed, so that several tests share the work.
fn promises_hold(part: u64, of: u64) {
    for seed in (0..seeds()).filter(|seed| seed % of == part) {
        let plan = Plan::draw(seed);
        let Some(broken) = run(&plan, None, 0).broken else {
            continue;
        };
        let least = shrink(&plan, None, broken.promise);
        let again = run(&least, None, 80);
        let broken = again.broken.unwrap_or(broken);
        panic!(
            "seed {seed}: {broken}\n{} of {} faults are needed: {:#?}\n{}",
            least.faults.len(),
            plan.faults.len(),
            least.faults,
            again.trace
        );
    }
}

#[test]
fn every_promise_holds_for_the_first_half_of_the_seeds() {
    promises_hold(0, 2);
}

#[test]
fn every_promise_holds_for_the_other_half_of_the_seeds() {
    promises_hold(1, 2);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..30 {
        let trace = |seed| run(&Plan::draw(seed), None, 100).trace;
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
        assert_ne!(trace(seed).sum(), trace(seed + 1).sum(), "seed {seed}");
    }
}
