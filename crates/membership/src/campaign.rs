//! The promises at full size: `cargo test -p roundsman-membership --lib -- --ignored`.
//!
//! Kept out of the landing tests for their time. The simulator measures the same with worse networks.

use base::{Duration, NodeId};

use crate::testing::{World, address, member};
use crate::{Config, Input, Membership, State};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// From a crash to the last node's knowledge of it, for some seeds, in order.
fn crash_times(n: u64, seeds: std::ops::Range<u64>) -> Vec<Duration> {
    let mut times: Vec<Duration> = seeds
        .map(|seed| {
            let mut world = World::of(n, seed);
            world.run(seconds(3) + Duration::from_millis(seed * 37 % 1_000));
            assert!(world.agrees(), "seed {seed}");
            let from = world.now;
            world.crash(n / 2);
            world.run(seconds(14));
            let deaths = world.deaths();
            let count = usize::try_from(n - 1).expect("small");
            assert_eq!(deaths.len(), count, "seed {seed}: not known to all");
            deaths[count - 1].0.since(from)
        })
        .collect();
    times.sort_unstable();
    times
}

#[test]
#[ignore = "a minute"]
fn a_crash_among_30_is_known_to_all_in_4_s_at_the_median_and_6_s_at_the_99th_percentile() {
    let times = crash_times(30, 0..1_000);
    assert!(
        times[500] <= seconds(4) && times[990] <= seconds(6),
        "{:?} {:?}",
        times[500],
        times[990]
    );
}

#[test]
#[ignore = "minutes"]
fn a_crash_among_1000_is_known_to_all_in_12_s_at_the_99th_percentile() {
    // One after the other in one world: its start is what costs.
    let mut world = World::of(1_000, 1);
    world.run(seconds(30));
    let mut times = Vec::new();
    for id in 2..=101 {
        world.run(seconds(2) + Duration::from_millis(id * 37 % 1_000));
        let (from, before) = (world.now, world.deaths().len());
        world.crash(id);
        world.run(seconds(14));
        let deaths = world.deaths();
        assert_eq!(
            deaths.len() - before,
            world.nodes.len(),
            "crash of {id}: not known to all"
        );
        times.push(deaths[deaths.len() - 1].0.since(from));
    }
    times.sort_unstable();
    assert!(times[98] <= seconds(12), "{times:?}");
    assert!(times[50] <= seconds(9), "{times:?}");
}

#[test]
#[ignore = "a minute"]
fn fifty_who_join_at_once_see_all_within_two_seconds_for_every_seed() {
    for seed in 0..1_000 {
        let mut world = World::new(seed);
        for id in 1..=50 {
            world.start(Config::lan(member(id), seed ^ (id << 32)));
            let seeds = (1..=1 + seed % 3).map(address).collect();
            world.input(id, Input::Join(seeds));
        }
        world.run(seconds(2));
        assert!(world.agrees(), "seed {seed}");
    }
}

#[test]
#[ignore = "minutes"]
fn a_day_of_loss_and_stalls_makes_nobody_dead_but_the_one_that_stalls() {
    let hours = 24;
    let mut world = World::of(100, 1);
    world.loss = 10;
    let mut late = Vec::new();
    for hour in 0..hours * 60 {
        world.stopped.insert(address(3), world.now + seconds(5));
        world.run(seconds(7));
        let alive = |node: &Membership| {
            node.member(NodeId(3))
                .is_some_and(|m| m.state == State::Alive)
        };
        let lacking = world.nodes.values().filter(|node| !alive(node)).count();
        // Loss makes a suspect now and then, which is not dead.
        let seen = world.node(3).living();
        if lacking > 0 || seen < 100 {
            late.push((hour, lacking, seen));
        }
        world.run(seconds(53));
    }
    let others = world
        .deaths()
        .iter()
        .filter(|death| death.2 != NodeId(3))
        .count();
    assert_eq!((others, late), (0, Vec::new()));
}

#[test]
#[ignore = "a minute"]
fn halves_of_a_hundred_find_each_other_within_ten_seconds_after_an_hour() {
    for seed in 0..5 {
        let mut world = World::of(100, seed);
        for id in 1..=50 {
            world.sides.insert(address(id), 1);
        }
        world.run(seconds(3_600));
        assert_eq!(world.node(1).living(), 50, "seed {seed}");
        let before = world.deaths().len();
        world.sides.clear();
        world.run(seconds(10));
        assert!(world.agrees(), "seed {seed}");
        assert_eq!(
            world.deaths().len(),
            before,
            "seed {seed}: nobody dies of being found"
        );
    }
}
