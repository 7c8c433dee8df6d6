//! What a handful of nodes together promise, over many seeds.

use std::collections::BTreeSet;

use base::{Duration, NodeId};

use crate::testing::{World, address, member};
use crate::{Config, Incarnation, Input, Meta, Mutation, Output, Standing, State};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn all_who_join_at_once_see_all() {
    for seed in 0..30 {
        let world = World::of(30, seed);
        assert!(world.agrees(), "seed {seed}");
    }
}

#[test]
fn one_living_address_among_nine_is_found_with_the_third_attempt() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        world.start(Config::lan(member(1), seed));
        world.start(Config::lan(member(2), seed ^ 1));
        let deserted = (100..108).map(address);
        let list = deserted.chain([address(2)]).collect();
        world.input(1, Input::Join(list));
        world.run(seconds(2));
        let others = world.node(1).others().len();
        assert_eq!(others, 1, "seed {seed}");
    }
}

#[test]
fn a_crash_is_known_to_all_within_six_seconds() {
    let mut worst = Vec::new();
    for seed in 0..60 {
        let mut world = World::of(30, seed);
        world.run(seconds(5));
        let from = world.now;
        world.crash(7);
        world.run(seconds(12));
        let deaths = world.deaths();
        let by: BTreeSet<NodeId> = deaths.iter().map(|&(_, by, _)| by).collect();
        let of: BTreeSet<NodeId> = deaths.iter().map(|&(_, _, of)| of).collect();
        assert_eq!(
            (by.len(), of),
            (29, BTreeSet::from([NodeId(7)])),
            "seed {seed}"
        );
        worst.push(deaths.last().expect("29 of them").0.since(from));
    }
    worst.sort_unstable();
    assert!(
        worst[30] <= seconds(4) && worst[59] <= seconds(7),
        "{worst:?}"
    );
}

/// Broken by: whoever was cut off waits as long for its next turn as it believed it had to before
/// the others were back, or does not believe better of itself for that.
#[test]
fn a_crash_three_seconds_after_a_cut_is_known_as_soon_as_any() {
    let mut worst = Vec::new();
    for seed in 0..60 {
        let mut world = World::of(4, seed);
        world.run(seconds(5));
        for id in 1..=4 {
            world.sides.insert(address(id), u8::try_from(id).unwrap());
        }
        world.run(seconds(20));
        world.sides.clear();
        world.run(seconds(3));
        let from = world.now;
        world.crash(4);
        world.run(seconds(20));
        let deaths = world.deaths();
        let last = deaths
            .iter()
            .rfind(|(at, _, of)| *at > from && *of == NodeId(4));
        worst.push(last.expect("it is dead").0.since(from));
    }
    worst.sort_unstable();
    assert!(
        worst[30] <= seconds(4) && worst[59] <= seconds(7),
        "{worst:?}"
    );
}

/// Who is left alone waits longest: it may be the sick one.
///
/// Broken by: whoever did not help is asked when its turn comes, or suspicions wait for the word of
/// those who are suspected themselves.
#[test]
fn when_most_crash_at_once_those_who_are_left_know_it_soon() {
    let alone = [(3, 1, 17), (4, 1, 17), (5, 1, 18)];
    let few = [(5, 2, 7), (7, 3, 8), (7, 2, 10), (10, 4, 10), (30, 10, 16)];
    for (n, left, most) in alone.into_iter().chain(few) {
        for seed in 0..40 {
            let mut world = World::of(n, seed);
            world.run(seconds(5));
            let from = world.now;
            (left + 1..=n).for_each(|id| world.crash(id));
            world.run(seconds(60));
            let deaths = world.deaths();
            let count = (n - left) * left;
            assert_eq!(deaths.len() as u64, count, "{left} of {n}, seed {seed}");
            let last = deaths.last().expect("they are dead").0.since(from);
            assert!(last < seconds(most), "{left} of {n}, seed {seed}: {last:?}");
        }
    }
}

