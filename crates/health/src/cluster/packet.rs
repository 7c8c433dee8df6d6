//! What nodes say to each other: one packet, several sections, each with a budget of its own.
//!
//! A packet is a version byte, the sender's id and tagged sections; membership and store put their
//! own bytes into theirs. Unknown sections are skipped, a newer version byte is refused (`wire.rs`
//! has what is spoken to whom).
//! Sealing is the shell's. Every length is bounded by the bytes that came.
//! Does not know what any section does.

use std::sync::Arc;

use base::wire::{DecodeError, Reader, Writer};
use base::{Duration, NodeId, Origin, Version};

use super::wire::{GROUPED, WIRE_OLDEST, get_groups, put_groups};
use crate::outcome::{Doubt, Finding, Reason};

/// Bytes of one datagram at most, before it is sealed.
pub(crate) const DATAGRAM_MAX: usize = 1_300;
/// What a version byte and the sender's id take.
const HEAD: usize = 9;
/// The section of grouped marks.
const GROUPS: u64 = 16;
/// Exceptions that one mark lists at most; with more there is no mark.
pub(crate) const EXCEPTIONS_MAX: usize = 32;

/// One part of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Of the membership room.
    Membership(Vec<u8>),
    /// Of the store room.
    Store(Vec<u8>),
    /// Probe this once and say what you find.
    Ask(Ask),
    /// What was found.
    Word(Word),
    /// Say that you are there.
    Call,
    /// I am.
    Here,
    /// A verdict in the making, for the standbys.
    Streak(Streak),
    /// What owners have checked, and when.
    Marks(Vec<Mark>),
    /// What do you, its owner, know of this target?
    Inquire(Inquire),
    /// This; or nothing, for it is not mine.
    Tell(Tell),
}

/// A question for an owner's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inquire {
    /// Comes back with the account.
    pub(crate) number: u64,
    pub(crate) target: Arc<str>,
}

/// An owner's account, as [`crate::Account`] encodes it; `None` from who does not own the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tell {
    pub(crate) number: u64,
    pub(crate) account: Option<Vec<u8>>,
}

/// A question for an opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Comes back with the word.
    pub(crate) case: u64,
    pub(crate) target: Arc<str>,
    /// Of the definition, so that nobody judges another one.
    pub(crate) sum: u64,
}

/// An opinion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) case: u64,
    pub(crate) finding: Finding,
    /// How many members count for who says so, itself included; a version before this one did not
    /// say it: 0.
    pub(crate) members: u16,
}

/// Counters that are not at rest. Lost ones delay a verdict and never invent one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Streak {
    pub(crate) target: Arc<str>,
    /// Of the status that it counts from.
    pub(crate) transition: u32,
    pub(crate) failures: u16,
    pub(crate) successes: u16,
    pub(crate) window: u64,
}

impl Streak {
    /// Whether nothing is in the making any more.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.failures == 0 && self.successes == 0 && self.window == 0
    }
}

/// An owner's promise: all its targets of this interval were checked at or after a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) owner: NodeId,
    pub(crate) interval: Duration,
    /// How long ago that moment is, relays included.
    pub(crate) age: Duration,
    /// The sum of the targets of which it holds, by their names.
    pub(crate) sum: u64,
    /// Everything that the owner had written by then.
    pub(crate) version: Version,
    /// Targets (their names' hashes) of which it does not hold.
    pub(crate) except: Vec<u64>,
}

/// Why a packet was not read. Nothing was taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketError {
    /// Its version, this one, is newer than ours.
    TooNew(u8),
    /// It is not a packet.
    Malformed,
}

impl From<DecodeError> for PacketError {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

impl Section {
    /// The section as it stands in a packet of this version.
    pub(crate) fn encode_for(&self, wire: u8) -> Vec<u8> {
        match self {
            Self::Marks(marks) if wire >= GROUPED => {
                let mut w = Writer::new();
                w.field(GROUPS, |w| put_groups(w, marks));
                w.finish()
            }
            _ => self.encode(),
        }
    }

