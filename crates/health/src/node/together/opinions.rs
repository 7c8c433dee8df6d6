//! Opinions that are asked for while a node's own checks of the target begin and end.

use super::*;
use crate::cluster::{Ask, Section, pack};

/// The node with this id asks host `at` what it sees of `t0`.
fn ask(world: &mut World, asker: usize, at: usize, case: u64) {
    let definition = &world.file[0];
    let ask = Ask {
        case,
        target: Arc::clone(&definition.name),
        sum: base::hash64(&crate::definition::encode(definition)),
    };
    let bytes = pack(WIRE, NodeId(asker as u64 + 1), &Section::Ask(ask).encode());
    let from = address(asker);
    world.give(at, Input::Received(from, Way::Datagram, bytes));
}

/// Broken by: whoever lays a target down has the shell forget it, though an opinion is under way.
#[test]
fn opinions_are_given_on_over_the_end_of_a_nodes_own_checks() {
    let mut world = World::new(3, 1);
    world.run(12);
    let row = world.node(0).view().get("t0").unwrap().slot;
    let owner = Arc::clone(world.node(0).view().owners(row).next().unwrap());
    let owner = usize::from(owner.as_bytes()[1] - b'0');
    world.probe_ms = 400;
    world.give(owner, Input::Drain(Request(1)));
    let before = world.node(owner).tally().opinions;
    for case in 0..200 {
        ask(&mut world, (owner + 1) % 3, owner, case);
        world.run_ms(25);
    }
    let given = world.node(owner).tally().opinions - before;
    assert!(given > 150, "{given}");
    // The shell was told to forget it once all was over.
    world.run(2);
    assert!(world.hosts[owner].names.is_empty());
}

/// Each alone sees it fail for a time, one after the other; and whoever has it at last dies.
#[test]
fn a_target_that_all_have_yielded_is_taken_back_and_so_is_that_of_the_dead() {
    let mut world = World::new(3, 6);
    world.run(10);
    for _ in 0..3 {
        let owner = world.owner_host("t2");
        world.sees(owner, "t2", REFUSED);
        world.run(16);
        world.sees(owner, "t2", Finding::Passed);
    }
    world.run(14);
    let from = Time(world.now.0 - 5_000 * MS);
    assert!(world.probes_of("t2", from, world.now) >= 4);
    let owner = world.owner_host("t2");
    world.sees(owner, "t2", REFUSED);
    world.run(16);
    let next = world.owner_host("t2");
    assert_ne!(next, owner);
    world.sees(owner, "t2", Finding::Passed);
    (0..3)
        .filter(|at| *at != owner)
        .for_each(|at| world.kill(at));
    world.run(40);
    let from = Time(world.now.0 - 5_000 * MS);
    assert!(world.probes_of("t2", from, world.now) >= 4);
    assert_eq!(world.state(owner, "t2"), (State::Up, 1));
}
