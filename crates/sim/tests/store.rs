//! The replicated store keeps its promises on every seed; `ROUNDSMAN_SEEDS` raises their number.
//!
//! Each kind of course is run on its share of the seeds. That each promise bites is shown in
//! `store_mutants.rs`.

use sim::store::{Course, Kind, cut_down, run};

/// How many seeds of each kind the landing tests take: 21,000 in all.
const LANDING: u64 = 3_000;
/// How many the campaign takes, unless told.
const CAMPAIGN: u64 = 1_000_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a campaign asks for more seeds than a landing"
)]
fn seeds(default: u64) -> u64 {
    std::env::var("ROUNDSMAN_SEEDS")
        .map_or(default, |n| n.parse().expect("ROUNDSMAN_SEEDS is a number"))
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
    for &kind in kinds {
        promises_hold(kind, 0, seeds(LANDING));
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

/// Every `of`-th thousand of the campaign's seeds, other ones than the landing's.
#[expect(clippy::print_stdout, reason = "the count is the result")]
fn campaign(part: u64, of: u64) {
    let each = seeds(CAMPAIGN) / Kind::ALL.len() as u64;
    let mut ran = 0;
    for from in (0..each).step_by(1_000) {
        if (from / 1_000) % of != part {
            continue;
        }
        let until = (from + 1_000).min(each);
        for kind in Kind::ALL {
            promises_hold(kind, FAR + from, FAR + until);
            ran += until - from;
        }
        println!("part {part} of {of}: {ran} seeds ran and kept every promise");
    }
}

/// Where the campaign's seeds begin.
const FAR: u64 = 1_000_000_000;

#[test]
#[ignore = "a million seeds take hours; cargo xtask campaign"]
fn every_promise_holds_on_a_million_seeds_first_half() {
    campaign(0, 2);
}

#[test]
#[ignore = "a million seeds take hours; cargo xtask campaign"]
fn every_promise_holds_on_a_million_seeds_other_half() {
    campaign(1, 2);
}

/// A course that reaches nothing keeps every promise.
#[test]
fn the_courses_reach_what_they_are_for() {
    let mut sums = [0; 4];
    for seed in 0..60 {
        let report = run(&Course::draw(Kind::All, seed), |_| {}, 0);
        let reached = [
            report.writes,
            report.confirmed,
            report.renamed,
            report.retired,
        ];
        for (sum, count) in sums.iter_mut().zip(reached) {
            *sum += count;
        }
    }
    let [writes, confirmed, renamed, retired] = sums;
    assert!(writes > 1_200 && confirmed > 600, "{sums:?}");
    assert!(renamed > 0 && retired > 0, "{sums:?}");
}