    /// The section as every version reads it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Membership(bytes) => w.field_bytes(1, bytes),
            Self::Store(bytes) => w.field_bytes(2, bytes),
            Self::Ask(ask) => w.field(3, |w| {
                w.number(ask.case);
                w.raw(&ask.sum.to_le_bytes());
                w.bytes(ask.target.as_bytes());
            }),
            Self::Word(word) => w.field(4, |w| {
                w.number(word.case);
                put_finding(w, word.finding);
                w.number(u64::from(word.members));
            }),
            Self::Call => w.field_bytes(5, &[]),
            Self::Here => w.field_bytes(6, &[]),
            Self::Streak(streak) => w.field(7, |w| {
                w.bytes(streak.target.as_bytes());
                w.number(u64::from(streak.transition));
                w.number(u64::from(streak.failures));
                w.number(u64::from(streak.successes));
                w.number(streak.window);
            }),
            Self::Marks(marks) => w.field(8, |w| marks.iter().for_each(|mark| put_mark(w, mark))),
            Self::Inquire(inquire) => w.field(9, |w| {
                w.raw(&inquire.number.to_le_bytes());
                w.bytes(inquire.target.as_bytes());
            }),
            Self::Tell(tell) => w.field(10, |w| {
                w.raw(&tell.number.to_le_bytes());
                w.number(u64::from(tell.account.is_some()));
                w.bytes(tell.account.as_deref().unwrap_or_default());
            }),
        }
        w.finish()
    }
}

/// A packet of this version with these encoded sections.
pub(crate) fn pack(wire: u8, sender: NodeId, sections: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + sections.len());
    bytes.push(wire);
    bytes.extend_from_slice(&sender.0.to_le_bytes());
    bytes.extend_from_slice(sections);
    bytes
}

/// How many bytes of sections fit into a datagram.
pub(crate) const ROOM: usize = DATAGRAM_MAX - HEAD;

/// The sender and the sections of a packet; `newest` is the newest version that is read.
pub(crate) fn unpack(newest: u8, bytes: &[u8]) -> Result<(NodeId, Vec<Section>), PacketError> {
    let (version, rest) = bytes.split_first().ok_or(PacketError::Malformed)?;
    if *version > newest {
        return Err(PacketError::TooNew(*version));
    }
    if *version < WIRE_OLDEST {
        return Err(PacketError::Malformed);
    }
    let mut r = Reader::new(rest);
    let sender = NodeId(fixed(&mut r)?);
    let mut sections = Vec::new();
    while let Some((tag, field)) = r.field()? {
        // A node that is taken back reads what the older release did.
        if tag != GROUPS || newest >= GROUPED {
            sections.extend(section(tag, field)?);
        }
    }
    Ok((sender, sections))
}

/// What a packet carries, for accounting: each section's kind, and its bytes with their head.
///
/// Kinds are `membership`, `store`, `votes` (asked and answered, also whether somebody is there),
/// `streaks`, `marks`, `accounts` and `other` (of a newer version); what can't be read is left out.
pub fn contents(packet: &[u8]) -> impl Iterator<Item = (&'static str, usize)> {
    let mut r = Reader::new(packet.get(HEAD..).unwrap_or_default());
    std::iter::from_fn(move || {
        let before = r.left();
        let (tag, _) = r.field().ok()??;
        let kind = match tag {
            1 => "membership",
            2 => "store",
            3..=6 => "votes",
            7 => "streaks",
            9 | 10 => "accounts",
            8 | GROUPS => "marks",
            _ => "other",
        };
        Some((kind, before - r.left()))
    })
}

fn section(tag: u64, mut r: Reader<'_>) -> Result<Option<Section>, PacketError> {
    Ok(Some(match tag {
        1 => Section::Membership(r.raw(r.left())?.to_vec()),
        2 => Section::Store(r.raw(r.left())?.to_vec()),
        3 => {
            let case = r.number()?;
            let sum = fixed(&mut r)?;
            let target = r.text()?.into();
            Section::Ask(Ask { case, target, sum })
        }
        4 => Section::Word(Word {
            case: r.number()?,
            finding: get_finding(&mut r)?,
            members: match r.is_empty() {
                true => 0,
                false => r.small("members")?,
            },
        }),
        5 => Section::Call,
        6 => Section::Here,
        7 => Section::Streak(Streak {
            target: r.text()?.into(),
            transition: r.small("transition")?,
            failures: r.small("failures")?,
            successes: r.small("successes")?,
            window: r.number()?,
        }),
        8 => {
            let mut marks = Vec::new();
            while !r.is_empty() {
                marks.push(get_mark(&mut r)?);
            }
            Section::Marks(marks)
        }
        9 => Section::Inquire(Inquire {
            number: fixed(&mut r)?,
            target: r.text()?.into(),
        }),
        10 => {
            let number = fixed(&mut r)?;
            let is_mine = r.number()? == 1;
            let account = r.bytes()?;
            let account = is_mine.then(|| account.to_vec());
            Section::Tell(Tell { number, account })
        }
        GROUPS => Section::Marks(get_groups(&mut r)?),
        _ => return Ok(None),
    }))
}

pub(super) fn fixed(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let bytes = r.raw(8)?.try_into().expect("eight bytes were asked for");
    Ok(u64::from_le_bytes(bytes))
}

