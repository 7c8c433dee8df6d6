//! The order that a stream has and Maelstrom's network has not: numbers, and patience for what overtook.
//!
//! The store is promised that a stream brings its messages in order or not at all. What comes too early is
//! held; what is missing for too long is given up, as when a connection breaks.

use std::collections::BTreeMap;

use base::{Duration, NodeId, Time};

/// A missing message is waited for this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Messages of one peer that are held at most; one more, and the missing one is given up.
const HELD_MAX: usize = 64;

/// Which message of a stream: the boot of its sender, and its number from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) boot: u64,
    pub(crate) number: u64,
}

/// The streams of one node, to and from each peer.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    boot: u64,
    sent: BTreeMap<NodeId, u64>,
    from: BTreeMap<NodeId, From>,
}

/// What came from one peer.
#[derive(Debug)]
struct From {
    boot: u64,
    next: u64,
    held: BTreeMap<u64, (Time, Vec<u8>)>,
}

impl Streams {
    /// Streams of a node that has just booted; `boot` is random.
    pub(crate) fn new(boot: u64) -> Self {
        Self {
            boot,
            ..Self::default()
        }
    }

    /// The place of the next message to this peer.
    pub(crate) fn place(&mut self, to: NodeId) -> Place {
        let sent = self.sent.entry(to).or_default();
        *sent += 1;
        Place {
            boot: self.boot,
            number: *sent,
        }
    }

    /// Takes a message; what is now in order is given by [`Self::ready`].
    pub(crate) fn take(&mut self, now: Time, peer: NodeId, place: Place, bytes: Vec<u8>) {
        let fresh = || From {
            boot: place.boot,
            next: 1,
            held: BTreeMap::new(),
        };
        let from = self.from.entry(peer).or_insert_with(fresh);
        if from.boot != place.boot {
            *from = fresh();
        }
        if place.number >= from.next {
            let until = now + PATIENCE;
            from.held.entry(place.number).or_insert((until, bytes));
        }
        if from.held.len() > HELD_MAX {
            from.give_up();
        }
    }

    /// The next message that is in order, or whose predecessors were waited for long enough.
    pub(crate) fn ready(&mut self, now: Time) -> Option<(NodeId, Vec<u8>)> {
        self.from.iter_mut().find_map(|(peer, from)| {
            if from.held.values().any(|(until, _)| *until <= now) {
                from.give_up();
            }
            let (_, bytes) = from.held.remove(&from.next)?;
            from.next += 1;
            Some((*peer, bytes))
        })
    }

    /// When patience ends.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let held = self.from.values().flat_map(|from| from.held.values());
        held.map(|(until, _)| *until).min()
    }
}

impl From {
    /// Waits no longer for what is missing before the first that is held.
    fn give_up(&mut self) {
        if let Some(first) = self.held.keys().next() {
            self.next = *first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn take(streams: &mut Streams, now: u64, boot: u64, number: u64) {
        let place = Place { boot, number };
        let byte = u8::try_from(number).expect("a small number");
        streams.take(Time(now), PEER, place, vec![byte]);
    }

    fn ready(streams: &mut Streams, now: u64) -> Vec<u8> {
        let all = std::iter::from_fn(|| streams.ready(Time(now)));
        all.flat_map(|(_, bytes)| bytes).collect()
    }

    #[test]
    fn what_overtook_is_held_until_the_rest_is_there() {
        let mut streams = Streams::default();
        take(&mut streams, 0, 9, 3);
        take(&mut streams, 0, 9, 2);
        assert!(ready(&mut streams, 0).is_empty());
        take(&mut streams, 5, 9, 1);
        assert_eq!(ready(&mut streams, 5), [1, 2, 3]);
        assert_eq!(streams.deadline(), None);
    }

    #[test]
    fn what_is_missing_is_given_up_after_a_second_and_never_delivered_late() {
        let mut streams = Streams::default();
        take(&mut streams, 0, 9, 2);
        assert_eq!(streams.deadline(), Some(Time(1_000_000)));
        assert!(ready(&mut streams, 999_999).is_empty());
        assert_eq!(ready(&mut streams, 1_000_000), [2]);
        take(&mut streams, 1_000_001, 9, 1);
        take(&mut streams, 1_000_001, 9, 2);
        assert!(ready(&mut streams, 1_000_001).is_empty());
    }

    #[test]
    fn no_more_than_64_are_held_for_one_that_is_missing() {
        let mut streams = Streams::default();
        for number in 2..=65 {
            take(&mut streams, 0, 9, number);
        }
        assert!(ready(&mut streams, 0).is_empty());
        take(&mut streams, 0, 9, 66);
        assert_eq!(ready(&mut streams, 0).len(), 65);
    }

    #[test]
    fn another_boot_begins_a_new_stream() {
        let mut streams = Streams::default();
        take(&mut streams, 0, 9, 1);
        assert_eq!(ready(&mut streams, 0), [1]);
        take(&mut streams, 0, 8, 1);
        assert_eq!(ready(&mut streams, 0), [1]);
    }

    #[test]
    fn each_peer_has_its_own_numbers() {
        let mut streams = Streams::new(7);
        let numbers = [NodeId(2), NodeId(3), NodeId(2)].map(|to| streams.place(to).number);
        assert_eq!(numbers, [1, 1, 2]);
        assert_eq!(streams.place(PEER).boot, 7);
    }
}
