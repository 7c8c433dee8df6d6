//! Nodes of two releases in one cluster: the upgrade, the way back, and who is too new.

use base::Way;

use super::*;
use crate::cluster::{Notice, WIRE, WIRE_OLDEST};

/// The versions that were spoken between two, both ways, since the last look.
fn between(world: &mut World, a: usize, b: usize) -> BTreeSet<u8> {
    let spoken = std::mem::take(&mut world.spoken);
    let of_both = spoken
        .iter()
        .filter(|(from, to, _)| (*from, *to) == (a, b) || (*from, *to) == (b, a));
    of_both.map(|(.., wire)| *wire).collect()
}

fn replace(world: &mut World, at: usize, wire: u8) {
    world.kill(at);
    world.hosts[at].wire = wire;
    world.boot(at);
    world.run(12);
}

fn refused(world: &World) -> u64 {
    (0..world.hosts.len())
        .map(|at| world.node(at).dropped().too_new)
        .sum()
}

#[test]
fn two_new_nodes_speak_the_new_version_and_each_speaks_the_old_one_to_an_old_one() {
    let mut world = World::new(3, 6);
    world.run(12);
    replace(&mut world, 2, WIRE_OLDEST);
    world.spoken.clear();
    world.run(5);
    let spoken = world.spoken.clone();
    assert_eq!(between(&mut world, 0, 1), [WIRE].into());
    for new in [0, 1] {
        world.spoken.clone_from(&spoken);
        assert_eq!(between(&mut world, new, 2), [WIRE_OLDEST].into());
    }
}

#[test]
fn a_cluster_goes_up_node_by_node_and_back_without_a_change_of_any_status() {
    let mut world = World::new(3, 6);
    world.run(12);
    for (at, wire) in [
        (0, 1),
        (1, 1),
        (2, 1),
        (0, WIRE),
        (1, WIRE),
        (2, WIRE),
        (1, 1),
    ] {
        replace(&mut world, at, wire);
        for host in 0..3 {
            assert_eq!(
                world.node(host).view().fleet().unwrap().seen_of_known(),
                (3, 3)
            );
            for name in ["t0", "t1", "t2", "t3", "t4", "t5"] {
                assert_eq!(world.state(host, name), (State::Up, 1), "{name} on {host}");
            }
        }
    }
    let said = world.hosts.iter().flat_map(|host| &host.notices);
    let said: Vec<_> = said
        .filter(|n| matches!(n, Notice::TooNew { .. }))
        .collect();
    assert!(said.is_empty(), "{said:?}");
    // What was under way to a node that was taken back; it is not many.
    assert!(refused(&world) < 60, "{}", refused(&world));
}

#[test]
fn marks_reach_nodes_of_every_version() {
    let mut world = World::new(3, 9);
    world.run(12);
    replace(&mut world, 2, WIRE_OLDEST);
    world.run(5);
    for host in 0..3 {
        let view = world.node(host).view();
        let is_stale = |row: &&Row| view.freshness(row, world.now).unwrap().is_stale;
        let stale = view.rows(None).filter(is_stale);
        assert_eq!(stale.count(), 0, "on {host}");
    }
}

#[test]
fn who_goes_on_in_a_version_that_is_too_new_is_counted_and_named_once() {
    let mut world = World::new(2, 1);
    let mut packet = crate::cluster::pack(WIRE + 1, NodeId(99), &[]);
    packet.extend_from_slice(b"whatever it will be");
    for _ in 0..50 {
        let from = address(8);
        world.give(0, Input::Received(from, Way::Datagram, packet.clone()));
        world.run_ms(100);
    }
    let notices = &world.hosts[0].notices;
    let of_it: Vec<_> = notices
        .iter()
        .filter(|n| matches!(n, Notice::TooNew { .. }))
        .collect();
    let expected = Notice::TooNew {
        from: address(8),
        version: WIRE + 1,
        ours: WIRE,
    };
    assert_eq!(of_it, [&expected]);
    assert_eq!(world.node(0).dropped().too_new, 50);
}
