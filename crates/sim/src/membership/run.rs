//! Lets a storm happen and checks every promise after every step.

use std::collections::VecDeque;
use std::net::SocketAddr;

use base::{Duration, Time};

use super::node::{Call, Flaw, Peer, Word};
use super::promises::{Broken, Promise, Watch, brief};
use super::storm::{Storm, Trouble};
use crate::Trace;
use crate::cluster::{DiskAfter, Fault, Happened, Host, Step, World, cut_down};

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Course {
    /// The first promise that did not hold.
    pub broken: Option<Broken>,
    /// The last lines; as many as were asked for.
    pub trace: Trace,
    /// Whether the world went on for long enough after the last trouble that the cluster had to
    /// be whole.
    pub had_to_be_whole: bool,
    /// How many steps the world took.
    pub steps: u64,
}

/// How long a node that was refused stays away before it tries again.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// How long a process is away that nobody starts again.
const FOR_GOOD: Duration = Duration::from_secs(1_000_000);

/// Runs `storm` to its end or to the first broken promise; `flaw` breaks every node on purpose,
/// and the trace keeps the last `keep` lines.
#[must_use]
pub fn run(storm: &Storm, flaw: Option<Flaw>, keep: usize) -> Course {
    let mut watch = Watch::new(&storm.plan);
    let mut room = Room::new(storm, flaw);
    let mut trace = Trace::new(keep);
    let mut steps = 0;
    let mut broken = None;
    while let Some(step) = room.world.step() {
        steps += 1;
        write(&mut trace, &step);
        if let Some(found) = watch.after(&room.world, &step) {
            trace.line(step.at, || found.to_string());
            broken = Some(found);
            break;
        }
        if room.answer(&step) {
            watch.disturbed();
        }
    }
    let (at_the_end, had_to_be_whole) = watch.at_the_end(storm.plan.end);
    Course {
        broken: broken.or(at_the_end),
        had_to_be_whole,
        trace,
        steps,
    }
}

/// The storm with only those troubles that `promise` needs to break, and cut off after the break.
#[must_use]
pub fn least(storm: &Storm, flaw: Option<Flaw>, promise: Promise) -> Storm {
    let with = |troubles: &[(Time, Trouble)]| Storm {
        plan: storm.plan.clone(),
        troubles: troubles.to_vec(),
    };
    let breaks = |troubles: &[(Time, Trouble)]| {
        let broken = run(&with(troubles), flaw, 0).broken;
        broken.is_some_and(|broken| broken.promise == promise)
    };
    with(&cut_down(&storm.troubles, breaks))
}

/// The world and the people in it, who start, stop and tell.
struct Room {
    world: World<Peer>,
    /// What people do themselves, in the order of time.
    deeds: VecDeque<(Time, Trouble)>,
    /// How long each host stays away once it has left.
    away: Vec<Duration>,
}

impl Room {
    fn new(storm: &Storm, flaw: Option<Flaw>) -> Self {
        let plan = storm.plan.clone();
        let hosts = plan.hosts as usize;
        let mut world = World::new(plan, move |boot| Peer::new(&boot, flaw));
        let mut deeds = VecDeque::new();
        for (at, trouble) in storm.troubles.iter().cloned() {
            match trouble {
                Trouble::Fault(fault) => world.fault_at(at, fault),
                deed => deeds.push_back((at, deed)),
            }
        }
        Self {
            world,
            deeds,
            away: vec![FOR_GOOD; hosts],
        }
    }

    /// Does what people do at or after a step; whether that may change who is there.
    fn answer(&mut self, step: &Step<Peer>) -> bool {
        let now = step.at;
        let mut did = false;
        if let Some(host) = step.host {
            if step.what == Happened::Booted {
                self.tell(now, host);
            }
            for word in &step.words {
                did |= self.restart(now, host, word);
            }
        }
        while let Some((_, deed)) = self.deeds.pop_front_if(|(at, _)| *at <= now) {
            self.act(now, deed);
            did = true;
        }
        did
    }

    fn restart(&mut self, now: Time, host: Host, word: &Word) -> bool {
        let span = match word {
            Word::Refused(_) => TRY_AGAIN,
            Word::Left => self.away[host.index()],
            _ => return false,
        };
        let stop = Fault::Crash(host, span, DiskAfter::Kept);
        self.world.fault_at(now, stop);
        true
    }

    fn act(&mut self, now: Time, deed: Trouble) {
        match deed {
            Trouble::Fault(fault) => self.world.fault_at(now, fault),
            Trouble::Leave(host, away) => {
                self.away[host.index()] = away;
                self.world.call_at(now, host, Call::Leave);
            }
            Trouble::Describe(host, meta) => {
                self.world.call_at(now, host, Call::Describe(meta));
            }
            Trouble::Resolve => {
                for host in (0..self.world.plan().hosts).map(Host) {
                    self.tell(now, host);
                }
            }
        }
    }

    /// Tells a node where all the others are now.
    fn tell(&mut self, now: Time, host: Host) {
        let hosts = (0..self.world.plan().hosts).map(Host);
        let others = hosts.filter(|other| *other != host);
        let addresses: Vec<SocketAddr> = others.map(|h| self.world.address(h)).collect();
        self.world.call_at(now, host, Call::Join(addresses));
    }
}

fn write(trace: &mut Trace, step: &Step<Peer>) {
    trace.line(step.at, || {
        let host = step
            .host
            .map_or_else(|| "all".to_owned(), |h| format!("n{}", h.0));
        let mut line = match &step.what {
            Happened::Received(from, way, len) => {
                format!("{host} gets {len} bytes ({way:?}) from {}", from.ip())
            }
            what => format!("{host} {what:?}"),
        };
        for word in &step.words {
            line += &match word {
                Word::Began(me) => format!("; begins as {}", brief(me)),
                Word::Changed(member) => format!("; {}", brief(member)),
                other => format!("; {other:?}"),
            };
        }
        line
    });
}
