//! What nodes say to each other, as a type and as bytes.
//!
//! A packet is `version, checksum (4), kind, sender, head (with its length), claims (each with its
//! length)`. Fields that a newer node adds at the end of a head or of a claim are skipped; a newer
//! version is refused. Nothing is allocated on the word of a length.
//! Does not know what follows from any of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base::wire::{DecodeError, Reader, Writer};
use base::{NodeId, hash64};
use thiserror::Error;

use crate::{Incarnation, Member, Meta, Standing, State};

/// The wire version that this build writes, and the newest that it reads.
pub const WIRE_VERSION: u8 = 1;
/// Bytes of a name at most.
pub const MAX_NAME: usize = 128;
/// Bytes of a zone at most.
pub const MAX_ZONE: usize = 64;
/// Accusers that are counted: the first and as many confirmations as bring the timer to its end.
pub const MAX_ACCUSERS: usize = 4;
/// Parts that the members are hashed in, so that an exchange carries only what differs.
pub const BUCKETS: usize = 64;

/// An incarnation above this is no boot time of anybody: such a claim could not be answered.
pub(crate) const MAX_INCARNATION: u64 = 1 << 62;
const PREFIX: usize = 5;

/// Bytes that are no packet of ours. Nothing changes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PacketError {
    /// A newer node wrote it.
    #[error("wire version {0} is newer than {WIRE_VERSION}; upgrade this node")]
    TooNew(u8),
    /// Bytes were changed on the way.
    #[error("checksum differs")]
    Corrupt,
    /// The bytes arrived as they were sent, and yet make no sense.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// One thing that one node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who says it.
    pub sender: NodeId,
    /// What it says.
    pub message: Message,
    /// News about members that rides along.
    pub claims: Vec<Claim>,
}

/// What one node asks of another, or answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Are you there? Only `to` answers, so that a reused address is not taken for its old node.
    Ping {
        /// Which question.
        seq: u32,
        /// Who is asked.
        to: NodeId,
        /// The hash of all that the sender knows.
        digest: u64,
    },
    /// I am here, or whom you asked about is.
    Ack {
        /// Which question.
        seq: u32,
        /// The hash of all that the sender knows.
        digest: u64,
        /// Whether the answering node has looked around for another bearer of its name.
        settled: bool,
    },
    /// Ask this one for me, please.
    Ask {
        /// Which question.
        seq: u32,
        /// Who is to be asked.
        target: NodeId,
        /// Where it is.
        address: SocketAddr,
        /// A nack is wanted if there is no answer after this long.
        patience_ms: u32,
    },
    /// I asked, and had no answer.
    Nack {
        /// Which question.
        seq: u32,
    },
    /// Only the claims.
    Gossip,
    /// The hashes of what the sender knows, by part; the answer is a [`Message::Sync`].
    Compare {
        /// One hash for each part.
        buckets: Box<[u32; BUCKETS]>,
    },
    /// The claims are all that the sender knows in the parts of `mask`.
    Sync {
        /// Which parts, one bit for each.
        mask: u64,
        /// Whether the receiver shall send what the sender lacks.
        reply: bool,
    },
}

/// What one node says about one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// What is believed of it.
    About {
        /// The member.
        member: Member,
        /// The first incarnation of its present run; decides between two of one name.
        born: Incarnation,
        /// Of a suspect: who did not reach it. At most [`MAX_ACCUSERS`].
        accusers: Vec<NodeId>,
        /// Of the dead and the departed: for how many seconds, rounded up, so that no number of
        /// hops makes it younger.
        age_s: u64,
    },
    /// It shall be remembered no more, unless it lives in a later incarnation.
    Forgotten {
        /// Who.
        id: NodeId,
        /// Up to which incarnation.
        incarnation: Incarnation,
        /// For how many seconds, rounded up.
        age_s: u64,
    },
}

impl Claim {
    /// Whom it is about.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        match self {
            Self::About { member, .. } => member.id,
            Self::Forgotten { id, .. } => *id,
        }
    }

    /// Where it stands in the order of claims about one member: the higher one is true.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        match self {
            Self::About { member, .. } => (member.incarnation, member.state as u8),
            Self::Forgotten { incarnation, .. } => (*incarnation, FORGOTTEN),
        }
    }

    /// Its bytes, without their length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::About {
                member,
                born,
                accusers,
                age_s,
            } => {
                w.number(member.state as u64);
                w.number(member.id.0);
                w.number(member.incarnation.0);
                w.number(member.incarnation.0.saturating_sub(born.0));
                w.bytes(member.name.as_bytes());
                write_address(&mut w, member.address);
                write_meta(&mut w, &member.meta);
                if member.state == State::Suspect {
                    w.number(accusers.len() as u64);
                    accusers.iter().for_each(|id| w.number(id.0));
                }
                if member.state > State::Suspect {
                    w.number(*age_s);
                }
            }
            Self::Forgotten {
                id,
                incarnation,
                age_s,
            } => {
                w.number(FORGOTTEN.into());
                w.number(id.0);
                w.number(incarnation.0);
                w.number(*age_s);
            }
        }
        w.finish()
    }
}

