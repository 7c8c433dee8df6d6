//! Until when a node goes on checking targets that it has handed over.
//!
//! One that is handed over once more, because it came back meanwhile, is kept until its new time.
//! Does not know targets or owners.

use std::collections::{BTreeMap, BTreeSet};

use base::{Slot, Time};

/// Slots that were handed over, by when they are let go.
#[derive(Debug, Default)]
pub(super) struct Leavers {
    due: BTreeSet<(Time, Slot)>,
    until: BTreeMap<Slot, Time>,
}

impl Leavers {
    /// A target is handed over, and checked here until then.
    pub(super) fn insert(&mut self, slot: Slot, until: Time) {
        if let Some(before) = self.until.insert(slot, until) {
            self.due.remove(&(before, slot));
        }
        self.due.insert((until, slot));
    }

    /// When the first is let go.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(until, _)| *until)
    }

    /// One whose time has come.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Slot> {
        let (_, slot) = self
            .due
            .first()
            .copied()
            .filter(|(until, _)| *until <= now)?;
        self.due.pop_first();
        self.until.remove(&slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_again_is_kept_until_its_new_time() {
        let mut leavers = Leavers::default();
        leavers.insert(Slot(1), Time(10));
        leavers.insert(Slot(2), Time(12));
        leavers.insert(Slot(1), Time(20));
        assert_eq!(leavers.deadline(), Some(Time(12)));
        assert_eq!(leavers.take_due(Time(11)), None);
        assert_eq!(leavers.take_due(Time(19)), Some(Slot(2)));
        assert_eq!(leavers.take_due(Time(19)), None);
        assert_eq!(leavers.take_due(Time(20)), Some(Slot(1)));
        assert!(leavers.due.is_empty() && leavers.until.is_empty());
    }
}
