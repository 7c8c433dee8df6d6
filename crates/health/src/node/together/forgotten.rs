//! What becomes of the writes of nodes that are forgotten, or that begin life after life.

use super::*;
use crate::cluster::{gone_key, origins_key, unable_key};
use store::Store;

impl World {
    pub(super) fn store(&self, at: usize) -> &Store {
        &self.node(at).joined.as_ref().expect("joined").cluster.store
    }

    /// Forgets a dead node by its name on another.
    pub(super) fn forget(&mut self, on: usize, name: &str) -> Answer {
        let request = Request(77);
        self.give(on, Input::Forget(request, name.into()));
        self.run_ms(50);
        let answered = self.hosts[on].replies.iter().rev();
        let mut answered = answered.filter(|(of, _)| *of == request);
        answered.next().expect("it is answered").1
    }

    pub(super) fn make(&mut self, at: usize, name: &str) {
        self.give(at, Input::Put(Request(500), target(name, 2)));
    }
}

fn members(world: &World, at: usize) -> Vec<String> {
    let fleet = world.node(at).view().fleet().expect("a cluster's view");
    fleet.members.iter().map(|s| s.name.to_string()).collect()
}

#[test]
fn what_a_forgotten_node_wrote_stays_and_its_origins_are_closed_on_all() {
    let mut world = World::new(3, 12);
    world.run(10);
    world.make(2, "made");
    world.run(3);
    let origin = world.store(2).origin().expect("it has written");
    world.kill(2);
    world.run(12);
    let before: Vec<_> = (0..12).map(|i| world.state(0, &format!("t{i}"))).collect();
    assert_eq!(world.forget(0, "n2"), Answer::Accepted);
    world.run(15);
    for at in 0..2 {
        assert_eq!(members(&world, at), ["n0", "n1"]);
        assert!(world.store(at).is_closed(origin), "n{at}");
        let after: Vec<_> = (0..12).map(|i| world.state(at, &format!("t{i}"))).collect();
        assert_eq!(after, before, "n{at}");
        assert!(world.node(at).view().get("made").is_some());
        let (gone, list) = (gone_key(NodeId(3)), origins_key(NodeId(3)));
        assert_eq!(world.store(at).get(&gone), None, "the request is done with");
        assert_eq!(world.store(at).get(&list), None);
    }
}

#[test]
fn a_forgotten_node_that_comes_back_writes_under_a_fresh_origin_and_nothing_of_it_is_lost() {
    let mut world = World::new(3, 6);
    world.run(10);
    let origin = world.store(2).origin().expect("it has written");
    // What it writes in its last moment is on its own disk alone.
    for other in 0..2 {
        world.cut.extend([(2, other), (other, 2)]);
    }
    world.make(2, "late");
    world.run_ms(500);
    world.kill(2);
    world.cut.clear();
    world.run(12);
    world.make(1, "gone meanwhile");
    world.run(1);
    assert_eq!(world.forget(1, "n2"), Answer::Accepted);
    world.give(1, Input::Delete(Request(9), "gone meanwhile".into()));
    world.run(15);
    assert!(world.store(0).is_closed(origin));
    world.boot(2);
    world.run(25);
    for at in 0..3 {
        assert_eq!(members(&world, at), ["n0", "n1", "n2"], "n{at}");
        assert!(world.node(at).view().get("late").is_some(), "n{at}");
        assert!(world.node(at).view().get("gone meanwhile").is_none());
        assert!(
            world.store(at).is_closed(origin),
            "closed once more on n{at}"
        );
        for i in 0..6 {
            let name = format!("t{i}");
            assert_eq!(world.state(at, &name), world.state(0, &name));
        }
    }
    world.make(2, "fresh");
    world.run(2);
    let fresh = world.store(2).origin().expect("it has written");
    assert_ne!(fresh, origin);
    assert!(world.node(0).view().get("fresh").is_some());
}

