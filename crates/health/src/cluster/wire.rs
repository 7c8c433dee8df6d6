//! Which wire version is spoken to whom, and what the versions differ in.
//!
//! Every member says the oldest and the newest version that it reads (in what membership spreads of
//! it); two members speak the newest that both read, and whoever is not known yet is spoken to in
//! the oldest. So a cluster is upgraded one node after the other, and back with
//! [`super::ClusterConfig::wire`]. What nobody can agree on is refused, counted and said.
//!
//! | version | packets |
//! |---|---|
//! | 1 | marks stand by themselves, each with its owner and write |
//! | 2 | marks of one owner share them: 16 bytes and more less for each further interval of an owner |
//!
//! Does not know what else is in a packet.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base::wire::{DecodeError, Reader, Writer};
use base::{Duration, NodeId, Origin, Time, Version};

use super::packet::{AGE_MAX_MS, EXCEPTIONS_MAX, Mark, fixed};
use crate::clock::micros;

/// The newest version that this build speaks and reads.
pub const WIRE: u8 = 2;
/// The oldest that it still speaks and reads.
pub const WIRE_OLDEST: u8 = 1;
/// Marks are grouped from this version on.
pub(super) const GROUPED: u8 = 2;

/// An address may send what is too new for so long before people are told: a node that has just
/// been taken back is spoken to as before until everybody knows.
const TOO_NEW_FOR: Duration = Duration::from_secs(3);
/// It is said again after so long.
const SAID_AGAIN: Duration = Duration::from_secs(3_600);
/// So many addresses are remembered for it.
const REFUSED_MAX: usize = 256;

/// Who speaks what.
#[derive(Debug)]
pub(super) struct Tongues {
    /// The newest that this node speaks and reads.
    newest: u8,
    /// Who was last learned of at an address, and what is spoken there.
    others: BTreeMap<SocketAddr, (NodeId, u8)>,
    /// Whose packets were too new: since when, and when people were told.
    refused: BTreeMap<SocketAddr, (Time, Option<Time>)>,
}

