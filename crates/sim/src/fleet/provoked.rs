//! Courses made by hand: they bring about, again and again, what the drawn ones hardly ever meet.
//!
//! Each is for a rule of the marks whose absence shows only within a second or two: which writes must
//! have come, of which targets a mark holds, from when on. All promises hold on them, too.
//! Source: `docs/freshness.md`.

use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::{Definition, Request, Rule};

use super::course::{Course, Kind, labelled};
use super::node::Call;
use super::servers::{Block, Servers};
use crate::cluster::{DiskAfter, Fault, Host, Plan};
use crate::faults::definition;
use crate::target::{Mood, Server};

/// When the first thing goes wrong, and when the last.
const TROUBLE: (u64, u64) = (10_000, 90_000);
/// How long a course is.
const SPAN: Duration = Duration::from_secs(112);

/// Two nodes, and cuts between them that end before anybody is suspected: what was written in a cut
/// comes after what was written next.
#[must_use]
pub fn short_cuts(seed: u64) -> Course {
    let (mut course, mut rng) = restless(seed, 2, 500);
    each(&mut rng, 2_500, |rng, at| {
        let span = Duration::from_millis(600 + rng.below(900));
        let cut = Fault::Partition(vec![Host(0)], span);
        course.plan.faults.push((at, cut));
    });
    course
}

/// Nodes are started anew, and disks stand still for a moment while targets change hands: an owner
/// learns late what its forerunner has written.
#[must_use]
pub fn handovers(seed: u64) -> Course {
    let (mut course, mut rng) = restless(seed, 3, 500);
    each(&mut rng, 10_000, |rng, at| {
        let away = Duration::from_millis(500 + rng.below(6_000));
        let dies = Fault::Crash(any(rng, 3), away, DiskAfter::Kept);
        course.plan.faults.push((at, dies));
        for _ in 0..4 {
            let slower = Duration::from_millis(750 + rng.below(1_500));
            let when = at + Duration::from_millis(rng.below(9_000));
            let slow = Fault::SlowDisk(any(rng, 3), slower, Duration::from_millis(100));
            course.plan.faults.push((when, slow));
        }
    });
    course.plan.faults.sort_by_key(|(at, _)| *at);
    course
}

/// One of two nodes reaches no target. It is started anew, and soon after it hears the other no more,
/// which hears it: it goes on promising what it found itself, and does not know what its forerunner
/// wrote last, just before the targets fail for both.
#[must_use]
pub fn deaf_owners(seed: u64) -> Course {
    let (mut course, mut rng) = restless(seed, 2, 500);
    let mut moods = Vec::new();
    each(&mut rng, 20_000, |rng, at| {
        let host = any(rng, 2);
        let away = Duration::from_millis(500 + rng.below(2_000));
        let dies = Fault::Crash(host, away, DiskAfter::Kept);
        course.plan.faults.push((at, dies));
        let deaf = at + away + Duration::from_millis(1_000 + rng.below(2_000));
        let span = Duration::from_millis(3_000 + rng.below(5_000));
        let other = Host(1 - host.0);
        let cut = Fault::OneWay(vec![other], vec![host], span);
        course.plan.faults.push((deaf, cut));
        let fails = deaf + Duration::from_millis(200 + rng.below(1_500));
        moods.push((fails, deaf + span + Duration::from_secs(2), Mood::Refusing));
        course.servers.blocks.push(Block {
            host,
            target: None,
            from: at,
            until: deaf + span,
        });
    });
    for server in course.servers.moods.values_mut() {
        server.moods.clone_from(&moods);
    }
    course
}

/// A target is asked often or rarely by turns, and some node's disk, perhaps its owner's, stands
/// still meanwhile: the owner goes on asking as before, and promises for those that it asks often.
#[must_use]
pub fn redefined(seed: u64) -> Course {
    let (mut course, mut rng) = restless(seed, 3, 500);
    course.servers = Servers::default();
    let mut n = 0;
    let mut put = |at: Time, host: Host, often: bool| {
        let interval = if often { 500 } else { 10_000 };
        let target = definition("api-0", interval, 200);
        n += 1;
        let call = Call::Put(Request(n), labelled(&target, n));
        course.calls.push((at, host, call));
    };
    let mut faults = Vec::new();
    each(&mut rng, 16_000, |rng, at| {
        put(at, any(rng, 3), false);
        let at = at + Duration::from_millis(11_000 + rng.below(2_000));
        let slow = any(rng, 3);
        let by = Fault::SlowDisk(slow, Duration::from_secs(5), Duration::from_millis(100));
        faults.push((at, by));
        let other = Host((slow.0 + 1) % 3);
        put(at + Duration::from_millis(40), other, true);
    });
    course.plan.faults = faults;
    course
}

