//! What happens in one run: the world's plan, and who writes what when; drawn from a seed.

use base::{Duration, Rng, Time};

use super::node::Call;
use crate::cluster::{Host, Mix, Plan};

/// What a course is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Loss, delay, duplication, reordering, slow links; nobody dies.
    Network,
    /// Partitions that outlast the retention, one-way cuts, pauses.
    Cuts,
    /// Crashes that keep the disk, and of all at once.
    Crashes,
    /// Disks that are lost, rolled back, copied or slow.
    Disks,
    /// Many deletes, and a short retention: floors and resets.
    Deletes,
    /// Lost disks and crashes, and the origins of lost disks are retired.
    Retirement,
    /// Everything at once.
    All,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Network,
        Self::Cuts,
        Self::Crashes,
        Self::Disks,
        Self::Deletes,
        Self::Retirement,
        Self::All,
    ];

    const fn mix(self) -> Mix {
        let mut mix = Mix {
            weather: false,
            cuts: false,
            crashes: false,
            disks: false,
            pauses: Duration::ZERO,
            moves: false,
        };
        match self {
            Self::Network => mix.weather = true,
            Self::Cuts => {
                (mix.cuts, mix.weather) = (true, true);
                mix.pauses = Duration::from_secs(15);
            }
            Self::Crashes => (mix.crashes, mix.weather) = (true, true),
            Self::Disks | Self::Retirement => {
                (mix.disks, mix.crashes, mix.weather, mix.cuts) = (true, true, true, true);
            }
            Self::Deletes => {
                (mix.cuts, mix.crashes, mix.weather) = (true, true, true);
                mix.pauses = Duration::from_secs(15);
            }
            Self::All => {
                mix = Mix::all();
                mix.moves = false;
            }
        }
        mix
    }

    /// How many of a hundred writes are deletes.
    const fn deletes(self) -> u64 {
        match self {
            Self::Deletes | Self::All => 40,
            _ => 12,
        }
    }
}

/// One run, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// What it is mostly about.
    pub kind: Kind,
    /// The hosts, the faults and the end.
    pub plan: Plan,
    /// How long a silent host is waited for.
    pub retention: Duration,
    /// Whether origins whose disk is gone are retired.
    pub retires: bool,
    /// Whether news is pushed at all.
    pub push: bool,
    /// Who writes what when, in the order of time.
    pub calls: Vec<(Time, Host, Call)>,
}

/// How long it stays calm at the end: exchanges with everybody, then floors, then a collapse.
const CALM: Duration = Duration::from_secs(28);
/// When, in the calm, somebody collapses what is contested: an exchange whose connection broke is
/// begun anew only after ten seconds.
const COLLAPSE_AFTER: Duration = Duration::from_secs(13);

impl Course {
    /// Three to five hosts, 10 to 40 seconds of trouble, one to eight keys.
    #[must_use]
    pub fn draw(kind: Kind, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x570_4e5);
        let hosts = 3 + u32::try_from(rng.below(3)).expect("small");
        let stormy = Duration::from_millis(10_000 + rng.below(30_000));
        let plan = Plan::draw(seed, hosts, kind.mix(), stormy, CALM);
        let retention = if kind == Kind::Deletes {
            Duration::from_millis(1_000 + rng.below(6_000))
        } else {
            Duration::from_millis(3_000 + rng.below(25_000))
        };
        let mut calls = writes(kind, &mut rng, &plan);
        collapses(&mut calls, &mut rng, &plan);
        calls.sort_by_key(|(at, ..)| *at);
        Self {
            kind,
            retention,
            retires: matches!(kind, Kind::Disks | Kind::Retirement | Kind::All),
            push: !rng.chance(10),
            plan,
            calls,
        }
    }
}

/// The name of the `n`-th key.
#[must_use]
pub(crate) fn key(n: u64) -> Vec<u8> {
    format!("key-{n}").into_bytes()
}

fn writes(kind: Kind, rng: &mut Rng, plan: &Plan) -> Vec<(Time, Host, Call)> {
    let keys = 1 + rng.below(8);
    let span = plan.calm_from.0;
    // Either every key has an owner, who changes now and then, or everybody writes everything.
    let shift = rng.chance(50).then(|| 2_000_000 + rng.below(10_000_000));
    let mut calls = Vec::new();
    let count = 5 + rng.below(60);
    for n in 0..count {
        let at = rng.below(span);
        let key = rng.below(keys);
        let host = match shift.and_then(|shift| at.checked_div(shift)) {
            None => any(rng, plan),
            Some(round) => {
                Host(u32::try_from((key + round) % u64::from(plan.hosts)).expect("small"))
            }
        };
        let length = if rng.chance(10) { 1 + rng.below(12) } else { 1 };
        for more in 0..length {
            let call = write(kind, rng, (key + more) % keys, n);
            calls.push((Time(at + more * rng.below(3_000)), host, call));
        }
    }
    if rng.chance(6) {
        burst(&mut calls, rng, plan);
    }
    calls
}

fn write(kind: Kind, rng: &mut Rng, name: u64, n: u64) -> Call {
    if rng.chance(kind.deletes()) {
        return Call::Delete(key(name));
    }
    // Often a value that was there before: the same content is not the same write.
    let value = if rng.chance(30) {
        format!("v{}", rng.below(3))
    } else {
        format!("value-{n}-{}", rng.below(1_000))
    };
    Call::Put(key(name), value.into_bytes())
}

/// More at once than fits the datagrams.
fn burst(calls: &mut Vec<(Time, Host, Call)>, rng: &mut Rng, plan: &Plan) {
    let at = rng.below(plan.calm_from.0);
    let host = any(rng, plan);
    for n in 0..60 + rng.below(60) {
        let value = vec![b'x'; 20 + usize::try_from(rng.below(100)).expect("small")];
        calls.push((Time(at + n), host, Call::Put(key(100 + n), value)));
    }
}

/// In the calm, one host writes once more what is contested.
fn collapses(calls: &mut Vec<(Time, Host, Call)>, rng: &mut Rng, plan: &Plan) {
    let owner = any(rng, plan);
    for n in (0..8).chain(100..220) {
        let at = plan.calm_from + COLLAPSE_AFTER;
        calls.push((at, owner, Call::Collapse(key(n))));
    }
}

fn any(rng: &mut Rng, plan: &Plan) -> Host {
    Host(u32::try_from(rng.below(u64::from(plan.hosts))).expect("below a u32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_course() {
        for seed in 0..50 {
            for kind in Kind::ALL {
                let draw = || Course::draw(kind, seed);
                assert_eq!(draw(), draw(), "seed {seed}");
            }
        }
    }

    #[test]
    fn nothing_but_the_collapse_is_written_in_the_calm() {
        for seed in 0..200 {
            let course = Course::draw(Kind::All, seed);
            for (at, _, call) in &course.calls {
                let late = *at > course.plan.calm_from + Duration::from_secs(1);
                assert!(!late || matches!(call, Call::Collapse(_)), "seed {seed}");
            }
        }
    }
}
