//! What is known of one origin's writes: all up to a number, and ranges beyond it.
//!
//! The optimised causal context of delta-CRDTs (Almeida, Shoker, Baquero 2018, section 7.2), for
//! one origin. Does not know what a write is.

/// Numbers seen: all up to a prefix, and ranges beyond, which join it as gaps are filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    prefix: u64,
    /// First and last of each, in order, with a gap before each.
    beyond: Vec<(u64, u64)>,
}

impl Seen {
    /// Everything up to `prefix`.
    #[must_use]
    pub const fn up_to(prefix: u64) -> Self {
        Self {
            prefix,
            beyond: Vec::new(),
        }
    }

    /// Every number up to this one is seen.
    #[must_use]
    pub const fn prefix(&self) -> u64 {
        self.prefix
    }

    /// The ranges beyond the prefix.
    #[must_use]
    pub fn beyond(&self) -> &[(u64, u64)] {
        &self.beyond
    }

    /// The highest number seen.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.beyond.last().map_or(self.prefix, |range| range.1)
    }

    /// Whether a number is seen.
    #[must_use]
    pub fn has(&self, seq: u64) -> bool {
        if seq <= self.prefix {
            return true;
        }
        let at = self.beyond.partition_point(|range| range.1 < seq);
        self.beyond.get(at).is_some_and(|range| range.0 <= seq)
    }

    /// Whether everything that `other` has seen is seen.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let covers_range = |first: u64, last: u64| {
            let first = first.max(self.prefix + 1);
            let at = self.beyond.partition_point(|range| range.1 < first);
            first > last
                || self
                    .beyond
                    .get(at)
                    .is_some_and(|range| range.0 <= first && last <= range.1)
        };
        covers_range(1, other.prefix) && other.beyond.iter().all(|&(a, b)| covers_range(a, b))
    }

    /// Adds the numbers from `first` to `last`.
    pub fn add(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        if first <= self.prefix.saturating_add(1) {
            self.prefix = self.prefix.max(last);
            self.close();
            return;
        }
        // Every range that overlaps or touches becomes one with it.
        let from = self
            .beyond
            .partition_point(|range| range.1.saturating_add(1) < first);
        let until = self
            .beyond
            .partition_point(|range| range.0 <= last.saturating_add(1));
        if from == until {
            self.beyond.insert(from, (first, last));
            return;
        }
        let joined = (
            first.min(self.beyond[from].0),
            last.max(self.beyond[until - 1].1),
        );
        self.beyond.splice(from..until, [joined]);
    }

    /// Adds all that `other` has seen.
    pub fn join(&mut self, other: &Self) {
        self.add(1, other.prefix);
        for &(first, last) in &other.beyond {
            self.add(first, last);
        }
    }

    fn close(&mut self) {
        let mut taken = 0;
        for &(first, last) in &self.beyond {
            if first > self.prefix.saturating_add(1) {
                break;
            }
            self.prefix = self.prefix.max(last);
            taken += 1;
        }
        self.beyond.drain(..taken);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(ranges in prop::collection::vec((1_u64..60, 0_u64..6), 0..30)) {
            let mut seen = Seen::default();
            let mut plain = BTreeSet::new();
            for (first, more) in ranges {
                seen.add(first, first + more);
                plain.extend(first..=first + more);
                for n in 1..80 {
                    prop_assert_eq!(seen.has(n), plain.contains(&n), "{} in {:?}", n, seen);
                }
                prop_assert!(seen.beyond().windows(2).all(|two| two[0].1 + 1 < two[1].0));
                prop_assert!(seen.beyond().first().is_none_or(|r| r.0 > seen.prefix() + 1));
                prop_assert_eq!(seen.last(), plain.last().copied().unwrap_or(0));
            }
        }

        #[test]
        fn covering_is_being_a_superset(
            a in prop::collection::vec((1_u64..30, 0_u64..4), 0..8),
            b in prop::collection::vec((1_u64..30, 0_u64..4), 0..8),
        ) {
            let build = |ranges: &[(u64, u64)]| {
                let mut seen = Seen::default();
                ranges.iter().for_each(|&(first, more)| seen.add(first, first + more));
                seen
            };
            let (a, b) = (build(&a), build(&b));
            let superset = (1..60).all(|n| !b.has(n) || a.has(n));
            prop_assert_eq!(a.covers(&b), superset);
            let mut joined = a.clone();
            joined.join(&b);
            prop_assert!((1..60).all(|n| joined.has(n) == (a.has(n) || b.has(n))));
        }
    }
}
