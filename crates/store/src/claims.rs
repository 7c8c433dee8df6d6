//! What a peer claims to have on disk, by slot; a byte for each, for most.
//!
//! A node keeps this of every peer and every origin, so that in a fleet of a thousand there are a
//! million of them. Peers that were heard of at about the same time claim about the same: each
//! number is how far it lies below a row of numbers that many of them share. Peers that claim
//! exactly the same share all of it, and have only what they have said since.
//! Does not know what a claim is used for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Seen, Slot};

/// Nothing was said of a slot.
const UNSAID: u8 = u8::MAX - 1;
/// What was said of a slot stands apart: it is too far away, or more than a prefix.
const APART: u8 = u8::MAX;
/// The shared row lies so far above the claims that it was made of.
const ABOVE: u64 = 64;
/// Of so many claims one may stand apart before another row is made.
const FIT: usize = 16;

/// Numbers above most of what peers claim, by slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row(Arc<[u64]>);

impl Row {
    fn above(seen: &BTreeMap<Slot, Seen>) -> Self {
        let mut above = vec![0; end_of(seen)];
        for (&slot, seen) in seen {
            above[usize::from(slot)] = seen.prefix() + ABOVE;
        }
        Self(above.into())
    }
}

/// One peer's claims.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// Nothing before the first word: most peers of a large fleet have not said one yet.
    said: Option<Arc<Said>>,
    /// Said later; goes before the rest.
    since: BTreeMap<Slot, Seen>,
}

/// What was said at once.
#[derive(Clone, Debug, Default)]
struct Said {
    row: Row,
    /// How far below the row, by slot.
    below: Box<[u8]>,
    apart: BTreeMap<Slot, Seen>,
}

impl Claims {
    /// Claims that were made at once; `row` is the one that fitted last, and becomes another if it
    /// does not fit any more.
    pub(crate) fn of(seen: &BTreeMap<Slot, Seen>, row: &mut Row) -> Self {
        let mut said = Said::of(seen, row);
        if said.apart.len() * FIT > seen.len() + FIT * FIT {
            let other = Row::above(seen);
            let again = Said::of(seen, &other);
            if again.apart.len() < said.apart.len() {
                (said, *row) = (again, other);
            }
        }
        Self {
            said: Some(Arc::new(said)),
            since: BTreeMap::new(),
        }
    }

    /// What is claimed of an origin; `None` if nothing was said of it.
    pub(crate) fn get(&self, slot: Slot) -> Option<Seen> {
        let since = self.since.get(&slot).cloned();
        since.or_else(|| self.said.as_ref()?.get(slot))
    }

    /// Up to where everything is claimed; 0 if nothing was said.
    pub(crate) fn prefix(&self, slot: Slot) -> u64 {
        if let Some(seen) = self.since.get(&slot) {
            return seen.prefix();
        }
        self.said.as_ref().map_or(0, |said| said.prefix(slot))
    }

    pub(crate) fn insert(&mut self, slot: Slot, seen: Seen) {
        self.since.insert(slot, seen);
    }

    /// Whether the peer has claimed nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.since.is_empty() && self.said.as_ref().is_none_or(|said| said.below.is_empty())
    }

    /// Whether both are the same, known without a look at each.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        let are_same = match (&self.said, &other.said) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (one, two) => one.is_none() && two.is_none(),
        };
        are_same && self.since.is_empty() && other.since.is_empty()
    }

    /// One beyond the last slot of which anything was said.
    pub(crate) fn end(&self) -> usize {
        let said = self.said.as_ref().map_or(0, |said| said.below.len());
        said.max(end_of(&self.since))
    }
}

fn end_of(seen: &BTreeMap<Slot, Seen>) -> usize {
    let last = seen.last_key_value();
    last.map_or(0, |(&slot, _)| usize::from(slot) + 1)
}

impl Said {
    fn of(seen: &BTreeMap<Slot, Seen>, row: &Row) -> Self {
        let mut said = Self {
            row: row.clone(),
            below: vec![UNSAID; end_of(seen)].into(),
            apart: BTreeMap::new(),
        };
        for (&slot, seen) in seen {
            let above = row.0.get(usize::from(slot));
            let below = above.and_then(|above| above.checked_sub(seen.prefix()));
            let near = below.and_then(|below| u8::try_from(below).ok());
            let near = near.filter(|below| *below < UNSAID && seen.beyond().is_empty());
            said.below[usize::from(slot)] = near.unwrap_or(APART);
            if near.is_none() {
                said.apart.insert(slot, seen.clone());
            }
        }
        said
    }

