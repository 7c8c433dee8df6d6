//! What follows kills and partitions: who is held for dead, when its targets are checked again,
//! when all are together and answer equally.

use base::{Duration, Time};

use super::{Fate, Healed, Rehearsal, Spread};
use crate::cluster::Host;

/// A kill that happened.
#[derive(Debug)]
struct Killed {
    fate: Fate,
    /// Which hosts have taken it for dead since.
    by: Vec<bool>,
    taken_over: Vec<Duration>,
}

/// All kills and partitions of a run.
#[derive(Debug)]
pub(super) struct Fates {
    kills: Vec<Killed>,
    /// How many of them have happened.
    happened: usize,
    healed: Vec<Healed>,
    /// Who began the last check of each target.
    last_by: Vec<Option<Host>>,
    /// The kill after which each target has not been checked yet.
    awaits: Vec<Option<usize>>,
}

impl Fates {
    pub(super) fn new(rehearsal: &Rehearsal) -> Self {
        let hosts = rehearsal.nodes as usize;
        let targets = rehearsal.targets as usize;
        let kills = rehearsal.kills.iter().map(|kill| Killed {
            fate: Fate {
                host: kill.host,
                at: kill.at,
                returns: kill.returns,
                targets: 0,
                dead: None,
                taken_over: Spread::default(),
            },
            by: vec![false; hosts],
            taken_over: Vec::new(),
        });
        let healed = rehearsal.partitions.iter().map(|partition| Healed {
            sides: partition.sides.clone(),
            from: partition.from,
            until: partition.until,
            together: None,
            equal: None,
        });
        Self {
            kills: kills.collect(),
            happened: 0,
            healed: healed.collect(),
            last_by: vec![None; targets],
            awaits: vec![None; targets],
        }
    }

    /// A process has died; whether by one of the kills.
    pub(super) fn crashed(&mut self, now: Time, host: Host) {
        let at = self.happened;
        let next = self.kills.get_mut(at);
        let Some(killed) = next.filter(|killed| (killed.fate.at, killed.fate.host) == (now, host))
        else {
            return;
        };
        self.happened += 1;
        let of = self.last_by.iter().zip(&mut self.awaits);
        for (_, awaits) in of.filter(|(by, _)| **by == Some(host)) {
            killed.fate.targets += 1;
            *awaits = Some(at);
        }
    }

    /// A check has begun.
    pub(super) fn started(&mut self, now: Time, host: Host, target: usize) {
        self.last_by[target] = Some(host);
        if let Some(kill) = self.awaits[target].take() {
            let killed = &mut self.kills[kill];
            let span = now.since(killed.fate.at);
            killed.taken_over.push(span);
        }
    }

    /// Who was killed, is not back and not yet held for dead by everybody; by this host neither.
    pub(super) fn suspects(&self, now: Time, host: Host) -> Vec<(usize, Host)> {
        let kills = self.kills[..self.happened].iter().enumerate();
        kills
            .filter(|(_, killed)| {
                let fate = &killed.fate;
                let is_away = fate.returns.is_none_or(|at| now < at);
                is_away && fate.dead.is_none() && !killed.by[host.index()] && fate.host != host
            })
            .map(|(at, killed)| (at, killed.fate.host))
            .collect()
    }

    /// A host holds who was killed for dead.
    pub(super) fn holds_dead(&mut self, now: Time, host: Host, kill: usize, running: &[bool]) {
        let killed = &mut self.kills[kill];
        killed.by[host.index()] = true;
        let mut all = running.iter().zip(&killed.by);
        if all.all(|(runs, holds)| !runs || *holds) {
            killed.fate.dead = Some(now.since(killed.fate.at));
        }
    }

    /// Whether some partition is over whose sides are not yet known to be one again.
    pub(super) fn heals(&self, now: Time) -> bool {
        let is_over = |healed: &Healed| healed.until <= now;
        let is_open = |healed: &Healed| healed.together.is_none() || healed.equal.is_none();
        let last = self.healed.iter().rfind(|healed| healed.from <= now);
        last.is_some_and(|last| is_over(last) && is_open(last))
    }

    /// All running nodes were looked at.
    pub(super) fn looked(&mut self, now: Time, are_together: bool, are_equal: bool) {
        let next = |at: usize, healed: &[Healed]| healed.get(at + 1).map(|next| next.from);
        for at in 0..self.healed.len() {
            let is_cut_again = next(at, &self.healed).is_some_and(|from| from <= now);
            let healed = &mut self.healed[at];
            if healed.until > now || is_cut_again {
                continue;
            }
            let span = now.since(healed.until);
            if are_together {
                healed.together.get_or_insert(span);
            }
            if are_equal {
                healed.equal.get_or_insert(span);
            }
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Fate>, Vec<Healed>) {
        let fates = self.kills.into_iter().map(|killed| Fate {
            taken_over: Spread::of(killed.taken_over),
            ..killed.fate
        });
        (fates.collect(), self.healed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kill, Partition};
    use super::*;

    const fn at(second: u64) -> Time {
        Time(second * 1_000_000)
    }

    fn fates() -> Fates {
        Fates::new(&Rehearsal {
            nodes: 3,
            targets: 2,
            kills: vec![Kill {
                host: Host(0),
                at: at(10),
                returns: None,
            }],
            partitions: vec![Partition {
                sides: vec![vec![Host(0)], vec![Host(1), Host(2)]],
                from: at(20),
                until: at(30),
            }],
            ..Rehearsal::default()
        })
    }

    #[test]
    fn targets_of_who_was_killed_are_taken_over_by_their_next_check() {
        let mut fates = fates();
        fates.started(at(5), Host(0), 0);
        fates.started(at(6), Host(1), 1);
        fates.crashed(at(10), Host(0));
        fates.started(at(11), Host(1), 1);
        fates.started(at(14), Host(2), 0);
        fates.started(at(19), Host(2), 0);
        let (kills, _) = fates.into_parts();
        assert_eq!((kills[0].targets, kills[0].taken_over.count), (1, 1));
        assert_eq!(kills[0].taken_over.max, Duration::from_secs(4));
    }

    #[test]
    fn who_was_killed_is_dead_once_the_last_running_host_says_so() {
        let mut fates = fates();
        assert_eq!(fates.suspects(at(9), Host(1)), []);
        fates.crashed(at(10), Host(0));
        assert_eq!(fates.suspects(at(11), Host(1)), [(0, Host(0))]);
        fates.holds_dead(at(12), Host(1), 0, &[false, true, true]);
        assert_eq!(fates.suspects(at(12), Host(1)), []);
        fates.holds_dead(at(13), Host(2), 0, &[false, true, true]);
        let (kills, _) = fates.into_parts();
        assert_eq!(kills[0].dead, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_crash_that_is_no_kill_is_not_counted() {
        let mut fates = fates();
        fates.crashed(at(10), Host(1));
        fates.crashed(at(11), Host(0));
        assert_eq!(fates.happened, 0);
    }

    #[test]
    fn a_partition_heals_when_all_are_together_and_when_all_are_equal() {
        let mut fates = fates();
        fates.looked(at(25), true, true);
        assert!(!fates.heals(at(29)) && fates.heals(at(30)));
        fates.looked(at(31), true, false);
        fates.looked(at(32), true, true);
        assert!(!fates.heals(at(33)));
        let (_, healed) = fates.into_parts();
        assert_eq!(healed[0].together, Some(Duration::from_secs(1)));
        assert_eq!(healed[0].equal, Some(Duration::from_secs(2)));
    }
}
