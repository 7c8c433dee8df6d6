//! The measurements themselves.

use ::membership::State;
use base::{Duration, Rng, Time};

use super::super::node::{Call, meta_of};
use super::crowd::{Crowd, Spans, Turn};
use crate::cluster::{DiskAfter, Fault, Host, Link};

/// How long a crowd may take to find itself before a measurement gives up.
const GATHERED_BY: Duration = Duration::from_secs(60);
/// How long it is left alone before something happens.
const SETTLE: Duration = Duration::from_secs(10);

/// What idle nodes send, on average over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// Bytes of payload per second and node.
    pub bytes_per_second: u64,
    /// Datagrams per hundred seconds and node.
    pub datagrams_per_100_s: u64,
}

/// What one member that stands still again and again did to the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// How often it stood still.
    pub stalls: u64,
    /// How often one of the others was declared dead in anybody's table, the staller's included.
    pub false_deaths: u64,
    /// How often one of the others was suspected in anybody's table.
    pub suspicions: u64,
    /// How often the staller itself was declared dead in somebody's table.
    pub staller_deaths: u64,
    /// From each wake until everybody held it for alive at once.
    pub alive_again: Spans,
    /// From each wake until nobody held it for dead any more, up to the next stall.
    pub dead_no_more: Spans,
}

/// A crash until every other node holds the crashed one for dead; `crashes` times in one crowd,
/// after each of which the crashed one comes back. What nobody noticed for a minute counts so.
#[must_use]
pub fn crash_known_to_all(seed: u64, hosts: u32, link: Link, crashes: u32) -> Spans {
    let each = Duration::from_secs(90);
    let mut crowd = gathered(seed, hosts, link, each * (crashes + 1));
    let mut rng = Rng::new(seed ^ 0xc4a5);
    let mut spans = Spans::default();
    for _ in 0..crashes {
        let wait = Duration::from_micros(rng.below(5_000_000));
        let from = crowd.world.now() + SETTLE + wait;
        crowd.pass(from);
        let at = crowd.world.now();
        let dead = some_host(&mut rng, hosts);
        let away = Duration::from_secs(60);
        let fault = Fault::Crash(dead, away, DiskAfter::Kept);
        crowd.world.fault_at(at, fault);
        spans.push(noticed_by_all(&mut crowd, dead, at, at + away));
        crowd.pass(at + away);
        let back = crowd.gather(at + away + GATHERED_BY);
        assert!(back, "seed {seed}: a restarted node is not found again");
    }
    spans
}

fn noticed_by_all(crowd: &mut Crowd, dead: Host, at: Time, until: Time) -> Duration {
    let mut unaware = crowd.size() - 1;
    while let Some((now, turns)) = crowd.step() {
        let about = |turn: &&Turn| turn.of == dead && turn.member.state == State::Dead;
        unaware -= turns.iter().filter(about).count();
        if unaware == 0 {
            return now.since(at);
        }
        if now >= until {
            break;
        }
    }
    until.since(at)
}

/// `hosts` nodes that boot at once, told only of host 0, until everybody finds everybody; a
/// minute when they don't.
#[must_use]
pub fn joined_by_all(seed: u64, hosts: u32, link: Link) -> Duration {
    let mut crowd = Crowd::new(seed, hosts, link, GATHERED_BY);
    if crowd.gather(Time::ZERO + GATHERED_BY) {
        crowd.world.now().since(Time::ZERO)
    } else {
        GATHERED_BY
    }
}

/// A crowd in which host 7 (or the last) stands still for `stall` once in `every`, for `span`.
#[must_use]
pub fn stalls(
    seed: u64,
    hosts: u32,
    link: Link,
    (stall, every): (Duration, Duration),
    span: Duration,
) -> Stalls {
    let staller = Host(7.min(hosts - 1));
    let mut crowd = gathered(seed, hosts, link, GATHERED_BY + SETTLE + span);
    let mut report = Stalls::default();
    let end = crowd.world.now() + span;
    let mut at = crowd.world.now() + SETTLE;
    while at + every <= end {
        crowd.world.fault_at(at, Fault::Pause(staller, stall));
        one_stall(&mut crowd, staller, at, at + stall, at + every, &mut report);
        at += every;
    }
    report
}

