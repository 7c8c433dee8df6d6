//! Every mutant is caught by the promise that it breaks: the promises bite.

use sim::{Mutant, Plan, Promise, run};

/// The seeds that a mutant may take to be caught.
const SEEDS: u64 = 1_000;

fn is_caught_by(mutant: Mutant, promise: Promise) {
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        match run(&Plan::draw(seed), Some(mutant), 0).broken {
            Some(broken) if broken.promise == promise => return,
            Some(broken) => others.push(broken.promise),
            None => {}
        }
    }
    panic!("{mutant:?} survived {promise:?} on {SEEDS} seeds; caught by {others:?}");
}

#[test]
fn a_node_that_does_not_know_of_its_own_pauses_raises_false_alarms() {
    is_caught_by(Mutant::DropLate, Promise::NoFalseAlarm);
}

#[test]
fn a_node_that_does_not_weigh_its_uplink_raises_false_alarms() {
    is_caught_by(Mutant::DropUplink, Promise::NoFalseAlarm);
}

#[test]
fn a_node_that_shows_what_the_disk_does_not_have_is_not_honest() {
    is_caught_by(Mutant::ConfirmEarly, Promise::HonestDisk);
}

#[test]
fn a_lost_batch_is_missed_after_a_restart() {
    is_caught_by(Mutant::LosePersist, Promise::HonestDisk);
}

#[test]
fn making_up_for_missed_beats_is_a_burst() {
    is_caught_by(Mutant::Burst, Promise::NoBurst);
}

#[test]
fn counters_that_do_not_survive_a_stop_are_missed() {
    is_caught_by(Mutant::ForgetCounters, Promise::HonestDisk);
}

#[test]
fn targets_of_the_api_that_do_not_survive_are_missed() {
    is_caught_by(Mutant::ForgetTargets, Promise::HonestDisk);
}

#[test]
fn an_invented_failure_is_not_what_the_outcomes_say() {
    is_caught_by(Mutant::InventFailure, Promise::PlainVerdict);
}

#[test]
fn a_view_that_lags_misses_outages() {
    is_caught_by(Mutant::SlowView, Promise::NoMissedOutage);
}

#[test]
fn a_number_used_twice_is_seen() {
    is_caught_by(Mutant::RepeatSeq, Promise::HonestDisk);
}

#[test]
fn a_swallowed_event_leaves_a_gap() {
    is_caught_by(Mutant::SkipEvent, Promise::WholeHistory);
}

#[test]
fn a_check_that_never_ends_takes_room() {
    is_caught_by(Mutant::LeakRoom, Promise::Room);
}

#[test]
fn a_target_that_is_never_asked_starves() {
    is_caught_by(Mutant::SkipSlot, Promise::NoStarvation);
}
