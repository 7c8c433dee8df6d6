//! What goes wrong and when, drawn from a seed.
//!
//! The mix itself is drawn too (swarm testing: Groce and others 2012): one seed has partitions and
//! no crashes, the next crashes with lost disks and nothing else. After [`Plan::calm_from`]
//! nothing is wrong any more, so that promises about convergence can be checked.

use base::{Duration, Rng, Time};

use super::{Host, Link};

/// What a host's disk holds when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskAfter {
    /// What had reached it.
    Kept,
    /// Nothing.
    Wiped,
    /// An older state: a restored backup, or a lying controller.
    RolledBack,
    /// Another host's content: somebody copied the directory.
    CopyOf(Host),
}

/// Where a host is after it has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where nobody was before.
    Fresh,
    /// Where this one is, which is then where the other was; a fresh place if its process runs.
    Of(Host),
}

/// One thing that goes wrong. Those with a span end by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every link without settings of its own becomes this.
    Weather(Link),
    /// One direction becomes this.
    Rough(Host, Host, Link),
    /// Nothing passes between these and all others.
    Partition(Vec<Host>, Duration),
    /// Nothing passes from these to those; answers would.
    OneWay(Vec<Host>, Vec<Host>, Duration),
    /// The process stands still.
    Pause(Host, Duration),
    /// The process dies and comes back after a while.
    Crash(Host, Duration, DiskAfter),
    /// All processes die at once and come back, each within so long.
    CrashAll(Duration),
    /// Writes take so much longer, for so long.
    SlowDisk(Host, Duration, Duration),
    /// A copy of the disk is kept, for a later [`DiskAfter::RolledBack`].
    BackUp(Host),
    /// The host gets another address while its process goes on.
    Move(Host),
    /// The host has another address when its process is started the next time.
    Resettle(Host, Place),
    /// All links are good again, all cuts are gone, and all connections with what was on its way.
    Heal,
}

/// Which kinds of faults a plan may draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Loss, delay, duplication, reordering, corruption, slow links.
    pub weather: bool,
    /// Partitions, also one-way.
    pub cuts: bool,
    /// Crashes that keep the disk, and of all at once.
    pub crashes: bool,
    /// Crashes that lose the disk, roll it back or find a copy; slow disks.
    pub disks: bool,
    /// Processes that stand still for up to this long; zero for none.
    pub pauses: Duration,
    /// Address changes.
    pub moves: bool,
}

impl Mix {
    /// Everything.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            weather: true,
            cuts: true,
            crashes: true,
            disks: true,
            pauses: Duration::from_secs(10),
            moves: true,
        }
    }
}

/// A world and its course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where all randomness comes from.
    pub seed: u64,
    /// How many hosts there are from the start.
    pub hosts: u32,
    /// Every link at the start.
    pub link: Link,
    /// In the order of time.
    pub faults: Vec<(Time, Fault)>,
    /// From here on nothing is wrong any more.
    pub calm_from: Time,
    /// The end.
    pub end: Time,
}

impl Plan {
    /// A world in which nothing goes wrong.
    #[must_use]
    pub const fn calm(seed: u64, hosts: u32, span: Duration) -> Self {
        Self {
            seed,
            hosts,
            link: Link::lan(),
            faults: Vec::new(),
            calm_from: Time::ZERO,
            end: Time(span.as_micros() as u64),
        }
    }

    /// A world in which up to 12 faults of the kinds in `mix`, less those that the seed leaves
    /// out, happen in the first part of `stormy`; then `calm` follows.
    #[must_use]
    pub fn draw(seed: u64, hosts: u32, mix: Mix, stormy: Duration, calm: Duration) -> Self {
        let mut rng = Rng::new(seed ^ 0x5707_a11e);
        let mix = thinned(mix, &mut rng);
        let mut plan = Self::calm(seed, hosts, stormy + calm);
        plan.calm_from = Time::ZERO + stormy;
        let span = micros(stormy);
        let count = 1 + rng.below(12);
        for _ in 0..count {
            let at = Time(rng.below(span * 9 / 10));
            let left = Duration::from_micros(span - at.0);
            if let Some(fault) = one(&mut rng, hosts, mix, left) {
                if let Fault::Crash(host, _, DiskAfter::RolledBack) = fault {
                    let before = Time(rng.below(at.0.max(1)));
                    plan.faults.push((before, Fault::BackUp(host)));
                }
                plan.faults.push((at, fault));
            }
        }
        plan.faults
            .push((plan.calm_from, Fault::Weather(Link::lan())));
        plan.faults.push((plan.calm_from, Fault::Heal));
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }
}

