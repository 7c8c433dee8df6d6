//! Packets of members that nobody is, for floods of them over real sockets.
//!
//! Who has the cluster's key can make them. Does not know sockets or seals.

use std::net::SocketAddr;
use std::ops::Range;

use ::membership::message::{Claim, Message, Packet, encode};
use ::membership::{Incarnation, Member, Meta, Standing, State};
use base::NodeId;
use base::wire::Writer;

/// The packet with which the member of this number, at this address, asks to join.
#[must_use]
pub fn join(number: u64, address: SocketAddr) -> Vec<u8> {
    let all = Message::Sync {
        mask: u64::MAX,
        reply: true,
    };
    packet(all, vec![nobody(number, address)])
}

/// The first of these members has news of all; a dozen fit into a datagram.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn gossip(numbers: Range<u64>, address: SocketAddr) -> Vec<u8> {
    let claims = numbers.map(|number| nobody(number, address));
    packet(Message::Gossip, claims.collect())
}

/// It takes no targets: whoever has the key could have them, too.
fn nobody(number: u64, address: SocketAddr) -> Claim {
    let born = Incarnation(1_700_000_000_000);
    let member = Member {
        id: NodeId(number + 1_000_000),
        name: format!("nobody-{number}").into(),
        address,
        state: State::Alive,
        incarnation: born,
        meta: Meta {
            zone: "".into(),
            weight: 1,
            wire: (health::WIRE_OLDEST, health::WIRE),
            standing: Standing::Draining,
        },
    };
    Claim::About {
        member,
        born,
        accusers: Vec::new(),
        age_s: 0,
    }
}

fn packet(message: Message, claims: Vec<Claim>) -> Vec<u8> {
    let sender = claims.first().expect("somebody speaks").id();
    let packet = Packet {
        sender,
        message,
        claims,
    };
    let mut sections = Writer::new();
    sections.field_bytes(1, &encode(&packet));
    let head = [health::WIRE_OLDEST];
    [&head[..], &sender.0.to_le_bytes(), &sections.finish()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dozen_fit_into_a_datagram() {
        let address = "127.0.0.1:7718".parse().expect("an address");
        let bytes = gossip(100_000..100_012, address);
        assert!(bytes.len() <= 1_300, "{}", bytes.len());
        let kinds: Vec<&str> = health::packet::contents(&bytes)
            .map(|(kind, _)| kind)
            .collect();
        assert_eq!(kinds, ["membership"]);
    }
}
