//! What stores say to each other, and its bytes.
//!
//! Every message starts with the wire version and a checksum over the rest. A newer version is
//! refused, every count is bounded by the bytes that are left before anything is allocated.
//! Origins are written whole once per message part; entries are grouped by origin, in the order of
//! their numbers.

use base::wire::{DecodeError as WireError, Reader, Writer};
use base::{Origin, hash64};
use thiserror::Error;

use crate::seen::Seen;
use crate::{KEY_MAX, VALUE_MAX};

/// The version that this code writes, and the newest that it reads.
pub const WIRE_VERSION: u8 = 1;
/// Ranges beyond the prefix that are told per origin; more are left out, which only costs bytes.
pub(crate) const RANGES_MAX: usize = 64;
/// Bytes before the kind: version and checksum.
const HEAD: usize = 5;

/// Bytes from a peer that are not one of our messages. State is unchanged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A peer runs a newer version.
    #[error("wire version {0} is newer than {WIRE_VERSION}; upgrade this node")]
    TooNew(u8),
    /// The bytes are not what was sent.
    #[error("checksum differs")]
    Checksum,
    /// The content can't be read.
    #[error("{0}")]
    Content(#[from] WireError),
    /// A length is beyond its bound.
    #[error("{what} is {value}, at most {most}")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// What it is.
        value: u64,
        /// The bound.
        most: u64,
    },
}

/// What a node has seen, by origin; and the origins that are closed, with all that was ever seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// In the order of the origins.
    pub seen: Vec<(Origin, Seen)>,
    /// Origins that nobody writes under any more and no entry carries.
    pub retired: Vec<(Origin, Seen)>,
}

/// One entry under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number within its origin.
    pub seq: u64,
    /// Under which key.
    pub key: Vec<u8>,
    /// `None` for a delete.
    pub value: Option<Vec<u8>>,
    /// The dots of other origins that it overrides, with all smaller numbers under this key.
    pub over: Vec<(Origin, u64)>,
    /// Whose copy this write is, when a node only moved an entry to an origin of its own.
    pub copy_of: Option<CopyOf>,
}

/// What a write copies: it is superseded by whatever supersedes the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOf {
    /// The write that somebody meant.
    pub original: (Origin, u64),
    /// How many moves ago; of two copies the one that moved more often stays.
    pub times: u64,
}

/// The end of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// What the sender has seen; the receiver, who now holds all of it, takes it over.
    pub vector: Vector,
    /// The highest number per origin on which the sender has forgotten something.
    pub floors: Vec<(Origin, u64)>,
    /// All that lives at the sender, where the receiver has missed what was forgotten.
    pub live: Option<Live>,
}

/// What lives at a node, by origin, in the order of the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Every entry.
    pub entries: Vec<(Origin, Vec<u64>)>,
    /// The writes that some of the entries are copies of.
    pub originals: Vec<(Origin, Vec<u64>)>,
}

/// What stores say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// "This is the hash of what I have seen": ends the exchange when it is the peer's too.
    Pull(u64),
    /// "Mine too."
    Same(u64),
    /// "This is what I have seen; send me the rest in an exchange of this number."
    Vector {
        /// Names the exchange.
        exchange: u32,
        /// Tell me what you have seen if you lack something of this.
        answer: bool,
        /// What is seen.
        vector: Vector,
    },
    /// A part of an exchange; the last one has the marker.
    Part {
        /// As the receiver named it.
        exchange: u32,
        /// From 0.
        number: u32,
        /// The receiver has missed what was forgotten: nothing of this counts before the marker.
        whole: bool,
        /// Entries, by origin.
        entries: Vec<(Origin, Vec<Sent>)>,
        /// Present in the last part.
        marker: Option<Box<Marker>>,
    },
    /// "I have the parts of this exchange below this number."
    More(u32, u32),
    /// News that was not asked for.
    News {
        /// Tell me when the first group is on your disk.
        ack: bool,
        /// A hash of the origins that the sender has closed, 0 for none: only for who has closed
        /// the same.
        closings: u64,
        /// Up to where the sender has forgotten things: only for who has seen all of that.
        floors: Vec<(Origin, u64)>,
        /// Entries, by origin.
        entries: Vec<(Origin, Vec<Sent>)>,
    },
    /// "Of this origin I have this on disk."
    Ack(Origin, Seen),
}

