//! When checks come: at their beats, never in a burst, never too often.

use std::sync::Arc;

use base::{Duration, Time, hash64};
use health::{Definition, Row};

use super::{Breach, Judge, micros};
use crate::cluster::{EPOCH_MS, Host};
use crate::fleet::ledger::STARTS;
use crate::fleet::promises::Promise;

/// What a check may be late, clocks apart and a slewed beat included.
const LATE: Duration = Duration::from_millis(180);
/// What a start may be early by: clocks that are apart.
const EARLY: Duration = Duration::from_millis(60);
/// A check off the beat stands for the next beat if that comes within this, a little less than the
/// node's own span.
const STANDS_FOR: Duration = Duration::from_millis(4_900);
/// So shortly before the next beat nothing is made up for, a little less than the node's own span.
const SOON: Duration = Duration::from_millis(900);
/// A taker knows that an owner lived until it was last heard, which is so long before its death.
const UNKNOWN: Duration = Duration::from_secs(3);
/// How long a target is new: its first checks come when they come.
const NEW: Duration = Duration::from_secs(4);

impl Judge<'_> {
    /// A check was started.
    pub(in crate::fleet) fn started(
        &mut self,
        now: Time,
        host: Host,
        definition: &Arc<Definition>,
        shown: Option<&Row>,
    ) -> Result<(), Breach> {
        let name = &definition.name;
        let is_young = shown.is_none_or(|row| row.transition() == 0);
        let own = self.ledger.own.entry((host, Arc::clone(name)));
        let own = own.or_insert((None, now));
        let is_new = is_young || own.1 + NEW > now;
        let before = own.0.replace(now);
        self.figures.checks += 1;
        let checked = self.ledger.started(now, name);
        if is_new {
            return Ok(());
        }
        let interval = definition.interval;
        let was_off = before.is_some_and(|before| {
            let off = self.off_beat(before, host, definition);
            off > LATE && off < interval - EARLY
        });
        let least = if self.is_unsettled(now, host) || was_off {
            (interval * 45 / 100).min(STANDS_FOR)
        } else {
            interval * 7 / 10
        };
        if let Some(before) = before
            && now.since(before) < least
        {
            let how = format!("{name} was checked at {before} and again at {now}");
            return Err((Promise::NoBurst, how));
        }
        let off = self.off_beat(now, host, definition);
        let is_off = off > LATE && off < interval - EARLY;
        let beat = Time((now + EARLY).0.saturating_sub(micros(off)));
        let makes_up = before.is_none() && self.makes_up(now, host, definition, (beat, checked));
        if is_off && !makes_up && !self.may_be_late(now, host, name, beat) {
            let how = format!("{name} was checked {off:?} after its beat");
            return Err((Promise::NoBurst, how));
        }
        self.not_too_often(now, definition)
    }

    /// A host that has just begun with many checks, or went on, spreads them: a check may come
    /// after its beat, but not for a beat from before.
    fn may_be_late(&self, now: Time, host: Host, name: &Arc<str>, beat: Time) -> bool {
        let went_on = self.trouble.went_on(host, now);
        let own = self.ledger.began.get(&(host, Arc::clone(name))).copied();
        let own = own.max(went_on);
        self.is_unsettled(now, host) && own.is_none_or(|own| own <= beat + LATE)
    }

    /// A host that has taken a target over may make up for the last beat before that, if nobody has
    /// checked the target since, or something went wrong so shortly before, or is wrong, that it
    /// can't know.
    fn makes_up(
        &self,
        now: Time,
        host: Host,
        definition: &Definition,
        (beat, checked): (Time, Option<Time>),
    ) -> bool {
        let place = (host, Arc::clone(&definition.name));
        let soon = beat + definition.interval - SOON;
        let begin = self.ledger.began.get(&place);
        let is_taken = begin.is_some_and(|begin| (beat..soon).contains(begin));
        let is_missed = checked.is_none_or(|checked| checked + EARLY < beat);
        let early = Time(beat.0.saturating_sub(micros(UNKNOWN)));
        let is_hidden = !self.trouble.is_quiet(early, now)
            || self.trouble.is_rough(early, now)
            || self.trouble.has_cuts(now);
        is_taken && (is_missed || is_hidden)
    }

    /// Whether a host has just begun to check something, or to go on.
    fn is_unsettled(&self, now: Time, host: Host) -> bool {
        let went_on = self.trouble.went_on(host, now);
        let any = self.ledger.began_any.get(&host).copied().max(went_on);
        any.is_some_and(|any| now.since(any) < NEW)
    }

    /// How long after its beat, on the host's clock, a check starts.
    fn off_beat(&self, now: Time, host: Host, definition: &Definition) -> Duration {
        let interval = micros(definition.interval);
        let phase = hash64(definition.name.as_bytes()) % interval;
        let skew = self.course.skews[host.index()] * 1_000;
        let clock = (EPOCH_MS * 1_000 + now.0).saturating_add_signed(skew);
        Duration::from_micros((clock + interval - phase) % interval)
    }

    fn not_too_often(&self, now: Time, definition: &Definition) -> Result<(), Breach> {
        let Some(watched) = self.ledger.targets.get(&definition.name) else {
            return Ok(());
        };
        let Some(&first) = watched
            .starts
            .front()
            .filter(|_| watched.starts.len() > STARTS)
        else {
            return Ok(());
        };
        let takeover = self.detection(now) + definition.interval * 2;
        let settled = Time(first.0.saturating_sub(micros(takeover)));
        let is_yielded = self.course.servers.blocks.iter().any(|b| b.from < now);
        let is_cut = self.trouble.has_cuts(now);
        if !self.trouble.is_quiet(settled, now) || watched.since > settled || is_yielded || is_cut {
            return Ok(());
        }
        if self
            .ledger
            .somebody_since()
            .is_none_or(|since| since > settled)
        {
            return Ok(());
        }
        // Each may come a little after its beat: twelve in ten intervals are not too many.
        let span = now.since(first) + LATE;
        if span * 12 < definition.interval * 10 * u32::try_from(STARTS).expect("few") {
            let how = format!("{} had {STARTS} checks since {first}", definition.name);
            return Err((Promise::NoBurst, how));
        }
        Ok(())
    }
}