#[test]
fn loss_alone_never_makes_anybody_dead() {
    for seed in 0..10 {
        let mut world = World::of(20, seed);
        world.loss = 20;
        world.run(seconds(300));
        assert_eq!(world.deaths(), [], "seed {seed}");
        assert!(
            world
                .nodes
                .values()
                .any(|node| node.counters().probes_rescued > 0)
        );
    }
}

#[test]
fn whoever_was_stopped_blames_nobody_and_is_back_within_two_seconds() {
    for seed in 0..20 {
        let mut world = World::of(20, seed);
        world.loss = 10;
        for _ in 0..5 {
            world.stopped.insert(address(3), world.now + seconds(5));
            world.run(seconds(7));
            assert!(world.agrees(), "seed {seed}");
            world.run(seconds(13));
        }
        let deaths = world.deaths();
        assert!(
            deaths.iter().all(|&(_, _, of)| of == NodeId(3)),
            "seed {seed}: {deaths:?}"
        );
    }
}

#[test]
fn halves_that_were_apart_for_an_hour_find_each_other_within_ten_seconds() {
    for seed in 0..4 {
        let mut world = World::of(20, seed);
        for id in 1..=10 {
            world.sides.insert(address(id), 1);
        }
        world.run(seconds(3_600));
        assert_eq!(world.node(1).living(), 10, "seed {seed}");
        world.sides.clear();
        let before = world.deaths().len();
        world.run(seconds(10));
        assert!(world.agrees(), "seed {seed}");
        assert_eq!(
            world.deaths().len(),
            before,
            "seed {seed}: nobody dies of being found"
        );
    }
}

#[test]
fn one_that_was_cut_off_alone_is_found_again() {
    let mut world = World::of(10, 1);
    world.sides.insert(address(4), 1);
    world.run(seconds(600));
    assert_eq!((world.node(4).living(), world.node(1).living()), (1, 9));
    world.sides.clear();
    world.run(seconds(10));
    assert!(world.agrees());
}

#[test]
fn a_farewell_is_heard_by_all_and_followed_by_no_death() {
    for seed in 0..20 {
        let mut world = World::of(10, seed);
        world.input(5, Input::Leave);
        world.run(seconds(2));
        let left =
            |(_, by, output): &(_, NodeId, Output)| *by == NodeId(5) && *output == Output::Left;
        assert!(world.seen.iter().any(left), "seed {seed}");
        world.crash(5);
        world.run(seconds(20));
        assert_eq!(world.deaths(), []);
        let of = |id| world.node(id).member(NodeId(5)).map(|m| m.state);
        assert_eq!(
            (of(1), of(9)),
            (Some(State::Left), Some(State::Left)),
            "seed {seed}"
        );
    }
}

#[test]
fn who_leaves_alone_has_left_at_once() {
    let mut world = World::new(1);
    world.start(Config::lan(member(1), 1));
    world.input(1, Input::Leave);
    assert_eq!(world.seen.last().map(|seen| &seen.2), Some(&Output::Left));
}

#[test]
fn who_left_may_join_again() {
    let mut world = World::of(5, 1);
    world.input(5, Input::Leave);
    world.run(seconds(3));
    world.input(5, Input::Join(vec![address(1)]));
    world.run(seconds(3));
    assert!(world.agrees());
}

#[test]
fn a_restart_without_memory_is_alive_again_by_its_later_incarnation() {
    let mut world = World::of(5, 1);
    world.crash(3);
    world.run(seconds(10));
    assert_eq!(
        world.node(1).member(NodeId(3)).map(|m| m.state),
        Some(State::Dead)
    );
    let mut again = member(3);
    again.incarnation = Incarnation(60_000);
    world.start(Config::lan(again, 99));
    world.input(3, Input::Join(vec![address(1)]));
    world.run(seconds(2));
    assert!(world.agrees());
}

