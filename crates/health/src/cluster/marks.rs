//! What other owners promise: their marks as they came, the newest of each owner and interval.
//!
//! A mark counts once this node has all that the owner had written by then, and holds of the
//! targets that both believe to be the owner's, with the same statuses where others wrote them;
//! until then it waits, and the older one stays. Ages add up along the way, so that no two clocks
//! are compared (design.md, "Freshness and coverage").
//! Does not know targets or the wire.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Duration, NodeId, Origin, Time, Version};

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
    /// It stands in the queue.
    queued: bool,
}

/// Which marks are looked at, of those that do not count yet. Among a thousand owners many wait for
/// something that takes its time; to look at them with each packet would be all that a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Each and all: once or twice a second.
    All,
    /// What came since the last look, unless they are few.
    New,
}

/// An owner and an interval.
pub(crate) type Place = (NodeId, Duration);

/// All marks.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    newest: BTreeMap<Place, Waiting>,
    held: BTreeMap<Place, Held>,
    /// Those that began to count since they were last asked for.
    fresh: BTreeSet<Place>,
    /// Those that do not count yet.
    unsettled: BTreeSet<Place>,
    /// Of these, those that were never looked at.
    unseen: Vec<Place>,
    /// What is to be passed on, in turn.
    queue: VecDeque<Place>,
    /// When this node's own were last offered to others.
    offered: BTreeMap<Duration, Time>,
    dropped: u64,
}

impl Marks {
    /// How many were dropped for want of room.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How far apart an owner offers its marks, so that they cost a node little however many there
    /// are: 125 ms for each of `listeners` whom it tells itself; where marks are passed on
    /// (`None`), 300 ms times the square root of how many there are. Nothing below a second.
    pub(crate) fn spacing(&self, listeners: Option<usize>) -> Duration {
        let (each, count) = match listeners {
            Some(listeners) => (FOR_A_LISTENER, listeners),
            None => (FOR_A_ROOT, self.newest.len().isqrt()),
        };
        let span = each * u32::try_from(count).unwrap_or(u32::MAX);
        if span > SECOND { span } else { Duration::ZERO }
    }

    /// This node's own mark, as it is now: it counts here at once, and goes out when the last is
    /// `spacing` ago.
    pub(crate) fn offer(&mut self, now: Time, mark: Mark, spacing: Duration) {
        let place = (mark.owner, mark.interval);
        self.take(now, mark);
        let offered = self.offered.entry(place.1).or_default();
        let waits = self.newest.get(&place).is_some_and(|w| w.sent == 0);
        if waits && now >= *offered + spacing {
            self.offered.insert(place.1, now);
            self.enqueue(place);
        }
    }

    /// Somebody's mark came.
    pub(crate) fn hear(&mut self, now: Time, mark: Mark) {
        let place = (mark.owner, mark.interval);
        if self.take(now, mark) {
            self.enqueue(place);
        }
    }

    fn enqueue(&mut self, place: Place) {
        let waiting = self.newest.get_mut(&place);
        if let Some(waiting) = waiting.filter(|waiting| !waiting.queued) {
            waiting.queued = true;
            self.queue.push_back(place);
        }
    }

