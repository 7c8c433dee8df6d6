//! How fast and at what cost changes spread: the goals hold on a few seeds, in simulated time.
//!
//! `cargo xtask bench spread` prints the figures beside the goals.

use base::Duration;
use sim::store::reports::{flood, idle, load, lone, visible};

const SECOND: Duration = Duration::from_secs(1);

fn is_visible_within(goal: Duration, push: bool, sizes: &[(u32, u64)]) {
    for &(nodes, changes) in sizes {
        for seed in 0..3 {
            let seen = visible(seed, nodes, push, changes);
            assert_eq!(seen.missing, 0, "seed {seed}, {nodes} nodes: {seen:?}");
            assert!(seen.p99 <= goal, "seed {seed}, {nodes} nodes: {seen:?}");
        }
    }
}

#[test]
fn a_change_is_visible_everywhere_within_a_second() {
    is_visible_within(SECOND, true, &[(10, 300), (30, 200), (100, 100)]);
}

#[test]
fn a_change_is_visible_everywhere_within_two_seconds_without_pushing() {
    is_visible_within(2 * SECOND, false, &[(10, 300), (30, 200), (100, 100)]);
}

#[test]
fn a_change_under_load_costs_at_most_twelve_datagrams() {
    for seed in 0..3 {
        let load = load(seed, 25, 100);
        assert!(load.datagrams <= 12.0, "seed {seed}: {load:?}");
    }
}

#[test]
fn a_lone_change_is_sent_at_most_twelve_times_by_each_node() {
    for nodes in [5, 10, 25, 100] {
        for seed in 0..3 {
            let copies = lone(seed, nodes);
            assert!(copies.max <= 12, "seed {seed}, {nodes} nodes: {copies:?}");
        }
    }
}

#[test]
fn a_hundred_thousand_changes_at_once_are_known_everywhere_within_three_seconds() {
    for is_spread in [false, true] {
        let flood = flood(0, 5, 100_000, is_spread);
        assert!(
            flood.everywhere.is_some_and(|span| span <= 3 * SECOND),
            "{flood:?}"
        );
    }
}

#[test]
fn an_idle_cluster_is_quiet() {
    for nodes in [10, 100] {
        let idle = idle(0, nodes);
        assert!(
            idle.bytes > 0.0 && idle.bytes <= 500.0,
            "{nodes} nodes: {idle:?}"
        );
    }
}