impl Message {
    /// The bytes of a message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Pull(hash) => kind(&mut w, 0).raw(&hash.to_le_bytes()),
            Self::Same(hash) => kind(&mut w, 1).raw(&hash.to_le_bytes()),
            Self::Vector {
                exchange,
                answer,
                vector,
            } => {
                kind(&mut w, 2).number(u64::from(*exchange));
                w.number(u64::from(*answer));
                put_vector(&mut w, vector);
            }
            Self::Part {
                exchange,
                number,
                whole,
                entries,
                marker,
            } => {
                kind(&mut w, 3).number(u64::from(*exchange));
                w.number(u64::from(*number));
                w.number(u64::from(*whole));
                put_groups(&mut w, entries);
                w.number(u64::from(marker.is_some()));
                if let Some(marker) = marker {
                    put_marker(&mut w, marker);
                }
            }
            Self::More(exchange, next) => {
                kind(&mut w, 4).number(u64::from(*exchange));
                w.number(u64::from(*next));
            }
            Self::News {
                ack,
                closings,
                floors,
                entries,
            } => {
                let has_closings = u64::from(*closings != 0);
                kind(&mut w, 5).number(u64::from(*ack) | has_closings << 1);
                if *closings != 0 {
                    w.raw(&closings.to_le_bytes());
                }
                put_pairs(&mut w, floors);
                put_groups(&mut w, entries);
            }
            Self::Ack(origin, seen) => {
                kind(&mut w, 6).raw(&origin.0.to_le_bytes());
                put_seen(&mut w, seen);
            }
        }
        let content = w.finish();
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.push(WIRE_VERSION);
        bytes.extend_from_slice(&checksum(&content).to_le_bytes());
        bytes.extend_from_slice(&content);
        bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the bytes are no message of a version that this code knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let version = reader.raw(1)?[0];
        if version > WIRE_VERSION {
            return Err(DecodeError::TooNew(version));
        }
        if version == 0 {
            let (what, value) = ("wire version", 0);
            return Err(WireError::Unknown { what, value }.into());
        }
        let sum = u32::from_le_bytes(reader.raw(4)?.try_into().expect("four bytes"));
        if sum != checksum(&bytes[HEAD..]) {
            return Err(DecodeError::Checksum);
        }
        let message = Self::content(&mut reader)?;
        Ok(message)
    }

    fn content(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.raw(1)?[0] {
            0 => Self::Pull(fixed(r)?),
            1 => Self::Same(fixed(r)?),
            2 => Self::Vector {
                exchange: r.small("exchange")?,
                answer: r.number()? != 0,
                vector: get_vector(r)?,
            },
            3 => Self::Part {
                exchange: r.small("exchange")?,
                number: r.small("part")?,
                whole: r.number()? != 0,
                entries: get_groups(r)?,
                marker: match r.number()? {
                    0 => None,
                    _ => Some(Box::new(get_marker(r)?)),
                },
            },
            4 => Self::More(r.small("exchange")?, r.small("part")?),
            5 => {
                let flags = r.number()?;
                let has_closings = flags & 2 != 0;
                Self::News {
                    ack: flags & 1 != 0,
                    closings: if has_closings { fixed(r)? } else { 0 },
                    floors: get_pairs(r, "floors")?,
                    entries: get_groups(r)?,
                }
            }
            6 => Self::Ack(Origin(fixed(r)?), get_seen(r)?),
            other => {
                return Err(WireError::Unknown {
                    what: "kind of message",
                    value: u64::from(other),
                }
                .into());
            }
        })
    }
}

/// How many bytes an entry takes within its group, at most.
pub(crate) fn size_of(seq: u64, key_len: usize, value: Option<&[u8]>, over: usize) -> usize {
    let value = value.map_or(0, |v| number_size(v.len() as u64) + v.len());
    let head = number_size(seq) + number_size((key_len as u64) << 2);
    head + key_len + value + if over > 0 { 2 + over * 18 } else { 0 }
}

/// How many bytes a number takes.
const fn number_size(n: u64) -> usize {
    ((64 - (n | 1).leading_zeros()) as usize).div_ceil(7)
}

fn checksum(content: &[u8]) -> u32 {
    u32::try_from(hash64(content) >> 32).expect("the upper half")
}

fn kind(w: &mut Writer, kind: u8) -> &mut Writer {
    w.raw(&[kind]);
    w
}