#[test]
fn even_an_incarnation_from_the_past_is_mended() {
    let mut world = World::of(5, 1);
    world.crash(3);
    world.run(seconds(10));
    let mut again = member(3);
    again.incarnation = Incarnation(3);
    world.start(Config::lan(again, 99));
    world.input(3, Input::Join(vec![address(1)]));
    world.run(seconds(3));
    assert!(world.agrees());
}

#[test]
fn a_new_description_and_a_new_address_reach_everybody() {
    let mut world = World::of(6, 1);
    let meta = Meta {
        zone: "b".into(),
        weight: 7,
        wire: (1, 2),
        standing: Standing::Draining,
    };
    world.input(2, Input::Describe(meta.clone()));
    world.run(seconds(1));
    let seen = world.node(6).member(NodeId(2)).expect("known");
    assert_eq!(seen.meta, meta);
    let node = world.nodes.remove(&address(2)).expect("runs");
    world.nodes.insert(address(77), node);
    world.input(77, Input::Moved(address(77)));
    world.run(seconds(20));
    let seen = world.node(6).member(NodeId(2)).expect("known");
    assert_eq!((seen.address, seen.state), (address(77), State::Alive));
    assert!(world.agrees());
}

#[test]
fn whoever_is_forgotten_stays_so_on_every_node() {
    let mut world = World::of(6, 1);
    world.crash(2);
    world.run(seconds(15));
    world.input(5, Input::Forget(NodeId(2)));
    world.run(seconds(20));
    assert!(
        world
            .nodes
            .values()
            .all(|node| node.member(NodeId(2)).is_none())
    );
    let digests: BTreeSet<u64> = world.nodes.values().map(|node| node.digest()).collect();
    assert_eq!(digests.len(), 1);
    let mut again = member(2);
    again.incarnation = Incarnation(60_000);
    world.start(Config::lan(again, 99));
    world.input(2, Input::Join(vec![address(1)]));
    world.run(seconds(3));
    assert!(world.agrees());
}

#[test]
fn the_living_are_not_forgotten_on_request() {
    let mut world = World::of(3, 1);
    world.input(1, Input::Forget(NodeId(2)));
    world.run(seconds(2));
    assert!(world.agrees());
    assert_eq!(world.node(1).counters().wishes_refused, 1);
}

/// A node with an empty disk, where a dead one stood; its list names `named`.
fn newcomer_at_the_place_of_the_dead(seed: u64, named: Vec<std::net::SocketAddr>) -> World {
    let mut world = World::of(6, seed);
    world.crash(3);
    world.run(seconds(15));
    let mut late = member(50);
    (late.name, late.address) = (member(3).name, address(3));
    late.incarnation = Incarnation(90_000);
    world.start(Config::lan(late, seed));
    world.input(3, Input::Join(named));
    world.run(seconds(5));
    world
}

/// Broken once: whoever was asked for its forerunner did not look who asked.
#[test]
fn whoever_stands_where_a_dead_member_stood_finds_the_others_though_its_list_is_out_of_date() {
    for seed in 0..20 {
        let world = newcomer_at_the_place_of_the_dead(seed, vec![address(70), address(71)]);
        assert!(world.agrees(), "seed {seed}");
        assert_eq!(world.nodes[&address(3)].living(), 6, "seed {seed}");
    }
}

#[test]
fn whoever_looks_for_nobody_is_not_drawn_into_the_cluster_of_its_forerunner() {
    let world = newcomer_at_the_place_of_the_dead(1, vec![]);
    assert_eq!(world.nodes[&address(3)].living(), 1);
}

fn refused(world: &World) -> Vec<NodeId> {
    let seen = world.seen.iter();
    seen.filter(|seen| matches!(seen.2, Output::Refused { .. }))
        .map(|seen| seen.1)
        .collect()
}

