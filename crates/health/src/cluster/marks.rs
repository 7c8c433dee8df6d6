//! What other owners promise: their marks as they came, the newest of each owner and interval.
//!
//! A mark counts once this node has all that the owner had written by then, and once it knows the
//! members as the owner saw them; until then it waits, and the older one stays. Ages add up along
//! the way, so that no two clocks are compared (design.md, "Freshness and coverage").
//! Does not know targets or the wire.

use std::collections::{BTreeMap, VecDeque};

use base::{Duration, NodeId, Time, Version};

use super::packet::Mark;

/// How many views of the members are remembered.
const VIEWS: usize = 8;
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
    view: u64,
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
    /// The last views of the members, with the epoch that each began.
    views: VecDeque<(u32, u64)>,
    epoch: u32,
    dropped: u64,
}

impl Marks {
    /// The members are others now.
    pub(crate) fn turn(&mut self, view: u64) -> u32 {
        if self.views.back().is_none_or(|(_, last)| *last != view) {
            self.epoch += 1;
            self.views.push_back((self.epoch, view));
            if self.views.len() > VIEWS {
                self.views.pop_front();
            }
        }
        self.epoch
    }

    /// The members are the same, but not who owns what: what was promised until now does not hold
    /// for the targets that have moved.
    pub(crate) fn renew(&mut self) -> u32 {
        if let Some((epoch, _)) = self.views.back_mut() {
            self.epoch += 1;
            *epoch = self.epoch;
        }
        self.epoch
    }

    /// The epoch that is.
    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The members as this node sees them.
    pub(crate) fn view(&self) -> u64 {
        self.views.back().map_or(0, |(_, view)| *view)
    }

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
        if known.is_some_and(|known| at <= known.at + slack && known.view == mark.view) {
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
            view: mark.view,
            version: mark.version,
            except: mark.except,
            sent: 0,
            counts: false,
        };
        self.newest.insert(place, waiting);
    }

    /// Lets those count whose time has come; whether any did.
    pub(crate) fn settle(&mut self, is_seen: impl Fn(Version) -> bool) -> bool {
        let mut any = false;
        for (place, waiting) in self.newest.iter_mut().filter(|(_, w)| !w.counts) {
            let known = self.views.iter().rev().find(|(_, v)| *v == waiting.view);
            let Some(&(epoch, _)) = known else {
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
                view: waiting.view,
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

    fn mark(age_ms: u64, view: u64, seq: u64) -> Mark {
        Mark {
            owner: OWNER,
            interval: SECOND,
            age: Duration::from_millis(age_ms),
            view,
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

    #[test]
    fn a_mark_waits_for_what_its_owner_had_written() {
        let mut marks = Marks::default();
        marks.turn(1);
        marks.hear(Time(5_000_000), mark(1_000, 1, 9));
        assert!(!marks.settle(|version| version.seq < 9));
        assert_eq!(held(&marks), None);
        assert!(marks.settle(|version| version.seq <= 9));
        assert_eq!(held(&marks), Some((Time(4_000_000), 1)));
    }

    #[test]
    fn a_mark_from_before_a_renewal_does_not_count_for_what_has_moved() {
        let mut marks = Marks::default();
        marks.turn(1);
        marks.hear(Time(5_000_000), mark(1_000, 1, 0));
        marks.settle(|_| true);
        let moved = marks.renew();
        assert!(held(&marks).is_some_and(|(_, epoch)| epoch < moved));
        marks.hear(Time(6_000_000), mark(1_000, 1, 0));
        marks.settle(|_| true);
        assert_eq!(held(&marks), Some((Time(5_000_000), moved)));
    }

    #[test]
    fn a_mark_from_before_this_process_began_is_not_taken_for_a_younger_one() {
        let mut marks = Marks::default();
        marks.turn(1);
        marks.hear(Time(500_000), mark(1_000, 1, 0));
        marks.settle(|_| true);
        assert_eq!(held(&marks), None);
    }

    #[test]
    fn a_mark_of_an_older_view_holds_only_for_who_had_the_target_then() {
        let mut marks = Marks::default();
        marks.turn(1);
        marks.turn(2);
        marks.hear(Time(5_000_000), mark(0, 1, 0));
        marks.settle(|_| true);
        assert_eq!(held(&marks), Some((Time(5_000_000), 1)));
        marks.hear(Time(6_000_000), mark(0, 3, 0));
        assert!(!marks.settle(|_| true), "a view that nobody here knows");
        marks.turn(3);
        assert!(marks.settle(|_| true));
        assert_eq!(held(&marks), Some((Time(6_000_000), 3)));
    }

    #[test]
    fn ages_add_up_along_the_way_and_an_older_mark_changes_nothing() {
        let (mut a, mut b) = (Marks::default(), Marks::default());
        a.turn(1);
        b.turn(1);
        a.hear(Time(10_000_000), mark(300, 1, 0));
        let relayed = a.news(Time(10_500_000), 1).remove(0);
        assert_eq!(relayed.age, Duration::from_millis(800));
        assert_eq!(a.news(Time(10_600_000), 1), []);
        b.hear(Time(77_000_000), relayed);
        b.hear(Time(77_100_000), mark(5_000, 1, 0));
        b.settle(|_| true);
        assert_eq!(held(&b), Some((Time(76_200_000), 1)));
    }
}
