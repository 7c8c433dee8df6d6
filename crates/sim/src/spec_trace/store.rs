//! Traces of the store's real core: what every node shows after every input that changes it.
//!
//! Three nodes of the simulator with two keys: writes beside each other, a partition during which
//! one side writes on, deletes, a crash, a disk that goes back in time. The form stands in
//! `specs/README.md`. Knows nothing of what the specs allow.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ::store::Mutation;
use base::{Duration, Origin, Rng, Time};

use crate::cluster::{DiskAfter, Fault, Happened, Host, Link, Plan, Step, World};
use crate::store::{Call, Core, Detector, Replica, Tuning};

/// How many nodes there are.
const NODES: u32 = 3;
/// How long the world runs.
const SPAN: Duration = Duration::from_secs(32);

/// A run of the store's core with this seed, a rule broken on purpose or none, as a trace.
#[must_use]
pub fn store(seed: u64, mutation: Option<Mutation>) -> String {
    let mut course = Course::draw(seed);
    let tuning = Tuning {
        sealed: true,
        marker: None,
    };
    let mut world = World::new(course.plan.clone(), move |boot| {
        Replica::new(&boot, &tuning, |config| config.mutation = mutation)
    });
    for (at, host, call) in course.calls.drain(..) {
        world.call_at(at, host, call);
    }
    let mut detector = Detector::new(NODES, course.retention);
    let is_rolled_back = |(_, fault): &(Time, Fault)| match fault {
        Fault::Crash(host, _, DiskAfter::RolledBack) => Some(*host),
        _ => None,
    };
    let mut recorder = Recorder {
        rolled_back: course.plan.faults.iter().find_map(is_rolled_back),
        trace: format!("# seed {seed}, {mutation:?}\ntrace store\nnodes n1 n2 n3\n"),
        ..Recorder::default()
    };
    loop {
        detector.look(&mut world);
        let Some(step) = world.step() else {
            return recorder.trace;
        };
        recorder.note(&world, &step);
    }
}

/// What happens when.
struct Course {
    plan: Plan,
    retention: Duration,
    calls: Vec<(Time, Host, Call)>,
}

impl Course {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x7ace);
        let mut plan = Plan::calm(seed, NODES, SPAN);
        plan.link = Link::lossy(rng.below(150));
        let first = u32::try_from(rng.below(3)).expect("below three");
        let [one, two, three] = [0, 1, 2].map(|n| Host((first + n) % NODES));
        let mut at = |second: u64| Time(second * 1_000_000 + rng.below(900_000));
        // Whoever is cut off longer than the retention is not waited for.
        plan.faults = vec![
            (at(7), Fault::Partition(vec![one], Duration::from_secs(6))),
            (at(15), Fault::BackUp(three)),
            (
                at(18),
                Fault::Crash(two, Duration::from_secs(1), DiskAfter::Kept),
            ),
            (
                at(24),
                Fault::Crash(three, Duration::from_secs(1), DiskAfter::RolledBack),
            ),
        ];
        let put = |key: &str| Call::Put(key.into(), vec![b'x'; 100]);
        let delete = |key: &str| Call::Delete(key.into());
        let mut calls = vec![
            (at(2), two, put("k")),
            (at(3), one, put("j")),
            // While one is cut off, two writes over its own.
            (at(8), two, put("k")),
            (at(9), two, put("j")),
            (at(10), two, put("k")),
            (at(11), one, put("k")),
            (at(16), three, delete("j")),
            (at(19), one, put("j")),
            (at(22), three, put("k")),
            (at(27), three, put("j")),
            (at(28), two, delete("k")),
        ];
        calls.sort_by_key(|(at, ..)| *at);
        let retention = [4, 25][usize::from(rng.chance(50))];
        Self {
            plan,
            retention: Duration::from_secs(retention),
            calls,
        }
    }
}

/// Writes the trace down.
#[derive(Default)]
struct Recorder {
    /// Whose every origin is, and of which life of its host.
    origins: BTreeMap<Origin, (Host, u64)>,
    /// What each host showed last.
    rows: BTreeMap<Host, String>,
    /// Whose disk goes back in time when it crashes.
    rolled_back: Option<Host>,
    trace: String,
}

