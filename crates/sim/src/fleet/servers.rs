//! The servers as they really are: how each behaves towards each host at each moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Duration, Rng, Time};
use health::{Finding, Phase, Reason};

use crate::cluster::Host;
use crate::target::{Mood, Server};

/// A host does not reach a server, or any, for a while: probes are silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Who does not reach it.
    pub host: Host,
    /// What; `None` for every server.
    pub target: Option<Arc<str>>,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
}

/// All servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// By the name of their target; who has no entry answers always.
    pub moods: BTreeMap<Arc<str>, Server>,
    /// Who is not reached from where.
    pub blocks: Vec<Block>,
}

impl Servers {
    /// What a probe finds that starts now, and after how long.
    pub(super) fn probe(
        &self,
        host: Host,
        target: &str,
        timeout: Duration,
        now: Time,
        rng: &mut Rng,
    ) -> (Duration, Finding) {
        let silent = Finding::Failed(Reason::Timeout(Phase::Connect));
        let Some(server) = self.moods.get(target) else {
            return (Duration::from_millis(2), Finding::Passed);
        };
        let reply = server.reply(now, rng);
        if self.is_blocked(host, target, now, now) {
            return (timeout, silent);
        }
        match reply.after {
            Some(after) if after < timeout => (after, reply.finding),
            _ => (timeout, reply.overdue),
        }
    }

    fn is_blocked(&self, host: Host, target: &str, from: Time, until: Time) -> bool {
        self.blocks.iter().any(|block| {
            let meets = block.from <= until && from < block.until;
            let concerns = block.target.as_ref().is_none_or(|of| **of == *target);
            block.host == host && concerns && meets
        })
    }

    /// Whether every probe of the host that starts in this span passes.
    #[must_use]
    pub fn passes(&self, host: Host, target: &str, from: Time, until: Time) -> bool {
        let moods = self.moods.get(target).map_or(&[][..], |s| &s.moods);
        let well = moods
            .iter()
            .all(|(begins, ends, _)| *begins > until || *ends <= from);
        well && !self.is_blocked(host, target, from, until)
    }

    /// Whether every probe of the host that starts in this span fails.
    #[must_use]
    pub fn fails(&self, host: Host, target: &str, from: Time, until: Time) -> bool {
        self.fails_for_all(target, from, until)
            || self.blocks.iter().any(|block| {
                let concerns = block.target.as_ref().is_none_or(|of| **of == *target);
                block.host == host && concerns && block.from <= from && until < block.until
            })
    }

    /// Whether every probe that starts in this span fails, from wherever.
    #[must_use]
    pub fn fails_for_all(&self, target: &str, from: Time, until: Time) -> bool {
        let Some(server) = self.moods.get(target) else {
            return false;
        };
        let covers =
            |mood: &&(Time, Time, Mood)| mood.0 <= from && until < mood.1 && is_failing(mood.2);
        // Outages of one server do not overlap.
        server.moods.iter().any(|mood| covers(&mood))
    }
}

const fn is_failing(mood: Mood) -> bool {
    match mood {
        Mood::Refusing | Mood::Silent | Mood::Unavailable => true,
        Mood::Up | Mood::Slow(_) | Mood::Flapping(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> Servers {
        let server = Server {
            local: false,
            latency: Duration::from_millis(5),
            moods: vec![(Time(100), Time(200), Mood::Refusing)],
        };
        Servers {
            moods: [("a".into(), server)].into(),
            blocks: vec![Block {
                host: Host(1),
                target: None,
                from: Time(300),
                until: Time(400),
            }],
        }
    }

    #[test]
    fn a_server_passes_or_fails_by_host_and_moment() {
        let servers = servers();
        assert!(servers.passes(Host(0), "a", Time(0), Time(99)));
        assert!(!servers.passes(Host(0), "a", Time(0), Time(100)));
        assert!(servers.passes(Host(0), "a", Time(200), Time(900)));
        assert!(servers.fails_for_all("a", Time(100), Time(199)));
        assert!(!servers.fails_for_all("a", Time(100), Time(200)));
        assert!(!servers.passes(Host(1), "a", Time(250), Time(300)));
        assert!(servers.fails(Host(1), "a", Time(300), Time(399)));
        assert!(!servers.fails(Host(0), "a", Time(300), Time(399)));
    }

    #[test]
    fn who_is_blocked_hears_nothing_until_its_time_is_over() {
        let (servers, mut rng) = (servers(), Rng::new(1));
        let timeout = Duration::from_millis(200);
        let (after, found) = servers.probe(Host(1), "a", timeout, Time(350), &mut rng);
        assert_eq!(after, timeout);
        assert!(matches!(found, Finding::Failed(Reason::Timeout(_))));
        let (_, found) = servers.probe(Host(0), "a", timeout, Time(350), &mut rng);
        assert_eq!(found, Finding::Passed);
    }
}
