//! What a node with the key may say and write, by mistake or because it is of another release.

use super::*;
use crate::cluster::{
    Ask, Inquire, Manifest, Mark, Section, StatusEntry, Streak, Tell, Word, definition_key,
    gone_key, manifest_key, origins_key, pack, status_key, unable_key,
};
use base::Rng;

/// A number of any size, the extremes among them.
fn number(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => rng.below(5),
        1 => u64::MAX - rng.below(3),
        2 => rng.word() >> rng.below(64),
        _ => 1 << rng.below(64),
    }
}

fn name(rng: &mut Rng) -> Arc<str> {
    match rng.below(12) {
        0 => "".into(),
        1 => "x".repeat(900).into(),
        2 => "a\0b".into(),
        3 => "n1".into(),
        at => format!("t{}", at - 4).into(),
    }
}

fn section(rng: &mut Rng, world: &World) -> Section {
    let small = |rng: &mut Rng| number(rng) as u16;
    match rng.below(7) {
        0 => {
            let target = name(rng);
            let known = world.file.iter().find(|d| d.name == target);
            let sum = known.map_or(1, |d| base::hash64(&crate::definition::encode(d)));
            let case = number(rng);
            Section::Ask(Ask { case, target, sum })
        }
        1 => Section::Word(Word {
            case: number(rng),
            finding: REFUSED,
            members: small(rng),
        }),
        2 => Section::Streak(Streak {
            target: name(rng),
            transition: number(rng) as u32,
            failures: small(rng),
            successes: small(rng),
            window: number(rng),
        }),
        3 | 4 => Section::Marks(
            (0..rng.below(4))
                .map(|_| Mark {
                    owner: NodeId(rng.below(4)),
                    interval: Duration::from_millis(number(rng)),
                    age: Duration::from_millis(number(rng) % 1_000_000),
                    sum: number(rng),
                    version: Version {
                        origin: Origin(number(rng)),
                        seq: number(rng),
                    },
                    except: (0..rng.below(5)).map(|_| number(rng)).collect(),
                })
                .collect(),
        ),
        5 => Section::Inquire(Inquire {
            number: number(rng),
            target: name(rng),
        }),
        _ => Section::Tell(Tell {
            number: number(rng),
            account: Some(vec![1, 2, 3]),
        }),
    }
}

fn entry(rng: &mut Rng, world: &World) -> (Vec<u8>, Option<Vec<u8>>) {
    let state = [State::Up, State::Down, State::Unknown, State::Paused];
    let mut status = Status::new(Wall(number(rng) as i64));
    for _ in 0..rng.below(4) {
        let to = state[usize::try_from(rng.below(4)).unwrap()];
        status = status.changed(
            to,
            Wall(number(rng) as i64),
            Reason::Refused,
            None,
            number(rng),
        );
    }
    status.transition = number(rng) as u32;
    let of = name(rng);
    let mut definition = Definition::clone(&world.file[usize::try_from(rng.below(6)).unwrap()]);
    definition.paused = rng.chance(30);
    definition.rule.fall = small_rule(rng);
    definition.interval = Duration::from_millis(number(rng));
    if rng.chance(50) {
        definition.interval = Duration::from_secs(1 + rng.below(3));
    }
    let of_definition = Arc::clone(&definition.name);
    let encoded = crate::definition::encode(&definition);
    let (key, mut value) = match rng.below(8) {
        0 | 1 => {
            let by = name(rng);
            let votes = None;
            (
                status_key(&of),
                StatusEntry {
                    status,
                    by,
                    votes,
                    is_chosen: rng.chance(20),
                }
                .encode(),
            )
        }
        2 => (definition_key(Source::File, &of_definition), encoded),
        3 => (definition_key(Source::Api, &of_definition), encoded),
        4 => {
            let manifest = Manifest::default();
            let revision = Some(number(rng));
            let next = manifest.next(revision, number(rng), number(rng), "n1".into());
            (manifest_key(), next.encode())
        }
        5 => (unable_key(&name(rng), &of), Vec::new()),
        6 => (origins_key(NodeId(rng.below(4))), vec![1, 3, 0, 0, 0]),
        _ => (gone_key(NodeId(9)), Vec::new()),
    };
    if rng.chance(15) && !value.is_empty() {
        let at = usize::try_from(rng.below(value.len() as u64)).unwrap();
        value[at] = rng.word() as u8;
    }
    (key, (!rng.chance(20)).then_some(value))
}

fn small_rule(rng: &mut Rng) -> u16 {
    u16::try_from(rng.below(4)).unwrap()
}

fn a_course(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut world = World::new(3, 6);
    world.run(9);
    for _ in 0..60 {
        let said = section(&mut rng, &world);
        let bytes = pack(WIRE, NodeId(2), &said.encode_for(WIRE));
        world.give(0, Input::Received(address(1), Way::Stream, bytes));
        let (key, value) = entry(&mut rng, &world);
        let now = world.now;
        if key.len() < store::KEY_MAX {
            let node = world.hosts[1].node.as_mut().expect("it runs");
            let joined = node.joined.as_mut().expect("joined");
            joined.cluster.write(now, key, value);
            world.give(1, Input::Tick);
        }
        if rng.chance(20) {
            let of = format!("t{}", rng.below(6));
            let at = usize::try_from(rng.below(3)).expect("one of three");
            let is_well = rng.chance(50);
            world.sees(at, &of, if is_well { Finding::Passed } else { REFUSED });
        }
        world.run_ms(rng.below(400));
    }
    world.run(5);
    for at in 0..3 {
        let view = world.node(at).view();
        for row in view.rows(None) {
            let _ = (row.open(), view.freshness(row, world.now));
        }
    }
}

/// Broken by: numbers of another's are added to as if they could not be the greatest.
#[test]
fn nothing_that_a_node_with_the_key_says_or_writes_ends_another() {
    for seed in 0..60 {
        let outcome = std::panic::catch_unwind(|| a_course(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
