//! Nodes that come back elsewhere, while every list names the addresses from the beginning.

use super::*;
use crate::cluster::WIRE_OLDEST;

/// Starts a host anew at an address that nobody's list names.
fn move_away(world: &mut World, at: usize) {
    world.kill(at);
    world.hosts[at].address = address(100 + at);
    world.boot(at);
}

fn all_see_all(world: &World) {
    let count = world.hosts.len();
    for at in 0..count {
        let fleet = world.node(at).view().fleet().expect("a cluster's view");
        assert_eq!(fleet.seen_of_known(), (count, count), "on n{at}");
    }
}

/// Three nodes that have moved one after the other.
fn moved() -> World {
    let mut world = World::new(3, 6);
    world.run(12);
    for at in 0..3 {
        move_away(&mut world, at);
        world.run(8);
    }
    world
}

#[test]
fn nodes_that_have_all_moved_find_each_other_again_by_their_disks() {
    let mut world = moved();
    all_see_all(&world);
    (0..3).for_each(|at| world.kill(at));
    (0..3).for_each(|at| world.boot(at));
    world.run(8);
    all_see_all(&world);
    for (at, i) in (0..3).flat_map(|at| (0..6).map(move |i| (at, i))) {
        assert_eq!(world.state(at, &format!("t{i}")), (State::Up, 1));
    }
}

#[test]
fn nodes_that_have_changed_addresses_are_taken_for_themselves() {
    let mut world = World::new(3, 6);
    world.run(12);
    world.kill(0);
    world.kill(1);
    (world.hosts[0].address, world.hosts[1].address) = (address(1), address(0));
    world.boot(0);
    world.boot(1);
    world.run(10);
    all_see_all(&world);
    for i in 0..6 {
        assert_eq!(
            world.owner(0, &format!("t{i}")),
            world.owner(2, &format!("t{i}"))
        );
    }
}

/// Broken once: those who ask for its forerunner were not taken for members, and what they say in
/// the forerunner's wire version was not even read.
#[test]
fn whoever_comes_back_with_an_empty_disk_is_found_by_those_who_remember_its_address() {
    for wire in [WIRE, WIRE_OLDEST] {
        let mut world = moved();
        world.kill(0);
        world.hosts[0].disk.clear();
        world.hosts[0].wire = wire;
        world.boot(0);
        world.run(12);
        all_see_all(&world);
    }
}

/// Broken once: it was spoken to in the wire version of the dead one, whose suspicion came later.
#[test]
fn whoever_comes_back_where_one_was_that_is_not_known_to_be_dead_can_read_what_it_is_told() {
    let mut world = World::new(4, 8);
    world.run(12);
    world.kill(1);
    world.kill(0);
    world.hosts[0].disk.clear();
    (world.hosts[0].address, world.hosts[1].address) = (address(1), address(0));
    world.hosts[0].wire = WIRE_OLDEST;
    world.boot(0);
    // It has answered once.
    world.run_ms(300);
    let unread = world.node(0).dropped().too_new;
    world.run(12);
    assert_eq!(world.node(0).dropped().too_new, unread);
    let fleet = world.node(0).view().fleet().expect("a cluster's view");
    assert_eq!(fleet.seen_of_known(), (3, 4));
}

/// Broken once: it took the mark of the one it hears, and lacked what others had written.
#[test]
fn whoever_hears_one_owner_alone_since_its_start_shows_nothing_fresh_that_has_changed_meanwhile() {
    for open in 1..6 {
        let mut world = World::new(6, 24);
        world.run(10);
        world.kill(0);
        (0..24).for_each(|i| world.everybody_sees(&format!("t{i}"), REFUSED));
        world.run(8);
        for other in (1..6).filter(|other| *other != open) {
            world.cut.extend([(0, other), (other, 0)]);
        }
        world.boot(0);
        for _ in 0..60 {
            world.run_ms(100);
            let view = world.node(0).view();
            for row in view.rows(None).filter(|row| row.state() == State::Up) {
                let freshness = view.freshness(row, world.now).expect("a cluster's view");
                assert!(freshness.is_stale, "{} through n{open}", row.name());
            }
        }
    }
}
