//! Looks at everything that all nodes show, once a second and more often while something differs.

use base::{Duration, Time};
use health::State;

use super::course::{hosts, index_of};
use super::run::Stage;
use crate::cluster::Host;
use crate::fleet::calm::{EQUAL_AFTER, SPREAD};
use crate::fleet::promises::Promise;

/// How often all is looked at, and how often while something differs.
const SLOWLY: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(100);

/// A state and its transition's number; `None` where a target is not shown.
type Shown = Option<(State, u32)>;

/// What was seen at the last look, and what is held against it.
#[derive(Debug)]
pub(super) struct Look {
    /// When the next one is due.
    pub(super) at: Time,
    /// By host, by target.
    table: Vec<Vec<Shown>>,
    /// Targets that somebody alive shows.
    known: Vec<bool>,
    /// Since when a target is shown differently by two hosts.
    differs: Vec<Option<Time>>,
    /// The phase of a target in which some host showed it wrongly last.
    wrong: Vec<Option<(State, Time)>>,
    missed: u64,
    /// The gap of a target that was held against it last, by its begin.
    unchecked: Vec<Option<Time>>,
}

impl Look {
    pub(super) fn new(hosts: usize, targets: usize) -> Self {
        Self {
            at: Time::ZERO,
            table: vec![vec![None; targets]; hosts],
            known: vec![false; targets],
            differs: vec![None; targets],
            wrong: vec![None; targets],
            missed: 0,
            unchecked: vec![None; targets],
        }
    }

    /// Outages that some node did not show in time.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }
}