fn fixed(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    Ok(u64::from_le_bytes(
        r.raw(8)?.try_into().expect("eight bytes"),
    ))
}

/// No origin ever writes more: what is greater is no number of ours.
pub(crate) const SEQ_MAX: u64 = 1 << 56;

/// A number within an origin, so far behind `last`.
fn seq(r: &mut Reader<'_>, last: u64) -> Result<u64, DecodeError> {
    let value = last.saturating_add(r.number()?);
    if value > SEQ_MAX {
        return Err(DecodeError::TooLong {
            what: "number of a write",
            value,
            most: SEQ_MAX,
        });
    }
    Ok(value)
}

/// A count of things that take at least `least` bytes each.
fn count(r: &mut Reader<'_>, what: &'static str, least: usize) -> Result<usize, DecodeError> {
    let value = r.number()?;
    let most = (r.left() / least) as u64;
    if value > most {
        return Err(DecodeError::TooLong { what, value, most });
    }
    Ok(usize::try_from(value).expect("at most a length"))
}

pub(crate) fn put_seen(w: &mut Writer, seen: &Seen) {
    w.number(seen.prefix());
    let ranges = &seen.beyond()[..seen.beyond().len().min(RANGES_MAX)];
    w.number(ranges.len() as u64);
    let mut last = seen.prefix();
    for &(first, until) in ranges {
        w.number(first - last);
        w.number(until - first);
        last = until;
    }
}

pub(crate) fn get_seen(r: &mut Reader<'_>) -> Result<Seen, DecodeError> {
    let mut seen = Seen::up_to(seq(r, 0)?);
    let mut last = seen.prefix();
    let ranges = count(r, "ranges", 2)?;
    if ranges > RANGES_MAX {
        return Err(DecodeError::TooLong {
            what: "ranges",
            value: ranges as u64,
            most: RANGES_MAX as u64,
        });
    }
    for _ in 0..ranges {
        let first = seq(r, last)?;
        let until = seq(r, first)?;
        seen.add(first.max(1), until);
        last = until;
    }
    Ok(seen)
}

fn put_pairs(w: &mut Writer, pairs: &[(Origin, u64)]) {
    w.number(pairs.len() as u64);
    for (origin, seq) in pairs {
        w.raw(&origin.0.to_le_bytes());
        w.number(*seq);
    }
}

fn get_pairs(r: &mut Reader<'_>, what: &'static str) -> Result<Vec<(Origin, u64)>, DecodeError> {
    let count = count(r, what, 9)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push((Origin(fixed(r)?), seq(r, 0)?));
    }
    Ok(pairs)
}

fn put_vector(w: &mut Writer, vector: &Vector) {
    w.number(vector.seen.len() as u64);
    for (origin, seen) in &vector.seen {
        w.raw(&origin.0.to_le_bytes());
        put_seen(w, seen);
    }
    w.number(vector.retired.len() as u64);
    for (origin, seen) in &vector.retired {
        w.raw(&origin.0.to_le_bytes());
        put_seen(w, seen);
    }
}

fn get_vector(r: &mut Reader<'_>) -> Result<Vector, DecodeError> {
    let seen = get_origins(r, "origins")?;
    let retired = get_origins(r, "retired origins")?;
    Ok(Vector { seen, retired })
}

fn get_origins(r: &mut Reader<'_>, what: &'static str) -> Result<Vec<(Origin, Seen)>, DecodeError> {
    let count = count(r, what, 10)?;
    let mut origins = Vec::with_capacity(count);
    for _ in 0..count {
        origins.push((Origin(fixed(r)?), get_seen(r)?));
    }
    Ok(origins)
}

fn put_marker(w: &mut Writer, marker: &Marker) {
    put_vector(w, &marker.vector);
    put_pairs(w, &marker.floors);
    w.number(u64::from(marker.live.is_some()));
    if let Some(live) = &marker.live {
        put_lists(w, &live.entries);
        put_lists(w, &live.originals);
    }
}

fn put_lists(w: &mut Writer, lists: &[(Origin, Vec<u64>)]) {
    w.number(lists.len() as u64);
    for (origin, seqs) in lists {
        w.raw(&origin.0.to_le_bytes());
        w.number(seqs.len() as u64);
        let mut last = 0;
        for &seq in seqs {
            w.number(seq - last);
            last = seq;
        }
    }
}

