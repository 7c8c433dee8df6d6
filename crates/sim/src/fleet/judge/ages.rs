//! Whether what a host says of a check's time is true.

use base::{Duration, Time};
use health::{Row, State, View};

use super::{Breach, Judge, micros};
use crate::cluster::{EPOCH_MS, Host, World};
use crate::fleet::node::Process;
use crate::fleet::promises::Promise;

/// How often a host's views are looked at for their ages.
const VIEWED_EVERY: Duration = Duration::from_millis(300);

impl Judge<'_> {
    /// A node shows something new: are its ages honest?
    pub(in crate::fleet) fn ages(
        &mut self,
        world: &World<Process>,
        host: Host,
    ) -> Result<(), Breach> {
        let now = world.now();
        let last = self.ledger.viewed.get(&host);
        if last.is_some_and(|last| now.since(*last) < VIEWED_EVERY) {
            return Ok(());
        }
        self.ledger.viewed.insert(host, now);
        let view = world.node(host).expect("it spoke").node().view();
        let is_checked = |row: &&Row| row.state() != State::Paused;
        for row in view.rows(None).filter(is_checked) {
            self.age(world, host, view, row)?;
        }
        Ok(())
    }

    /// When a wall clock showed this, about: clocks are 20 ms apart at most.
    fn world_time_of(&self, wall: base::Wall) -> Time {
        let clock = wall.0 - i64::try_from(EPOCH_MS).expect("a wall clock");
        Time(clock.max(0).unsigned_abs() * 1_000)
    }

    pub(in crate::fleet) fn age(
        &self,
        world: &World<Process>,
        host: Host,
        view: &View,
        row: &Row,
    ) -> Result<(), Breach> {
        let local = world.local_time(host);
        let Some(freshness) = view.freshness(row, local).filter(|f| !f.is_stale) else {
            return Ok(());
        };
        let checked = freshness.checked.expect("what is fresh was checked");
        let checked = world.world_time(host, checked);
        let owner = view
            .owners(row.slot)
            .next()
            .and_then(|name| self.host_of(name));
        let slack = self.slack(world, (host, owner), checked);
        let claimed = Time(checked.0.saturating_sub(micros(slack)));
        let name = row.name();
        let passed = self.ledger.passed.get(name);
        if row.state() == State::Up && passed.is_none_or(|at| *at < claimed) {
            let how = format!("{name} is up as of {checked}, and last passed at {passed:?}");
            return Err((Promise::HonestAge, how));
        }
        let written = self.ledger.written.get(name);
        // A target that was deleted and made anew counts from the beginning again.
        let anew = self.world_time_of(row.status().since);
        let missed = written.into_iter().flatten().find(|written| {
            Some(written.by) == owner
                && written.number > row.transition()
                && !self.wiped.contains(&written.by)
                && written.at < claimed
                && written.at + Duration::from_millis(100) > anew
        });
        match missed {
            Some(missed) => {
                let how = format!("{name} is said to be as of {checked}, without {missed:?}");
                Err((Promise::HonestAge, how))
            }
            None => Ok(()),
        }
    }

    /// By how much what a host says of a check's time may be wrong: what nobody counts is how long
    /// the owner's mark was on its way. It came in one datagram, after that check.
    fn slack(
        &self,
        world: &World<Process>,
        (host, owner): (Host, Option<Host>),
        from: Time,
    ) -> Duration {
        let now = world.now();
        let early = Time(from.0.saturating_sub(5_000_000));
        let on_its_way = owner.map(|owner| world.network.slowest(owner, host, from, now));
        Duration::from_millis(60)
            + self.trouble.stalled(early, now)
            + on_its_way.unwrap_or_default()
    }
}
