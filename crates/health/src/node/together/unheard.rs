//! What an owner does about those who say nothing, and about what it was told and does not show yet.

use super::*;

/// Before anybody suspects anybody.
#[test]
fn who_says_nothing_at_all_is_not_asked_twice_while_others_live() {
    let mut file: Vec<_> = (0..6).map(|i| target(&format!("t{i}"), 1)).collect();
    file.sort_by(|a, b| a.name.cmp(&b.name));
    let mut world = World::with_file(5, file);
    world.run(10);
    let owner = world.owner_host("t1");
    world.everybody_sees("t1", REFUSED);
    let asked = |world: &World| {
        let notices = world.hosts[owner].notices.iter();
        let of = notices.filter_map(|notice| match notice {
            crate::cluster::Notice::Asked { of, .. } => Some(of.clone()),
            _ => None,
        });
        of.collect::<Vec<_>>()
    };
    world.run_ms(1_900);
    while asked(&world).is_empty() {
        // Who would be asked is cut off: it is the next in the target's order.
        let order = world.node(owner).view().clone();
        let row = order.get("t1").expect("it is defined");
        let next = order.owners(row.slot).nth(1).expect("five live");
        let next: usize = next[1..].parse().expect("n and a number");
        (0..5).for_each(|at| {
            world.cut.insert((at, next));
            world.cut.insert((next, at));
        });
        world.run_ms(50);
    }
    world.run_ms(2_600);
    let asked = asked(&world);
    assert!(asked.len() >= 2 && asked[0] != asked[1], "{asked:?}");
    assert_eq!(world.state(owner, "t1").0, State::Down);
}

/// What it supersedes has reached its store, and is not on its disk yet.
#[test]
fn an_owner_with_a_slow_disk_writes_nothing_that_is_older_than_what_it_was_told() {
    let mut world = World::new(3, 9);
    world.run(10);
    let name = (0..9)
        .map(|i| format!("t{i}"))
        .find(|n| world.owner_host(n) == 0)
        .unwrap();
    for other in [1, 2] {
        world.cut.insert((0, other));
        world.cut.insert((other, 0));
    }
    world.run(15);
    for _ in 0..2 {
        for finding in [REFUSED, Finding::Passed] {
            [1, 2]
                .into_iter()
                .for_each(|at| world.sees(at, &name, finding));
            world.run(8);
        }
    }
    assert_eq!(world.state(1, &name), (State::Up, 5));
    world.disk_ms.insert(0, 4_000);
    world.cut.clear();
    world.sees(0, &name, REFUSED);
    for _ in 0..30 {
        world.run_ms(500);
        for at in 0..3 {
            let shown = world.state(at, &name);
            assert!(at == 0 || shown.1 >= 5, "{shown:?} on n{at}");
        }
    }
}

fn cut(world: &mut World, some: &[usize], others: &[usize]) {
    for (&a, &b) in some.iter().flat_map(|a| others.iter().map(move |b| (a, b))) {
        world.cut.extend([(a, b), (b, a)]);
    }
}

/// Starts a host anew on an empty disk.
fn begin_anew(world: &mut World, at: usize) {
    world.kill(at);
    world.hosts[at].disk.clear();
    world.boot(at);
}

#[test]
fn a_newcomer_that_finds_nobody_where_others_should_be_confirms_nothing() {
    let mut world = World::new(3, 3);
    world.run(5);
    cut(&mut world, &[0], &[1, 2]);
    begin_anew(&mut world, 0);
    world.sees(0, "t1", REFUSED);
    world.run(20);
    assert_eq!(world.state(0, "t1").0, State::Unknown);
    // Nor does it after a restart.
    world.kill(0);
    world.boot(0);
    world.run(20);
    assert_eq!(world.state(0, "t1").0, State::Unknown);
    assert_eq!(world.state(1, "t1"), (State::Up, 1));
    world.cut.clear();
    world.everybody_sees("t1", REFUSED);
    world.run(10);
    assert_eq!(world.state(0, "t1").0, State::Down);
}

/// The one remembers all five, the other has met nobody but this one.
#[test]
fn two_of_five_confirm_nothing_though_one_of_them_has_lost_its_memory() {
    let mut world = World::new(5, 8);
    world.run(8);
    cut(&mut world, &[0, 1], &[2, 3, 4]);
    world.kill(0);
    world.kill(1);
    world.boot(1);
    begin_anew(&mut world, 0);
    world.run(8);
    (0..8).for_each(|i| world.everybody_sees(&format!("t{i}"), REFUSED));
    world.run(20);
    for (at, i) in (0..2).flat_map(|at| (0..8).map(move |i| (at, i))) {
        let state = world.state(at, &format!("t{i}")).0;
        assert_eq!(state, State::Unknown, "t{i} on n{at}");
    }
    assert_eq!(world.state(2, "t0").0, State::Down);
}
