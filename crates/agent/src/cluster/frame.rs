//! What is said on a stream: the greeting, and frames, each with its length in front.
//!
//! ```text
//! listener → caller   version 1 | random 16
//! caller → listener   length 4 | sealed hello      then, as often as needed:   length 4 | sealed message
//! ```
//! A frame is sealed for the listener's random bytes and its own place on the connection, so that no
//! frame can be used a second time, left out, or moved to another connection. The listener says
//! nothing after its greeting. Does not know sockets or what a message says.

use std::net::SocketAddr;

use base::wire::{Reader, Writer};

use super::entropy;
use super::reason::Reason;
use super::seal::{SEAL, VERSION};

/// Bytes of one message at most.
pub const MESSAGE_MAX: usize = 1 << 20;
/// What a message on a stream adds to its content: length, kind and seal; TCP's own bytes are not counted.
pub const MESSAGE_EXTRA: usize = 4 + 1 + SEAL;
/// Bytes of a sealed message at most.
pub(super) const FRAME_MAX: usize = MESSAGE_MAX + 1 + SEAL;
/// Bytes of a sealed hello at most: all that is read of a stranger.
pub(super) const HELLO_MAX: usize = 256;
/// Bytes of a greeting.
pub(super) const GREETING: usize = 17;

const HELLO: u8 = 1;
const MESSAGE: u8 = 2;
/// The field of a hello that holds the caller's cluster address.
const ADDRESS: u64 = 1;

/// The place of the next frame: which connection, and how many came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    random: [u8; 16],
    nth: u64,
}

impl Place {
    /// The first place on a new connection, by fresh random bytes.
    #[must_use]
    pub fn fresh() -> Self {
        let mut random = [0; 16];
        entropy::fill(&mut random);
        Self { random, nth: 0 }
    }

    /// What the listener says first.
    #[must_use]
    pub fn greeting(&self) -> [u8; 17] {
        let mut greeting = [VERSION; GREETING];
        greeting[1..].copy_from_slice(&self.random);
        greeting
    }

    /// The first place on the connection that was greeted so.
    pub fn greeted(greeting: &[u8; 17]) -> Result<Self, Reason> {
        let (&version, random) = greeting.split_first().expect("it is not empty");
        if version != VERSION {
            return Err(Reason::Version);
        }
        let random = random.try_into().expect("sixteen follow");
        Ok(Self { random, nth: 0 })
    }

    /// What the next frame's seal is bound to; it is behind us then.
    #[must_use]
    pub fn step(&mut self) -> [u8; 25] {
        let mut context = [b's'; 25];
        context[1..17].copy_from_slice(&self.random);
        context[17..].copy_from_slice(&self.nth.to_be_bytes());
        self.nth += 1;
        context
    }
}

/// An opened frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The caller's cluster address; the first frame and no other.
    Hello(SocketAddr),
    /// A message of the node.
    Message(&'a [u8]),
}

impl<'a> Frame<'a> {
    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(address) => {
                let mut fields = Writer::new();
                fields.field_bytes(ADDRESS, address.to_string().as_bytes());
                out.push(HELLO);
                out.extend_from_slice(&fields.finish());
            }
            Self::Message(bytes) => {
                out.push(MESSAGE);
                out.extend_from_slice(bytes);
            }
        }
    }

    /// The frame that `content` holds. Unknown fields of a hello are skipped.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when it holds none.
    pub fn decode(content: &'a [u8]) -> Result<Self, Reason> {
        match content.split_first().ok_or(Reason::Malformed)? {
            (&HELLO, fields) => Ok(Self::Hello(hello(fields).ok_or(Reason::Malformed)?)),
            (&MESSAGE, bytes) => Ok(Self::Message(bytes)),
            _ => Err(Reason::Malformed),
        }
    }
}

fn hello(fields: &[u8]) -> Option<SocketAddr> {
    let mut reader = Reader::new(fields);
    let mut address = None;
    while let Some((tag, content)) = reader.field().ok()? {
        if tag == ADDRESS {
            address = content.rest_text().ok()?.parse().ok();
        }
    }
    address.filter(|address: &SocketAddr| address.port() != 0)
}

/// The length of a frame, if it is within `limit`; nothing is allocated before this is known.
///
/// # Errors
/// [`Reason::Oversized`] when it is not.
pub fn length(front: [u8; 4], limit: usize) -> Result<usize, Reason> {
    let len = u32::from_be_bytes(front);
    let len = usize::try_from(len).map_err(|_| Reason::Oversized)?;
    if len > limit {
        return Err(Reason::Oversized);
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were() {
        for frame in [
            Frame::Hello("10.0.0.1:7718".parse().unwrap()),
            Frame::Hello("[fd00::1]:7718".parse().unwrap()),
            Frame::Message(b""),
            Frame::Message(b"hello"),
        ] {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            assert_eq!(Frame::decode(&bytes), Ok(frame));
        }
    }

    #[test]
    fn a_hello_with_news_from_a_later_version_is_understood() {
        let mut fields = Writer::new();
        fields.field_bytes(99, b"from the future");
        fields.field_bytes(ADDRESS, b"127.0.0.1:1");
        let bytes = [&[HELLO][..], &fields.finish()].concat();
        assert_eq!(
            Frame::decode(&bytes),
            Ok(Frame::Hello("127.0.0.1:1".parse().unwrap()))
        );
    }

    #[test]
    fn what_names_no_address_is_no_hello() {
        for text in ["", "localhost:1", "127.0.0.1", "127.0.0.1:0"] {
            let mut fields = Writer::new();
            fields.field_bytes(ADDRESS, text.as_bytes());
            let bytes = [&[HELLO][..], &fields.finish()].concat();
            assert_eq!(Frame::decode(&bytes), Err(Reason::Malformed), "{text}");
        }
        for bytes in [&[][..], &[HELLO], &[HELLO, 1, 200], &[3]] {
            assert_eq!(Frame::decode(bytes), Err(Reason::Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn every_place_is_its_own() {
        let (mut one, mut two) = (Place::fresh(), Place::fresh());
        let mut seen: Vec<[u8; 25]> = (0..5).map(|_| one.step()).collect();
        seen.extend((0..5).map(|_| two.step()));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 10);
    }

    #[test]
    fn the_greeting_carries_the_place_and_the_version() {
        let mut here = Place::fresh();
        let mut greeting = here.greeting();
        let mut there = Place::greeted(&greeting).unwrap();
        assert_eq!(there.step(), here.step());
        greeting[0] = VERSION + 1;
        assert_eq!(Place::greeted(&greeting), Err(Reason::Version));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused() {
        assert_eq!(length(256_u32.to_be_bytes(), HELLO_MAX), Ok(256));
        assert_eq!(
            length(257_u32.to_be_bytes(), HELLO_MAX),
            Err(Reason::Oversized)
        );
        assert_eq!(length([0xff; 4], FRAME_MAX), Err(Reason::Oversized));
    }
}
