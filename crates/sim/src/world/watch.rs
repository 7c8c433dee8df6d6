//! What the world expects of each target, and by when.
//!
//! A server that fails (or answers) without a break must be shown so within
//! `n × interval + 250 ms`, plus its timeout if the checker must wait for it, where `n` is `fall`
//! (or `rise`). A disturbance of the checker starts this time anew when it ends, plus one
//! interval for the beat that it may have swallowed. A target's very first check comes before its
//! beat, so that the first gap may be one and a half intervals. A check that already waits for a
//! silent server holds the next ones up until its timeout, and costs a beat if that is as long
//! as the interval.

use std::sync::Arc;

use base::{Duration, Time};
use health::{Definition, State};

use super::{Happening, World, is_failing};
use crate::promises::Promise;
use crate::target::Mood;

/// One target as the world watches it.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) definition: Arc<Definition>,
    /// Since when it is defined so.
    pub(super) defined: Time,
    pub(super) last_start: Time,
    /// Since when the server is as it is now.
    since: Time,
    /// Until when a check may still be under way that asked the server as it was before.
    held_until: Time,
    token: u64,
}

const SLACK: Duration = Duration::from_millis(250);

impl World {
    pub(super) fn define(&mut self, definition: Arc<Definition>) {
        let name = Arc::clone(&definition.name);
        let before = self.watches.get(&name);
        if before.is_some_and(|watch| watch.definition == definition) {
            return;
        }
        let watch = Watch {
            definition,
            defined: self.now,
            last_start: before.map_or(self.now, |watch| watch.last_start),
            since: self.now,
            held_until: self.now,
            token: before.map_or(0, |watch| watch.token),
        };
        self.watches.insert(Arc::clone(&name), watch);
        self.watch(&name);
    }

    /// Something about the target changed: the time in which it must be shown starts now.
    pub(super) fn watch(&mut self, name: &Arc<str>) {
        let now = self.now;
        let token = self.queued + 1;
        let Some(watch) = self.watches.get_mut(name) else {
            return;
        };
        let Definition {
            timeout, interval, ..
        } = *watch.definition;
        let full = timeout + Duration::from_millis(150) > interval;
        watch.since = now;
        watch.held_until = now + timeout + if full { interval } else { Duration::ZERO };
        watch.token = token;
        self.at(now, Happening::Verify(Arc::clone(name), token));
    }

    /// The state in which the target must be shown, and how long that may take.
    fn wanted(&mut self, watch: &Watch) -> Option<(State, Duration)> {
        let Definition {
            interval,
            timeout,
            rule,
            paused,
            ..
        } = *watch.definition;
        if paused {
            return None;
        }
        let server = self.server(&watch.definition.name).clone();
        let mood = server.mood(self.now);
        let failing = is_failing(mood, timeout)?;
        let waits = matches!(mood, Mood::Silent | Mood::Slow(_));
        let extra = if waits { timeout } else { server.latency };
        if failing {
            let silent = |s: &&crate::Server| !s.local && s.mood(self.now) == Mood::Silent;
            let like_a_cut = self.servers.values().filter(silent).count() >= 10;
            (mood != Mood::Silent || server.local || !like_a_cut)
                .then_some((State::Down, interval * u32::from(rule.fall) + extra))
        } else {
            Some((State::Up, interval * u32::from(rule.rise) + extra))
        }
    }

    pub(super) fn verify(&mut self, name: &Arc<str>, token: u64) {
        let Some(watch) = self.watches.get(name).filter(|w| w.token == token).cloned() else {
            return;
        };
        let Some((state, span)) = self.wanted(&watch) else {
            return;
        };
        let interval = watch.definition.interval;
        let mut due = watch.since + span + SLACK;
        if watch.since < watch.defined + interval * 2 {
            due += interval / 2;
        }
        let before = watch.since - Duration::from_micros(1);
        let waited = self.server(name).mood(before);
        if matches!(waited, Mood::Silent | Mood::Slow(_)) {
            due = due.max(watch.held_until + span + SLACK);
        }
        if self.disturbed_until >= watch.since {
            due = due.max(self.disturbed_until + span + SLACK + interval);
        }
        if self.now < due {
            self.at(due, Happening::Verify(Arc::clone(name), token));
            return;
        }
        self.not_starved(&watch);
        let Some(process) = &self.process else { return };
        let row = process.subject.view().get(name);
        let shown = row.map(|row| row.state());
        self.ledger
            .claim(Promise::NoMissedOutage, shown == Some(state), || {
                format!(
                    "{name} is {state:?} since {} and shown as {shown:?}",
                    watch.since
                )
            });
    }

    /// A check of this target starts: the last one must not be too long ago.
    pub(super) fn checked(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(watch) = self.watches.get_mut(name) else {
            return;
        };
        let before = watch.clone();
        watch.last_start = now;
        self.not_starved(&before);
    }

    pub(super) fn nobody_starved(&mut self) {
        if self.process.is_some() {
            for watch in self.watches.clone().into_values() {
                self.not_starved(&watch);
            }
        }
    }

    fn not_starved(&mut self, watch: &Watch) {
        let Watch {
            definition,
            defined,
            last_start,
            ..
        } = watch;
        if definition.paused {
            return;
        }
        let from = (*last_start).max(*defined).max(self.disturbed_until);
        let gap = self.now.since(from);
        self.ledger.claim(
            Promise::NoStarvation,
            gap <= definition.interval * 2 + SLACK,
            || format!("{} was not checked for {gap:?}", definition.name),
        );
    }
}