#[test]
fn a_second_bearer_of_a_living_name_is_refused_whatever_its_clock_says() {
    for (seed, boot) in [(1, 5), (2, 1_000), (3, 90_000)] {
        let mut world = World::of(6, seed);
        world.run(seconds(5));
        let mut late = member(50);
        late.name = member(3).name;
        late.incarnation = Incarnation(boot);
        world.start(Config::lan(late, seed));
        world.input(50, Input::Join(vec![address(1), address(3)]));
        world.run(seconds(3));
        assert_eq!(refused(&world), [NodeId(50)], "boot {boot}");
        world.crash(50);
        assert!(world.agrees(), "boot {boot}");
    }
}

#[test]
fn a_newcomer_takes_the_name_of_one_that_has_just_crashed() {
    for seed in 0..10 {
        let mut world = World::of(6, seed);
        world.run(seconds(5));
        world.crash(3);
        let mut late = member(50);
        late.name = member(3).name;
        late.incarnation = Incarnation(90_000);
        world.start(Config::lan(late, seed));
        world.input(50, Input::Join(vec![address(1)]));
        world.run(seconds(4));
        assert_eq!(refused(&world), [], "seed {seed}");
        assert!(world.agrees(), "seed {seed}");
        assert!(world.node(1).member(NodeId(3)).is_none(), "seed {seed}");
    }
}

#[test]
fn of_two_that_take_a_name_at_once_exactly_one_remains() {
    for seed in 0..40 {
        let mut world = World::of(6, seed);
        world.run(seconds(1));
        for id in [50, 51] {
            let mut twin = member(id);
            twin.name = "twin".into();
            twin.incarnation = Incarnation(5_000 + id % 3);
            world.start(Config::lan(twin, seed + id));
            world.input(id, Input::Join(vec![address(1 + id % 2)]));
        }
        world.run(seconds(5));
        let ended = refused(&world);
        assert_eq!(ended.len(), 1, "seed {seed}: {ended:?}");
        world.crash(ended[0].0);
        world.run(seconds(3));
        assert!(world.agrees(), "seed {seed}");
    }
}

#[test]
fn many_deaths_at_once_are_said_once() {
    let mut world = World::of(12, 1);
    for id in 7..=12 {
        world.crash(id);
    }
    world.run(seconds(60));
    let said = world
        .seen
        .iter()
        .filter(|seen| seen.1 == NodeId(1) && matches!(seen.2, Output::MassLoss { .. }));
    assert_eq!(said.count(), 1);
}

#[test]
fn seeds_that_come_up_late_are_found() {
    let mut world = World::new(1);
    for id in [2, 3] {
        world.start(Config::lan(member(id), id));
        world.input(id, Input::Join(vec![address(1)]));
    }
    world.run(seconds(120));
    assert_eq!(world.node(2).living(), 1);
    world.start(Config::lan(member(1), 1));
    world.run(seconds(15));
    assert!(world.agrees());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = World::of(8, 5);
        world.loss = 20;
        world.run(seconds(30));
        (world.seen, world.bytes)
    };
    assert_eq!(run(), run());
}

#[test]
fn idle_nodes_say_little() {
    for n in [10, 50] {
        let mut world = World::of(n, 1);
        world.run(seconds(30));
        let before = world.bytes;
        world.run(seconds(60));
        let each = (world.bytes - before) / 60 / n;
        assert!(each < 300, "{each} bytes a second at {n}");
    }
}

/// Twenty nodes of which one is broken by `mutation`, and a loss that makes suspicions.
fn world_with(mutation: Mutation, only: Option<u64>, seed: u64) -> World {
    let mut world = World::new(seed);
    for id in 1..=20 {
        let mut config = Config::lan(member(id), seed ^ (id << 32));
        if only.is_none_or(|only| only == id) {
            config.mutation = mutation;
        }
        world.start(config);
        world.input(id, Input::Join(vec![address(1)]));
    }
    world.run(seconds(2));
    world
}

#[test]
fn without_refutation_one_stall_is_for_ever() {
    let mut world = world_with(Mutation::NoRefutation, None, 1);
    world.stopped.insert(address(3), world.now + seconds(8));
    world.run(seconds(60));
    assert!(!world.agrees());
}