fn get_marker(r: &mut Reader<'_>) -> Result<Marker, DecodeError> {
    let vector = get_vector(r)?;
    let floors = get_pairs(r, "floors")?;
    let live = match r.number()? {
        0 => None,
        _ => Some(Live {
            entries: get_lists(r)?,
            originals: get_lists(r)?,
        }),
    };
    Ok(Marker {
        vector,
        floors,
        live,
    })
}

fn get_lists(r: &mut Reader<'_>) -> Result<Vec<(Origin, Vec<u64>)>, DecodeError> {
    let origins = count(r, "origins", 9)?;
    let mut lists = Vec::with_capacity(origins);
    for _ in 0..origins {
        let origin = Origin(fixed(r)?);
        let count = count(r, "live entries", 1)?;
        let mut seqs = Vec::with_capacity(count);
        let mut last = 0_u64;
        for _ in 0..count {
            last = seq(r, last)?;
            seqs.push(last);
        }
        lists.push((origin, seqs));
    }
    Ok(lists)
}

fn put_groups(w: &mut Writer, groups: &[(Origin, Vec<Sent>)]) {
    w.number(groups.len() as u64);
    for (origin, entries) in groups {
        w.raw(&origin.0.to_le_bytes());
        w.number(entries.len() as u64);
        let mut last = 0;
        for entry in entries {
            w.number(entry.seq - last);
            last = entry.seq;
            put_entry(w, entry);
        }
    }
}

fn get_groups(r: &mut Reader<'_>) -> Result<Vec<(Origin, Vec<Sent>)>, DecodeError> {
    let groups = count(r, "groups", 9)?;
    let mut all = Vec::with_capacity(groups);
    for _ in 0..groups {
        let origin = Origin(fixed(r)?);
        let count = count(r, "entries", 3)?;
        let mut entries = Vec::with_capacity(count.min(1 << 16));
        let mut last = 0_u64;
        for _ in 0..count {
            last = seq(r, last)?;
            entries.push(get_entry(r, last)?);
        }
        all.push((origin, entries));
    }
    Ok(all)
}

const IS_DELETE: u64 = 1;
const HAS_CONTEXT: u64 = 2;

/// Everything but the number.
pub(crate) fn put_entry(w: &mut Writer, entry: &Sent) {
    let has_context = !entry.over.is_empty() || entry.copy_of.is_some();
    let flags = if entry.value.is_none() { IS_DELETE } else { 0 }
        | if has_context { HAS_CONTEXT } else { 0 };
    w.number((entry.key.len() as u64) << 2 | flags);
    w.raw(&entry.key);
    if let Some(value) = &entry.value {
        w.bytes(value);
    }
    if has_context {
        put_pairs(w, &entry.over);
        let times = entry.copy_of.map_or(0, |copy| copy.times);
        w.number(times);
        if let Some(copy) = entry.copy_of {
            w.raw(&copy.original.0.0.to_le_bytes());
            w.number(copy.original.1);
        }
    }
}

