//! What a peer claims to have on disk, by slot.
//!
//! When nothing is new all peers claim the same: that is kept once and shared, and each peer has
//! only what it has said since. Does not know what a claim is used for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Seen, Slot};

/// One peer's claims.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    shared: Arc<BTreeMap<Slot, Seen>>,
    /// Said later; goes before what is shared.
    since: BTreeMap<Slot, Seen>,
}

impl Claims {
    pub(crate) fn of(shared: Arc<BTreeMap<Slot, Seen>>) -> Self {
        Self {
            shared,
            since: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Seen> {
        self.since.get(&slot).or_else(|| self.shared.get(&slot))
    }

    pub(crate) fn insert(&mut self, slot: Slot, seen: Seen) {
        self.since.insert(slot, seen);
    }

    /// All of them, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Seen)> {
        let shared = self.shared.iter();
        let held = shared.filter(|(slot, _)| !self.since.contains_key(slot));
        held.chain(&self.since).map(|(slot, seen)| (*slot, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_later_goes_before_what_is_shared_and_changes_no_other_peer() {
        let shared = Arc::new(BTreeMap::from([(1, Seen::up_to(5)), (2, Seen::up_to(7))]));
        let (mut one, other) = (Claims::of(Arc::clone(&shared)), Claims::of(shared));
        one.insert(2, Seen::up_to(9));
        one.insert(3, Seen::up_to(1));
        let all: BTreeMap<Slot, u64> = one.iter().map(|(s, seen)| (s, seen.prefix())).collect();
        assert_eq!(all, BTreeMap::from([(1, 5), (2, 9), (3, 1)]));
        assert_eq!(one.get(2), Some(&Seen::up_to(9)));
        assert_eq!(other.get(2), Some(&Seen::up_to(7)));
        assert_eq!((other.get(3), other.iter().count()), (None, 2));
    }
}
