//! Every way of breaking membership on purpose is caught by the promise that it breaks.

use ::membership::Mutation;
use base::{Duration, Time};
use sim::cluster::{DiskAfter, Fault, Host, Link};
use sim::membership::{Flaw, Promise, Storm, Trouble, run};

/// The seeds that a mutant may take to be caught.
const SEEDS: u64 = 60;

fn is_caught_by(flaw: Flaw, promise: Promise, draw: impl Fn(u64) -> Storm) {
    let mut others = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        let storm = draw(seed);
        match run(&storm, Some(flaw), 0).broken {
            Some(broken) if broken.promise == promise => {
                let honest = run(&storm, None, 0).broken;
                assert_eq!(honest, None, "seed {seed} breaks without the flaw too");
                return;
            }
            Some(broken) => *others.entry(broken.promise).or_insert(0) += 1,
            None => {}
        }
    }
    panic!("{flaw:?} survived {promise:?} on {SEEDS} seeds; caught by {others:?}");
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(second: u64, fault: Fault) -> (Time, Trouble) {
    (Time::ZERO + seconds(second), Trouble::Fault(fault))
}

/// `hosts` nodes, nothing but bad weather for so long.
fn ever_stormy(seed: u64, hosts: u32, span: Duration) -> Storm {
    let mut storm = Storm::calm(seed, hosts, span);
    storm.plan.calm_from = storm.plan.end;
    storm
}

/// Twelve nodes at a tenth of loss, the first of which stands still for 5 s in every 20.
fn with_a_staller(seed: u64) -> Storm {
    let mut storm = ever_stormy(seed, 12, seconds(300));
    storm.plan.link = Link::lossy(100);
    for second in (20..280).step_by(20) {
        let pause = Fault::Pause(Host(0), seconds(5));
        storm.troubles.push(at(second, pause));
    }
    storm
}

/// Five nodes, the first of which runs for a millisecond in every 14 s.
fn with_a_starved_one(seed: u64) -> Storm {
    let mut storm = ever_stormy(seed, 5, seconds(300));
    storm.plan.link = Link::lossy(50);
    for second in (20..280).step_by(14) {
        let pause = Fault::Pause(Host(0), Duration::from_millis(13_999));
        storm.troubles.push(at(second, pause));
    }
    storm
}

/// Eight nodes on links that lose four of ten datagrams.
fn in_a_downpour(seed: u64) -> Storm {
    let mut storm = ever_stormy(seed, 8, seconds(300));
    storm.plan.link = Link::lossy(400);
    storm
}

/// Five nodes, to the first of which seven of ten datagrams are lost.
fn with_a_deaf_one(seed: u64) -> Storm {
    let mut storm = ever_stormy(seed, 5, seconds(300));
    for from in 1..5 {
        let rough = Fault::Rough(Host(from), Host(0), Link::lossy(700));
        storm.troubles.push(at(20, rough));
    }
    storm
}

/// Six nodes that are cut in two halves for two minutes, and nobody tells them of each other.
fn long_apart(seed: u64) -> Storm {
    let mut storm = Storm::calm(seed, 6, seconds(200));
    storm.plan.calm_from = Time::ZERO + seconds(150);
    let half = (0..3).map(Host).collect();
    let cut = Fault::Partition(half, seconds(120));
    storm.troubles.push(at(20, cut));
    storm
}

/// Five nodes, of which one dies and comes back within a second.
fn back_at_once(seed: u64) -> Storm {
    let mut storm = Storm::calm(seed, 5, seconds(60));
    let crash = Fault::Crash(Host(2), seconds(1), DiskAfter::Kept);
    storm.troubles.push(at(20, crash));
    storm
}

/// Five nodes, of which one comes back within a second, its disk empty.
fn back_without_its_disk(seed: u64) -> Storm {
    let mut storm = Storm::calm(seed, 5, seconds(60));
    let crash = Fault::Crash(Host(2), seconds(1), DiskAfter::Wiped);
    storm.troubles.push(at(20, crash));
    storm
}

