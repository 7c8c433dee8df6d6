//! Every way of breaking the store on purpose is caught by the promise that it breaks.
//!
//! Here: an exchange cut short whose vector goes on, writes that collapse nothing, a floor that is
//! ignored, contexts cleared too early, a counter that goes back with its disk, deletes without
//! dots, claims that come before the disk, an origin closed too early. In `membership_mutants.rs`:
//! no refutation, an incarnation lost at a restart, fixed suspicion, no nacks, and more. In
//! `store_promises.rs`: what can be wrong with the plainest store there is.

use std::collections::BTreeMap;

use ::store::{Config, Mutation};
use base::{Duration, Rng, Time};
use sim::cluster::{DiskAfter, Fault, Host, Plan};
use sim::store::{Call, Course, Kind, Promise, run};

/// The seeds that a mutant may take to be caught.
const SEEDS: u64 = 100;

/// Runs the broken store on drawn courses of one kind. A seed on which the sound store breaks too
/// proves nothing.
fn is_caught_by(promise: Promise, kind: Kind, flaw: fn(&mut Config)) {
    is_caught_on(promise, |seed| Course::draw(kind, seed), flaw);
}

fn is_caught_on(promise: Promise, draw: impl Fn(u64) -> Course, flaw: fn(&mut Config)) {
    let mut others = BTreeMap::new();
    for seed in 0..SEEDS {
        let course = draw(seed);
        let Some(broken) = run(&course, flaw, 0).broken else {
            continue;
        };
        if broken.promise == promise && run(&course, |_| {}, 0).broken.is_none() {
            return;
        }
        *others.entry(broken.promise).or_insert(0) += 1;
    }
    panic!(
        "it survived {promise:?} on {SEEDS} seeds; caught by {others:?}, or the sound store too"
    );
}

/// Three nodes on good links. The last one's disk goes back to before its second write, which
/// replaced another's; its first one is replaced already.
fn with_an_old_disk(seed: u64) -> Course {
    let mut rng = Rng::new(seed);
    let mut at = |second: u64| Time(second * 1_000_000 + rng.below(1_000_000));
    let put = |key: &str, value: &str| Call::Put(key.into(), value.into());
    let (other, victim) = (Host(1), Host(2));
    let calls = vec![
        (at(2), victim, put("a", "first")),
        (at(4), other, put("a", "second")),
        (at(9), other, put("b", "first")),
        (at(11), victim, put("b", "second")),
    ];
    let mut plan = Plan::calm(seed, 3, Duration::from_secs(40));
    let crash = Fault::Crash(victim, Duration::from_secs(1), DiskAfter::RolledBack);
    plan.faults = vec![(at(7), Fault::BackUp(victim)), (at(14), crash)];
    plan.calm_from = Time(16_000_000);
    Course {
        kind: Kind::Disks,
        plan,
        retention: Duration::from_secs(25),
        retires: false,
        push: true,
        calls,
    }
}

#[test]
fn a_vector_that_goes_to_the_last_thing_sent_is_dishonest() {
    is_caught_by(Promise::PrefixHonesty, Kind::Cuts, |config| {
        config.mutation = Some(Mutation::TruncateAndAdvance);
    });
}

#[test]
fn a_write_that_ends_no_siblings_lets_the_superseded_show() {
    is_caught_by(Promise::NoResurrection, Kind::Network, |config| {
        config.mutation = Some(Mutation::NoCollapse);
    });
}

#[test]
fn who_missed_what_was_forgotten_and_is_not_reset_resurrects_it() {
    is_caught_by(Promise::NoResurrection, Kind::Deletes, |config| {
        config.mutation = Some(Mutation::FloorIgnored);
    });
}

#[test]
fn a_context_that_is_cleared_early_lets_the_superseded_come_back() {
    is_caught_by(Promise::NoResurrection, Kind::Network, |config| {
        config.mutation = Some(Mutation::ContextClearedEarly);
    });
}

#[test]
fn a_counter_that_went_back_with_its_disk_is_not_a_fresh_origin() {
    is_caught_by(Promise::FreshOriginAfterRollback, Kind::Disks, |config| {
        config.mutation = Some(Mutation::CounterRolledBack);
    });
}

#[test]
fn a_counter_that_went_back_gives_a_dot_to_two_writes() {
    is_caught_by(Promise::NoDotUsedTwice, Kind::Deletes, |config| {
        config.mutation = Some(Mutation::CounterRolledBack);
    });
}

#[test]
fn a_delete_without_a_dot_leaves_a_claim_with_nothing_held() {
    is_caught_by(Promise::PrefixHonesty, Kind::Deletes, |config| {
        config.mutation = Some(Mutation::DeletesWithoutDots);
    });
}

#[test]
fn a_claim_that_comes_before_the_disk_is_seen() {
    is_caught_by(Promise::ClaimsAreOnDisk, Kind::Crashes, |config| {
        config.mutation = Some(Mutation::ClaimsBeforeDisk);
    });
}

#[test]
fn an_origin_closed_by_who_lacks_its_writes_is_dishonest() {
    is_caught_on(Promise::PrefixHonesty, with_an_old_disk, |config| {
        config.mutation = Some(Mutation::RetireEarly);
    });
}