impl Stage<'_> {
    /// Looks at all nodes: gaps, states, equal answers.
    pub(super) fn look(&mut self) {
        let now = self.world.now();
        self.take_in(now);
        self.gaps(now);
        self.states(now);
        let are_equal = self.compare(now);
        let heals = self.fates.heals(now);
        if heals {
            let are_together = self.are_together();
            self.fates.looked(now, are_together, are_equal);
        }
        self.siblings(now);
        let soon = if heals || !are_equal { OFTEN } else { SLOWLY };
        self.look.at = now + soon;
    }

    fn take_in(&mut self, now: Time) {
        for host in hosts(self.rehearsal) {
            let at = host.index();
            let ledger = &mut self.judge.ledger;
            if !self.running[at] {
                ledger.runs_since[at] = None;
                continue;
            }
            ledger.runs_since[at].get_or_insert(now);
            ledger.ran_last[at] = now;
            let node = self.world.node(host).expect("it runs");
            let shown = &mut self.look.table[at];
            shown.fill(None);
            for row in node.node().view().rows(None) {
                let target = index_of(row.name());
                shown[target] = Some((row.state(), row.transition()));
                if !self.look.known[target] {
                    self.look.known[target] = true;
                    ledger.shown(now, &row.definition());
                }
            }
        }
        let runs = self.running.iter().filter(|runs| **runs).count();
        self.was_lonely |= now > Time::ZERO && runs > 0 && runs * 2 <= self.running.len();
        if runs == 0 {
            self.look.known.fill(false);
            self.judge.ledger.targets.clear();
        }
        for host in hosts(self.rehearsal) {
            if self.running[host.index()] {
                self.show(now, host);
            }
        }
    }

    fn gaps(&mut self, now: Time) {
        let Some(lives) = self.judge.ledger.somebody_since() else {
            return;
        };
        let runs = self.running.iter().filter(|runs| **runs).count();
        let detection = if runs * 2 <= self.running.len() {
            self.judge.lonely_detection()
        } else {
            self.judge.detection(now)
        };
        for (name, watched) in &self.judge.ledger.targets {
            let from = self.judge.unchecked_since(now, watched, lives);
            let gap = now.since(from);
            let target = index_of(name);
            if gap > detection + self.rehearsal.interval
                && self.look.unchecked[target].replace(from) != Some(from)
            {
                let how = format!("{name} has not been checked since {from}, for {gap:?}");
                self.breaks.add(now, None, Promise::NoneUnchecked, how);
            }
        }
    }

    /// What everybody must show by now.
    fn states(&mut self, now: Time) {
        let bounds = |state| match state {
            State::Down => super::course::detection_bound(self.rehearsal),
            _ => super::course::recovery_bound(self.rehearsal),
        };
        let (down, up) = (bounds(State::Down), bounds(State::Up));
        let (quiet, detection) = (
            self.judge.trouble.quiet_since(now),
            self.judge.detection(now),
        );
        for target in 0..self.course.file.len() {
            let name = &self.course.file[target].name;
            let Some(watched) = self.judge.ledger.targets.get(name) else {
                continue;
            };
            let (state, since) = self.outages.phase(target, now);
            let span = if state == State::Down { down } else { up };
            let from = since.max(watched.since);
            let mut due = from + span;
            if quiet + detection > from {
                due = due.max(quiet + detection + span);
            }
            if now < due || self.look.wrong[target] == Some((state, since)) {
                continue;
            }
            let wrong = hosts(self.rehearsal).find(|host| {
                let shown = self.look.table[host.index()][target];
                let is_plain = shown.is_none_or(|(shown, _)| shown == state);
                let runs = self.running[host.index()];
                runs && !is_plain && !self.shows(*host, target, state)
            });
            if let Some(host) = wrong {
                self.is_wrong(now, host, target, state, since);
            }
        }
    }

    fn is_wrong(&mut self, now: Time, host: Host, target: usize, state: State, since: Time) {
        self.look.wrong[target] = Some((state, since));
        self.look.missed += u64::from(state == State::Down);
        let name = &self.course.file[target].name;
        let shown = self.look.table[host.index()][target];
        let shown = shown.map_or("not there", |(state, _)| state.name());
        let how = format!(
            "{name} is {shown} on {}, and is {} for everybody since {since}",
            self.name(host),
            state.name()
        );
        self.breaks
            .add(now, Some(host), Promise::NoMissedOutage, how);
    }

    /// Whether all running hosts show the same of every target; for how long they may not is
    /// bounded once all is quiet.
    fn compare(&mut self, now: Time) -> bool {
        let mut are_equal = true;
        let is_due = self.is_quiet_for(now, EQUAL_AFTER);
        let running: Vec<usize> = (0..self.running.len())
            .filter(|at| self.running[*at])
            .collect();
        for target in 0..self.course.file.len() {
            let table = &self.look.table;
            let mut pairs = running.windows(2);
            if pairs.all(|pair| table[pair[0]][target] == table[pair[1]][target]) {
                self.look.differs[target] = None;
                continue;
            }
            are_equal = false;
            let since = *self.look.differs[target].get_or_insert(now);
            if is_due && now.since(since) > SPREAD {
                self.look.differs[target] = Some(now);
                let how = self.how_it_differs(target, since, &running);
                self.breaks.add(now, None, Promise::Equal, how);
            }
        }
        are_equal
    }

    fn how_it_differs(&self, target: usize, since: Time, running: &[usize]) -> String {
        let shown = running.iter().map(|&at| {
            let host = Host(u32::try_from(at).expect("few"));
            let shown = self.look.table[at][target];
            let shown = shown.map_or("not there".to_owned(), |(state, number)| {
                format!("{} (transition {number})", state.name())
            });
            format!("{shown} on {}", self.name(host))
        });
        let shown: Vec<String> = shown.collect();
        let name = &self.course.file[target].name;
        format!("{name} differs since {since}: {}", shown.join(", "))
    }

    /// Nothing has begun or ended for so long, nothing is cut, and links are good.
    fn is_quiet_for(&self, now: Time, span: Duration) -> bool {
        let trouble = &self.judge.trouble;
        now.since(trouble.quiet_since(now)) >= span
            && !trouble.has_cuts(now)
            && !trouble.is_rough(now - span, now)
    }

    fn are_together(&self) -> bool {
        let names: Vec<_> = hosts(self.rehearsal)
            .filter(|host| self.running[host.index()])
            .map(|host| self.name(host))
            .collect();
        self.world.nodes().all(|(_, node)| {
            let fleet = node.node().view().fleet();
            fleet.is_some_and(|fleet| names.iter().all(|name| fleet.lives(name)))
        })
    }

    fn siblings(&mut self, now: Time) {
        if !self.is_quiet_for(now, EQUAL_AFTER) {
            return;
        }
        let siblings = self.judge.one_status_each(&self.world);
        if let Err((_, (promise, how))) = siblings {
            self.breaks.add(now, None, promise, how);
        }
    }

    /// The run is over: the order of statuses, if the last stretch was quiet.
    pub(super) fn at_end(&mut self) {
        let now = self.world.now();
        let span = super::course::detection_bound(self.rehearsal) + self.judge.detection(now);
        // Without a majority nothing is written down, and an outage is told as unknown.
        if !self.was_lonely
            && self.is_quiet_for(now, span)
            && let Err((promise, how)) = self.judge.plain_order(&self.world)
        {
            self.breaks.add(now, None, promise, how);
        }
    }
}