    fn prefix(&self, slot: Slot) -> u64 {
        match self.below.get(usize::from(slot)) {
            None | Some(&UNSAID) => 0,
            Some(&APART) => self.apart.get(&slot).map_or(0, Seen::prefix),
            Some(&below) => self.row.0[usize::from(slot)] - u64::from(below),
        }
    }

    fn get(&self, slot: Slot) -> Option<Seen> {
        match *self.below.get(usize::from(slot))? {
            UNSAID => None,
            APART => self.apart.get(&slot).cloned(),
            below => {
                let above = self.row.0[usize::from(slot)];
                Some(Seen::up_to(above - u64::from(below)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base::Rng;

    use super::*;

    fn all(claims: &Claims) -> BTreeMap<Slot, Seen> {
        let slots = (0..claims.end()).map(|slot| Slot::try_from(slot).unwrap());
        let said = slots.filter_map(|slot| Some((slot, claims.get(slot)?)));
        said.collect()
    }

    #[test]
    fn what_was_said_later_goes_before_what_is_shared_and_changes_no_other_peer() {
        let said = BTreeMap::from([(1, Seen::up_to(5)), (2, Seen::up_to(7))]);
        let mut one = Claims::of(&said, &mut Row::default());
        let other = one.clone();
        assert!(one.is_shared_with(&other));
        one.insert(2, Seen::up_to(9));
        one.insert(3, Seen::up_to(1));
        let (five, nine, first) = (Seen::up_to(5), Seen::up_to(9), Seen::up_to(1));
        assert_eq!(all(&one), [(1, five), (2, nine), (3, first)].into());
        assert_eq!((one.prefix(2), other.prefix(2)), (9, 7));
        assert_eq!(all(&other), said);
        assert!(!one.is_shared_with(&other));
    }

    #[test]
    fn nothing_said_is_not_the_same_as_nothing_seen() {
        let said = BTreeMap::from([(1, Seen::default())]);
        let claims = Claims::of(&said, &mut Row::default());
        assert_eq!(
            (claims.get(0), claims.get(1)),
            (None, Some(Seen::default()))
        );
        assert_eq!(
            (claims.prefix(0), claims.prefix(1), claims.prefix(9)),
            (0, 0, 0)
        );
        assert!(!claims.is_empty() && Claims::default().is_empty());
    }

    /// Broken once: a claim of nothing beyond the end of the row had no place in it.
    #[test]
    fn whatever_is_said_is_kept_as_it_was_said() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let mut row = Row::default();
            for _ in 0..20 {
                let scale = [3, 100, 400, 1 << 40][usize::try_from(rng.below(4)).unwrap()];
                let mut said = BTreeMap::new();
                for slot in 0..Slot::try_from(rng.below(60)).unwrap() {
                    let mut seen = Seen::up_to(scale + rng.below(scale));
                    if rng.chance(5) {
                        seen.add(seen.prefix() + 3, seen.prefix() + 4);
                    }
                    if rng.chance(80) {
                        said.insert(slot, seen);
                    }
                }
                let claims = Claims::of(&said, &mut row);
                assert_eq!(all(&claims), said, "seed {seed}");
                let prefixes = said.iter().map(|(slot, seen)| (*slot, seen.prefix()));
                assert!(
                    prefixes
                        .into_iter()
                        .all(|(slot, n)| claims.prefix(slot) == n),
                    "seed {seed}"
                );
            }
        }
    }

    #[test]
    fn peers_that_are_near_each_other_take_a_byte_for_each_origin() {
        let mut row = Row::default();
        for step in 0..500_u64 {
            let near = |slot: Slot| Seen::up_to(1_000 + u64::from(slot % 7) * 20 + step);
            let said: BTreeMap<Slot, Seen> = (0..1_000).map(|slot| (slot, near(slot))).collect();
            let claims = Claims::of(&said, &mut row);
            let said = claims.said.expect("something was");
            assert_eq!(said.apart.len(), 0, "step {step}");
            assert_eq!(said.below.len(), 1_000);
        }
    }
}
