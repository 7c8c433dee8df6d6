//! Targets that are handed over, and what is kept for it.

use super::*;

#[test]
fn who_hands_over_twice_goes_on_each_time_until_the_new_owner_can_know() {
    let file = (0..8).map(|i| {
        let mut definition = Definition::clone(&target(&format!("t{i}"), 0));
        definition.interval = Duration::from_secs(30);
        Arc::new(definition)
    });
    let mut world = World::with_file(2, file.collect());
    world.run(40);
    let name = (0..8)
        .map(|i| format!("t{i}"))
        .find(|name| world.owner_host(name) == 1)
        .expect("it has its share");
    let slot = world.node(0).view().get(&name).expect("defined").slot;
    let role = |world: &World| world.node(0).hot[slot.index()].role;
    let until = |world: &mut World, wanted: Role| {
        for _ in 0..5_000 {
            if role(world) == wanted {
                return;
            }
            world.run_ms(10);
        }
        panic!("it never becomes {wanted:?}");
    };
    for _ in 0..2 {
        world.give(1, Input::Leave(Duration::from_secs(1)));
        until(&mut world, Role::Owner);
        world.run(2);
        world.kill(1);
        world.boot(1);
        until(&mut world, Role::Leaver);
    }
    let from = world.now;
    until(&mut world, Role::None);
    assert!(world.now.since(from) >= Duration::from_secs(30));
}

/// Each has failed once, and answers again.
#[test]
fn verdicts_in_the_making_are_heard_of_however_many_came_to_nothing_before() {
    use crate::cluster::{Section, Streak, pack};
    let mut world = World::new(2, 8);
    world.run(10);
    let name = (0..8)
        .map(|i| format!("t{i}"))
        .find(|name| world.owner_host(name) == 1)
        .expect("it has its share");
    for i in 0..100_000 {
        let streak = Streak {
            target: format!("gone{i}").into(),
            transition: 1,
            failures: u16::from(i % 2 == 0),
            successes: 0,
            window: 0,
        };
        let bytes = pack(WIRE, NodeId(2), &Section::Streak(streak).encode());
        world.give(0, Input::Received(address(1), Way::Datagram, bytes));
    }
    world.run(70);
    world.everybody_sees(&name, REFUSED);
    world.run_ms(2_500);
    let joined = world.node(0).joined.as_ref().expect("joined");
    assert!(joined.streaks.contains_key(&*name));
}

#[test]
fn who_takes_over_goes_on_counting_however_long_the_interval_is() {
    let interval = Duration::from_secs(120);
    let file = (0..4).map(|i| {
        let mut definition = Definition::clone(&target(&format!("t{i}"), 2));
        definition.interval = interval;
        Arc::new(definition)
    });
    let mut world = World::with_file(3, file.collect());
    world.run(130);
    let owner = world.owner_host("t1");
    world.everybody_sees("t1", REFUSED);
    let checks = |world: &World| world.probes_of("t1", Time::ZERO, world.now);
    let before = checks(&world);
    while checks(&world) < before + 2 {
        world.run_ms(500);
    }
    world.run(90);
    world.kill(owner);
    world.run(45);
    let another = (owner + 1) % 3;
    assert_eq!(world.state(another, "t1"), (State::Down, 2));
}