impl Tongues {
    pub(super) const fn new(newest: u8) -> Self {
        assert!(
            newest >= WIRE_OLDEST && newest <= WIRE,
            "this build speaks no such version"
        );
        Self {
            newest,
            others: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// What this node reads: the oldest and the newest.
    pub(super) const fn newest(&self) -> u8 {
        self.newest
    }

    /// What is spoken to whoever is at this address.
    pub(super) fn to(&self, address: SocketAddr) -> u8 {
        let known = self.others.get(&address);
        known.map_or(WIRE_OLDEST, |(_, common)| *common)
    }

    /// A member at this address reads these. Where another is taken to live too, one of them has
    /// moved or ended, and nobody knows yet which: both must be able to read what goes there. Of
    /// addresses, at most twice as many are kept as there are members and 64 more; then all are
    /// learned anew.
    pub(super) fn learn(
        &mut self,
        (address, id): (SocketAddr, NodeId),
        reads: (u8, u8),
        members: usize,
        lives_there: impl Fn(NodeId) -> bool,
    ) {
        if self.others.len() >= members * 2 + 64 {
            self.others.clear();
        }
        // Where nothing is common, the oldest is as wrong as anything; the other will say so.
        let mut common = self.newest.min(reads.1).max(WIRE_OLDEST);
        let other = self.others.get(&address);
        if let Some((_, theirs)) = other.filter(|(of, _)| *of != id && lives_there(*of)) {
            common = common.min(*theirs);
        }
        self.others.insert(address, (id, common));
    }

    /// Who is at this address is not known any more: it is spoken to in the oldest version.
    pub(super) fn forget(&mut self, address: SocketAddr) {
        self.others.remove(&address);
    }

    /// A packet of a version that this node does not read came; whether to say so now.
    pub(super) fn refuse(&mut self, now: Time, from: SocketAddr) -> bool {
        if self.refused.len() >= REFUSED_MAX && !self.refused.contains_key(&from) {
            return false;
        }
        let (since, said) = self.refused.entry(from).or_insert((now, None));
        let is_lasting = now.since(*since) >= TOO_NEW_FOR;
        let is_said = said.is_some_and(|at| now.since(at) < SAID_AGAIN);
        let says = is_lasting && !is_said;
        if says {
            *said = Some(now);
        }
        says
    }

    /// A packet that this node reads came from there.
    pub(super) fn understood(&mut self, from: SocketAddr) {
        if !self.refused.is_empty() {
            self.refused.remove(&from);
        }
    }
}

/// Marks in groups of one owner and write.
pub(super) fn put_groups(w: &mut Writer, marks: &[Mark]) {
    let is_one = |a: &Mark, b: &Mark| (a.owner, a.version) == (b.owner, b.version);
    for group in marks.chunk_by(is_one) {
        let Mark { owner, version, .. } = &group[0];
        w.raw(&owner.0.to_le_bytes());
        w.raw(&version.origin.0.to_le_bytes());
        w.number(version.seq);
        w.number(group.len() as u64);
        for mark in group {
            w.number(micros(mark.interval) / 1_000);
            // Never younger than it is, however often it is passed on.
            w.number(micros(mark.age).div_ceil(1_000));
            w.raw(&mark.sum.to_le_bytes());
            w.number(mark.except.len() as u64);
            for hash in &mark.except {
                w.raw(&hash.to_le_bytes());
            }
        }
    }
}

/// What [`put_groups`] wrote. Every length is bounded by the bytes that came.
pub(super) fn get_groups(r: &mut Reader<'_>) -> Result<Vec<Mark>, DecodeError> {
    let mut marks = Vec::new();
    while !r.is_empty() {
        let owner = NodeId(fixed(r)?);
        let origin = Origin(fixed(r)?);
        let version = Version {
            origin,
            seq: r.number()?,
        };
        for _ in 0..r.number()? {
            let interval = Duration::from_millis(r.number()?);
            let age = Duration::from_millis(r.number()?.min(AGE_MAX_MS));
            let sum = fixed(r)?;
            let count = r.number()?;
            if count > EXCEPTIONS_MAX as u64 {
                return Err(DecodeError::TooLong);
            }
            let except = (0..count).map(|_| fixed(r)).collect::<Result<_, _>>()?;
            marks.push(Mark {
                owner,
                interval,
                age,
                sum,
                version,
                except,
            });
        }
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::super::packet::{PacketError, Section, pack, unpack};
    use super::*;

    fn address(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 7718))
    }

    fn mark(owner: u64, seconds: u64) -> Mark {
        Mark {
            owner: NodeId(owner),
            interval: Duration::from_secs(seconds),
            age: Duration::from_millis(1_234),
            sum: 77,
            version: Version {
                origin: Origin(owner + 1),
                seq: 500,
            },
            except: vec![seconds; 2],
        }
    }

    #[test]
    fn two_speak_the_newest_that_both_read_and_the_oldest_before_they_know() {
        let mut ours = Tongues::new(WIRE);
        assert_eq!(ours.to(address(1)), WIRE_OLDEST);
        for (reads, spoken) in [
            ((1, 1), 1),
            ((1, WIRE), WIRE),
            ((1, 9), WIRE),
            ((8, 9), WIRE),
        ] {
            ours.learn((address(1), NodeId(1)), reads, 5, |_| false);
            assert_eq!(ours.to(address(1)), spoken, "{reads:?}");
        }
        let mut taken_back = Tongues::new(1);
        taken_back.learn((address(1), NodeId(1)), (1, WIRE), 5, |_| false);
        assert_eq!(taken_back.to(address(1)), 1);
    }

    #[test]
    fn a_stranger_at_a_known_address_is_spoken_to_in_the_oldest() {
        let mut ours = Tongues::new(WIRE);
        ours.learn((address(1), NodeId(1)), (1, WIRE), 5, |_| false);
        ours.forget(address(1));
        assert_eq!(ours.to(address(1)), WIRE_OLDEST);
    }

    #[test]
    fn where_two_are_taken_to_live_both_can_read_what_goes_there() {
        let (old, new) = ((address(1), NodeId(1)), (address(1), NodeId(2)));
        for (first, second) in [(old, new), (new, old)] {
            let mut ours = Tongues::new(WIRE);
            let reads = |of| if of == old { (1, 1) } else { (1, WIRE) };
            ours.learn(first, reads(first), 5, |_| true);
            ours.learn(second, reads(second), 5, |of| of == first.1);
            assert_eq!(ours.to(address(1)), 1);
            // Only the second is left.
            ours.learn(second, reads(second), 5, |_| false);
            assert_eq!(ours.to(address(1)), reads(second).1);
        }
    }

    #[test]
    fn what_is_known_of_addresses_is_bounded() {
        let mut ours = Tongues::new(WIRE);
        for nth in 0..10_000_u32 {
            let address = SocketAddr::from((nth.to_be_bytes(), 1));
            ours.learn((address, NodeId(1)), (1, 2), 5, |_| false);
            ours.refuse(Time::ZERO, address);
        }
        assert!(ours.others.len() <= 74);
        assert_eq!(ours.refused.len(), REFUSED_MAX);
    }

    #[test]
    fn what_is_too_new_for_long_is_said_once_an_hour_and_a_moment_of_it_never() {
        let mut ours = Tongues::new(1);
        let at = |seconds: u64| Time(seconds * 1_000_000);
        assert!(!ours.refuse(at(10), address(1)));
        ours.understood(address(1));
        assert!(!ours.refuse(at(14), address(1)));
        assert!(ours.refuse(at(17), address(1)));
        assert!(!ours.refuse(at(18), address(1)));
        assert!(!ours.refuse(at(3_600), address(1)));
        assert!(ours.refuse(at(3_617), address(1)));
    }

    #[test]
    fn every_version_carries_marks_and_the_newer_one_in_fewer_bytes() {
        let marks = vec![mark(1, 1), mark(1, 2), mark(1, 5), mark(2, 1)];
        let section = Section::Marks(marks);
        let mut lengths = Vec::new();
        for wire in WIRE_OLDEST..=WIRE {
            let bytes = section.encode_for(wire);
            lengths.push(bytes.len());
            let packet = pack(wire, NodeId(9), &bytes);
            let read = unpack(WIRE, &packet);
            assert_eq!(
                read,
                Ok((NodeId(9), vec![section.clone()])),
                "version {wire}"
            );
        }
        assert_eq!(lengths[0] - lengths[1], 2 * (16 + 2) - 2);
    }

    #[test]
    fn a_newer_version_is_refused_by_name_and_no_version_at_all_makes_no_sense() {
        let packet = pack(2, NodeId(9), &Section::Here.encode_for(2));
        assert_eq!(unpack(1, &packet), Err(PacketError::TooNew(2)));
        assert!(unpack(2, &packet).is_ok());
        let nothing = pack(0, NodeId(9), &[]);
        assert_eq!(unpack(2, &nothing), Err(PacketError::Malformed));
    }

    #[test]
    fn groups_that_are_cut_or_claim_too_much_are_refused() {
        let whole = Section::Marks(vec![mark(1, 1), mark(1, 2)]).encode_for(2);
        let packet = pack(2, NodeId(9), &whole);
        for len in 9..packet.len() {
            let read = unpack(2, &packet[..len]);
            let is_less = read.is_ok_and(|(_, sections)| sections.is_empty());
            assert!(is_less || unpack(2, &packet[..len]).is_err(), "{len} bytes");
        }
        let mut w = Writer::new();
        w.field(16, |w| {
            w.raw(&[7; 16]);
            w.number(3);
            w.number(1);
            w.number(u64::MAX);
        });
        let claims = pack(2, NodeId(9), &w.finish());
        assert_eq!(unpack(2, &claims), Err(PacketError::Malformed));
    }
}
