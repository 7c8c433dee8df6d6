//! Every promise bites: a node that breaks one rule on purpose is caught, by the promise named.

use health::Mutation;
use sim::fleet::{Course, Kind, Promise, run};

/// How many seeds a mutant may survive.
const SEEDS: u64 = 60;

/// Runs a mutant on the seeds of a kind until one breaks this promise first.
fn is_caught(mutation: Mutation, kind: Kind, promise: Promise) {
    for seed in 0..SEEDS {
        let mut course = Course::draw(kind, seed);
        assert_eq!(
            run(&course, 0).broken,
            None,
            "{kind:?}, seed {seed}, unbroken"
        );
        course.mutation = Some(mutation);
        let broken = run(&course, 0).broken;
        if broken.is_some_and(|broken| broken.promise == promise) {
            return;
        }
    }
    panic!("{mutation:?} survived {SEEDS} seeds of {kind:?} without breaking {promise:?}");
}

#[test]
fn siblings_that_nobody_collapses_are_not_equal_answers() {
    is_caught(Mutation::NoCollapse, Kind::Cuts, Promise::Equal);
}

#[test]
fn down_without_asking_is_a_false_alarm() {
    is_caught(Mutation::VotesIgnored, Kind::Cuts, Promise::NoFalseAlarm);
}

#[test]
fn silence_taken_for_consent_is_a_false_alarm() {
    is_caught(Mutation::SilenceAgrees, Kind::Cuts, Promise::NoFalseAlarm);
}

#[test]
fn a_streak_taken_for_a_verdict_is_a_false_alarm() {
    is_caught(
        Mutation::StreakInventsDown,
        Kind::Still,
        Promise::NoFalseAlarm,
    );
}

#[test]
fn making_up_for_a_pause_is_a_burst() {
    is_caught(Mutation::BurstAfterPause, Kind::Crashes, Promise::NoBurst);
}

#[test]
fn a_mark_over_a_pending_verdict_is_a_dishonest_age() {
    is_caught(
        Mutation::MarkIgnoresPending,
        Kind::Still,
        Promise::HonestAge,
    );
}

#[test]
fn a_takeover_in_a_beat_of_its_own_is_a_burst() {
    is_caught(
        Mutation::TakeoverWithoutPhase,
        Kind::Crashes,
        Promise::NoBurst,
    );
}

#[test]
fn an_old_file_that_overrules_at_boot_brings_back_what_was_replaced() {
    is_caught(Mutation::BootOverrules, Kind::Writes, Promise::Equal);
}