impl Recorder {
    /// The step, unless nothing can be seen of it.
    fn note(&mut self, world: &World<Replica>, step: &Step<Replica>) {
        let Some(host) = step.host else {
            return;
        };
        let Some(node) = world.node(host) else {
            return;
        };
        let life = world.life(host) - 1;
        if let Some(origin) = node.store().origin() {
            self.origins.entry(origin).or_insert((host, life));
        }
        let row = self.row(host, life, node.store());
        let (action, asks) = match &step.what {
            Happened::Booted if life == 0 => return,
            Happened::Booted if self.rolled_back == Some(host) => ("Rollback", None),
            Happened::Booted => ("Crash", None),
            Happened::Called(Call::Put(key, _)) => ("Put", Some(key)),
            Happened::Called(Call::Delete(key)) => ("Delete", Some(key)),
            Happened::Called(Call::Peers(..)) => ("Peers", None),
            Happened::Received(..) => ("Received", None),
            Happened::Persisted(_) => ("Persisted", None),
            _ => ("Tick", None),
        };
        let asks = asks.map(|key| format!(" asks {}", String::from_utf8_lossy(key)));
        let is_news = self.rows.get(&host) != Some(&row);
        if is_news || asks.is_some() {
            let (name, asks) = (name(host), asks.unwrap_or_default());
            writeln!(self.trace, "{name} {action}{asks}{row}").expect("a string takes everything");
        }
        self.rows.insert(host, row);
    }

    /// What a node shows.
    fn row(&self, host: Host, life: u64, store: &::store::Store) -> String {
        let view = store.view();
        let mut row = String::new();
        let mut field = |name: &str, words: Vec<String>| {
            if !words.is_empty() {
                write!(row, " {name} {}", words.join(" ")).expect("a string takes everything");
            }
        };
        let numbered = |(origin, seq): (&Origin, &u64)| format!("{}:{seq}", self.origin(*origin));
        let seen = view.prefix.iter().chain(&view.retired);
        let seen = seen.filter(|(_, seq)| **seq > 0);
        field("vector", seen.clone().map(numbered).collect());
        let held = view.held.iter().map(|held| {
            let key = String::from_utf8_lossy(&held.key);
            let origin = self.origin(held.dot.origin);
            let end = if held.value.is_none() { "!" } else { "" };
            let context = if held.context > 0 { "*" } else { "" };
            format!("{key}={origin}#{}{end}{context}", held.dot.seq)
        });
        field("live", held.collect());
        let floors = self.origins.keys();
        let floors = floors.map(|origin| (*origin, store.floor(*origin)));
        let floors = floors.filter(|(_, floor)| *floor > 0);
        field("floor", floors.map(|(o, f)| numbered((&o, &f))).collect());
        field("closed", view.retired.iter().map(numbered).collect());
        let own = store.origin().map(|origin| self.origins[&origin]);
        let (owner, life) = own.unwrap_or((host, life));
        field("own", vec![format!("{}.{life}", name(owner))]);
        row
    }

    fn origin(&self, origin: Origin) -> String {
        let (host, life) = self.origins[&origin];
        format!("{}.{life}", name(host))
    }
}

fn name(host: Host) -> String {
    format!("n{}", host.0 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        let trace = store(7, None);
        assert_eq!(trace, store(7, None));
        assert_ne!(trace, store(8, None));
    }

    #[test]
    fn traces_show_siblings_deletes_floors_closings_and_two_kinds_of_crashes() {
        for seed in 0..10 {
            let trace = store(seed, None);
            for word in [
                " Crash ",
                " Rollback ",
                " Put asks ",
                "!*",
                " floor ",
                " closed ",
                ".1#1",
            ] {
                assert!(trace.contains(word), "seed {seed} lacks {word}:\n{trace}");
            }
            let siblings = |line: &str| line.matches(" k=").count() > 1;
            assert!(trace.lines().any(siblings), "seed {seed}:\n{trace}");
        }
    }

    #[test]
    fn a_broken_rule_shows() {
        let sound = store(0, None);
        for mutation in [Mutation::TruncateAndAdvance, Mutation::NoCollapse] {
            let broken = store(0, Some(mutation));
            assert!(!sound.lines().skip(1).eq(broken.lines().skip(1)));
        }
    }

    #[test]
    fn a_trace_is_short_enough_to_be_checked() {
        for seed in 0..20 {
            let steps = store(seed, None).lines().count();
            assert!(steps < 100, "seed {seed}: {steps} steps");
        }
    }
}
