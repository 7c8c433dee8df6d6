//! Whole clustered nodes keep their promises on every seed; `ROUNDSMAN_SEEDS` raises their number.
//!
//! Each kind of course is run on the same number of seeds. That each promise bites is shown in
//! `fleet_mutants.rs`.

use sim::fleet::{Course, Kind, cut_down, provoked, run};

/// How many seeds of each kind the landing tests take.
const LANDING: u64 = 170;
/// Courses of a campaign on which a promise did not hold once: two with a node on an empty disk
/// that took those it had met for all; a write that superseded what was not shown yet; a mark from
/// the other side of a cut; an owner that asked again and again who was cut off; a peer spoken to in the
/// wire version of its former life; a target that everybody had yielded; two that were judged
/// wrongly; a node on an empty disk that was asked for its forerunner, in that one's wire version
/// or its own, and answered nobody; and two at one address, of which one could not read the other's.
const BROKEN_ONCE: [(Kind, u64); 32] = [
    (Kind::Writes, 423),
    (Kind::Writes, 1_124),
    (Kind::Writes, 966),
    (Kind::Cuts, 787),
    (Kind::Cuts, 1_354),
    (Kind::Crashes, 5_573),
    (Kind::Cuts, 5_984),
    (Kind::Writes, 753),
    (Kind::Writes, 1_072),
    (Kind::Cuts, 6_799),
    (Kind::Cuts, 7_405),
    (Kind::Cuts, 8_734),
    (Kind::Cuts, 7_500),
    (Kind::Writes, 8_192),
    (Kind::All, 20_002),
    (Kind::All, 7_630),
    (Kind::All, 20_110),
    (Kind::Reads, 200_361),
    (Kind::Moves, 27),
    (Kind::Moves, 736),
    (Kind::Moves, 1_821),
    (Kind::All, 200_319),
    (Kind::Crashes, 310_047),
    (Kind::Moves, 401_264),
    (Kind::All, 401_767),
    (Kind::All, 402_095),
    (Kind::Reads, 402_488),
    (Kind::All, 402_596),
    (Kind::Writes, 402_829),
    (Kind::Writes, 500_180),
    (Kind::Writes, 502_663),
    (Kind::Cuts, 710_065),
];

#[expect(
    clippy::disallowed_methods,
    reason = "a campaign asks for more seeds than a landing"
)]
fn seeds() -> u64 {
    std::env::var("ROUNDSMAN_SEEDS")
        .map_or(LANDING, |n| n.parse().expect("ROUNDSMAN_SEEDS is a number"))
}

fn promises_hold(kind: Kind) {
    (0..seeds()).for_each(|seed| promises_hold_on(kind, seed));
}

fn promises_hold_on(kind: Kind, seed: u64) {
    let course = Course::draw(kind, seed);
    let Some(broken) = run(&course, 0).broken else {
        return;
    };
    let least = cut_down(&course, broken.promise);
    let again = run(&least, 60);
    let broken = again.broken.unwrap_or(broken);
    panic!(
        "{kind:?}, seed {seed}: {broken}\n{} of {} faults are needed: {:#?}\n{:?}\n{:?}\n{}",
        least.plan.faults.len(),
        course.plan.faults.len(),
        least.plan.faults,
        least.servers,
        least.calls,
        again.trace
    );
}

#[test]
fn every_promise_holds_while_only_servers_fail() {
    promises_hold(Kind::Still);
}

#[test]
fn every_promise_holds_over_crashes_and_pauses() {
    promises_hold(Kind::Crashes);
}

#[test]
fn every_promise_holds_over_partitions() {
    promises_hold(Kind::Cuts);
}

#[test]
fn every_promise_holds_on_bad_links() {
    promises_hold(Kind::Weather);
}

#[test]
fn every_promise_holds_while_targets_come_and_go() {
    promises_hold(Kind::Writes);
}

#[test]
fn every_promise_holds_when_everything_goes_wrong() {
    promises_hold(Kind::All);
}

#[test]
fn every_promise_holds_while_nodes_drain_and_leave() {
    promises_hold(Kind::Leaves);
}

#[test]
fn every_promise_holds_while_nodes_come_back_at_other_addresses() {
    promises_hold(Kind::Moves);
}

#[test]
fn every_promise_holds_where_one_was_broken_once() {
    for (kind, seed) in BROKEN_ONCE {
        promises_hold_on(kind, seed);
    }
}

#[test]
fn every_promise_holds_on_courses_made_by_hand() {
    let made = [
        provoked::short_cuts,
        provoked::handovers,
        provoked::deaf_owners,
        provoked::redefined,
        provoked::blind_nodes,
    ];
    for (at, course) in made.iter().enumerate() {
        for seed in 0..seeds() / 4 {
            assert_eq!(
                run(&course(seed), 0).broken,
                None,
                "course {at}, seed {seed}"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for kind in Kind::ALL {
        for seed in 0..3 {
            let course = Course::draw(kind, seed);
            let (once, again) = (run(&course, 1), run(&course, 1));
            assert_eq!(once, again, "{kind:?}, seed {seed}");
            assert!(once.trace.sum().0 > 100, "{kind:?}, seed {seed}");
        }
    }
}

/// So many pairs of a write and a read elsewhere the landing tests make at least.
const PAIRS: u64 = 10_000;

#[expect(clippy::print_stdout, reason = "the count is the result")]
#[test]
fn whoever_shows_a_token_elsewhere_is_never_given_an_older_answer() {
    let (mut pairs, mut in_vain, mut seed) = (0, 0, 0);
    while pairs < PAIRS || seed < seeds() / 4 {
        let course = Course::draw(Kind::Reads, seed);
        let report = run(&course, 0);
        assert_eq!(report.broken, None, "seed {seed}");
        pairs += report.figures.reads + report.figures.reads_in_vain;
        in_vain += report.figures.reads_in_vain;
        seed += 1;
    }
    // Somebody was cut off now and then, and the others were answered.
    assert!(
        in_vain > pairs / 200 && in_vain < pairs / 4,
        "{in_vain} of {pairs}"
    );
    println!("{pairs} pairs on {seed} seeds, {in_vain} ended in time-out");
}