fn put_finding(w: &mut Writer, finding: Finding) {
    match finding {
        Finding::Passed => w.number(0),
        Finding::Failed(reason) => {
            w.number(1);
            w.number(u64::from(reason.to_stored()));
        }
        Finding::Inconclusive(_) => w.number(2),
    }
}

fn get_finding(r: &mut Reader<'_>) -> Result<Finding, DecodeError> {
    Ok(match r.number()? {
        0 => Finding::Passed,
        1 => Finding::Failed(Reason::from_stored(r.small("reason")?)),
        _ => Finding::Inconclusive(Doubt::Unable),
    })
}

pub(crate) fn put_mark(w: &mut Writer, mark: &Mark) {
    w.raw(&mark.owner.0.to_le_bytes());
    w.number(crate::clock::micros(mark.interval) / 1_000);
    // Never younger than it is, however often it is passed on.
    w.number(crate::clock::micros(mark.age).div_ceil(1_000));
    w.raw(&mark.sum.to_le_bytes());
    w.raw(&mark.version.origin.0.to_le_bytes());
    w.number(mark.version.seq);
    w.number(mark.except.len() as u64);
    for hash in &mark.except {
        w.raw(&hash.to_le_bytes());
    }
}

/// Marks in sections of which each fits a datagram, whatever exceptions they list.
pub(crate) fn marks_in_sections(marks: Vec<Mark>) -> Vec<Section> {
    let mut sections: Vec<Vec<Mark>> = Vec::new();
    let mut left = 0;
    for mark in marks {
        let mut w = Writer::new();
        put_mark(&mut w, &mark);
        // Whether grouped or not: a group of one takes a byte more.
        let size = w.finish().len() + 1;
        if size > left {
            sections.push(Vec::new());
            left = ROOM - SECTION_HEAD;
        }
        left -= size;
        let last = sections.last_mut().expect("one was just begun");
        last.push(mark);
    }
    sections.into_iter().map(Section::Marks).collect()
}

/// A section's tag and length.
const SECTION_HEAD: usize = 4;

fn get_mark(r: &mut Reader<'_>) -> Result<Mark, DecodeError> {
    let owner = NodeId(fixed(r)?);
    let interval = Duration::from_millis(r.number()?);
    let age = Duration::from_millis(r.number()?.min(AGE_MAX_MS));
    let sum = fixed(r)?;
    let origin = Origin(fixed(r)?);
    let seq = r.number()?;
    let count = r.number()?;
    if count > EXCEPTIONS_MAX as u64 {
        return Err(DecodeError::TooLong);
    }
    let except = (0..count).map(|_| fixed(r)).collect::<Result<_, _>>()?;
    Ok(Mark {
        owner,
        interval,
        age,
        sum,
        version: Version { origin, seq },
        except,
    })
}

/// Older marks are as old as this.
pub(super) const AGE_MAX_MS: u64 = 30 * 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::super::wire::WIRE;
    use super::*;

    fn mark(exceptions: u64) -> Mark {
        Mark {
            owner: NodeId(1),
            interval: Duration::from_secs(86_400),
            age: Duration::from_secs(86_400),
            sum: 3,
            version: Version::default(),
            except: (0..exceptions).collect(),
        }
    }

    #[test]
    fn every_section_of_marks_fits_a_datagram_and_holds_them_all() {
        for exceptions in [0, 1, 5, EXCEPTIONS_MAX as u64] {
            let sections = marks_in_sections(vec![mark(exceptions); 100]);
            let mut count = 0;
            for section in sections {
                let packet = pack(WIRE, NodeId(2), &section.encode_for(WIRE));
                assert!(packet.len() <= DATAGRAM_MAX, "{}", packet.len());
                let (_, back) = unpack(WIRE, &packet).unwrap();
                assert_eq!(back, std::slice::from_ref(&section));
                let Section::Marks(marks) = section else {
                    panic!("{section:?}");
                };
                count += marks.len();
            }
            assert_eq!(count, 100, "{exceptions} exceptions each");
        }
        assert_eq!(marks_in_sections(Vec::new()), []);
    }

    #[test]
    fn what_a_packet_carries_adds_up_to_its_length_without_the_head() {
        let sections = [
            Section::Membership(vec![1; 200]),
            Section::Call,
            Section::Store(vec![2; 5]),
            Section::Marks(vec![mark(2)]),
        ];
        let bytes: Vec<u8> = sections.iter().flat_map(|s| s.encode_for(WIRE)).collect();
        let packet = pack(WIRE, NodeId(2), &bytes);
        let kinds: Vec<(&str, usize)> = contents(&packet).collect();
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(names, ["membership", "votes", "store", "marks"]);
        let total: usize = kinds.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(total, packet.len() - HEAD);
        assert_eq!(contents(&packet[..packet.len() - 1]).count(), 3);
        assert_eq!(contents(&[]).count(), 0);
    }
}
