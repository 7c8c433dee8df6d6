//! Definitions that change while something of the old one is under way.

use super::*;
use crate::cluster::Notice;

/// The file with one target changed.
fn with(world: &World, name: &str, change: impl Fn(&mut Definition)) -> Vec<Arc<Definition>> {
    let each = world.file.iter().map(|definition| {
        let mut definition = Definition::clone(definition);
        if *definition.name == *name {
            change(&mut definition);
        }
        Arc::new(definition)
    });
    each.collect()
}

fn elsewhere(definition: &mut Definition) {
    definition.rule.rise += 1;
}

fn load(world: &mut World, at: usize, file: Vec<Arc<Definition>>) {
    world.file = file.clone();
    world.give(at, Input::Load(Source::File, file));
}

/// Runs until a host begins to check a target.
fn run_to_a_check(world: &mut World, at: usize, name: &str) {
    loop {
        let before = world.probes.len();
        world.run_ms(5);
        let new = &world.probes[before..];
        if new.iter().any(|(_, host, of)| *host == at && &**of == name) {
            return;
        }
    }
}

/// It made the round lose count of those it waits for: no mark ever again.
#[test]
fn a_check_that_ends_after_its_target_was_paused_counts_in_no_round() {
    let mut world = World::new(1, 3);
    world.run(8);
    // One never comes to rest, and is left behind.
    world.sees(0, "t1", Finding::Inconclusive(Doubt::Late));
    world.run(8);
    world.probe_ms = 50;
    run_to_a_check(&mut world, 0, "t0");
    let paused = with(&world, "t0", |d| d.paused = true);
    world.file = paused;
    let paused = with(&world, "t2", |d| d.paused = true);
    load(&mut world, 0, paused);
    world.run(8);
    world.sees(0, "t1", Finding::Passed);
    world.run(8);
    let view = world.node(0).view();
    let row = view.get("t1").expect("it is defined");
    let freshness = view.freshness(row, world.now).expect("a cluster's view");
    assert!(!freshness.is_stale, "{freshness:?}");
}

#[test]
fn a_target_that_nobody_can_probe_is_tried_again_when_it_is_defined_anew() {
    for deletes in [false, true] {
        let mut world = World::new(3, 6);
        world.run(10);
        world.everybody_sees("t5", Finding::Inconclusive(Doubt::Unable));
        world.run(10);
        assert_eq!(world.owner(0, "t5"), "");
        world.everybody_sees("t5", Finding::Passed);
        if deletes {
            let whole = world.file.clone();
            let without = whole.iter().filter(|d| &*d.name != "t5");
            let without = without.cloned().collect();
            load(&mut world, 0, without);
            world.run(5);
            load(&mut world, 0, whole);
        } else {
            let changed = with(&world, "t5", elsewhere);
            load(&mut world, 0, changed);
        }
        let from = world.now;
        world.run(5);
        assert!(
            world.probes_of("t5", from, world.now) >= 3,
            "deletes {deletes}"
        );
    }
}

/// The secret or the file that it lacked is there now.
#[test]
fn a_target_that_nobody_can_probe_is_tried_again_by_whoever_reads_its_config_again() {
    let mut world = World::new(3, 6);
    world.run(10);
    world.everybody_sees("t5", Finding::Inconclusive(Doubt::Unable));
    world.run(10);
    assert_eq!(world.owner(0, "t5"), "");
    world.sees(1, "t5", Finding::Passed);
    let same = world.file.clone();
    load(&mut world, 1, same);
    world.run(3);
    assert_eq!(world.owner(0, "t5"), "n1");
}

/// Broken by: the second has the number of the first, and leaves out what was so before both.
#[test]
fn of_two_reloads_before_the_disk_has_the_first_the_second_is_in_effect_on_all() {
    for rise in 3..12 {
        let mut world = World::new(3, 6);
        world.run(10);
        let first = world.file.clone();
        let mut other = with(&world, "t1", |d| d.rule.rise = rise);
        other.push(target("added", 2));
        other.remove(usize::from(rise) % 6);
        load(&mut world, 0, other);
        load(&mut world, 0, first.clone());
        world.run(8);
        for at in 0..3 {
            let view = world.node(at).view();
            let shown: Vec<_> = view.rows(None).map(Row::definition).collect();
            assert_eq!(shown, first, "n{at}, {rise}");
        }
    }
}

