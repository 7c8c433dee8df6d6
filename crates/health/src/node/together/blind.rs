//! Nodes whose targets all fall silent: because they do, or because no uplink leads there.

use super::*;
use crate::cluster::Notice;

const SILENT: Finding = Finding::Failed(Reason::Timeout(Phase::Connect));

fn world(hosts: usize, targets: usize) -> World {
    let mut world = World::new(hosts, targets);
    (0..hosts).for_each(|at| world.hosts[at].is_remote = true);
    world.run(10);
    world
}

fn all_silent(world: &mut World, at: usize, targets: usize) {
    (0..targets).for_each(|i| world.sees(at, &format!("t{i}"), SILENT));
}

fn owned(world: &World, at: usize, host: usize, targets: usize) -> usize {
    let name = format!("n{host}");
    let names = (0..targets).map(|i| format!("t{i}"));
    names.filter(|t| world.owner(at, t) == name).count()
}

fn was_told(world: &World, at: usize, is_it: impl Fn(&Notice) -> bool) -> bool {
    world.hosts[at].notices.iter().any(is_it)
}

#[test]
fn a_node_that_reaches_nothing_gives_its_targets_to_who_does_and_takes_them_back() {
    let targets = 60;
    let mut world = world(3, targets);
    let before = owned(&world, 1, 0, targets);
    assert!(before >= 12, "{before}");
    all_silent(&mut world, 0, targets);
    world.run(12);
    assert!(was_told(&world, 0, |n| matches!(n, Notice::Blind { .. })));
    assert_eq!(owned(&world, 1, 0, targets), 0);
    // What fails now is down, wherever it belonged; everything else has stayed as it was.
    world.everybody_sees("t7", SILENT);
    world.run(6);
    for (at, i) in (0..3).flat_map(|at| (0..targets).map(move |i| (at, i))) {
        let name = format!("t{i}");
        let expected = if i == 7 {
            (State::Down, 2)
        } else {
            (State::Up, 1)
        };
        assert_eq!(world.state(at, &name), expected, "{name} on n{at}");
    }
    (0..targets).for_each(|i| world.sees(0, &format!("t{i}"), Finding::Passed));
    world.run(20);
    assert!(was_told(&world, 0, |n| matches!(n, Notice::Sees)));
    assert_eq!(owned(&world, 1, 0, targets), before);
}

#[test]
fn an_outage_of_everything_is_down_everywhere() {
    let targets = 60;
    let mut world = world(3, targets);
    (0..3).for_each(|at| all_silent(&mut world, at, targets));
    world.run(9);
    for (at, i) in (0..3).flat_map(|at| (0..targets).map(move |i| (at, i))) {
        assert_eq!(
            world.state(at, &format!("t{i}")),
            (State::Down, 2),
            "t{i} on n{at}"
        );
    }
    assert!(!was_told(&world, 0, |n| matches!(n, Notice::Blind { .. })));
}

#[test]
fn a_node_that_reaches_nothing_and_nobody_writes_nothing() {
    let targets = 60;
    let mut world = world(3, targets);
    all_silent(&mut world, 0, targets);
    for other in [1, 2] {
        world.cut.extend([(0, other), (other, 0)]);
    }
    world.run(30);
    for i in 0..targets {
        assert_eq!(world.state(0, &format!("t{i}")), (State::Up, 1), "t{i}");
    }
    assert!(!was_told(&world, 0, |n| matches!(n, Notice::Blind { .. })));
}

/// It would see everything fail that it is asked about.
#[test]
fn a_blind_node_has_no_opinion_of_what_is_silent() {
    let targets = 60;
    let mut world = world(3, targets);
    all_silent(&mut world, 0, targets);
    world.run(12);
    let name = (0..targets)
        .map(|i| format!("t{i}"))
        .find(|name| world.owner_host(name) == 1)
        .expect("it has its share");
    // Two of three would see it fail, of whom one sees nothing at all.
    world.sees(1, &name, REFUSED);
    world.run(8);
    assert_eq!(world.state(2, &name).0, State::Unknown, "one against one");
}
