//! What other owners promise: their marks as they came, the newest of each owner and interval.
//!
//! A mark counts once this node has all that the owner had written by then, and holds of the
//! targets that both believe to be the owner's; until then it waits, and the older one stays. Ages add up along
//! the way, so that no two clocks are compared (design.md, "Freshness and coverage").
//! Does not know targets or the wire.

use std::collections::BTreeMap;

use base::{Duration, NodeId, Time, Version};

use super::packet::Mark;

/// Owners and intervals that are remembered at most; more are counted and dropped.
const MARKS_MAX: usize = 16_384;

/// A mark that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// On this node's clock.
    pub(crate) at: Time,
    /// It holds of targets that have had this owner since this epoch or longer.
    pub(crate) epoch: u32,
    pub(crate) except: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Waiting {
    at: Time,
    /// Of all targets of this owner and interval.
    sum: u64,
    version: Version,
    except: Vec<u64>,
    /// How often it was passed on.
    sent: u8,
    counts: bool,
}

/// An owner and an interval.
pub(crate) type Place = (NodeId, Duration);

/// All marks.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    newest: BTreeMap<Place, Waiting>,
    held: BTreeMap<Place, Held>,
    dropped: u64,
}

impl Marks {
    /// How many were dropped for want of room.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A mark came, or is this node's own.
    pub(crate) fn hear(&mut self, now: Time, mark: Mark) {
        let place = (mark.owner, mark.interval);
        // What is older than this process has no time on its clock; the next one will.
        let Some(at) = now.0.checked_sub(crate::clock::micros(mark.age)) else {
            return;
        };
        let at = Time(at);
        // The same mark over another way comes back a little older or younger.
        let slack = Duration::from_millis(2);
        let known = self.newest.get(&place);
        if known.is_some_and(|known| at <= known.at + slack && known.sum == mark.sum) {
            return;
        }
        if known.is_some_and(|known| at < known.at) {
            return;
        }
        if known.is_none() && self.newest.len() >= MARKS_MAX {
            self.dropped += 1;
            return;
        }
        let waiting = Waiting {
            at,
            sum: mark.sum,
            version: mark.version,
            except: mark.except,
            sent: 0,
            counts: false,
        };
        self.newest.insert(place, waiting);
    }

    /// Lets those count whose time has come; whether any did. `epoch_of` tells since when a sum is
    /// what this node believes of an owner's targets.
    pub(crate) fn settle(
        &mut self,
        is_seen: impl Fn(Version) -> bool,
        epoch_of: impl Fn(NodeId, Duration, u64) -> Option<u32>,
    ) -> bool {
        let mut any = false;
        for (place, waiting) in self.newest.iter_mut().filter(|(_, w)| !w.counts) {
            let Some(epoch) = epoch_of(place.0, place.1, waiting.sum) else {
                continue;
            };
            if waiting.version.seq > 0 && !is_seen(waiting.version) {
                continue;
            }
            waiting.counts = true;
            any = true;
            let held = Held {
                at: waiting.at,
                epoch,
                except: waiting.except.clone(),
            };
            self.held.insert(*place, held);
        }
        any
    }

    /// An owner is gone for good.
    pub(crate) fn forget(&mut self, owner: NodeId) {
        self.newest.retain(|(of, _), _| *of != owner);
        self.held.retain(|(of, _), _| *of != owner);
    }

    /// All that count.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&Place, &Held)> {
        self.held.iter()
    }

    /// What is to be passed on, each at most so often; oldest news last.
    pub(crate) fn news(&mut self, now: Time, times: u8) -> Vec<Mark> {
        let mut news = Vec::new();
        for (&(owner, interval), waiting) in &mut self.newest {
            let age = now.since(waiting.at);
            if waiting.sent >= times {
                continue;
            }
            waiting.sent += 1;
            news.push(Mark {
                owner,
                interval,
                age,
                sum: waiting.sum,
                version: waiting.version,
                except: waiting.except.clone(),
            });
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Origin;

    const OWNER: NodeId = NodeId(7);
    const SECOND: Duration = Duration::from_secs(1);

    fn mark(age_ms: u64, sum: u64, seq: u64) -> Mark {
        Mark {
            owner: OWNER,
            interval: SECOND,
            age: Duration::from_millis(age_ms),
            sum,
            version: Version {
                origin: Origin(1),
                seq,
            },
            except: vec![],
        }
    }

    fn held(marks: &Marks) -> Option<(Time, u32)> {
        marks.held().next().map(|(_, held)| (held.at, held.epoch))
    }

    /// Sums below 10 are what this node believes, each since the epoch of its own number.
    fn believed(_: NodeId, _: Duration, sum: u64) -> Option<u32> {
        u32::try_from(sum).ok().filter(|sum| *sum < 10)
    }

    #[test]
    fn a_mark_waits_for_what_its_owner_had_written() {
        let mut marks = Marks::default();
        marks.hear(Time(5_000_000), mark(1_000, 1, 9));
        assert!(!marks.settle(|version| version.seq < 9, believed));
        assert_eq!(held(&marks), None);
        assert!(marks.settle(|version| version.seq <= 9, believed));
        assert_eq!(held(&marks), Some((Time(4_000_000), 1)));
    }

    #[test]
    fn a_mark_of_other_targets_waits_until_they_are_known() {
        let mut marks = Marks::default();
        marks.hear(Time(5_000_000), mark(1_000, 1, 0));
        assert!(marks.settle(|_| true, believed));
        marks.hear(Time(6_000_000), mark(1_000, 77, 0));
        assert!(!marks.settle(|_| true, believed), "other targets");
        assert_eq!(held(&marks), Some((Time(4_000_000), 1)));
        assert!(marks.settle(|_| true, |_, _, sum| (sum == 77).then_some(8)));
        assert_eq!(held(&marks), Some((Time(5_000_000), 8)));
    }

    #[test]
    fn a_mark_from_before_this_process_began_is_not_taken_for_a_younger_one() {
        let mut marks = Marks::default();
        marks.hear(Time(500_000), mark(1_000, 1, 0));
        marks.settle(|_| true, believed);
        assert_eq!(held(&marks), None);
    }

    #[test]
    fn ages_add_up_along_the_way_and_an_older_mark_changes_nothing() {
        let (mut a, mut b) = (Marks::default(), Marks::default());
        a.hear(Time(10_000_000), mark(300, 1, 0));
        let relayed = a.news(Time(10_500_000), 1).remove(0);
        assert_eq!(relayed.age, Duration::from_millis(800));
        assert_eq!(a.news(Time(10_600_000), 1), []);
        b.hear(Time(77_000_000), relayed);
        b.hear(Time(77_100_000), mark(5_000, 1, 0));
        b.settle(|_| true, believed);
        assert_eq!(held(&b), Some((Time(76_200_000), 1)));
    }
}
