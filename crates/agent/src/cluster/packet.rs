//! An opened datagram: who says it in which life, to which life of whom, and what.
//!
//! ```text
//! kind 1 | session 8 | number 8 | to 8 | a message's bytes, or the number of the packet refused 8
//! ```
//! All numbers big-endian. Does not know seals, addresses, or what a message says.

use super::reason::Reason;
use super::seal::SEAL;

/// Bytes of a datagram on the wire at most: fits every link that carries 1,448 or more with IPv6.
pub const PACKET_MAX: usize = 1_400;
/// Bytes in front of a message.
const FRONT: usize = 25;
/// What the network carries of a datagram beside its content: the front and the seal, UDP's header and IPv4's.
pub const DATAGRAM_EXTRA: usize = SEAL + FRONT + 28;
/// Bytes of one message that go into a datagram at most.
pub const DATAGRAM_MAX: usize = PACKET_MAX - SEAL - FRONT;
/// What a seal is bound to, so that no frame of a stream opens as a datagram.
pub(super) const CONTEXT: &[u8] = b"d";

const MESSAGE: u8 = 1;
const AGAIN: u8 = 2;

/// Who says it and who is meant. A session is one life of a process, by a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// The sender's session.
    pub session: u64,
    /// The packet's number in that session; none comes twice.
    pub number: u64,
    /// The receiver's session, as far as the sender knows it; 0 if not at all.
    pub to: u64,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A message of the node.
    Message(&'a [u8]),
    /// The packet with this number was not meant for my session; send it again.
    Again(u64),
}

/// An opened datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who says it and who is meant.
    pub front: Front,
    /// What is said.
    pub body: Body<'a>,
}

impl<'a> Packet<'a> {
    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.body {
            Body::Message(_) => MESSAGE,
            Body::Again(_) => AGAIN,
        };
        out.push(kind);
        for number in [self.front.session, self.front.number, self.front.to] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        match self.body {
            Body::Message(bytes) => out.extend_from_slice(bytes),
            Body::Again(number) => out.extend_from_slice(&number.to_be_bytes()),
        }
    }

    /// The packet that `content` holds. What a later version appends to [`Body::Again`] is skipped.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when it holds none.
    pub fn decode(content: &'a [u8]) -> Result<Self, Reason> {
        let (&kind, rest) = content.split_first().ok_or(Reason::Malformed)?;
        let (session, rest) = number(rest)?;
        let (nth, rest) = number(rest)?;
        let (to, rest) = number(rest)?;
        let body = match kind {
            MESSAGE => Body::Message(rest),
            AGAIN => Body::Again(number(rest)?.0),
            _ => return Err(Reason::Malformed),
        };
        if session == 0 {
            return Err(Reason::Malformed);
        }
        let front = Front {
            session,
            number: nth,
            to,
        };
        Ok(Self { front, body })
    }
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), Reason> {
    let (number, rest) = bytes.split_first_chunk::<8>().ok_or(Reason::Malformed)?;
    Ok((u64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT_OF: Front = Front {
        session: u64::MAX,
        number: 7,
        to: 0,
    };

    #[test]
    fn a_packet_comes_back_as_it_was_and_no_part_of_it_does() {
        for body in [Body::Message(b""), Body::Message(b"hello"), Body::Again(9)] {
            let packet = Packet {
                front: FRONT_OF,
                body,
            };
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            assert_eq!(Packet::decode(&bytes), Ok(packet));
            for len in 0..bytes.len() {
                let whole = Packet::decode(&bytes[..len]) == Ok(packet);
                assert!(!whole, "{body:?} from {len} bytes");
            }
        }
    }

    #[test]
    fn an_unknown_kind_and_nobody_as_a_sender_make_no_sense() {
        let mut bytes = Vec::new();
        let body = Body::Message(b"hello");
        let front = Front {
            session: 0,
            ..FRONT_OF
        };
        Packet { front, body }.encode(&mut bytes);
        assert_eq!(Packet::decode(&bytes), Err(Reason::Malformed));
        bytes[1] = 1;
        assert!(Packet::decode(&bytes).is_ok());
        bytes[0] = 3;
        assert_eq!(Packet::decode(&bytes), Err(Reason::Malformed));
    }

    #[test]
    fn a_message_of_1300_bytes_fits() {
        const { assert!(DATAGRAM_MAX >= 1_300) }
    }
}
