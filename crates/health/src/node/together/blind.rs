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

/// A world in which targets want so many votes, by their number.
fn world_of(hosts: usize, targets: usize, confirm: impl Fn(usize) -> u8) -> World {
    let file = (0..targets).map(|i| target(&format!("t{i}"), confirm(i)));
    let mut world = World::with_file(hosts, file.collect());
    (0..hosts).for_each(|at| world.hosts[at].is_remote = true);
    world.run(10);
    world
}

fn loses_sight(world: &mut World, at: usize, targets: usize) {
    let before = owned(world, at, at, targets);
    assert!(before >= 12, "{before}");
    all_silent(world, at, targets);
}

/// Who owns nothing has given it away.
fn has_given_all_away(world: &World, at: usize, by: usize, targets: usize) -> bool {
    was_told(world, at, |n| matches!(n, Notice::Blind { .. })) && owned(world, by, at, targets) == 0
}

fn all_are(world: &World, at: usize, targets: usize, expected: State) {
    for i in 0..targets {
        let state = world.state(at, &format!("t{i}")).0;
        assert_eq!(state, expected, "t{i} on n{at}");
    }
}

/// One against one confirms nothing, but shows who sees.
#[test]
fn of_two_nodes_the_one_that_reaches_nothing_gives_its_targets_to_the_other() {
    let targets = 60;
    let mut world = world_of(2, targets, |_| 2);
    loses_sight(&mut world, 0, targets);
    for _ in 0..40 {
        world.run_ms(500);
        all_are(&world, 1, targets, State::Up);
    }
    assert!(has_given_all_away(&world, 0, 1, targets));
}

#[test]
fn a_node_that_reaches_nothing_is_told_so_by_one_where_one_is_asked() {
    let targets = 60;
    let mut world = world_of(3, targets, |_| 1);
    loses_sight(&mut world, 0, targets);
    for _ in 0..40 {
        world.run_ms(500);
        all_are(&world, 1, targets, State::Up);
    }
    assert!(has_given_all_away(&world, 0, 1, targets));
}

#[test]
fn a_node_that_reaches_nothing_is_told_so_by_the_only_other_that_lives() {
    let targets = 60;
    let mut world = world_of(3, targets, |_| 2);
    world.kill(2);
    world.run(20);
    loses_sight(&mut world, 0, targets);
    for _ in 0..40 {
        world.run_ms(500);
        all_are(&world, 1, targets, State::Up);
    }
    assert!(has_given_all_away(&world, 0, 1, targets));
}

#[test]
fn two_of_three_that_reach_nothing_one_after_the_other_give_all_to_the_third() {
    let targets = 60;
    let mut world = world_of(3, targets, |_| 2);
    loses_sight(&mut world, 0, targets);
    world.run(15);
    all_are(&world, 2, targets, State::Up);
    loses_sight(&mut world, 1, targets);
    for _ in 0..40 {
        world.run_ms(500);
        all_are(&world, 2, targets, State::Up);
    }
    assert!(has_given_all_away(&world, 1, 2, targets));
}

#[test]
fn two_of_five_that_reach_nothing_one_after_the_other_alarm_nobody() {
    for confirm in [1, 2, 3] {
        let targets = 100;
        let mut world = world_of(5, targets, |_| confirm);
        loses_sight(&mut world, 0, targets);
        world.run(15);
        loses_sight(&mut world, 1, targets);
        for _ in 0..40 {
            world.run_ms(500);
            all_are(&world, 2, targets, State::Up);
        }
        assert!(
            has_given_all_away(&world, 1, 2, targets),
            "confirm {confirm}"
        );
    }
}

/// Those it waits for may have gone down meanwhile.
#[test]
fn a_node_sees_again_though_some_of_its_witnesses_went_down() {
    for step in [1, 2] {
        let targets = 60;
        let mut world = world(3, targets);
        loses_sight(&mut world, 0, targets);
        world.run(12);
        let blind = world.node(0).joined.as_ref().expect("it is one of three");
        let watched = blind.blind.watched();
        assert!(watched.len() >= 5, "{watched:?}");
        (0..targets).for_each(|i| world.sees(0, &format!("t{i}"), Finding::Passed));
        // Of any three that follow each other one is down.
        let gone = watched.iter().step_by(step);
        gone.for_each(|name| world.everybody_sees(name, SILENT));
        world.run(40);
        assert!(was_told(&world, 0, |n| matches!(n, Notice::Sees)), "{step}");
    }
}

/// What asks nobody bears no witness.
#[test]
fn an_outage_of_everything_is_noticed_though_many_targets_ask_nobody() {
    let targets = 60;
    let asks = |i: usize| i % 4 == 3;
    let mut world = world_of(3, targets, |i| if asks(i) { 2 } else { 0 });
    (0..3).for_each(|at| all_silent(&mut world, at, targets));
    world.run(15);
    for (at, i) in (0..3).flat_map(|at| (0..targets).map(move |i| (at, i))) {
        let state = world.state(at, &format!("t{i}")).0;
        assert!(state == State::Down, "t{i} on n{at}: {state:?}");
    }
}

