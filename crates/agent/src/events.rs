//! The last changes of state, kept so that a reader who was away can resume.
//!
//! A bounded log, not a bus: the driver appends, readers come back with the last id they saw.
//! An id is `origin-seq` of the write that carried the change, so it outlives a restart.
//! A reader whose place is no longer in the log is told that there is a gap.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use base::{Origin, Version};
use health::Event;
use tokio::sync::watch;

/// How many changes are kept.
pub const KEPT: usize = 8_192;

/// The log.
#[derive(Debug)]
pub struct Events {
    log: Mutex<Log>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    origin: Origin,
    kept: VecDeque<Arc<Event>>,
    /// Every change with a higher number is in `kept`.
    complete_after: u64,
}

/// What came after a reader's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// Some changes after the place are no longer known.
    pub gap: bool,
    /// Whose numbers these are.
    pub origin: Origin,
    /// The changes, oldest first.
    pub events: Vec<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            log: Mutex::default(),
            last: watch::channel(0).0,
        }
    }
}

impl Events {
    /// Starts the log of `origin` with what the disk still knows, oldest first; what lies at or
    /// below `complete_after` may have holes.
    pub fn restore(&self, origin: Origin, complete_after: u64, events: Vec<Event>) {
        let mut log = self.lock();
        log.origin = origin;
        log.complete_after = complete_after;
        log.kept = events.into_iter().map(Arc::new).collect();
        log.trim();
    }

    /// Appends a change and wakes the readers.
    pub fn push(&self, event: Event) {
        let seq = event.transition.seq;
        let mut log = self.lock();
        log.kept.push_back(Arc::new(event));
        log.trim();
        drop(log);
        self.last.send_replace(seq);
    }

    /// What came after `place`; everything that is kept without one.
    #[must_use]
    pub fn after(&self, place: Option<Version>) -> Later {
        let log = self.lock();
        let (from, gap) = match place {
            None => (0, false),
            Some(place) if place.origin != log.origin => (0, true),
            // Ahead of us: the store went back in time since, and what was seen then is no more.
            Some(place) if place.seq > log.newest() => (0, true),
            Some(place) => (place.seq, place.seq < log.complete_after),
        };
        let first = log.kept.partition_point(|e| e.transition.seq <= from);
        let events = log.kept.range(first..).cloned().collect();
        Later {
            gap,
            origin: log.origin,
            events,
        }
    }

    /// Changes whenever something was appended.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log
            .lock()
            .expect("nobody panics while holding the log")
    }
}

impl Log {
    /// The highest number that a reader can have seen.
    fn newest(&self) -> u64 {
        let last = self.kept.back().map_or(0, |e| e.transition.seq);
        last.max(self.complete_after)
    }

    fn trim(&mut self) {
        while self.kept.len() > KEPT {
            if let Some(gone) = self.kept.pop_front() {
                self.complete_after = self.complete_after.max(gone.transition.seq);
            }
        }
    }
}

/// Reads an event's id, `origin-seq`.
#[must_use]
pub fn parse_id(text: &str) -> Option<Version> {
    let (origin, seq) = text.split_once('-')?;
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_plain(origin) || !is_plain(seq) {
        return None;
    }
    let origin = u64::from_str_radix(origin, 16)
        .ok()
        .filter(|_| origin.len() == 16)?;
    Some(Version {
        origin: Origin(origin),
        seq: seq.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Wall;
    use health::{Reason, State, Transition};

    const HERE: Origin = Origin(7);

    fn event(seq: u64) -> Event {
        let transition = Transition {
            number: 1,
            at: Wall(0),
            from: State::Unknown,
            to: State::Up,
            reason: Reason::None,
            seq,
        };
        Event {
            target: "web".into(),
            transition,
            detail: None,
        }
    }

    fn seqs(later: &Later) -> Vec<u64> {
        later.events.iter().map(|e| e.transition.seq).collect()
    }

    #[test]
    fn a_reader_resumes_after_the_last_id_it_saw() {
        let events = Events::default();
        events.restore(HERE, 0, Vec::new());
        (1..=5).for_each(|seq| events.push(event(seq)));
        let later = events.after(Some(Version {
            origin: HERE,
            seq: 3,
        }));
        assert_eq!((later.gap, seqs(&later)), (false, vec![4, 5]));
        assert_eq!(seqs(&events.after(None)), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_reader_who_was_away_too_long_is_told_of_the_gap() {
        let events = Events::default();
        events.restore(HERE, 0, Vec::new());
        (1..=KEPT as u64 + 10).for_each(|seq| events.push(event(seq)));
        assert!(
            events
                .after(Some(Version {
                    origin: HERE,
                    seq: 9
                }))
                .gap
        );
        assert!(
            !events
                .after(Some(Version {
                    origin: HERE,
                    seq: 10
                }))
                .gap
        );
        assert_eq!(events.after(None).events.len(), KEPT);
    }

    #[test]
    fn an_id_of_another_origin_is_a_gap() {
        let events = Events::default();
        events.restore(HERE, 4, vec![event(3), event(5)]);
        assert!(
            events
                .after(Some(Version {
                    origin: Origin(8),
                    seq: 5
                }))
                .gap
        );
        assert!(
            events
                .after(Some(Version {
                    origin: HERE,
                    seq: 3
                }))
                .gap
        );
        assert!(
            !events
                .after(Some(Version {
                    origin: HERE,
                    seq: 4
                }))
                .gap
        );
    }

    #[test]
    fn an_id_ahead_of_the_log_is_a_gap() {
        let events = Events::default();
        events.restore(HERE, 0, vec![event(3), event(5)]);
        let later = events.after(Some(Version {
            origin: HERE,
            seq: 6,
        }));
        assert_eq!((later.gap, seqs(&later)), (true, vec![3, 5]));
    }

    #[test]
    fn an_id_reads_back_as_it_prints() {
        let version = Version {
            origin: Origin(0xabc),
            seq: 42,
        };
        assert_eq!(parse_id(&version.to_string()), Some(version));
        for wrong in [
            "",
            "-",
            "1",
            "xyz-1",
            "00000000000000ab-",
            "0000000000000abc-x",
            "+000000000000abc-1",
            "0000000000000abc-+1",
            "0000000000000abc--1",
            "0000000000000abc-18446744073709551616",
            "é0000000000000ab-1",
        ] {
            assert_eq!(parse_id(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_waiting_reader_wakes_when_something_happens() {
        let events = Events::default();
        let mut watch = events.watch();
        events.push(event(1));
        watch.changed().await.unwrap();
        assert_eq!(*watch.borrow(), 1);
    }
}