/// Incarnation first, then what is said of it; see [`Claim::rank`].
pub type Rank = (Incarnation, u8);
/// After [`State::Left`] in the order of claims.
pub(crate) const FORGOTTEN: u8 = 4;

/// Builds one packet up to a size.
pub(crate) struct Builder {
    bytes: Vec<u8>,
    limit: usize,
}

impl Builder {
    /// A packet without claims, of `limit` bytes at most.
    pub(crate) fn new(sender: NodeId, message: &Message, limit: usize) -> Self {
        let mut w = Writer::new();
        w.number(kind(message));
        w.number(sender.0);
        w.bytes(&head(message));
        let mut bytes = vec![WIRE_VERSION, 0, 0, 0, 0];
        bytes.extend(w.finish());
        Self { bytes, limit }
    }

    /// Adds a claim if there is room for it.
    pub(crate) fn add(&mut self, claim: &[u8]) -> bool {
        let mut w = Writer::new();
        w.bytes(claim);
        let more = w.finish();
        let fits = self.bytes.len() + more.len() <= self.limit;
        if fits {
            self.bytes.extend(more);
        }
        fits
    }

    /// Whether no further claim can fit.
    pub(crate) const fn is_full(&self) -> bool {
        self.bytes.len() + MIN_CLAIM > self.limit
    }

    /// The packet with its checksum.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let sum = checksum(&self.bytes[PREFIX..]);
        self.bytes[1..PREFIX].copy_from_slice(&sum.to_le_bytes());
        self.bytes
    }
}

/// A claim with a name of one byte needs about this much.
const MIN_CLAIM: usize = 40;

/// A whole packet as bytes, whatever its size; what [`decode`] reads.
#[must_use]
pub fn encode(packet: &Packet) -> Vec<u8> {
    let mut builder = Builder::new(packet.sender, &packet.message, usize::MAX);
    for claim in &packet.claims {
        builder.add(&claim.encode());
    }
    builder.finish()
}

/// Reads one packet.
///
/// # Errors
/// When the bytes are no packet of this version; nothing was allocated on the word of a length.
pub fn decode(bytes: &[u8]) -> Result<Packet, PacketError> {
    let Some((&version, rest)) = bytes.split_first() else {
        return Err(DecodeError::Truncated {
            got: 0,
            need: PREFIX,
        }
        .into());
    };
    if version > WIRE_VERSION {
        return Err(PacketError::TooNew(version));
    }
    let Some((sum, body)) = rest.split_first_chunk::<4>() else {
        return Err(DecodeError::Truncated {
            got: rest.len(),
            need: 4,
        }
        .into());
    };
    if version == 0 || u32::from_le_bytes(*sum) != checksum(body) {
        return Err(PacketError::Corrupt);
    }
    let mut r = Reader::new(body);
    let kind = r.number()?;
    let sender = NodeId(r.number()?);
    let message = read_message(kind, Reader::new(r.bytes()?))?;
    let mut claims = Vec::new();
    while !r.is_empty() {
        claims.extend(read_claim(Reader::new(r.bytes()?))?);
    }
    Ok(Packet {
        sender,
        message,
        claims,
    })
}

fn checksum(body: &[u8]) -> u32 {
    u32::try_from(hash64(body) >> 32).expect("the upper half of 64 bits")
}

const fn kind(message: &Message) -> u64 {
    match message {
        Message::Ping { .. } => 1,
        Message::Ack { .. } => 2,
        Message::Ask { .. } => 3,
        Message::Nack { .. } => 4,
        Message::Gossip => 5,
        Message::Compare { .. } => 6,
        Message::Sync { .. } => 7,
    }
}

fn head(message: &Message) -> Vec<u8> {
    let mut w = Writer::new();
    match message {
        Message::Ping { seq, to, digest } => {
            w.number((*seq).into());
            w.number(to.0);
            w.number(*digest);
        }
        Message::Ack {
            seq,
            digest,
            settled,
        } => {
            w.number((*seq).into());
            w.number(*digest);
            w.number(u64::from(*settled));
        }
        Message::Ask {
            seq,
            target,
            address,
            patience_ms,
        } => {
            w.number((*seq).into());
            w.number(target.0);
            write_address(&mut w, *address);
            w.number((*patience_ms).into());
        }
        Message::Nack { seq } => w.number((*seq).into()),
        Message::Gossip => {}
        Message::Compare { buckets } => {
            buckets.iter().for_each(|&part| w.number(part.into()));
        }
        Message::Sync { mask, reply } => {
            w.number(*mask);
            w.number(u64::from(*reply));
        }
    }
    w.finish()
}