#[test]
fn a_node_that_reaches_nothing_gives_its_targets_away_though_many_ask_nobody() {
    let targets = 80;
    let mut world = world_of(3, targets, |i| if i % 3 == 2 { 2 } else { 0 });
    loses_sight(&mut world, 0, targets);
    world.run(20);
    assert!(has_given_all_away(&world, 0, 1, targets));
    all_are(&world, 1, targets, State::Up);
}

/// Loads a file on all nodes.
fn load(world: &mut World, file: Vec<Arc<Definition>>) {
    world.file = file;
    for at in 0..world.hosts.len() {
        let file = world.file.clone();
        world.give(at, Input::Load(Source::File, file));
    }
}

/// The first that fell silent are gone before anybody has ruled on them.
#[test]
fn witnesses_that_are_deleted_or_paused_are_followed_by_others() {
    for pauses in [false, true] {
        let targets = 90;
        let mut world = world(3, targets);
        loses_sight(&mut world, 0, targets);
        world.run_ms(1_100);
        let witnesses = world.node(0).uplink.witnesses();
        let names = witnesses
            .iter()
            .map(|slot| world.node(0).row(*slot).title());
        let names: Vec<Arc<str>> = names.collect();
        assert_eq!(names.len(), 10);
        let mut file = world.file.clone();
        if pauses {
            for one in &mut file {
                if names.contains(&one.name) {
                    Arc::make_mut(one).paused = true;
                }
            }
        } else {
            file.retain(|one| !names.contains(&one.name));
        }
        load(&mut world, file);
        world.run(20);
        assert!(
            was_told(&world, 0, |n| matches!(n, Notice::Blind { .. })),
            "paused: {pauses}"
        );
        for i in (0..targets).map(|i| format!("t{i}")) {
            if !names.iter().any(|name| **name == i) {
                assert_eq!(world.state(1, &i), (State::Up, 1), "{i}");
                assert_ne!(world.owner(1, &i), "n0");
            }
        }
    }
}

/// What was never held back is not made up for.
#[test]
fn a_target_on_this_machine_falls_by_its_own_failures_whatever_is_silent_elsewhere() {
    let targets = 60;
    let file = (0..targets).map(|i| target(&format!("t{i}"), if i == 5 { 0 } else { 2 }));
    let mut world = World::with_file(3, file.collect());
    (0..3).for_each(|at| world.hosts[at].is_remote = true);
    (0..3).for_each(|at| world.hosts[at].local = Some("t5".into()));
    world.run(10);
    for i in (0..targets).filter(|i| *i != 5) {
        world.everybody_sees(&format!("t{i}"), SILENT);
    }
    world.run(15);
    assert_eq!(world.state(0, "t4").0, State::Down);
    world.everybody_sees("t5", REFUSED);
    world.run(1);
    world.everybody_sees("t5", Finding::Passed);
    world.run(3);
    assert_eq!(world.state(0, "t5"), (State::Up, 1));
}

/// Both others see again, and would wait for longer, because they have been blind so often.
#[test]
fn whoever_sees_takes_over_from_the_last_that_saw() {
    let targets = 60;
    let mut world = world_of(3, targets, |_| 2);
    let is_blind_for_a_time = |world: &mut World, at: usize, seconds| {
        all_silent(world, at, targets);
        world.run(12);
        (0..targets).for_each(|i| world.sees(at, &format!("t{i}"), Finding::Passed));
        world.run(seconds);
    };
    for (at, seconds) in [
        (0, 15),
        (0, 25),
        (0, 45),
        (1, 15),
        (1, 25),
        (1, 45),
        (0, 6),
        (1, 6),
    ] {
        is_blind_for_a_time(&mut world, at, seconds);
    }
    assert_eq!(owned(&world, 2, 2, targets), targets, "both wait");
    all_silent(&mut world, 2, targets);
    world.run(15);
    let name = "t7";
    world.everybody_sees(name, SILENT);
    world.run(6);
    assert_eq!(world.state(1, name).0, State::Down);
    for i in (0..targets).filter(|i| *i != 7) {
        assert_eq!(world.state(1, &format!("t{i}")).0, State::Up, "t{i}");
    }
}

/// What two see fail is down; but what others see answer is theirs, and they say so.
#[test]
fn two_of_five_that_reach_nothing_at_the_same_time_harm_nobody_for_long() {
    for confirm in [1, 2, 3] {
        let targets = 100;
        let mut world = world_of(5, targets, |_| confirm);
        loses_sight(&mut world, 0, targets);
        loses_sight(&mut world, 1, targets);
        world.run(40);
        all_are(&world, 2, targets, State::Up);
        assert_eq!(
            owned(&world, 2, 0, targets) + owned(&world, 2, 1, targets),
            0
        );
    }
}

/// Of a new target nothing was held.
#[test]
fn a_target_that_comes_in_an_outage_is_down_after_as_many_failures_as_any() {
    let targets = 60;
    let mut world = world_of(3, targets, |_| 2);
    (0..3).for_each(|at| all_silent(&mut world, at, targets));
    world.run(30);
    world.everybody_sees("new", SILENT);
    let mut file = world.file.clone();
    file.push(target("new", 0));
    load(&mut world, file);
    let mut checks = 0;
    while checks < 2 {
        world.run_ms(20);
        checks = world
            .probes
            .iter()
            .filter(|(_, _, of)| &**of == "new")
            .count();
    }
    assert_ne!(world.state(1, "new").0, State::Down, "after one check");
}
