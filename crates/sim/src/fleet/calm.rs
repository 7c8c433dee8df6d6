//! What must hold once all is calm: equal answers, nothing lost, nothing back, a plain order.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::{Duration, Time};
use health::{Answer, Definition, Reason, State};

use super::judge::{Breach, Judge};
use super::ledger::{FIRST, Op, Reload, label_of};
use super::node::{Call, Process};
use super::promises::Promise;
use crate::cluster::{Host, World};
use crate::target::Mood;

/// How long after the last fault all nodes may still differ.
pub(super) const EQUAL_AFTER: Duration = Duration::from_secs(5);
/// What is news takes so long to be everywhere.
pub(super) const SPREAD: Duration = Duration::from_millis(1_500);

type Shown = (State, u32, Arc<Definition>);

impl Judge<'_> {
    /// Something is asked of a node; the view is still the one from before.
    pub(super) fn asked(&mut self, world: &World<Process>, host: Host, call: &Call) {
        let now = world.now();
        let node = world.node(host).expect("it was asked");
        let view = node.node().view();
        let label = |name: &str| view.get(name).map(|row| label_of(&row.definition()));
        let (request, name, is_put) = match call {
            Call::Put(request, definition) => (request.0, &definition.name, true),
            Call::Delete(request, name) => (request.0, name, false),
            Call::Load(_) => {
                let saw = label(&self.course.file[0].name);
                if let Some(saw) = saw {
                    self.ledger.reloads.push(Reload {
                        host,
                        life: node.life(),
                        at: now,
                        saw: saw.unwrap_or(FIRST),
                    });
                }
                return;
            }
            Call::Drain(_) | Call::Leave(_) => return self.trouble.note(now),
            Call::Probed { .. } => return,
        };
        let op = Op {
            host,
            name: Arc::clone(name),
            is_put,
            at: now,
            saw: label(name).flatten(),
            answer: None,
        };
        self.ledger.ops.insert(request, op);
    }

    /// A reload is certain once its process has lived on for a while.
    fn settle_reloads(&mut self, world: &World<Process>) {
        let now = world.now();
        for reload in &self.ledger.reloads {
            let lives = world
                .node(reload.host)
                .is_some_and(|node| node.life() == reload.life);
            let is_certain = now.since(reload.at) > Duration::from_secs(5) && lives;
            if is_certain && !self.wiped.contains(&reload.host) {
                self.ledger.outdated.insert(reload.saw);
            }
        }
    }

    /// All is calm since `calm`.
    pub(super) fn equal(
        &mut self,
        world: &World<Process>,
        calm: Time,
    ) -> Result<(), (Option<Host>, Breach)> {
        let now = world.now();
        self.settle_reloads(world);
        if now.since(calm) < EQUAL_AFTER {
            return Ok(());
        }
        let breach = |host, how| Err((host, (Promise::Equal, how)));
        let mut names = BTreeSet::new();
        for host in (0..self.course.plan.hosts).map(Host) {
            let Some(node) = world.node(host) else {
                return breach(Some(host), "is not there".to_owned());
            };
            let rows = node.node().view().rows(None);
            names.extend(rows.map(|row| row.title()));
        }
        for name in &names {
            let all: Vec<Option<Shown>> = shown(world, name);
            if all.windows(2).all(|pair| pair[0] == pair[1]) {
                self.ledger.differs.remove(name);
                continue;
            }
            let since = *self.ledger.differs.entry(Arc::clone(name)).or_insert(now);
            if now.since(since) > SPREAD {
                let plain = all
                    .iter()
                    .map(|s| s.as_ref().map(|(s, n, d)| (*s, *n, label_of(d))));
                let plain: Vec<_> = plain.collect();
                return breach(None, format!("{name} differs since {since}: {plain:?}"));
            }
        }
        self.one_status_each(world)
    }

    pub(super) fn one_status_each(
        &mut self,
        world: &World<Process>,
    ) -> Result<(), (Option<Host>, Breach)> {
        let now = world.now();
        let siblings: usize = world.nodes().map(|(_, node)| node.node().siblings()).sum();
        if siblings == 0 {
            self.ledger.siblings = None;
            return Ok(());
        }
        let since = *self.ledger.siblings.get_or_insert(now);
        if now.since(since) > SPREAD {
            let how = format!("{siblings} statuses have siblings since {since}");
            return Err((None, (Promise::Equal, how)));
        }
        Ok(())
    }

    /// The run is over, and all has been calm for a while.
    pub(super) fn at_end(&self, world: &World<Process>) -> Result<(), Breach> {
        let mut names: BTreeSet<&Arc<str>> = self.course.file.iter().map(|d| &d.name).collect();
        names.extend(self.ledger.ops.values().map(|op| &op.name));
        for name in names {
            let all = shown(world, name);
            let Some(first) = all.first() else {
                continue;
            };
            self.nothing_lost(name, first.as_ref())?;
        }
        self.plain_order(world)
    }

    fn nothing_lost(&self, name: &Arc<str>, shown: Option<&Shown>) -> Result<(), Breach> {
        let label = shown.map(|(.., definition)| label_of(definition));
        if *name == self.course.file[0].name {
            let version = label.flatten().unwrap_or(FIRST);
            if self.ledger.outdated.contains(&version) {
                let how = format!("version {version} of the file is back");
                return Err((Promise::Equal, how));
            }
            return Ok(());
        }
        let is_done = |op: &&Op| {
            let is_good = matches!(
                op.answer,
                Some(Answer::Created(_) | Answer::Replaced(_) | Answer::Deleted(_))
            );
            is_good && !self.wiped.contains(&op.host)
        };
        let ops = || self.ledger.ops.values().filter(|op| op.name == *name);
        let outdated = |put: u64| ops().filter(is_done).any(|op| op.saw == Some(put));
        if let Some(put) = label.flatten().filter(|put| outdated(*put)) {
            let how = format!("put {put} of {name} is back");
            return Err((Promise::Equal, how));
        }
        let stays = |put: &&Op| put.is_put && !ops().any(|op| !op.is_put && op.at >= put.at);
        let kept = ops().filter(is_done).find(stays);
        if let Some(kept) = kept.filter(|_| shown.is_none()) {
            return Err((Promise::Equal, format!("{kept:?} is lost")));
        }
        Ok(())
    }

    /// Long phases that all nodes see alike are told in their order.
    pub(super) fn plain_order(&self, world: &World<Process>) -> Result<(), Breach> {
        if !self.course.servers.blocks.is_empty() || self.is_cut_or_rough() {
            return Ok(());
        }
        for definition in &self.course.file {
            let name = &definition.name;
            let Some(expected) = self.expected(definition) else {
                continue;
            };
            if self.ledger.gone.contains(name) {
                continue;
            }
            let Some(node) = world.node(Host(0)) else {
                continue;
            };
            let Some(row) = node.node().view().get(name) else {
                continue;
            };
            let status = row.status();
            let told = status.recent.iter().map(|t| (t.to, t.reason));
            let mut told: Vec<State> = told
                .filter(|(to, why)| *to != State::Unknown || *why != Reason::Unconfirmed)
                .map(|(to, _)| to)
                .collect();
            told.dedup();
            if !expected.ends_with(&told) || told.len() < expected.len().min(3) {
                let how = format!("{name}: {expected:?} was told as {told:?}");
                return Err((Promise::PlainOrder, how));
            }
        }
        Ok(())
    }

    fn is_cut_or_rough(&self) -> bool {
        let end = self.course.plan.end;
        let moments = self.course.plan.faults.iter().map(|(at, _)| *at);
        self.trouble.is_rough(Time::ZERO, end)
            || moments.into_iter().any(|at| self.trouble.has_cuts(at))
    }

    /// The states of one node alone; `None` if some phase is too short, or disturbed throughout.
    fn expected(&self, definition: &Definition) -> Option<Vec<State>> {
        let least = Duration::from_secs(10)
            + definition.interval * u32::from(definition.rule.fall + 1)
            + definition.timeout * 2;
        let server = self.course.servers.moods.get(&definition.name)?;
        let mut at = Time::ZERO;
        let mut expected = vec![State::Up];
        for (from, until, mood) in &server.moods {
            let is_plain = matches!(mood, Mood::Refusing | Mood::Silent | Mood::Unavailable);
            if !is_plain || !self.has_rest(at, *from, least) || !self.has_rest(*from, *until, least)
            {
                return None;
            }
            expected.extend([State::Down, State::Up]);
            at = *until;
        }
        Some(expected)
    }

    fn has_rest(&self, from: Time, until: Time, least: Duration) -> bool {
        let mut at = from;
        while at + least <= until {
            if self.trouble.is_quiet(at, at + least) {
                return true;
            }
            at += Duration::from_millis(250);
        }
        false
    }
}

fn shown(world: &World<Process>, name: &str) -> Vec<Option<Shown>> {
    let show = |(_, node): (Host, &Process)| {
        let row = node.node().view().get(name)?;
        let status = &row.status();
        Some((
            status.state,
            status.transition,
            Arc::clone(&row.definition()),
        ))
    };
    world.nodes().map(show).collect()
}