    /// Whether anything is to be passed on.
    pub(crate) fn has_news(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes a mark in; whether it was news.
    fn take(&mut self, now: Time, mark: Mark) -> bool {
        let place = (mark.owner, mark.interval);
        // What is older than this process has no time on its clock; the next one will.
        let Some(at) = now.0.checked_sub(crate::clock::micros(mark.age)) else {
            return false;
        };
        let at = Time(at);
        let known = self.newest.get(&place);
        if known.is_some_and(|known| at <= known.at + SLACK && known.sum == mark.sum) {
            return false;
        }
        if known.is_some_and(|known| at < known.at) {
            return false;
        }
        let (known_queued, is_new) = (known.is_some_and(|known| known.queued), known.is_none());
        if is_new && self.newest.len() >= MARKS_MAX {
            self.sweep(now);
        }
        if is_new && self.newest.len() >= MARKS_MAX {
            self.dropped += 1;
            return false;
        }
        let waiting = Waiting {
            at,
            sum: mark.sum,
            version: mark.version,
            except: mark.except,
            sent: 0,
            queued: known_queued,
        };
        self.newest.insert(place, waiting);
        self.unsettled.insert(place);
        self.unseen.push(place);
        true
    }

    /// Owners that have nothing left at an interval say no more of it: such marks make room.
    fn sweep(&mut self, now: Time) {
        let is_over = |at: Time, (_, interval): &Place| now.since(at) > *interval * 4 + FORSAKEN;
        self.newest.retain(|place, mark| !is_over(mark.at, place));
        self.held.retain(|place, mark| !is_over(mark.at, place));
        let newest = &self.newest;
        self.unsettled.retain(|place| newest.contains_key(place));
    }

    /// Lets those count whose time has come; whether any did. `epoch_of` tells since when a sum is
    /// what this node believes of an owner's targets.
    pub(crate) fn settle(
        &mut self,
        look: Look,
        is_seen: impl Fn(NodeId, Version) -> bool,
        mut epoch_of: impl FnMut(NodeId, Duration, u64) -> Option<u32>,
    ) -> bool {
        let mut any = false;
        let mut places = std::mem::take(&mut self.unseen);
        if look == Look::All || self.unsettled.len() <= FEW {
            places = self.unsettled.iter().copied().collect();
        }
        for place in &places {
            // Two may have come of the same place.
            let is_open = self.unsettled.contains(place);
            let Some(waiting) = self.newest.get_mut(place).filter(|_| is_open) else {
                continue;
            };
            let Some(epoch) = epoch_of(place.0, place.1, waiting.sum) else {
                continue;
            };
            if !is_seen(place.0, waiting.version) {
                continue;
            }
            self.unsettled.remove(place);
            self.fresh.insert(*place);
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
        self.unsettled.retain(|(of, _)| *of != owner);
    }

    /// Those that began to count since the last call.
    pub(crate) fn fresh(&mut self) -> impl Iterator<Item = (Place, &Held)> {
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        fresh.filter_map(|place| Some((place, self.held.get(&place)?)))
    }

    /// All that count.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&Place, &Held)> {
        self.held.iter()
    }

    /// Whether an owner writes under this origin now, as its marks say.
    pub(crate) fn writes_as(&self, owner: NodeId, origin: Origin) -> bool {
        let marks = self.newest.range((owner, Duration::ZERO)..);
        let mut marks = marks.take_while(|((of, _), _)| *of == owner);
        marks.any(|(_, mark)| mark.version.origin == origin)
    }

    /// What is to be passed on now, at most so many, each so often in all.
    pub(crate) fn news(&mut self, now: Time, times: u8, most: usize) -> Vec<Mark> {
        let mut news = Vec::new();
        for _ in 0..most.min(self.queue.len()) {
            let place = self.queue.pop_front().expect("so many are queued");
            let Some(waiting) = self.newest.get_mut(&place) else {
                continue;
            };
            waiting.sent += 1;
            waiting.queued = waiting.sent < times;
            if waiting.queued {
                self.queue.push_back(place);
            }
            news.push(Mark {
                owner: place.0,
                interval: place.1,
                age: now.since(waiting.at),
                sum: waiting.sum,
                version: waiting.version,
                except: waiting.except.clone(),
            });
        }
        news
    }
}

/// The same mark over another way comes back a little younger, because what it spent on the wires
/// is not counted; it would be news to everybody again, and go round for ever. Two marks of one
/// owner and interval are further apart: they are made once a second at most, of rounds that
/// begin at least half a second after each other.
const SLACK: Duration = Duration::from_millis(400);
/// A mark of which no newer one came for so long, and four intervals, will have none.
const FORSAKEN: Duration = Duration::from_mins(10);
/// So many marks are looked at with each packet.
const FEW: usize = 32;
/// See [`Marks::spacing`].
const FOR_A_ROOT: Duration = Duration::from_millis(300);
const FOR_A_LISTENER: Duration = Duration::from_millis(125);
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: NodeId = NodeId(7);

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
    fn where_there_is_no_room_marks_that_nobody_renews_go_first() {
        let mut marks = Marks::default();
        let now = Time(10_000_000_000);
        let of = |interval_ms: usize| Mark {
            interval: Duration::from_millis(interval_ms as u64),
            ..mark(1_000, 1, 0)
        };
        for interval in 1..=MARKS_MAX {
            marks.hear(now, of(interval));
        }
        marks.hear(now, of(MARKS_MAX + 1));
        assert_eq!((marks.newest.len(), marks.dropped()), (MARKS_MAX, 1));
        marks.settle(Look::All, |_, _| true, believed);
        // Those of less than ten seconds are over by now.
        let later = now + FORSAKEN + Duration::from_secs(39);
        marks.hear(later, of(MARKS_MAX + 1));
        assert_eq!(marks.newest.len(), MARKS_MAX - 9_999 + 1);
        assert_eq!(marks.held().count(), MARKS_MAX - 9_999);
        assert_eq!(marks.dropped(), 1);
    }

