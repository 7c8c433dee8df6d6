//! The six labs in virtual time over many seeds: 100 ms between nodes, cuts, lost messages.
//!
//! `ROUNDSMAN_SEEDS` sets how many seeds each promise takes. What was broken once to see it fail is
//! said at each test.

use base::Duration;
use maelstrom::{
    Bars, Check, Figures, Lab, Latency, Plan, Shape, Tuning, Workload, check, figures, world,
};

fn seeds(default: u64) -> u64 {
    std::env::var("ROUNDSMAN_SEEDS").map_or(default, |text| {
        text.parse().expect("ROUNDSMAN_SEEDS is a number")
    })
}

fn run(plan: &Plan, tuning: Tuning) -> (Figures, Vec<Check>) {
    let lab = Lab::new(plan.clone()).expect("a good plan");
    let nodes = world::nodes(&lab, tuning);
    let history = world::run(lab, nodes);
    (figures(plan, &history), check(plan, &history))
}

fn failed(checks: &[Check]) -> Vec<String> {
    let failed = checks.iter().filter(|c| !c.passed);
    failed.map(|c| format!("{}: {}", c.name, c.said)).collect()
}

fn slow(mean_ms: u64, shape: Shape) -> Latency {
    Latency {
        mean: Duration::from_millis(mean_ms),
        shape,
    }
}

/// Broken once: without its pulls the store lost what was written during a cut.
#[test]
fn all_six_labs_pass_under_latency_and_partitions() {
    let mut cuts = 0;
    for seed in 0..seeds(10) {
        for workload in Workload::ALL {
            for tuning in [Tuning::Lean, Tuning::Quick] {
                let plan = Plan {
                    rate: 30.0,
                    latency: slow(100, Shape::Constant),
                    partition_every: Some(Duration::from_secs(3)),
                    seed,
                    ..Plan::new(workload)
                };
                let (figures, checks) = run(&plan, tuning);
                let failed = failed(&checks);
                assert!(
                    failed.is_empty(),
                    "seed {seed}, {workload}, {tuning}: {failed:?}"
                );
                cuts += figures.cuts;
            }
        }
    }
    assert!(cuts > 0, "a network that is never cut proves nothing");
}

/// Exponential delays let messages overtake each other by seconds, also those of a stream.
#[test]
fn sets_and_counters_pass_when_messages_overtake_each_other_and_one_in_ten_is_lost() {
    for seed in 0..seeds(10) {
        for workload in [Workload::Broadcast, Workload::GSet, Workload::PnCounter] {
            for shape in [Shape::Uniform, Shape::Exponential] {
                let plan = Plan {
                    rate: 30.0,
                    latency: slow(100, shape),
                    loss_percent: 10,
                    partition_every: Some(Duration::from_secs(3)),
                    recovery: Duration::from_secs(15),
                    seed,
                    ..Plan::new(workload)
                };
                let failed = failed(&run(&plan, Tuning::Quick).1);
                assert!(
                    failed.is_empty(),
                    "seed {seed}, {workload}, {shape:?}: {failed:?}"
                );
            }
        }
    }
}

/// Steps of a minute: the one cut comes in the first seconds or never, and lasts until the end of the work.
#[test]
fn a_cut_that_lasts_is_forgotten_ten_seconds_after_its_end() {
    let mut cuts = 0;
    // At least four seeds: in three there may be no cut.
    for seed in 0..seeds(10).max(4) {
        for workload in [Workload::GSet, Workload::GCounter] {
            let plan = Plan {
                nodes: 9,
                rate: 30.0,
                time_limit: Duration::from_secs(29),
                latency: slow(100, Shape::Constant),
                partition_every: Some(Duration::from_secs(60)),
                seed,
                ..Plan::new(workload)
            };
            let (figures, checks) = run(&plan, Tuning::Lean);
            let failed = failed(&checks);
            assert!(failed.is_empty(), "seed {seed}, {workload}: {failed:?}");
            cuts += figures.cuts;
        }
    }
    assert!(cuts > 0, "a network that is never cut proves nothing");
}

/// 25 nodes, 100 ms between them, 100 operations a second for 20 s, half of them reads.
fn large(seed: u64) -> Plan {
    Plan {
        nodes: 25,
        rate: 100.0,
        time_limit: Duration::from_secs(20),
        latency: slow(100, Shape::Constant),
        watch_every: Some(Duration::from_millis(20)),
        seed,
        ..Plan::new(Workload::Broadcast)
    }
}

fn keeps(tuning: Tuning, bars: Bars) {
    for seed in 0..seeds(2) {
        let (figures, mut checks) = run(&large(seed), tuning);
        checks.extend(bars.checks(&figures));
        let failed = failed(&checks);
        assert!(failed.is_empty(), "seed {seed}: {failed:?}, {figures:?}");
    }
}

/// In virtual time the bars are exact figures, not timings.
#[test]
fn broadcast_to_25_lean_takes_less_than_20_messages_and_two_seconds() {
    keeps(
        Tuning::Lean,
        Bars {
            messages_per_operation: Some(20.0),
            median: Some(Duration::from_secs(1)),
            max: Some(Duration::from_secs(2)),
        },
    );
}

/// In virtual time the bars are exact figures, not timings.
#[test]
fn broadcast_to_25_quick_takes_less_than_30_messages_and_600_ms() {
    keeps(
        Tuning::Quick,
        Bars {
            messages_per_operation: Some(30.0),
            median: Some(Duration::from_millis(400)),
            max: Some(Duration::from_millis(600)),
        },
    );
}

#[test]
fn broadcast_to_25_passes_under_partitions_in_both_tunings() {
    for seed in 0..seeds(2) {
        for tuning in [Tuning::Lean, Tuning::Quick] {
            let plan = Plan {
                partition_every: Some(Duration::from_secs(5)),
                watch_every: None,
                ..large(seed)
            };
            let failed = failed(&run(&plan, tuning).1);
            assert!(failed.is_empty(), "seed {seed}, {tuning}: {failed:?}");
        }
    }
}
