//! Every promise of membership holds for every seed; `ROUNDSMAN_SEEDS` raises their number.
//!
//! That each promise bites is shown in `membership_mutants.rs`.

use base::Duration;
use sim::cluster::Link;
use sim::membership::reports::{heals_after, joined_by_all, stalls};
use sim::membership::{Storm, least, run};

/// How many worlds a landing takes; a campaign asks for more.
#[expect(
    clippy::disallowed_methods,
    reason = "a campaign asks for more seeds than a landing"
)]
fn seeds() -> u64 {
    std::env::var("ROUNDSMAN_SEEDS")
        .map_or(2_000, |n| n.parse().expect("ROUNDSMAN_SEEDS is a number"))
}

fn promises_hold(seeds: u64, draw: impl Fn(u64) -> Storm) {
    let mut whole = 0;
    for seed in 0..seeds {
        let storm = draw(seed);
        let course = run(&storm, None, 0);
        whole += u64::from(course.had_to_be_whole);
        let Some(broken) = course.broken else {
            continue;
        };
        let least = least(&storm, None, broken.promise);
        let again = run(&least, None, 60);
        let broken = again.broken.unwrap_or(broken);
        panic!(
            "seed {seed}, {} nodes: {broken}\n{} of {} troubles are needed: {:#?}\n{}",
            storm.plan.hosts,
            least.troubles.len(),
            storm.troubles.len(),
            least.troubles,
            again.trace
        );
    }
    let enough = whole * 10 >= seeds * 9;
    assert!(enough, "{whole} of {seeds} storms were long enough over");
}

#[test]
fn every_promise_holds_whatever_goes_wrong() {
    promises_hold(seeds(), Storm::draw);
}

#[test]
fn nobody_that_can_be_reached_is_called_dead_in_the_rain() {
    promises_hold(seeds() / 2, Storm::rainy);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let trace = |seed| run(&Storm::draw(seed), None, 100).trace;
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
        assert_ne!(trace(seed).sum(), trace(seed + 1).sum(), "seed {seed}");
    }
}

/// Fifty nodes boot at once, told of one of them only.
fn fifty_find_each_other(seeds: u64) {
    for seed in 0..seeds {
        let took = joined_by_all(seed, 50, Link::lan());
        assert!(took <= Duration::from_secs(2), "seed {seed}: {took:?}");
    }
}

#[test]
fn fifty_that_join_at_once_find_each_other_within_two_seconds() {
    fifty_find_each_other(seeds() / 50);
}

#[test]
#[ignore = "a thousand seeds are for the campaign"]
fn fifty_that_join_at_once_find_each_other_in_every_one_of_a_thousand_seeds() {
    fifty_find_each_other(1_000);
}

/// A hundred nodes at a tenth of loss, of which one stands still for 5 s every minute.
fn a_staller_harms_nobody(span: Duration) {
    let beat = (Duration::from_secs(5), Duration::from_secs(60));
    let report = stalls(1, 100, Link::lossy(100), beat, span);
    assert_eq!(report.false_deaths, 0, "{report:?}");
    let longest = report.alive_again.longest();
    assert!(longest <= Duration::from_secs(2), "{longest:?}");
}

#[test]
fn a_member_that_stands_still_every_minute_harms_nobody_for_twenty_minutes() {
    a_staller_harms_nobody(Duration::from_secs(20 * 60));
}

#[test]
#[ignore = "a day is for the campaign"]
fn a_member_that_stands_still_every_minute_harms_nobody_for_a_day() {
    a_staller_harms_nobody(Duration::from_secs(24 * 60 * 60));
}

#[test]
fn everybody_finds_everybody_after_an_hour_in_two_halves() {
    for seed in 0..3 {
        let took = heals_after(seed, 10, Link::lan(), Duration::from_secs(3_600));
        assert!(took <= Duration::from_secs(10), "seed {seed}: {took:?}");
    }
}
