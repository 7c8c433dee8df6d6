//! The replicated store keeps its promises on every seed; `ROUNDSMAN_SEEDS` raises their number.
//!
//! Each kind of course is run on its share of the seeds. That each promise bites is shown in
//! `store_mutants.rs`.

use sim::store::{Course, Kind, cut_down, run};

/// How many seeds the landing tests take, over all kinds of courses.
const LANDING: u64 = 21_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a campaign asks for more seeds than a landing"
)]
fn seeds() -> u64 {
    std::env::var("ROUNDSMAN_SEEDS")
        .map_or(LANDING, |n| n.parse().expect("ROUNDSMAN_SEEDS is a number"))
}

/// Runs the share of `kind`: seeds `from` to `until`, each a course of its own.
fn promises_hold(kind: Kind, from: u64, until: u64) {
    for seed in from..until {
        let course = Course::draw(kind, seed);
        let Some(broken) = run(&course, |_| {}, 0).broken else {
            continue;
        };
        let least = cut_down(&course, |_| {}, broken.promise);
        let again = run(&least, |_| {}, 60);
        let broken = again.broken.unwrap_or(broken);
        panic!(
            "{kind:?}, seed {seed}: {broken}\n{} of {} faults are needed: {:#?}\n{} of {} calls: {:?}\n{}",
            least.plan.faults.len(),
            course.plan.faults.len(),
            least.plan.faults,
            least.calls.len(),
            course.calls.len(),
            least.calls,
            again.trace
        );
    }
}

fn share(kinds: &[Kind]) {
    let each = seeds() / Kind::ALL.len() as u64;
    for &kind in kinds {
        promises_hold(kind, 0, each);
    }
}

#[test]
fn every_promise_holds_on_bad_networks() {
    share(&[Kind::Network, Kind::Cuts]);
}

#[test]
fn every_promise_holds_over_crashes_and_lost_disks() {
    share(&[Kind::Crashes, Kind::Disks]);
}

#[test]
fn every_promise_holds_while_much_is_deleted_and_forgotten_soon() {
    share(&[Kind::Deletes]);
}

#[test]
fn every_promise_holds_while_origins_are_retired_and_everything_goes_wrong() {
    share(&[Kind::Retirement, Kind::All]);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let trace = |seed| run(&Course::draw(Kind::All, seed), |_| {}, 100).trace;
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
        assert_ne!(trace(seed).sum(), trace(seed + 1).sum(), "seed {seed}");
    }
}
