//! Whether a view shows a certain write: what a reader asks with `min_version`.
//!
//! The one place where a version token is held against what a node has: agent and simulator both
//! ask [`View::reach`]. A write is shown once its number was seen and is on disk here, by itself,
//! through one that came after it, or because all that its origin wrote was closed; the rows of
//! the same view are then not older than it (design.md §5, freshness). Does not know what was
//! written.

use base::Version;

use crate::view::View;

/// How far a view has come on the way to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The view shows the write, or what took its place.
    Shown,
    /// Other writes of the same origin are shown, this one is not.
    Behind {
        /// All of the origin's writes up to this number are shown.
        upto: u64,
        /// The highest number of the origin that is shown.
        last: u64,
    },
    /// Nothing that this origin wrote is known here.
    Unknown,
}

impl View {
    /// Whether this view shows `write`. On a node alone only its own writes are known.
    #[must_use]
    pub fn reach(&self, write: Version) -> Reach {
        if write.seq == 0 {
            // The token of one that has not written anything yet.
            return Reach::Shown;
        }
        let Some(fleet) = self.fleet() else {
            let own = self.version;
            return match own.origin == write.origin {
                true if write.seq <= own.seq => Reach::Shown,
                true => Reach::Behind {
                    upto: own.seq,
                    last: own.seq,
                },
                false => Reach::Unknown,
            };
        };
        let origins = fleet.seen.seen.iter().chain(&fleet.seen.retired);
        let mut of_origin = origins.filter(|(origin, _)| *origin == write.origin);
        match of_origin.next() {
            Some((_, seen)) if seen.has(write.seq) => Reach::Shown,
            Some((_, seen)) => Reach::Behind {
                upto: seen.prefix(),
                last: seen.last(),
            },
            None => Reach::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::Origin;

    use super::*;
    use crate::fleet::Fleet;

    const ANN: Origin = Origin(1);
    const BOB: Origin = Origin(2);
    const EVE: Origin = Origin(3);

    fn write(origin: Origin, seq: u64) -> Version {
        Version { origin, seq }
    }

    /// Ann's writes up to 4, and 7; Bob's are closed after 5.
    fn view() -> View {
        let mut anns = store::Seen::up_to(4);
        anns.add(7, 7);
        let seen = store::Vector {
            seen: vec![(ANN, anns)],
            retired: vec![(BOB, store::Seen::up_to(5))],
        };
        View::empty().with_fleet(Arc::new(Fleet {
            seen: seen.into(),
            ..Fleet::default()
        }))
    }

    #[test]
    fn a_write_is_shown_by_prefix_by_itself_or_with_all_of_a_closed_origin() {
        for (origin, seq) in [(ANN, 0), (ANN, 1), (ANN, 4), (ANN, 7), (BOB, 5), (EVE, 0)] {
            assert_eq!(view().reach(write(origin, seq)), Reach::Shown, "{seq}");
        }
    }

    #[test]
    fn a_later_write_of_the_same_origin_does_not_stand_for_an_earlier_one() {
        let behind = Reach::Behind { upto: 4, last: 7 };
        for seq in [5, 6, 8, u64::MAX] {
            assert_eq!(view().reach(write(ANN, seq)), behind, "{seq}");
        }
    }

    #[test]
    fn what_a_closed_origin_is_not_known_to_have_written_is_not_shown() {
        let behind = Reach::Behind { upto: 5, last: 5 };
        assert_eq!(view().reach(write(BOB, 6)), behind);
        assert_eq!(view().reach(write(EVE, 1)), Reach::Unknown);
    }

    #[test]
    fn a_node_alone_knows_its_own_writes() {
        let view = View::of(write(ANN, 3), Vec::new());
        assert_eq!(view.reach(write(ANN, 3)), Reach::Shown);
        let behind = Reach::Behind { upto: 3, last: 3 };
        assert_eq!(view.reach(write(ANN, 4)), behind);
        assert_eq!(view.reach(write(BOB, 1)), Reach::Unknown);
    }
}
