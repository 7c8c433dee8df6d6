//! What a node shows lies in its memory once: for readers, for itself and for the store.

use super::*;
use crate::cluster::{definition_key, status_key};
use crate::row::What;

/// Each row that has something to itself, and chunks that readers have to themselves.
fn twice(world: &World, at: usize) -> Vec<String> {
    let node = world.node(at);
    // A copy of the store shares what the store shares, and shares nothing more with the rows.
    let mut store = world.store(at).clone();
    let mut twice = Vec::new();
    for (_, row) in node.rows.iter() {
        let definition = store.share(&definition_key(row.source, row.name()));
        if !definition.is_some_and(|(bytes, _)| row.keeps(&What::Packed(bytes))) {
            twice.push(format!("the definition of {}", row.name()));
        }
        let status = store.share(&status_key(row.name()));
        if !status.is_some_and(|(bytes, _)| row.keeps_entry(&bytes)) {
            twice.push(format!("the status of {}", row.name()));
        }
    }
    let chunks = node.rows.iter().count().div_ceil(crate::rows::CHUNK);
    if node.view().shared_with(&node.rows) != chunks {
        twice.push("chunks".to_owned());
    }
    twice
}

/// Broken by: the row packs its definition anew; the view copies its chunks.
#[test]
fn what_is_shown_lies_in_memory_once_also_after_a_restart_and_a_change() {
    let mut world = World::new(3, 70);
    world.run(12);
    world.make(1, "made");
    world.everybody_sees("t3", REFUSED);
    world.run(8);
    world.kill(0);
    world.run(12);
    world.boot(0);
    world.run(15);
    for at in 0..3 {
        assert_eq!(world.state(at, "t3").0, State::Down, "n{at}");
        assert_eq!(twice(&world, at), [""; 0], "n{at}");
    }
}

/// Broken by: what is the same as before is not looked at again, of definitions or of statuses.
#[test]
fn what_is_written_anew_for_a_forgotten_node_lies_in_memory_once_again() {
    let mut world = World::new(3, 40);
    world.run(10);
    world.make(2, "made");
    world.run(3);
    let written = |world: &World, by| {
        let origin = world.store(by).origin();
        let held = world.store(0).iter();
        held.filter(|(_, held)| Some(held.version.origin) == origin)
            .count()
    };
    // Whoever wrote the file is among those who go.
    let writer = (0..3).max_by_key(|at| written(&world, *at)).expect("three");
    assert!(written(&world, writer) > 40);
    let name = format!("n{writer}");
    world.kill(writer);
    world.run(12);
    let on = (writer + 1) % 3;
    assert_eq!(world.forget(on, &name), Answer::Accepted);
    world.run(20);
    for at in world.running() {
        assert_eq!(twice(&world, at), [""; 0], "n{at}");
    }
}
