//! Readers: whoever was given a token by one host asks another for what it names, and waits.
//!
//! As the API does it: the reader looks at every new view of the host that it asked, until
//! [`health::View::reach`] says that the view shows the write, or its patience is over. What it
//! is then shown must be that put, one that did not come before it, or nothing after a delete.
//! A host that does not run takes no reader, and one that dies loses those that wait.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, Time, Version};
use health::{Answer, Reach, Request};

use super::judge::Breach;
use super::ledger::{Ledger, Op, label_of};
use super::node::Process;
use super::promises::Promise;
use crate::cluster::{Host, World};

/// Somebody who was given a put's token reads elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The put whose token it is.
    pub put: Request,
    /// Who is asked.
    pub host: Host,
    /// How long after the put's answer.
    pub after: Duration,
    /// How long the reader waits.
    pub patience: Duration,
}

/// A reader that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    read: Read,
    token: Version,
    life: u64,
    until: Time,
}

/// All readers of a run.
#[derive(Debug, Default)]
pub(super) struct Readers {
    by_put: BTreeMap<u64, Vec<Read>>,
    /// By the moment at which they ask, and a count.
    due: BTreeMap<(Time, u64), (Read, Version)>,
    count: u64,
    waiting: Vec<Waiting>,
    /// Tokens by put, for the end.
    tokens: BTreeMap<u64, Version>,
    /// Who was answered with this step, which put, and how.
    ended: Vec<(Host, u64, &'static str)>,
    /// Readers that were shown what they asked for.
    pub(super) shown: u64,
    /// Readers whose patience was over.
    pub(super) in_vain: u64,
}

impl Readers {
    pub(super) fn new(reads: &[Read]) -> Self {
        let mut readers = Self::default();
        for read in reads {
            readers.by_put.entry(read.put.0).or_default().push(*read);
        }
        readers
    }

    /// A put was answered: its readers hear the token.
    pub(super) fn answered(&mut self, now: Time, request: Request, answer: Answer) {
        let (Answer::Created(token) | Answer::Replaced(token)) = answer else {
            return;
        };
        self.tokens.insert(request.0, token);
        for read in self.by_put.get(&request.0).into_iter().flatten() {
            self.count += 1;
            let at = now + read.after;
            self.due.insert((at, self.count), (*read, token));
        }
    }

    /// Who was answered since the last question.
    pub(super) fn ended(&mut self) -> Vec<(Host, u64, &'static str)> {
        std::mem::take(&mut self.ended)
    }

    /// Something has happened, maybe on this host: whoever can be answered is, and whoever's time
    /// is over goes.
    pub(super) fn look(
        &mut self,
        world: &World<Process>,
        host: Option<Host>,
        ledger: &Ledger,
    ) -> Result<(), (Host, Breach)> {
        let now = world.now();
        let before = self.waiting.len();
        while let Some(first) = self.due.first_entry().filter(|e| e.key().0 <= now) {
            let (read, token) = first.remove();
            if world.is_running(read.host) {
                self.waiting.push(Waiting {
                    read,
                    token,
                    life: world.life(read.host),
                    until: now + read.patience,
                });
            }
        }
        let mut left = Vec::new();
        for (at, reader) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            let asked = reader.read.host;
            if world.life(asked) != reader.life || world.node(asked).is_none() {
                continue;
            }
            let may_be_new = at >= before || host == Some(asked);
            if may_be_new && world.is_running(asked) && reach(world, asked, reader.token) {
                self.shown += 1;
                self.ended
                    .push((asked, reader.read.put.0, "shows a reader its put"));
                is_not_older(world, &reader, ledger).map_err(|breach| (asked, breach))?;
            } else if now >= reader.until {
                self.in_vain += 1;
                let how = "tells a reader that the put was not seen";
                self.ended.push((asked, reader.read.put.0, how));
            } else {
                left.push(reader);
            }
        }
        self.waiting = left;
        Ok(())
    }

    /// After a long calm every token is good everywhere, but for those of lost disks.
    pub(super) fn at_end(
        &self,
        world: &World<Process>,
        ledger: &Ledger,
        lost: &BTreeSet<Host>,
    ) -> Result<(), Breach> {
        for (put, token) in &self.tokens {
            if lost.contains(&ledger.ops[put].host) {
                continue;
            }
            for (host, node) in world.nodes() {
                let reach = node.node().view().reach(*token);
                if reach != Reach::Shown {
                    let how = format!(
                        "host {} does not show {token} at the end: {reach:?}",
                        host.0
                    );
                    return Err((Promise::ReadYourWrites, how));
                }
            }
        }
        Ok(())
    }
}

fn reach(world: &World<Process>, host: Host, token: Version) -> bool {
    let node = world.node(host).expect("it runs");
    node.node().view().reach(token) == Reach::Shown
}

fn is_not_older(world: &World<Process>, reader: &Waiting, ledger: &Ledger) -> Result<(), Breach> {
    let Read { put, host, .. } = reader.read;
    let op = &ledger.ops[&put.0];
    let view = world.node(host).expect("it runs").node().view();
    let shown = view.get(&op.name).map(|row| label_of(&row.definition()));
    let breach = |how: String| Err((Promise::ReadYourWrites, how));
    let token = reader.token;
    match shown {
        None => {
            let is_deletion =
                |other: &Op| !other.is_put && other.name == op.name && other.at >= op.at;
            if ledger.ops.values().any(is_deletion) {
                return Ok(());
            }
            breach(format!(
                "{token} is said to be shown, but {} is not there",
                op.name
            ))
        }
        Some(Some(label)) if label != put.0 && is_before(ledger, label, put.0) => breach(format!(
            "{token} (put {}) is said to be shown, but {} is as put {label} made it",
            put.0, op.name
        )),
        Some(Some(_)) => Ok(()),
        Some(None) => breach(format!("{} is as nobody made it", op.name)),
    }
}

/// Whether `old` is what `new` took the place of, or what that did.
fn is_before(ledger: &Ledger, old: u64, new: u64) -> bool {
    let mut at = new;
    while let Some(saw) = ledger.ops.get(&at).and_then(|op| op.saw) {
        if saw == old {
            return true;
        }
        if ledger
            .ops
            .get(&saw)
            .is_none_or(|op| op.at >= ledger.ops[&at].at)
        {
            return false;
        }
        at = saw;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(at: u64, saw: Option<u64>) -> Op {
        Op {
            host: Host(0),
            name: "a".into(),
            is_put: true,
            at: Time(at),
            saw,
            answer: None,
        }
    }

    #[test]
    fn only_what_a_put_had_before_it_is_older() {
        let mut ledger = Ledger::new(1);
        let ops = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(1))];
        for (put, saw) in ops {
            ledger.ops.insert(put, op(put, saw));
        }
        assert!(is_before(&ledger, 1, 3) && is_before(&ledger, 2, 3));
        assert!(!is_before(&ledger, 3, 2));
        // Neither of two that did not know of each other is older.
        assert!(!is_before(&ledger, 2, 4) && !is_before(&ledger, 4, 3));
    }
}
