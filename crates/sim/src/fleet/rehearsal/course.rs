//! A rehearsal as a course of the world: definitions, faults, outages drawn from the seed.

use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::Definition;

use super::Rehearsal;
use crate::cluster::{DiskAfter, Fault, Host, Link, Plan};
use crate::faults::definition;
use crate::fleet::course::{Course, Kind, START};
use crate::fleet::judge::micros;
use crate::fleet::servers::Servers;
use crate::target::{Mood, Server};

/// What is left between a recovery's bound and the end.
const MARGIN: Duration = Duration::from_secs(5);

/// When an outage must be shown by everybody: fall × interval + 2 × timeout + 2 s.
pub(super) fn detection_bound(rehearsal: &Rehearsal) -> Duration {
    beats(rehearsal, u32::from(rehearsal.rule.fall))
}

/// When everybody must show that it is over.
pub(super) fn recovery_bound(rehearsal: &Rehearsal) -> Duration {
    beats(rehearsal, u32::from(rehearsal.rule.rise) + 1)
}

fn beats(rehearsal: &Rehearsal, beats: u32) -> Duration {
    rehearsal.interval * beats + rehearsal.timeout * 2 + Duration::from_secs(2)
}

/// An outage is at least this long: one that the order of statuses must tell.
fn least_outage(rehearsal: &Rehearsal) -> Duration {
    detection_bound(rehearsal) + rehearsal.interval + Duration::from_secs(10)
}

/// Before this every target has been checked.
fn earliest(rehearsal: &Rehearsal) -> Duration {
    START + rehearsal.interval + rehearsal.timeout
}

/// The shortest run with an outage in it.
pub(super) fn least_span(rehearsal: &Rehearsal) -> Duration {
    earliest(rehearsal) + least_outage(rehearsal) + recovery_bound(rehearsal) + MARGIN
}

/// The name of a target, counted from 0.
fn target_name(index: u32) -> Arc<str> {
    format!("t{}", index + 1).into()
}

/// Which target a name means, counted from 0.
pub(super) fn index_of(name: &str) -> usize {
    let number = name.strip_prefix('t').and_then(|n| n.parse::<usize>().ok());
    number.expect("targets of a rehearsal are t1, t2, …") - 1
}

/// Everything that happens, in the order of time.
pub(super) fn course(rehearsal: &Rehearsal) -> Course {
    check(rehearsal);
    let mut rng = Rng::new(rehearsal.seed ^ 0x0f0_7ece);
    let mut plan = Plan::calm(rehearsal.seed, rehearsal.nodes, rehearsal.span);
    plan.faults = faults(rehearsal);
    let mut course = Course::still(Kind::All, plan, 0, &mut rng);
    course.first = 1;
    course.file = (0..rehearsal.targets)
        .map(|n| target(rehearsal, n))
        .collect();
    course.servers = servers(rehearsal, &mut rng);
    course.mutation = rehearsal.mutation;
    course
}

fn check(rehearsal: &Rehearsal) {
    let end = Time::ZERO + rehearsal.span;
    assert!(rehearsal.nodes > 0, "a fleet has a node");
    assert!(
        rehearsal.timeout <= rehearsal.interval,
        "a timeout of {:?} is over the interval of {:?}",
        rehearsal.timeout,
        rehearsal.interval
    );
    let hosts = rehearsal.partitions.iter().flat_map(|p| p.sides.iter());
    let hosts = hosts.flatten().copied();
    for host in hosts.chain(rehearsal.kills.iter().map(|kill| kill.host)) {
        assert!(host.0 < rehearsal.nodes, "{host:?} is not there");
    }
    let ends = rehearsal.partitions.iter().map(|p| p.until);
    let ends = ends.chain(rehearsal.kills.iter().map(|kill| kill.at));
    assert!(ends.max().is_none_or(|last| last <= end), "over by {end}");
    let outages = rehearsal.outages();
    assert!(outages <= rehearsal.targets, "each target fails once");
    assert!(
        outages == 0 || rehearsal.span >= least_span(rehearsal),
        "no room for an outage in {:?}",
        rehearsal.span
    );
}

/// One target of many alike.
pub(super) fn target(rehearsal: &Rehearsal, index: u32) -> Arc<Definition> {
    let name = target_name(index);
    Arc::new(Definition {
        interval: rehearsal.interval,
        timeout: rehearsal.timeout,
        rule: rehearsal.rule,
        confirm: rehearsal.confirm,
        ..definition(&name, 1, 1)
    })
}

fn faults(rehearsal: &Rehearsal) -> Vec<(Time, Fault)> {
    let mut faults = Vec::new();
    if rehearsal.loss >= 1_000 {
        // Nobody ever hears anybody: that is a cut.
        let cut = |host| Fault::Partition(vec![host], rehearsal.span + Duration::from_secs(1));
        faults.extend(hosts(rehearsal).map(|host| (Time::ZERO, cut(host))));
    } else if rehearsal.loss > 0 {
        let weather = Fault::Weather(Link::lossy(rehearsal.loss));
        faults.push((Time::ZERO, weather));
    }
    let after_the_end = Time::ZERO + rehearsal.span + Duration::from_secs(1);
    for kill in &rehearsal.kills {
        let back = kill.returns.unwrap_or(after_the_end);
        let crash = Fault::Crash(kill.host, back.since(kill.at), DiskAfter::Kept);
        faults.push((kill.at, crash));
    }
    for partition in &rehearsal.partitions {
        let span = partition.until.since(partition.from);
        for side in &partition.sides {
            let cut = Fault::Partition(side.clone(), span);
            faults.push((partition.from, cut));
        }
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// Each target answers within 20 ms; those that are drawn fail once, all in the same span of the run.
fn servers(rehearsal: &Rehearsal, rng: &mut Rng) -> Servers {
    let mut left: Vec<u32> = (0..rehearsal.targets).collect();
    let mut servers = Servers::default();
    for _ in 0..rehearsal.outages() {
        let at = usize::try_from(rng.below(left.len() as u64)).expect("an index");
        let index = left.swap_remove(at);
        let outage = outage(rehearsal, rng);
        let server = Server {
            local: false,
            latency: Duration::from_millis(20),
            moods: vec![outage],
        };
        servers.moods.insert(target_name(index), server);
    }
    servers
}

fn outage(rehearsal: &Rehearsal, rng: &mut Rng) -> (Time, Time, Mood) {
    let least = least_outage(rehearsal);
    let room = rehearsal.span - least_span(rehearsal);
    let begins = Time::ZERO + earliest(rehearsal) + up_to(rng, room);
    let latest = Time::ZERO + rehearsal.span - recovery_bound(rehearsal) - MARGIN;
    let longer = rehearsal.interval * 2;
    let ends = begins + least + up_to(rng, longer.min(latest.since(begins + least)));
    let moods = [Mood::Refusing, Mood::Silent, Mood::Unavailable];
    let mood = moods[usize::try_from(rng.below(3)).expect("an index")];
    (begins, ends, mood)
}

fn up_to(rng: &mut Rng, most: Duration) -> Duration {
    Duration::from_micros(rng.below(micros(most) + 1))
}

/// Hosts of a rehearsal.
pub(super) fn hosts(rehearsal: &Rehearsal) -> impl Iterator<Item = Host> + use<> {
    (0..rehearsal.nodes).map(Host)
}
