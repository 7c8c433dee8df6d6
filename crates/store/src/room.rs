//! How many origins are taken in.
//!
//! Every life that writes has an origin of its own, and a closed one is remembered so that nothing
//! of it comes back. Their number is bounded: a message that would go over it is left alone as a
//! whole and counted, and what is known already goes on. Does not know who sent it.

use std::collections::BTreeSet;

use base::Origin;

use crate::message::{Live, Marker, Message, Sent, Vector};
use crate::{Slot, Store};

/// Origins that are taken in from others; the places beyond are for this node's own lives.
pub(crate) const ORIGINS_MAX: usize = Slot::MAX as usize - 535;

impl Store {
    /// Whether the origins that a message of so many bytes names have a place.
    pub(crate) fn has_room_for(&self, message: &Message, bytes: usize) -> bool {
        // An origin takes eight bytes: far from the bound nothing needs to be counted.
        if self.known.len() + bytes / size_of::<Origin>() <= ORIGINS_MAX {
            return true;
        }
        let mut fresh = origins(message);
        fresh.retain(|origin| !self.slots.contains_key(origin));
        fresh.is_empty() || self.known.len() + fresh.len() <= ORIGINS_MAX
    }

    /// Whether this origin has a place or gets one.
    pub(crate) fn has_room(&self, origin: Origin) -> bool {
        self.known.len() < ORIGINS_MAX || self.slots.contains_key(&origin)
    }
}

/// Every origin that a message names.
fn origins(message: &Message) -> BTreeSet<Origin> {
    let mut all = BTreeSet::new();
    match message {
        Message::Pull(_) | Message::Same(_) | Message::More(..) => {}
        Message::Vector { vector, .. } => of_vector(vector, &mut all),
        Message::Part {
            entries, marker, ..
        } => {
            of_entries(entries, &mut all);
            if let Some(Marker {
                vector,
                floors,
                live,
            }) = marker.as_deref()
            {
                of_vector(vector, &mut all);
                all.extend(floors.iter().map(|(origin, _)| origin));
                if let Some(Live { entries, originals }) = live {
                    all.extend(entries.iter().chain(originals).map(|(origin, _)| origin));
                }
            }
        }
        Message::News {
            floors, entries, ..
        } => {
            all.extend(floors.iter().map(|(origin, _)| origin));
            of_entries(entries, &mut all);
        }
        Message::Ack(origin, _) => {
            all.insert(*origin);
        }
    }
    all
}

fn of_vector(vector: &Vector, all: &mut BTreeSet<Origin>) {
    let each = vector.seen.iter().chain(&vector.retired);
    all.extend(each.map(|(origin, _)| origin));
}

fn of_entries(groups: &[(Origin, Vec<Sent>)], all: &mut BTreeSet<Origin>) {
    for (origin, entries) in groups {
        all.insert(*origin);
        for entry in entries {
            all.extend(entry.over.iter().map(|(origin, _)| origin));
            all.extend(entry.copy_of.iter().map(|copy| copy.original.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use base::{NodeId, Time, Way};

    use super::*;
    use crate::{Config, CopyOf, Input, Seen};

    fn store() -> Store {
        Store::new(Config::lan(NodeId(1), Origin(1), 7), Vec::new()).expect("an empty disk")
    }

    fn hear(store: &mut Store, message: &Message) {
        let came = Input::Received(NodeId(2), Way::Stream, message.encode());
        store.handle(Time(1), came);
        while store.poll().is_some() {}
    }

    fn vector_of(range: std::ops::Range<u64>) -> Message {
        Message::Vector {
            exchange: 0,
            answer: false,
            vector: Vector {
                seen: range.map(|n| (Origin(n), Seen::up_to(1))).collect(),
                retired: Vec::new(),
            },
        }
    }

    #[test]
    fn more_origins_than_there_is_room_for_are_counted_and_change_nothing() {
        let mut store = store();
        let most = ORIGINS_MAX as u64;
        hear(&mut store, &vector_of(10..10 + most));
        assert_eq!(
            (store.known.len(), store.counters().crowded),
            (ORIGINS_MAX, 0)
        );
        hear(&mut store, &vector_of(10..10 + most + 1));
        hear(&mut store, &Message::Ack(Origin(5), Seen::up_to(1)));
        store.handle(Time(1), Input::Retire(Origin(6)));
        assert_eq!(
            (store.known.len(), store.counters().crowded),
            (ORIGINS_MAX, 2)
        );
        // What is known goes on, and so do own writes.
        hear(&mut store, &vector_of(10..20));
        store.handle(Time(2), Input::Put(b"key".to_vec(), b"value".to_vec()));
        assert_eq!(store.counters().crowded, 2);
        assert!(store.is_behind(), "it is on its way to the disk");
    }

    #[test]
    fn an_origin_is_found_wherever_a_message_names_it() {
        let sent = Sent {
            seq: 1,
            key: b"k".to_vec(),
            value: None,
            over: vec![(Origin(2), 1)],
            copy_of: Some(CopyOf {
                original: (Origin(3), 1),
                times: 1,
            }),
        };
        let marker = Marker {
            vector: Vector {
                seen: vec![(Origin(4), Seen::up_to(1))],
                retired: vec![(Origin(5), Seen::up_to(1))],
            },
            floors: vec![(Origin(6), 1)],
            live: Some(Live {
                entries: vec![(Origin(7), vec![1])],
                originals: vec![(Origin(8), vec![1])],
            }),
        };
        let part = Message::Part {
            exchange: 0,
            number: 0,
            whole: false,
            entries: vec![(Origin(1), vec![sent.clone()])],
            marker: Some(Box::new(marker)),
        };
        assert_eq!(origins(&part), (1..=8).map(Origin).collect());
        let news = Message::News {
            ack: false,
            closings: 0,
            floors: vec![(Origin(4), 1)],
            entries: vec![(Origin(1), vec![sent])],
        };
        assert_eq!(origins(&news), (1..=4).map(Origin).collect());
    }
}