pub(crate) fn get_entry(r: &mut Reader<'_>, seq: u64) -> Result<Sent, DecodeError> {
    let head = r.number()?;
    let bounded = |what, value: u64, most: usize| {
        if value > most as u64 {
            let most = most as u64;
            return Err(DecodeError::TooLong { what, value, most });
        }
        Ok(usize::try_from(value).expect("at most the bound"))
    };
    let key_len = bounded("key", head >> 2, KEY_MAX)?;
    if key_len == 0 {
        return Err(WireError::Missing("key").into());
    }
    let key = r.raw(key_len)?.to_vec();
    let value = if head & IS_DELETE == 0 {
        let len = bounded("value", r.number()?, VALUE_MAX)?;
        Some(r.raw(len)?.to_vec())
    } else {
        None
    };
    let (mut over, mut copy_of) = (Vec::new(), None);
    if head & HAS_CONTEXT != 0 {
        over = get_pairs(r, "context")?;
        let times = r.number()?;
        if times > 0 {
            let original = (Origin(fixed(r)?), r.number()?);
            copy_of = Some(CopyOf { original, times });
        }
    }
    Ok(Sent {
        seq,
        key,
        value,
        over,
        copy_of,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent() -> impl Strategy<Value = Sent> {
        (
            1_u64..1 << 40,
            prop::collection::vec(any::<u8>(), 1..20),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
            prop::collection::vec((any::<u64>().prop_map(Origin), 0..SEQ_MAX), 0..3),
            prop::option::of((any::<u64>().prop_map(Origin), any::<u64>(), 1_u64..1 << 20)),
        )
            .prop_map(|(seq, key, value, over, copy_of)| Sent {
                seq,
                key,
                value,
                over,
                copy_of: copy_of.map(|(origin, seq, times)| CopyOf {
                    original: (origin, seq),
                    times,
                }),
            })
    }

    fn seen() -> impl Strategy<Value = Seen> {
        (
            0_u64..100,
            prop::collection::vec((1_u64..500, 0_u64..9), 0..9),
        )
            .prop_map(|(prefix, ranges)| {
                let mut seen = Seen::up_to(prefix);
                ranges.iter().for_each(|(a, b)| seen.add(*a, a + b));
                seen
            })
    }

    fn vector() -> impl Strategy<Value = Vector> {
        let origin = || any::<u64>().prop_map(Origin);
        (
            prop::collection::vec((origin(), seen()), 0..4),
            prop::collection::vec((origin(), seen()), 0..3),
        )
            .prop_map(|(seen, retired)| Vector { seen, retired })
    }

    fn groups() -> impl Strategy<Value = Vec<(Origin, Vec<Sent>)>> {
        let group = prop::collection::vec(sent(), 0..5).prop_map(|mut entries| {
            entries.sort_by_key(|entry| entry.seq);
            entries
        });
        prop::collection::vec((any::<u64>().prop_map(Origin), group), 0..4)
    }

    fn message() -> impl Strategy<Value = Message> {
        let marker = (
            vector(),
            prop::option::of(Just(Live {
                entries: vec![(Origin(4), vec![1, 5, 9])],
                originals: vec![(Origin(5), vec![2])],
            })),
        );
        prop_oneof![
            any::<u64>().prop_map(Message::Pull),
            any::<u64>().prop_map(Message::Same),
            (any::<u32>(), any::<bool>(), vector()).prop_map(|(exchange, answer, vector)| {
                Message::Vector {
                    exchange,
                    answer,
                    vector,
                }
            }),
            (
                any::<u32>(),
                any::<u32>(),
                groups(),
                prop::option::of(marker)
            )
                .prop_map(|(exchange, number, entries, marker)| Message::Part {
                    exchange,
                    number,
                    whole: number % 2 == 0,
                    entries,
                    marker: marker.map(|(vector, live)| Box::new(Marker {
                        floors: vec![(Origin(3), 8)],
                        vector,
                        live,
                    })),
                }),
            (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Message::More(a, b)),
            (any::<bool>(), any::<u64>(), groups()).prop_map(|(ack, closings, entries)| {
                Message::News {
                    ack,
                    closings,
                    floors: vec![(Origin(7), 9)],
                    entries,
                }
            }),
            (any::<u64>(), seen()).prop_map(|(o, seen)| Message::Ack(Origin(o), seen)),
        ]
    }

    proptest! {
        #[test]
        fn a_message_reads_back_as_it_was(message in message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&bytes);
            // Past the checksum too.
            let mut sealed = vec![WIRE_VERSION];
            sealed.extend(checksum(&bytes).to_le_bytes());
            sealed.extend(&bytes);
            let _ = Message::decode(&sealed);
        }

        #[test]
        fn a_flipped_bit_is_noticed(message in message(), at: prop::sample::Index, bit in 0..8) {
            let mut bytes = message.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert_ne!(Message::decode(&bytes), Ok(message));
        }
    }

    #[test]
    fn a_hash_that_is_equal_costs_at_most_sixteen_bytes() {
        assert!(Message::Pull(u64::MAX).encode().len() <= 16);
        assert!(Message::Same(u64::MAX).encode().len() <= 16);
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let mut bytes = Message::Pull(1).encode();
        bytes[0] = WIRE_VERSION + 1;
        assert_eq!(Message::decode(&bytes), Err(DecodeError::TooNew(2)));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_room_is_made() {
        let mut w = Writer::new();
        w.raw(&[5, 0, 0]);
        w.number(u64::MAX / 2);
        let content = w.finish();
        let mut bytes = vec![WIRE_VERSION];
        bytes.extend(checksum(&content).to_le_bytes());
        bytes.extend(&content);
        let refused = Message::decode(&bytes);
        assert!(
            matches!(refused, Err(DecodeError::TooLong { .. })),
            "{refused:?}"
        );
    }
}