#[test]
fn without_memory_of_the_dead_halves_stay_apart() {
    let mut world = world_with(Mutation::ForgetsDeadSoon, None, 1);
    for id in 1..=10 {
        world.sides.insert(address(id), 1);
    }
    world.run(seconds(200));
    world.sides.clear();
    // The addresses to join at are tried for ever, but node 1 has none and nobody knows the rest.
    world.run(seconds(10));
    assert!(!world.agrees());
}

#[test]
fn blind_to_its_own_stalls_a_node_blames_others() {
    let wrongly_dead = |mutation| -> usize {
        let of_seed = |seed| {
            let mut world = world_with(mutation, Some(3), seed);
            world.loss = 40;
            for _ in 0..20 {
                // It falls asleep with suspicions under way, and longer than they last.
                world.stopped.insert(address(3), world.now + seconds(15));
                world.run(seconds(18));
            }
            let deaths = world.deaths();
            deaths
                .iter()
                .filter(|&&(_, by, of)| by == NodeId(3) && of != NodeId(3))
                .count()
        };
        (0..5).map(of_seed).sum()
    };
    assert_eq!(wrongly_dead(Mutation::None), 0);
    assert!(wrongly_dead(Mutation::BlindToStalls) > 0);
}

#[test]
fn whoever_was_refused_stays_out() {
    let mut world = World::of(4, 1);
    world.run(seconds(5));
    let mut late = member(50);
    late.name = member(3).name;
    world.start(Config::lan(late, 1));
    world.input(50, Input::Join(vec![address(1)]));
    world.run(seconds(2));
    assert_eq!(refused(&world), [NodeId(50)]);
    world.input(50, Input::Join(vec![address(1)]));
    world.run(seconds(2));
    world.crash(50);
    assert!(world.agrees());
}

#[test]
fn an_incarnation_that_cannot_be_gone_past_is_not_believed() {
    let mut world = World::of(3, 1);
    let mut claimed = member(2);
    claimed.incarnation = Incarnation(1 << 62);
    claimed.state = State::Dead;
    let (born, accusers) = (Incarnation(1), Vec::new());
    let claim = crate::message::Claim::About {
        member: claimed,
        born,
        accusers,
        age_s: 0,
    };
    let message = crate::message::Message::Gossip;
    let packet = crate::Packet {
        sender: NodeId(9),
        message,
        claims: vec![claim],
    };
    let bytes = crate::message::encode(&packet);
    world.input(2, Input::Received(address(9), base::Way::Datagram, bytes));
    assert_eq!(world.node(2).me().incarnation, Incarnation(1_000));
}

#[test]
fn a_flood_of_names_is_bounded_and_counted_and_no_member_is_lost_to_it() {
    let mut world = World::new(1);
    for id in 1..=3 {
        let mut config = Config::lan(member(id), id);
        config.max_members = 10;
        world.start(config);
        world.input(id, Input::Join(vec![address(1)]));
    }
    world.run(Duration::from_secs(2));
    for id in 100..1_100 {
        let claim = crate::message::Claim::About {
            member: member(id),
            born: Incarnation(1),
            accusers: Vec::new(),
            age_s: 0,
        };
        let packet = crate::Packet {
            sender: NodeId(id),
            message: crate::message::Message::Gossip,
            claims: vec![claim],
        };
        let bytes = crate::message::encode(&packet);
        world.input(2, Input::Received(address(id), base::Way::Datagram, bytes));
    }
    assert_eq!(world.node(2).members().count(), 11);
    assert_eq!(world.node(2).counters().over_bounds, 1_000 - 8);
    // The invented ones answer nobody; those that are there stay.
    world.run(Duration::from_secs(60));
    for id in 1..=3 {
        let lives = |other: u64| {
            let found = world.node(id).members().find(|m| m.id == NodeId(other));
            found.is_some_and(|m| m.state == State::Alive)
        };
        assert!((1..=3).all(lives), "{id}");
    }
}
