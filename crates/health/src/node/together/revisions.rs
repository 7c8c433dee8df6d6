//! One config file that several nodes write before they have met.

use super::*;
use crate::cluster::{Notice, definition_key, sum_of};

/// Broken by: every definition that comes after its revision has it announced again.
#[test]
fn a_revision_that_several_write_at_once_is_announced_once_by_each_node() {
    for split_ms in [200, 500, 900, 1_300, 2_000] {
        let mut world = World::new(4, 300);
        // Two halves write the same file, and meet.
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            world.cut.extend([(a, b), (b, a)]);
        }
        world.run_ms(6_000 + split_ms);
        world.cut.clear();
        world.run(20);
        for host in &world.hosts {
            let said = host.notices.iter();
            let said: Vec<_> = said
                .filter(|n| matches!(n, Notice::Revision { .. }))
                .collect();
            let is_new = said.windows(2).all(|pair| pair[0] != pair[1]);
            assert!(is_new, "{split_ms} ms: {said:?}");
        }
    }
}

/// What a node believes of the file's entries, most of whose hashes only their rows know, is what
/// its store holds.
fn adds_up(world: &World, at: usize) {
    let joined = world.node(at).joined.as_ref().expect("joined");
    let store = &joined.cluster.store;
    let contents: Vec<Vec<u8>> = joined
        .names_in_file()
        .filter_map(|name| Some(store.get(&definition_key(Source::File, &name))?.to_vec()))
        .collect();
    let (sum, count) = sum_of(contents.iter().map(Vec::as_slice));
    let catalog = &joined.cluster.catalog;
    assert_eq!((catalog.sum(), catalog.count()), (sum, count), "n{at}");
    assert!(catalog.is_complete(), "n{at}");
}

/// Broken by: what is written over is not put aside, or names that were not in the file are not.
#[test]
fn of_two_files_loaded_on_two_sides_of_a_cut_one_is_in_effect_whole_after_it() {
    let mut winners = BTreeSet::new();
    for variant in 0..6 {
        let mut world = World::new(4, 12);
        world.run(8);
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            world.cut.extend([(a, b), (b, a)]);
        }
        let other = |gone: usize, changed: usize, name: &str| {
            let mut file = world.file.clone();
            file[changed] = target(&format!("t{changed}"), 1);
            file.push(target(name, 0));
            file.remove(gone);
            file
        };
        let files = [other(0, 1, &format!("a{variant}")), other(2, 3, "b")];
        world.give(0, Input::Load(Source::File, files[0].clone()));
        world.give(2, Input::Load(Source::File, files[1].clone()));
        world.run(6);
        world.cut.clear();
        world.run(30);
        (0..4).for_each(|at| adds_up(&world, at));
        let shown = |at: usize| -> BTreeMap<Arc<str>, Arc<Definition>> {
            let view = world.node(at).view();
            view.rows(None)
                .map(|row| (row.title(), row.definition()))
                .collect()
        };
        let by_name = |file: &[Arc<Definition>]| -> BTreeMap<Arc<str>, Arc<Definition>> {
            let named = file.iter().map(|d| (Arc::clone(&d.name), Arc::clone(d)));
            named.collect()
        };
        let winner = files.iter().position(|file| by_name(file) == shown(0));
        assert!(winner.is_some(), "{variant}: {:?}", shown(0).keys());
        for at in 1..4 {
            assert_eq!(shown(at), shown(0), "{variant}: n{at}");
        }
        winners.insert(winner);
    }
    assert_eq!(winners.len(), 2, "each side wins once");
}

/// Broken by: only a node whose own file is in effect completes it, or an entry that is taken out
/// takes the status with it before that is in effect.
#[test]
fn an_old_file_from_behind_a_cut_takes_nothing_away_though_whoever_wrote_the_newest_is_dead() {
    for variant in 0..6 {
        let mut world = World::new(3, 12);
        world.run(8);
        world.cut.extend([(0, 2), (2, 0), (1, 2), (2, 1)]);
        for name in ["b", "c"] {
            world.file.push(target(name, 0));
            world.give(0, Input::Load(Source::File, world.file.clone()));
            world.run_ms(2_000 + variant * 300);
        }
        let mut old = world.file.clone();
        old.truncate(12);
        old.remove(1);
        world.give(2, Input::Load(Source::File, old));
        world.run(2);
        world.kill(0);
        world.run(10);
        world.cut.clear();
        for _ in 0..100 {
            world.run_ms(250);
            let shown = world.state(1, "t1");
            assert!(shown.0 == State::Up && shown.1 > 0, "{variant}: {shown:?}");
        }
        for at in 1..3 {
            adds_up(&world, at);
            for name in ["t1", "b", "c"] {
                assert_eq!(world.state(at, name).0, State::Up, "{variant}: n{at}");
            }
        }
    }
}