/// Four nodes with sixty targets. One after the other reaches no target for half a minute, and its
/// peers all the while; some targets fail meanwhile. At last all fail at once, for everybody.
#[must_use]
pub fn blind_nodes(seed: u64) -> Course {
    let mut rng = Rng::new(seed ^ 0xb11d);
    let span = Duration::from_secs(130);
    let mut plan = Plan::calm(seed, 4, span);
    plan.calm_from = Time(110_000_000);
    let mut course = Course::still(Kind::Crashes, plan, 0, &mut rng);
    for n in 0..60 {
        let target = Definition {
            confirm: 2,
            ..definition(&format!("t{n}"), 1_000, 200)
        };
        let server = Server {
            local: false,
            latency: Duration::from_millis(3),
            moods: Vec::new(),
        };
        course
            .servers
            .moods
            .insert(Arc::clone(&target.name), server);
        course.file.push(Arc::new(target));
    }
    for round in 0..2 {
        let from = Time((12_000 + round * 45_000 + rng.below(3_000)) * 1_000);
        course.servers.blocks.push(Block {
            host: any(&mut rng, 4),
            target: None,
            from,
            until: from + Duration::from_millis(22_000 + rng.below(8_000)),
        });
        for server in course.servers.moods.values_mut() {
            if rng.chance(15) {
                let fails = from + Duration::from_millis(10_000 + rng.below(4_000));
                let again = fails + Duration::from_millis(9_000 + rng.below(9_000));
                let moods = [Mood::Silent, Mood::Refusing, Mood::Unavailable];
                let mood = usize::try_from(rng.below(3)).expect("small");
                server.moods.push((fails, again, moods[mood]));
            }
        }
    }
    for server in course.servers.moods.values_mut() {
        server
            .moods
            .push((Time(103_000_000), Time(115_000_000), Mood::Silent));
    }
    course
}

/// Nine targets that fail and answer by turns of a second or three; one outcome makes a status, and
/// nobody is asked.
fn restless(seed: u64, hosts: u32, interval: u64) -> (Course, Rng) {
    let mut rng = Rng::new(seed ^ 0xabc);
    let mut plan = Plan::calm(seed, hosts, SPAN);
    plan.calm_from = Time(TROUBLE.1 * 1_000);
    let mut course = Course::still(Kind::Crashes, plan, 0, &mut rng);
    for n in 0..9 {
        let target = Definition {
            confirm: 0,
            rule: Rule {
                fall: 1,
                of: 1,
                rise: 1,
            },
            ..definition(&format!("t{n}"), interval, 200)
        };
        let server = Server {
            local: false,
            latency: Duration::from_millis(3),
            moods: turns(&mut rng),
        };
        let name = Arc::clone(&target.name);
        course.servers.moods.insert(name, server);
        course.file.push(Arc::new(target));
    }
    (course, rng)
}

fn turns(rng: &mut Rng) -> Vec<(Time, Time, Mood)> {
    let mut moods = Vec::new();
    let mut at = 8_000 + rng.below(3_000);
    while at < TROUBLE.1 {
        let until = at + 800 + rng.below(2_500);
        moods.push((Time(at * 1_000), Time(until * 1_000), Mood::Refusing));
        at = until + 800 + rng.below(2_500);
    }
    moods
}

/// Again and again, so many milliseconds apart and up to as much more by half.
fn each(rng: &mut Rng, apart: u64, mut happen: impl FnMut(&mut Rng, Time)) {
    let mut at = TROUBLE.0;
    while at + apart < TROUBLE.1 {
        happen(rng, Time(at * 1_000));
        at += apart + rng.below(apart / 2);
    }
}

fn any(rng: &mut Rng, hosts: u64) -> Host {
    Host(u32::try_from(rng.below(hosts)).expect("small"))
}