    #[test]
    fn an_owner_writes_as_its_newest_mark_of_any_interval_says() {
        let mut marks = Marks::default();
        assert!(!marks.writes_as(OWNER, Origin(1)));
        marks.hear(Time(5_000_000), mark(1_000, 1, 9));
        let mut other = mark(1_000, 1, 9);
        (other.interval, other.version.origin) = (SECOND * 2, Origin(2));
        marks.hear(Time(5_000_000), other);
        assert!(marks.writes_as(OWNER, Origin(1)) && marks.writes_as(OWNER, Origin(2)));
        assert!(!marks.writes_as(NodeId(8), Origin(1)));
        let mut later = mark(1_000, 1, 1);
        later.version.origin = Origin(2);
        marks.hear(Time(7_000_000), later);
        assert!(!marks.writes_as(OWNER, Origin(1)), "that life is over");
    }

    #[test]
    fn a_mark_waits_for_what_its_owner_had_written() {
        let mut marks = Marks::default();
        marks.hear(Time(5_000_000), mark(1_000, 1, 9));
        assert!(!marks.settle(Look::All, |_, version| version.seq < 9, believed));
        assert_eq!(held(&marks), None);
        assert!(marks.settle(Look::All, |_, version| version.seq <= 9, believed));
        assert_eq!(held(&marks), Some((Time(4_000_000), 1)));
    }

    /// Broken once: what was looked at in vain was never looked at again.
    #[test]
    fn of_many_what_was_looked_at_in_vain_is_looked_at_again_when_all_are() {
        let mut marks = Marks::default();
        let many = FEW as u64 + 2;
        for owner in 0..many {
            let owner = NodeId(owner);
            let mark = mark(1_000, 1, 9);
            marks.hear(Time(5_000_000), Mark { owner, ..mark });
        }
        let settle = |marks: &mut Marks, look, is_seen| {
            let mut looked = 0;
            let epoch = |_, _, _| {
                looked += 1;
                Some(1)
            };
            let any = marks.settle(look, |_, _| is_seen, epoch);
            (any, looked)
        };
        assert_eq!(settle(&mut marks, Look::New, false), (false, many));
        assert_eq!(settle(&mut marks, Look::New, true), (false, 0));
        marks.hear(Time(6_000_000), mark(1_000, 1, 9));
        assert_eq!(settle(&mut marks, Look::New, true), (true, 1));
        assert_eq!(settle(&mut marks, Look::All, true), (true, many - 1));
    }

    #[test]
    fn a_mark_of_other_targets_waits_until_they_are_known() {
        let mut marks = Marks::default();
        marks.hear(Time(5_000_000), mark(1_000, 1, 0));
        assert!(marks.settle(Look::All, |_, _| true, believed));
        marks.hear(Time(6_000_000), mark(1_000, 77, 0));
        assert!(
            !marks.settle(Look::All, |_, _| true, believed),
            "other targets"
        );
        assert_eq!(held(&marks), Some((Time(4_000_000), 1)));
        assert!(marks.settle(Look::All, |_, _| true, |_, _, sum| (sum == 77).then_some(8)));
        assert_eq!(held(&marks), Some((Time(5_000_000), 8)));
    }

