//! One fault after the other, two at a time at the worst, drawn from a seed: what nobody thought of.
//!
//! `ROUNDSMAN_STORM_SEED` draws the same faults again; their effects depend on the machine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base::Rng;

use crate::course::{Course, LONG};
use crate::fleet::{INTERVAL, ROUGH_DETECTION};
use crate::ground::{Ground, NODES, Weather};

/// How many times something is done.
const STEPS: usize = 40;

/// What is done to one or all of the nodes.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill,
    Pause,
    Leave,
    KillAll,
    LeaveAll,
    None,
}

fn below(rng: &mut Rng, n: usize) -> usize {
    usize::try_from(rng.below(n as u64)).expect("an index")
}

fn weather(rng: &mut Rng) -> Weather {
    let mut weather = Weather::default();
    let some: BTreeSet<usize> = (0..NODES).filter(|_| rng.chance(40)).collect();
    match rng.below(6) {
        0 | 1 => weather = Weather::parted(&some.into_iter().collect::<Vec<_>>()),
        2 => {
            let all = (0..NODES).flat_map(|a| (0..NODES).map(move |b| (a, b)));
            weather.cuts = all.filter(|(a, b)| a != b && rng.chance(30)).collect();
        }
        3 => weather.loss = u8::try_from(5 + rng.below(25)).expect("a part of a hundred"),
        4 => weather.alone = [below(rng, NODES)].into(),
        _ => {}
    }
    weather
}

fn blow(rng: &mut Rng) -> Blow {
    match rng.below(10) {
        0..2 => Blow::Kill,
        2..4 => Blow::Pause,
        4 | 5 => Blow::Leave,
        6 => Blow::KillAll,
        7 if rng.chance(50) => Blow::LeaveAll,
        _ => Blow::None,
    }
}

/// Deals a blow in the midst of the weather, for a while, and undoes it.
fn deal(course: &mut Course, blow: Blow, nth: usize, span: Duration) {
    let nodes = &mut course.fleet.nodes;
    let hit: Vec<usize> = match blow {
        Blow::KillAll | Blow::LeaveAll => (0..NODES).collect(),
        Blow::Kill | Blow::Leave => vec![nth],
        Blow::Pause | Blow::None => Vec::new(),
    };
    match blow {
        Blow::Kill | Blow::KillAll => hit.iter().for_each(|nth| nodes[*nth].kill()),
        Blow::Leave => drop(nodes[nth].leave()),
        Blow::LeaveAll => std::thread::scope(|scope| {
            for node in nodes.iter_mut() {
                scope.spawn(|| node.leave());
            }
        }),
        Blow::Pause => nodes[nth].signal("STOP"),
        Blow::None => {}
    }
    if !matches!(blow, Blow::KillAll | Blow::LeaveAll) {
        std::thread::sleep(span);
    }
    if matches!(blow, Blow::Pause) {
        nodes[nth].signal("CONT");
    }
    for nth in hit {
        course.fleet.start_one(nth, &[]);
    }
}

fn storm(ground: Ground) {
    let given = std::env::var("ROUNDSMAN_STORM_SEED").ok();
    let seed = given.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let mut rng = Rng::new(seed);
    let mut course = Course::start(&format!("storm, seed {seed}"), ground, LONG, &[]);
    for step in 0..STEPS {
        let (weather, blow) = (weather(&mut rng), blow(&mut rng));
        let nth = below(&mut rng, NODES);
        let before = Duration::from_millis(rng.below(8_000));
        let span = Duration::from_millis(rng.below(12_000));
        course.report.note(&format!(
            "step {step} at {:.1} s: {weather:?}; {before:?} later {blow:?} of n{nth} for {span:?}",
            course.seconds()
        ));
        let from = Instant::now();
        course.fleet.ground.make(&weather);
        course.rest(before);
        deal(&mut course, blow, nth, span);
        course.fleet.ground.make(&Weather::default());
        let healed = Instant::now();
        for node in &course.fleet.nodes {
            node.wait_ready();
        }
        // Whoever was started within the fault is ready after it.
        let calm = if matches!(blow, Blow::Pause | Blow::None) {
            healed
        } else {
            Instant::now()
        };
        course.equal("storm", calm);
        course.rest(INTERVAL);
        let is_all = matches!(blow, Blow::KillAll | Blow::LeaveAll);
        let since = if is_all { calm } else { from };
        course.gap("storm", since, ROUGH_DETECTION + INTERVAL);
    }
    course.end();
}

#[test]
#[ignore = "takes a quarter of an hour: `cargo xtask bench fleet`"]
fn long_storm() {
    if Ground::namespaces(storm).is_none() {
        crate::skip("needs network namespaces, ip and nft");
    }
}