/// Five nodes, of which one leaves while only one other can hear it; the rest take it for dead.
fn gone_behind_a_cut(seed: u64) -> Storm {
    let mut storm = Storm::calm(seed, 5, seconds(120));
    storm.plan.calm_from = Time::ZERO + seconds(60);
    let cut = Fault::Partition(vec![Host(2), Host(3)], seconds(40));
    storm.troubles.push(at(20, cut));
    let leave = Trouble::Leave(Host(3), seconds(1_000));
    storm.troubles.push((Time::ZERO + seconds(25), leave));
    storm
}

#[test]
fn who_may_not_object_stays_dead() {
    let flaw = Flaw::Core(Mutation::NoRefutation);
    is_caught_by(flaw, Promise::HealsCompletely, long_apart);
}

#[test]
fn who_may_not_object_dies_of_a_lost_datagram() {
    let flaw = Flaw::Core(Mutation::NoRefutation);
    is_caught_by(flaw, Promise::NoFalseDeath, with_a_staller);
}

#[test]
fn a_life_that_starts_from_the_same_incarnation_is_behind_the_last_one() {
    let flaw = Flaw::LostIncarnation;
    is_caught_by(flaw, Promise::OnlyTheSubjectRaises, back_at_once);
}

#[test]
fn a_suspicion_that_waits_for_nobody_kills_the_innocent() {
    let flaw = Flaw::Core(Mutation::FixedSuspicion);
    is_caught_by(flaw, Promise::NoFalseDeath, in_a_downpour);
}

#[test]
fn who_does_not_doubt_itself_accuses_everybody() {
    let flaw = Flaw::Core(Mutation::NoNacks);
    is_caught_by(flaw, Promise::DoubtsItself, with_a_deaf_one);
}

#[test]
fn a_suspect_that_nobody_tells_so_objects_too_late() {
    let flaw = Flaw::Core(Mutation::NoBuddy);
    is_caught_by(flaw, Promise::NoFalseDeath, with_a_deaf_one);
}

#[test]
fn who_takes_its_own_pause_for_silence_kills_the_innocent() {
    let flaw = Flaw::Core(Mutation::BlindToStalls);
    is_caught_by(flaw, Promise::NoFalseDeath, with_a_starved_one);
}

#[test]
fn who_forgets_the_dead_never_finds_them_again() {
    let flaw = Flaw::Core(Mutation::ForgetsDeadSoon);
    is_caught_by(flaw, Promise::HealsCompletely, long_apart);
}

#[test]
fn who_goes_without_a_word_is_taken_for_dead() {
    is_caught_by(Flaw::Abrupt, Promise::NoFalseDeath, |seed| {
        let mut storm = ever_stormy(seed, 5, seconds(90));
        let leave = Trouble::Leave(Host(3), seconds(60));
        storm.troubles.push((Time::ZERO + seconds(30), leave));
        storm
    });
}

#[test]
fn a_change_that_is_not_said_is_seen() {
    is_caught_by(Flaw::Tacit, Promise::EveryChangeIsSaid, back_at_once);
}

#[test]
fn a_suspicion_that_ends_without_an_objection_is_not_legal() {
    is_caught_by(Flaw::Fickle, Promise::LegalTransitions, with_a_staller);
}

#[test]
fn who_looks_seldom_notices_a_death_too_late() {
    is_caught_by(Flaw::Sluggish, Promise::DeathIsNoticed, |seed| {
        let mut storm = ever_stormy(seed, 5, seconds(120));
        let crash = Fault::Crash(Host(2), seconds(1_000), DiskAfter::Kept);
        storm.troubles.push(at(20, crash));
        storm
    });
}

#[test]
fn datagrams_above_their_size_are_seen() {
    is_caught_by(Flaw::Bulky, Promise::Bounded, |seed| {
        Storm::calm(seed, 60, seconds(20))
    });
}

#[test]
fn a_node_that_never_waits_is_seen() {
    is_caught_by(Flaw::Restless, Promise::Rest, back_at_once);
}

#[test]
fn two_that_live_under_one_name_are_seen() {
    let flaw = Flaw::Core(Mutation::SharedNames);
    is_caught_by(flaw, Promise::OneNameOneMember, back_without_its_disk);
}

#[test]
fn a_farewell_that_the_rest_does_not_believe_is_seen() {
    let flaw = Flaw::Core(Mutation::DeafToFarewells);
    is_caught_by(flaw, Promise::LeftStaysLeft, gone_behind_a_cut);
}