    #[test]
    fn a_mark_from_before_this_process_began_is_not_taken_for_a_younger_one() {
        let mut marks = Marks::default();
        marks.hear(Time(500_000), mark(1_000, 1, 0));
        marks.settle(Look::All, |_, _| true, believed);
        assert_eq!(held(&marks), None);
    }

    #[test]
    fn ages_add_up_along_the_way_and_an_older_mark_changes_nothing() {
        let (mut a, mut b) = (Marks::default(), Marks::default());
        a.hear(Time(10_000_000), mark(300, 1, 0));
        let relayed = a.news(Time(10_500_000), 1, 9).remove(0);
        assert_eq!(relayed.age, Duration::from_millis(800));
        assert_eq!(a.news(Time(10_600_000), 1, 9), []);
        b.hear(Time(77_000_000), relayed);
        b.hear(Time(77_100_000), mark(5_000, 1, 0));
        b.settle(Look::All, |_, _| true, believed);
        assert_eq!(held(&b), Some((Time(76_200_000), 1)));
    }

    #[test]
    fn every_mark_is_passed_on_so_often_and_no_more_at_a_time_than_there_is_room() {
        let mut marks = Marks::default();
        for owner in 0..10 {
            let mark = Mark {
                owner: NodeId(owner),
                ..mark(0, 1, 0)
            };
            marks.hear(Time(5_000_000), mark);
        }
        let mut sent = BTreeMap::new();
        let mut rounds = 0;
        while marks.has_news() {
            let news = marks.news(Time(5_000_000), 2, 6);
            assert!(news.len() <= 6);
            news.iter()
                .for_each(|mark| *sent.entry(mark.owner).or_insert(0) += 1);
            rounds += 1;
        }
        assert_eq!((sent.len(), rounds), (10, 4));
        assert!(sent.values().all(|times| *times == 2));
    }

    #[test]
    fn a_mark_that_comes_back_younger_over_many_wires_is_no_news() {
        let mut marks = Marks::default();
        marks.hear(Time(5_000_000), mark(1_000, 1, 0));
        assert_eq!(marks.news(Time(5_000_000), 1, 9).len(), 1);
        marks.hear(Time(6_050_000), mark(2_000, 1, 0));
        assert!(!marks.has_news());
        marks.hear(Time(6_050_000), mark(1_200, 1, 0));
        assert!(marks.has_news());
    }

    #[test]
    fn a_newer_mark_takes_the_place_of_the_one_that_waits_to_be_passed_on() {
        let mut marks = Marks::default();
        marks.hear(Time(5_000_000), mark(0, 1, 0));
        marks.hear(Time(6_000_000), mark(0, 1, 0));
        let news = marks.news(Time(6_500_000), 1, 9);
        assert_eq!(news.len(), 1);
        assert_eq!(news[0].age, Duration::from_millis(500));
        assert!(!marks.has_news());
    }

    #[test]
    fn among_many_owners_each_offers_its_mark_less_often_and_the_newest_it_has() {
        let mut marks = Marks::default();
        for owner in 100..1_188 {
            let mark = Mark {
                owner: NodeId(owner),
                ..mark(0, 1, 0)
            };
            marks.hear(Time(1_000_000), mark);
        }
        while marks.has_news() {
            marks.news(Time(1_000_000), 2, 100);
        }
        let mut offers = Vec::new();
        assert_eq!(marks.spacing(None), Duration::from_millis(9_600));
        for second in 20..60 {
            let now = Time(second * 1_000_000);
            let spacing = marks.spacing(None);
            marks.offer(now, mark(0, 1, 0), spacing);
            marks.settle(Look::All, |_, _| true, believed);
            let news = marks.news(now, 1, 9);
            offers.extend(news.iter().map(|mark| (second, mark.age.as_secs())));
        }
        assert_eq!(offers, [(20, 0), (30, 0), (40, 0), (50, 0)]);
    }

    #[test]
    fn few_are_told_every_second_and_more_less_often() {
        let marks = Marks::default();
        assert_eq!(marks.spacing(Some(6)), Duration::ZERO);
        assert_eq!(marks.spacing(Some(8)), Duration::ZERO);
        assert_eq!(marks.spacing(Some(12)), Duration::from_millis(1_500));
        assert_eq!(marks.spacing(None), Duration::ZERO);
    }
}
