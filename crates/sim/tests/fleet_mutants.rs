//! Every promise bites: a node that breaks one rule on purpose is caught, by the promise named.

use health::Mutation;
use sim::fleet::{Course, Kind, Promise, Wrong, first_wrong, provoked, run, tell};

/// How many seeds a mutant may survive.
const SEEDS: u64 = 60;

/// Runs a mutant on the seeds of a kind until one breaks this promise first. The first step in which
/// its logs differ from those of a sound run must be told in these words.
fn is_caught(mutation: Mutation, kind: Kind, promise: Promise, step: &[&str]) {
    is_caught_on(mutation, |seed| Course::draw(kind, seed), promise, step);
}

/// The same on courses that are made otherwise.
fn is_caught_on(
    mutation: Mutation,
    course: impl Fn(u64) -> Course,
    promise: Promise,
    step: &[&str],
) {
    for seed in 0..SEEDS {
        let mut course = course(seed);
        assert_eq!(run(&course, 0).broken, None, "seed {seed}, unbroken");
        course.mutation = Some(mutation);
        let broken = run(&course, 0).broken;
        if broken.is_some_and(|broken| broken.promise == promise) {
            return told(&course, step);
        }
    }
    panic!("{mutation:?} survived {SEEDS} seeds without breaking {promise:?}");
}

/// The logs of this run name its first wrong step in one of these words.
fn told(broken: &Course, steps: &[&str]) {
    let sound = Course {
        mutation: None,
        ..broken.clone()
    };
    let ((report, lines), (_, others)) = (tell(broken), tell(&sound));
    let wrong = first_wrong(&lines, &others).expect("the runs differ");
    let (Wrong::Did(line) | Wrong::Omitted(line)) = &wrong;
    assert!(steps.contains(&line.message), "{wrong:?}");
    let breach = report.broken.expect("it was caught");
    assert!(line.at <= breach.at, "{wrong:?} after {breach}");
}

#[test]
fn siblings_that_nobody_collapses_are_not_equal_answers() {
    is_caught(
        Mutation::NoCollapse,
        Kind::Cuts,
        Promise::Equal,
        &["made one of several statuses", "transition"],
    );
}

#[test]
fn down_without_asking_is_a_false_alarm() {
    is_caught(
        Mutation::VotesIgnored,
        Kind::Cuts,
        Promise::NoFalseAlarm,
        &["asks others what they see", "transition"],
    );
}

#[test]
fn silence_taken_for_consent_is_a_false_alarm() {
    is_caught(
        Mutation::SilenceAgrees,
        Kind::Cuts,
        Promise::NoFalseAlarm,
        &["ruled", "transition"],
    );
}

#[test]
fn a_streak_taken_for_a_verdict_is_a_false_alarm() {
    is_caught(
        Mutation::StreakInventsDown,
        Kind::Still,
        Promise::NoFalseAlarm,
        &["ruled", "transition"],
    );
}

#[test]
fn making_up_for_a_pause_is_a_burst() {
    is_caught(
        Mutation::BurstAfterPause,
        Kind::Crashes,
        Promise::NoBurst,
        &["checks"],
    );
}

#[test]
fn a_mark_over_a_pending_verdict_is_a_dishonest_age() {
    is_caught(
        Mutation::MarkIgnoresPending,
        Kind::Still,
        Promise::HonestAge,
        &["promises"],
    );
}

#[test]
fn a_takeover_in_a_beat_of_its_own_is_a_burst() {
    is_caught(
        Mutation::TakeoverWithoutPhase,
        Kind::Crashes,
        Promise::NoBurst,
        &["checks"],
    );
}

#[test]
fn an_old_file_that_overrules_at_boot_brings_back_what_was_replaced() {
    is_caught(
        Mutation::BootOverrules,
        Kind::Writes,
        Promise::Equal,
        &["notice"],
    );
}

#[test]
fn a_later_write_taken_for_all_before_it_is_an_older_answer() {
    is_caught(
        Mutation::TokenSkipsGaps,
        Kind::Reads,
        Promise::ReadYourWrites,
        &["shows a reader its put"],
    );
}

#[test]
fn what_has_come_but_is_not_shown_yet_is_an_older_answer() {
    is_caught(
        Mutation::SeenBeforeShown,
        Kind::Reads,
        Promise::ReadYourWrites,
        &["shows a reader its put"],
    );
}

#[test]
fn who_does_not_ask_again_misses_an_outage() {
    is_caught(
        Mutation::AsksOnce,
        Kind::Still,
        Promise::NoMissedOutage,
        &["asks others what they see"],
    );
}

#[test]
fn targets_of_the_dead_that_nobody_takes_over_are_unchecked() {
    is_caught(
        Mutation::KeepsTheDead,
        Kind::Crashes,
        Promise::NoneUnchecked,
        &["checks", "promises"],
    );
}

#[test]
fn a_takeover_that_begins_the_status_anew_invents_one() {
    is_caught(
        Mutation::TakeoverBeginsAnew,
        Kind::Crashes,
        Promise::PlainOrder,
        &["transition", "promises"],
    );
}

#[test]
fn a_mark_of_other_targets_than_are_believed_to_be_the_owners_is_a_dishonest_age() {
    is_caught_on(
        Mutation::MarkOfOthers,
        provoked::redefined,
        Promise::HonestAge,
        &["a promise is broken"],
    );
}

#[test]
fn a_mark_that_skips_a_write_of_its_owner_is_a_dishonest_age() {
    is_caught_on(
        Mutation::MarkSkipsGaps,
        provoked::short_cuts,
        Promise::HonestAge,
        // What is fresh again goes to readers at once, and takes along what waits to be shown.
        &["stale", "fresh again", "transition", "a promise is broken"],
    );
}

#[test]
fn a_mark_before_what_it_covers_is_shown_is_a_dishonest_age() {
    is_caught_on(
        Mutation::MarkBeforeShown,
        provoked::handovers,
        Promise::HonestAge,
        &["a promise is broken"],
    );
}

#[test]
fn a_mark_of_a_new_owner_that_holds_at_once_is_a_dishonest_age() {
    is_caught_on(
        Mutation::MarkHoldsAtOnce,
        provoked::deaf_owners,
        Promise::HonestAge,
        &["promises"],
    );
}