/// The numbers of the cases that a host has opened.
fn cases(world: &World, at: usize) -> Vec<u64> {
    let notices = world.hosts[at].notices.iter();
    let asked = notices.filter_map(|notice| match notice {
        Notice::Asked { case, .. } => Some(*case),
        _ => None,
    });
    asked.collect()
}

/// What others were asked by the former life they may answer to the next one, about another target.
#[test]
fn no_case_of_a_nodes_next_life_bears_the_number_of_one_of_the_last() {
    let mut world = World::new(3, 12);
    world.run(10);
    let mut lives = Vec::new();
    for _ in 0..2 {
        world.hosts[0].notices.clear();
        (0..12).for_each(|i| world.sees(0, &format!("t{i}"), REFUSED));
        world.run(6);
        lives.push(cases(&world, 0));
        (0..12).for_each(|i| world.sees(0, &format!("t{i}"), Finding::Passed));
        world.kill(0);
        world.boot(0);
        world.run(6);
    }
    assert!(lives.iter().all(|cases| !cases.is_empty()));
    assert!(
        lives[0].iter().all(|case| !lives[1].contains(case)),
        "{lives:?}"
    );
}

/// Whoever hands over may have asked others about the old definition.
#[test]
fn what_others_say_of_an_old_definition_says_nothing_of_the_new_one() {
    for change in [elsewhere as fn(&mut Definition), |d| d.paused = true] {
        let file = (0..6).map(|i| {
            let mut definition = Definition::clone(&target(&format!("t{i}"), 2));
            definition.interval = Duration::from_secs(3);
            Arc::new(definition)
        });
        let mut world = World::with_file(3, file.collect());
        world.run(12);
        let owner = world.owner_host("t1");
        world.everybody_sees("t1", REFUSED);
        let slot = world.node(owner).view().get("t1").expect("defined").slot;
        let failures = |world: &World| world.node(owner).explain(slot).map(|e| e.failures);
        while failures(&world) != Some(2) {
            world.run_ms(5);
        }
        world.give(owner, Input::Drain(Request(1)));
        // Others take their time.
        world.probe_ms = 200;
        while cases(&world, owner).is_empty() {
            world.run_ms(5);
        }
        let changed = with(&world, "t1", change);
        load(&mut world, owner, changed);
        world.run_ms(1_000);
        world.everybody_sees("t1", Finding::Passed);
        world.probe_ms = 2;
        world.run(10);
        for host in &world.hosts {
            let downs = host.events.iter().filter(|e| e.ends_with("down"));
            assert_eq!(downs.count(), 0, "{:?}", host.events);
        }
    }
}

/// Who did not know yet that it was deleted may have written its status once more.
#[test]
fn what_was_written_of_a_deleted_target_is_not_shown_of_one_made_anew() {
    let mut world = World::new(3, 0);
    world.run(8);
    world.give(0, Input::Put(Request(1), target("new", 2)));
    world.run(3);
    let owner = world.owner_host("new");
    let others: Vec<usize> = (0..3).filter(|at| *at != owner).collect();
    for other in &others {
        world.cut.extend([(owner, *other), (*other, owner)]);
    }
    world.sees(owner, "new", REFUSED);
    world.give(others[0], Input::Delete(Request(2), "new".into()));
    world.run(8);
    assert_eq!(world.state(owner, "new").0, State::Unknown);
    world.cut.clear();
    world.run(10);
    assert!((0..3).all(|at| world.node(at).view().get("new").is_none()));
    world.sees(owner, "new", Finding::Passed);
    world.give(others[0], Input::Put(Request(3), target("new", 2)));
    world.run(5);
    for at in 0..3 {
        assert_eq!(world.state(at, "new"), (State::Up, 1), "n{at}");
    }
}

/// Broken by: what was promised of targets that are asked at another interval now grows old.
#[test]
fn nobody_is_said_to_be_late_with_a_promise_of_no_target() {
    let mut world = World::new(3, 6);
    world.run(10);
    for _ in 0..2 {
        let twice = world.file.iter().map(|definition| {
            let mut definition = Definition::clone(definition);
            definition.interval *= 2;
            Arc::new(definition)
        });
        let twice = twice.collect();
        load(&mut world, 0, twice);
        world.run(30);
    }
    for host in &world.hosts {
        let notices = host.notices.iter();
        let late: Vec<_> = notices
            .filter(|n| matches!(n, Notice::Promise { is_late: true, .. }))
            .collect();
        assert!(late.is_empty(), "{late:?}");
    }
}