/// Watches one stall from `at` until the next begins at `until`.
fn one_stall(
    crowd: &mut Crowd,
    staller: Host,
    at: Time,
    wake: Time,
    until: Time,
    report: &mut Stalls,
) {
    crowd.pass(at);
    report.stalls += 1;
    let all = crowd.size();
    let mut alive = None;
    let mut dead_no_more = Since(wake, true);
    while crowd.world.now() < until {
        let Some((now, turns)) = crowd.step() else {
            break;
        };
        for turn in turns {
            match (turn.of == staller, turn.member.state) {
                (false, State::Dead) => report.false_deaths += 1,
                (false, State::Suspect) => report.suspicions += 1,
                (true, State::Dead) => report.staller_deaths += 1,
                _ => {}
            }
        }
        if now >= wake {
            let everywhere = crowd.alive(staller) == all;
            alive = alive.or_else(|| everywhere.then_some(now));
            dead_no_more.is(now, crowd.dead(staller) == 0);
        }
    }
    report.alive_again.push(alive.unwrap_or(until).since(wake));
    let span = dead_no_more.after(wake, until);
    report.dead_no_more.push(span);
}

/// Since when something has held without a break.
struct Since(Time, bool);

impl Since {
    const fn is(&mut self, now: Time, holds: bool) {
        if holds && !self.1 {
            self.0 = now;
        }
        self.1 = holds;
    }

    /// How long after `from` that was; until the end when it does not hold.
    fn after(&self, from: Time, end: Time) -> Duration {
        if self.1 { self.0 } else { end }.since(from)
    }
}

/// A crowd that is cut in two halves for `span`; from the heal until everybody finds everybody,
/// ten minutes when they don't.
#[must_use]
pub fn heals_after(seed: u64, hosts: u32, link: Link, span: Duration) -> Duration {
    let patience = Duration::from_secs(600);
    let whole = GATHERED_BY + SETTLE * 2 + span + patience;
    let mut crowd = gathered(seed, hosts, link, whole);
    let from = crowd.world.now() + SETTLE;
    crowd.pass(from);
    let at = crowd.world.now();
    let half = (0..hosts / 2).map(Host).collect();
    crowd.world.fault_at(at, Fault::Partition(half, span));
    let healed = at + span;
    crowd.pass(healed);
    crowd.gather(healed + patience);
    crowd.world.now().since(healed)
}

/// What `hosts` nodes send in a minute in which nothing happens.
#[must_use]
pub fn idle(seed: u64, hosts: u32, link: Link) -> Idle {
    let span = Duration::from_secs(60);
    let mut crowd = gathered(seed, hosts, link, GATHERED_BY + SETTLE + span * 2);
    let from = crowd.world.now() + SETTLE + Duration::from_secs(20);
    crowd.pass(from);
    let sent = |crowd: &Crowd| {
        let all = (0..hosts).map(|host| crowd.world.network.sent(Host(host)));
        all.fold((0, 0), |(bytes, datagrams), sent| {
            (bytes + sent.total(), datagrams + sent.datagrams)
        })
    };
    let before = sent(&crowd);
    crowd.pass(from + span);
    let after = sent(&crowd);
    let per_node = |count: u64| count / u64::from(hosts) / span.as_secs();
    Idle {
        bytes_per_second: per_node(after.0 - before.0),
        datagrams_per_100_s: per_node((after.1 - before.1) * 100),
    }
}

/// A node describes itself anew until every node has it; `changes` times, 5 s apart.
#[must_use]
pub fn description_spread(seed: u64, hosts: u32, link: Link, changes: u16) -> Spans {
    let each = Duration::from_secs(5);
    let span = GATHERED_BY + SETTLE * 2 + each * u32::from(changes + 1);
    let mut crowd = gathered(seed, hosts, link, span);
    let mut rng = Rng::new(seed ^ 0xde5c);
    let mut spans = Spans::default();
    let from = crowd.world.now() + SETTLE;
    crowd.pass(from);
    for change in 0..changes {
        let at = crowd.world.now();
        let host = some_host(&mut rng, hosts);
        let mut meta = meta_of(host);
        meta.weight = 2 + change % 900;
        crowd.world.call_at(at, host, Call::Describe(meta.clone()));
        let mut unaware = crowd.size();
        let mut took = each;
        while crowd.world.now() < at + each {
            let Some((now, turns)) = crowd.step() else {
                break;
            };
            let about = |turn: &&Turn| turn.of == host && turn.member.meta == meta;
            unaware = unaware.saturating_sub(turns.iter().filter(about).count());
            if unaware == 0 && took == each {
                took = now.since(at);
            }
        }
        spans.push(took);
    }
    spans
}

/// A crowd in which everybody has found everybody.
fn gathered(seed: u64, hosts: u32, link: Link, span: Duration) -> Crowd {
    let mut crowd = Crowd::new(seed, hosts, link, GATHERED_BY + SETTLE + span);
    let whole = crowd.gather(Time::ZERO + GATHERED_BY);
    assert!(whole, "seed {seed}: {hosts} nodes did not find each other");
    crowd
}

fn some_host(rng: &mut Rng, hosts: u32) -> Host {
    Host(u32::try_from(rng.below(u64::from(hosts))).expect("a host"))
}