#[test]
fn a_living_node_that_others_forgot_goes_on_under_a_fresh_origin() {
    let mut world = World::new(3, 6);
    world.run(10);
    let origin = world.store(2).origin().expect("it has written");
    for other in 0..2 {
        world.cut.extend([(2, other), (other, 2)]);
    }
    world.run(12);
    world.make(2, "apart");
    world.run(3);
    assert_eq!(world.forget(0, "n2"), Answer::Accepted);
    world.run(15);
    world.cut.clear();
    world.run(40);
    world.make(2, "after");
    world.run(10);
    for at in 0..3 {
        assert_eq!(members(&world, at), ["n0", "n1", "n2"], "n{at}");
        for name in ["apart", "after"] {
            assert!(world.node(at).view().get(name).is_some(), "{name} on n{at}");
        }
    }
    assert_ne!(world.store(2).origin(), Some(origin));
    let list = world.store(0).get(&origins_key(NodeId(3))).expect("named");
    let fresh = world.store(2).origin().expect("it has written");
    let named = crate::cluster::Lives::decode(list).expect("a list");
    assert!(named.origins.contains(&fresh), "{named:?} {fresh}");
}

#[test]
fn the_living_and_the_unknown_are_not_forgotten() {
    let mut world = World::new(2, 2);
    world.run(10);
    assert_eq!(world.forget(0, "n1"), Answer::NotFound);
    assert_eq!(world.forget(0, "nobody"), Answer::NotFound);
}

#[test]
fn a_node_that_begins_many_lives_keeps_only_so_many_origins_open() {
    let mut world = World::new(2, 2);
    world.run(10);
    for life in 0..30 {
        world.make(1, &format!("of life {life}"));
        world.run(4);
        world.kill(1);
        world.run_ms(200);
        world.boot(1);
        world.run(4);
    }
    world.make(1, "the last");
    world.run(20);
    let open = world.store(1).own_origins();
    assert!(open.len() <= 9, "{open:?}");
    for at in 0..2 {
        let seen = world.store(at).vector().seen.len();
        assert!(seen <= 11, "n{at}: {seen}");
        for life in 0..30 {
            let name = format!("of life {life}");
            assert!(world.node(at).view().get(&name).is_some(), "{name}");
        }
    }
}

/// A node that was alone before has a number on its disk; going on from it in every life would
/// make a place of one life look like one of another.
#[test]
fn places_among_events_are_of_one_life_and_a_restart_still_tells_the_past() {
    let mut world = World::new(2, 3);
    let version = record::encode_version(Version {
        origin: Origin(42),
        seq: 100,
    });
    world.kill(0);
    world.hosts[0].disk.clear();
    world.hosts[0].disk.insert(Key::Origin, version);
    world.boot(0);
    world.run(10);
    world.everybody_sees("t1", REFUSED);
    world.run(6);
    world.kill(0);
    world.boot(0);
    let lives = &world.hosts[0].past;
    let origins: BTreeSet<Origin> = lives.iter().map(|(origin, _)| *origin).collect();
    assert_eq!(origins.len(), lives.len(), "{origins:?}");
    assert!(!origins.contains(&Origin(42)));
    let (_, past) = lives.last().expect("it has begun");
    let of_t1 = past.iter().filter(|event| &*event.target == "t1");
    let states: Vec<State> = of_t1.map(|event| event.transition.to).collect();
    assert_eq!(states, [State::Up, State::Down]);
    let numbers: Vec<u64> = past.iter().map(|event| event.transition.seq).collect();
    assert_eq!(numbers, (1..=past.len() as u64).collect::<Vec<_>>());
}

/// It stood in the store for ever, for each target and node.
#[test]
fn what_a_forgotten_node_could_not_probe_is_forgotten_with_it() {
    let mut world = World::new(3, 12);
    world.run(10);
    let name = (0..12)
        .map(|i| format!("t{i}"))
        .find(|name| world.owner_host(name) == 2)
        .expect("it has its share");
    world.sees(2, &name, Finding::Inconclusive(Doubt::Unable));
    world.run(4);
    let key = unable_key("n2", &name);
    assert!(world.store(0).get(&key).is_some());
    world.kill(2);
    world.run(12);
    assert!(world.store(0).get(&key).is_some(), "it may come back");
    assert_eq!(world.forget(0, "n2"), Answer::Accepted);
    world.run(5);
    for at in 0..2 {
        assert_eq!(world.store(at).get(&key), None);
        assert!(world.node(at).joined.as_ref().unwrap().unable.is_empty());
    }
}