/// Leaves each kind out in one seed of three.
fn thinned(mix: Mix, rng: &mut Rng) -> Mix {
    let mut keep = || !rng.chance(33);
    Mix {
        weather: mix.weather && keep(),
        cuts: mix.cuts && keep(),
        crashes: mix.crashes && keep(),
        disks: mix.disks && keep(),
        pauses: if keep() { mix.pauses } else { Duration::ZERO },
        moves: mix.moves && keep(),
    }
}

/// One fault that is over after `left` at most, if the kind drawn is in the mix.
fn one(rng: &mut Rng, hosts: u32, mix: Mix, left: Duration) -> Option<Fault> {
    let host = any(rng, hosts);
    let span = up_to(rng, left);
    match rng.below(12) {
        0 | 1 if mix.weather => Some(Fault::Weather(bad_link(rng))),
        2 if mix.weather => Some(Fault::Rough(host, any(rng, hosts), bad_link(rng))),
        3 | 4 if mix.cuts => Some(Fault::Partition(some(rng, hosts), span)),
        5 if mix.cuts => Some(Fault::OneWay(some(rng, hosts), some(rng, hosts), span)),
        6 | 7 if mix.crashes => Some(Fault::Crash(host, span, DiskAfter::Kept)),
        8 if mix.crashes => Some(Fault::CrashAll(up_to(
            rng,
            left.min(Duration::from_secs(20)),
        ))),
        9 if mix.disks => Some(Fault::Crash(host, span, disk_after(rng, hosts))),
        10 if mix.disks => {
            let slower = Duration::from_millis(rng.below(3_000));
            Some(Fault::SlowDisk(host, slower, span))
        }
        11 if mix.moves && rng.chance(50) => Some(Fault::Move(host)),
        11 if mix.pauses > Duration::ZERO => {
            Some(Fault::Pause(host, up_to(rng, mix.pauses.min(left))))
        }
        _ => None,
    }
}

fn disk_after(rng: &mut Rng, hosts: u32) -> DiskAfter {
    match rng.below(4) {
        0 | 1 => DiskAfter::RolledBack,
        2 => DiskAfter::Wiped,
        _ => DiskAfter::CopyOf(any(rng, hosts)),
    }
}

fn bad_link(rng: &mut Rng) -> Link {
    let mut link = Link::lan();
    let slow = rng.below(200);
    link.delay.1 = Duration::from_millis(2 + slow);
    if rng.chance(60) {
        link.loss = rng.below(300);
    }
    if rng.chance(40) {
        link.doubled = rng.below(300);
    }
    if rng.chance(40) {
        link.late = rng.below(300);
        link.late_by = Duration::from_millis(rng.below(3_000));
    }
    if rng.chance(30) {
        link.corrupted = rng.below(100);
    }
    if rng.chance(20) {
        link.bytes_per_second = 5_000 + rng.below(100_000);
    }
    link
}

fn any(rng: &mut Rng, hosts: u32) -> Host {
    Host(u32::try_from(rng.below(u64::from(hosts))).expect("below a u32"))
}

/// At least one host, and not all.
fn some(rng: &mut Rng, hosts: u32) -> Vec<Host> {
    let mut chosen: Vec<Host> = (0..hosts).map(Host).filter(|_| rng.chance(40)).collect();
    if chosen.is_empty() || chosen.len() == hosts as usize {
        chosen = vec![any(rng, hosts)];
    }
    chosen
}

fn up_to(rng: &mut Rng, most: Duration) -> Duration {
    Duration::from_micros(rng.below(micros(most).max(1)))
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORMY: Duration = Duration::from_secs(60);
    const CALM: Duration = Duration::from_secs(20);

    #[test]
    fn the_same_seed_draws_the_same_plan() {
        for seed in 0..100 {
            let draw = || Plan::draw(seed, 5, Mix::all(), STORMY, CALM);
            assert_eq!(draw(), draw(), "seed {seed}");
        }
    }

    #[test]
    fn every_kind_of_fault_is_drawn_in_time() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let plan = Plan::draw(seed, 5, Mix::all(), STORMY, CALM);
            for (at, fault) in &plan.faults {
                assert!(*at <= plan.calm_from, "seed {seed}");
                let text = format!("{fault:?}");
                kinds.insert(text.split(['(', ' ']).next().unwrap_or("").to_owned());
            }
        }
        assert_eq!(kinds.len(), 11, "{kinds:?}");
    }
}
