//! The promises can be kept, and each of them bites: shown on the plainest store there is.
//!
//! The faults of the store proper are in `store_mutants.rs`.

use sim::store::plain::{
    CLAIMS_EARLY, COLLAPSES_ONE, CONFIRMS_ALONE, CUTS_VALUES, DELETES_WITHOUT_DOTS,
    IGNORES_CONTEXT, KEEPS_ORIGIN, Plain, REUSES_DOTS, SOUND, STOPS_LISTENING, TRUNCATES,
};
use sim::store::{Course, Kind, Promise, run_of};

/// The seeds of each kind that a fault may take to be caught.
const SEEDS: u64 = 100;

fn is_caught_by<const F: u8>(promise: Promise) {
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        for kind in Kind::ALL {
            let broken = run_of::<Plain<F>>(&Course::draw(kind, seed), |_| {}, 0).broken;
            match broken {
                Some(broken) if broken.promise == promise => return,
                Some(broken) => others.push(broken),
                None => {}
            }
        }
    }
    let first = others.first().map(ToString::to_string);
    panic!(
        "fault {F} survived {promise:?}; {} others, {first:?}",
        others.len()
    );
}

#[test]
fn a_plain_store_keeps_every_promise() {
    for seed in 0..SEEDS {
        for kind in Kind::ALL {
            let broken = run_of::<Plain<SOUND>>(&Course::draw(kind, seed), |_| {}, 0).broken;
            assert_eq!(broken, None, "{kind:?}, seed {seed}");
        }
    }
}

#[test]
fn claiming_more_than_was_sent_is_dishonest() {
    is_caught_by::<TRUNCATES>(Promise::PrefixHonesty);
}

#[test]
fn claiming_what_is_not_on_disk_is_seen() {
    is_caught_by::<CLAIMS_EARLY>(Promise::ClaimsAreOnDisk);
}

#[test]
fn writing_on_under_a_rolled_back_origin_is_seen() {
    is_caught_by::<KEEPS_ORIGIN>(Promise::FreshOriginAfterRollback);
}

#[test]
fn a_delete_without_a_dot_is_dishonest() {
    is_caught_by::<DELETES_WITHOUT_DOTS>(Promise::PrefixHonesty);
}

#[test]
fn an_entry_kept_against_its_context_is_a_resurrection() {
    is_caught_by::<IGNORES_CONTEXT>(Promise::NoResurrection);
}

#[test]
fn a_write_confirmed_by_its_writer_alone_is_not_safe() {
    is_caught_by::<CONFIRMS_ALONE>(Promise::NoLostWrite);
}

#[test]
fn a_dot_used_twice_is_seen() {
    is_caught_by::<REUSES_DOTS>(Promise::NoDotUsedTwice);
}

#[test]
fn a_node_that_does_not_listen_differs_in_the_end() {
    is_caught_by::<STOPS_LISTENING>(Promise::Convergence);
}

#[test]
fn a_collapse_that_leaves_a_sibling_is_a_resurrection() {
    is_caught_by::<COLLAPSES_ONE>(Promise::NoResurrection);
}

#[test]
fn a_value_that_changed_on_the_way_is_seen() {
    is_caught_by::<CUTS_VALUES>(Promise::NoDotUsedTwice);
}
