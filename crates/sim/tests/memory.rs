//! What a target takes on a node that only shows it, counted to the byte.
//!
//! A counting allocator under whole nodes in the simulator: the same fleet with twice as many
//! targets, and the difference is theirs. The counts are exact, and the same on every machine of
//! one word size. `cargo test -p roundsman-sim --test memory -- --nocapture` prints them.

use std::alloc::System;
use std::time::Duration;

use base::Time;
use sim::fleet::scale::{Crowd, Size};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The goal: so many bytes beside the definition's own.
const GOAL: f64 = 400.0;
/// What an allocator adds to each piece, on average: a header of eight bytes, and rounding up to
/// the next multiple of sixteen.
const PIECE: f64 = 8.0 + 7.5;

/// Bytes and pieces that are held now.
fn held() -> (usize, usize) {
    let stats = COUNTED.stats();
    (
        stats.bytes_allocated - stats.bytes_deallocated,
        stats.allocations - stats.deallocations,
    )
}

/// What a fleet of this size holds once it is calm, in bytes with what the allocator adds.
fn fleet(size: Size) -> f64 {
    let before = held();
    let mut crowd = Crowd::new(size, false);
    crowd.until(Time::ZERO + Duration::from_secs(60));
    let look = crowd.look();
    assert_eq!((look.complete, look.differing), (size.nodes, 0), "{look:?}");
    let after = held();
    (after.0 - before.0) as f64 + (after.1 - before.1) as f64 * PIECE
}

/// Bytes for each of as many targets more, on each node: one target in `nodes` is its own.
fn more(targets: u32, nodes: u32, is_rich: bool) -> f64 {
    let size = Size {
        nodes,
        targets,
        interval: Duration::from_secs(10),
        seed: 1,
        is_rich,
    };
    let few = fleet(size);
    let many = fleet(Size {
        targets: 2 * targets,
        ..size
    });
    (many - few) / f64::from(targets * nodes)
}

fn definition_bytes(is_rich: bool) -> f64 {
    let size = Size {
        nodes: 1,
        targets: 1_000,
        interval: Duration::from_secs(10),
        seed: 1,
        is_rich,
    };
    Crowd::new(size, true).definition_bytes().0
}

/// Bytes per target that a node does not own, beside its definition's. Of 12 and of 24 nodes one
/// owns it; so the second takes less by a 24th of what owning takes, and the rest by another.
#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn beside(targets: u32, is_rich: bool) -> f64 {
    let (half, whole) = (more(targets, 12, is_rich), more(targets, 24, is_rich));
    let (each, own) = (2.0 * whole - half, 24.0 * (half - whole));
    let definition = definition_bytes(is_rich);
    let beside = each - definition;
    println!(
        "{targets} targets of {definition:.0} bytes, and as many more: each of these takes \
         {each:.0} bytes, {beside:.0} beside its definition; {own:.0} more where it is owned"
    );
    beside
}

#[test]
fn a_target_that_a_node_only_shows_takes_at_most_400_bytes_beside_its_definition() {
    // One test, because the allocator counts for all threads. Tables double at some of these sizes.
    for (targets, is_rich) in [(1_000, false), (1_600, false), (1_000, true)] {
        let beside = beside(targets, is_rich);
        assert!(beside <= GOAL, "{targets} targets: {beside:.0} bytes");
    }
}