fn read_message(kind: u64, mut r: Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match kind {
        1 => Message::Ping {
            seq: r.small("seq")?,
            to: NodeId(r.number()?),
            digest: r.number()?,
        },
        2 => Message::Ack {
            seq: r.small("seq")?,
            digest: r.number()?,
            settled: r.number()? != 0,
        },
        3 => Message::Ask {
            seq: r.small("seq")?,
            target: NodeId(r.number()?),
            address: read_address(&mut r)?,
            patience_ms: r.small("patience")?,
        },
        4 => Message::Nack {
            seq: r.small("seq")?,
        },
        5 => Message::Gossip,
        6 => {
            let mut buckets = Box::new([0; BUCKETS]);
            for part in buckets.iter_mut() {
                *part = r.small("hash")?;
            }
            Message::Compare { buckets }
        }
        7 => Message::Sync {
            mask: r.number()?,
            reply: r.number()? != 0,
        },
        value => {
            return Err(DecodeError::Unknown {
                what: "message",
                value,
            });
        }
    })
}

/// `None` for a state that a newer node knows and this one does not.
fn read_claim(mut r: Reader<'_>) -> Result<Option<Claim>, DecodeError> {
    let state = match r.number()? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Dead,
        3 => State::Left,
        4 => {
            let id = NodeId(r.number()?);
            let incarnation = read_incarnation(&mut r)?;
            return Ok(Some(Claim::Forgotten {
                id,
                incarnation,
                age_s: r.number()?,
            }));
        }
        _ => return Ok(None),
    };
    let id = NodeId(r.number()?);
    let incarnation = read_incarnation(&mut r)?;
    let born = Incarnation(incarnation.0.saturating_sub(r.number()?));
    let name = r.text()?;
    if !(1..=MAX_NAME).contains(&name.len()) {
        return Err(DecodeError::Unknown {
            what: "length of a name",
            value: name.len() as u64,
        });
    }
    let address = read_address(&mut r)?;
    let meta = read_meta(&mut r)?;
    let mut accusers = Vec::new();
    if state == State::Suspect {
        let count = r.number()?;
        if count > MAX_ACCUSERS as u64 {
            return Err(DecodeError::Unknown {
                what: "count of accusers",
                value: count,
            });
        }
        for _ in 0..count {
            accusers.push(NodeId(r.number()?));
        }
    }
    let age_s = if state > State::Suspect {
        r.number()?
    } else {
        0
    };
    let member = Member {
        id,
        name: name.into(),
        address,
        state,
        incarnation,
        meta,
    };
    Ok(Some(Claim::About {
        member,
        born,
        accusers,
        age_s,
    }))
}

fn read_incarnation(r: &mut Reader<'_>) -> Result<Incarnation, DecodeError> {
    let value = r.number()?;
    if value > MAX_INCARNATION {
        return Err(DecodeError::Unknown {
            what: "incarnation",
            value,
        });
    }
    Ok(Incarnation(value))
}

fn write_address(w: &mut Writer, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => w.bytes(&ip.octets()),
        IpAddr::V6(ip) => w.bytes(&ip.octets()),
    }
    w.number(address.port().into());
}

fn read_address(r: &mut Reader<'_>) -> Result<SocketAddr, DecodeError> {
    let octets = r.bytes()?;
    let ip = if let Ok(four) = <[u8; 4]>::try_from(octets) {
        IpAddr::V4(Ipv4Addr::from(four))
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(octets) {
        IpAddr::V6(Ipv6Addr::from(sixteen))
    } else {
        let value = octets.len() as u64;
        return Err(DecodeError::Unknown {
            what: "length of an address",
            value,
        });
    };
    Ok(SocketAddr::new(ip, r.small("port")?))
}

fn write_meta(w: &mut Writer, meta: &Meta) {
    w.bytes(meta.zone.as_bytes());
    w.number(meta.weight.into());
    w.number(meta.wire.0.into());
    w.number(meta.wire.1.into());
    w.number(u64::from(meta.standing == Standing::Draining));
}

fn read_meta(r: &mut Reader<'_>) -> Result<Meta, DecodeError> {
    let zone = r.text()?;
    if zone.len() > MAX_ZONE {
        return Err(DecodeError::Unknown {
            what: "length of a zone",
            value: zone.len() as u64,
        });
    }
    Ok(Meta {
        zone: zone.into(),
        weight: r.small::<u16>("weight")?.clamp(1, 1_000),
        wire: (r.small("wire version")?, r.small("wire version")?),
        standing: if r.number()? == 0 {
            Standing::Usable
        } else {
            Standing::Draining
        },
    })
}
