//! Which opened datagrams are let in: each at most once, and only into the life it was meant for.
//!
//! Every life of a process is a session with a random number, and numbers its packets. A packet
//! names the session that it is meant for; its sender knows that from the receiver's own packets.
//! One that names another session (its receiver has restarted), or none (the two have never met),
//! is not let in: the sender is told this session's number and sends it again, once, out of the last
//! [`SENT_MAX`] that it keeps. So a recording from before a boot opens, but leads nowhere; within a
//! life the [`Window`] of its sender tells what came before. No clock is compared with any other.
//!
//! When too many sessions have been heard this one takes a new number and forgets them all: what was
//! recorded under the old number is worthless then. Whoever holds a key is trusted.
//! Pure but for the sessions' numbers. Does not know sockets or seals.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use base::Time;

use super::entropy;
use super::packet::{Body, Front, Packet};
use super::reason::Reason;
use super::window::Window;

/// Sessions that are remembered; the next one makes this one start anew.
const SENDERS_MAX: usize = 4_096;
/// Addresses whose session is remembered; beyond it all are learned anew.
const PEERS_MAX: usize = 4_096;
/// Datagrams that are kept to be sent again, whoever they went to.
const SENT_MAX: usize = 512;
/// How many senders are told in a second that they must send again.
const AGAIN_MAX: u32 = 1_000;

/// What becomes of an opened datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is let in.
    Open,
    /// It is not let in, and its sender is told why.
    Tell(Front, u64),
    /// A packet of ours was not let in; here it is, to be sent there again.
    Resend(SocketAddr, Vec<u8>),
    /// It is dropped.
    Drop(Reason),
    /// It has been seen to already.
    Done,
}

/// A datagram that went out.
#[derive(Debug)]
struct Sent {
    address: SocketAddr,
    /// The session it was meant for.
    to: u64,
    /// None once it has been sent again.
    bytes: Option<Vec<u8>>,
}

/// The state of both directions.
#[derive(Debug)]
pub(super) struct Gate {
    session: u64,
    /// The number of the last packet that went out.
    number: u64,
    senders: HashMap<u64, Window>,
    peers: HashMap<SocketAddr, u64>,
    /// The last packets that went out; the newest has `number`.
    sent: VecDeque<Sent>,
    /// Which second it is, and who was told in it.
    told: (u64, u32),
}

impl Gate {
    /// A gate that knows nobody.
    pub(super) fn new() -> Self {
        Self {
            session: entropy::word(),
            number: 0,
            senders: HashMap::new(),
            peers: HashMap::new(),
            sent: VecDeque::new(),
            told: (0, 0),
        }
    }

    /// The front of a message to `address`, and the message, which is kept for a while.
    pub(super) fn goes(&mut self, address: SocketAddr, bytes: Vec<u8>) -> (Front, &[u8]) {
        self.number += 1;
        let to = self.peers.get(&address).copied().unwrap_or(0);
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            address,
            to,
            bytes: Some(bytes),
        });
        let kept = self.sent.back().and_then(|sent| sent.bytes.as_deref());
        let front = Front {
            session: self.session,
            number: self.number,
            to,
        };
        (front, kept.expect("it was put there"))
    }

    /// What becomes of `packet`, which came from `address`.
    pub(super) fn comes(&mut self, now: Time, address: SocketAddr, packet: &Packet<'_>) -> Entry {
        let front = packet.front;
        if let Body::Again(number) = packet.body {
            return if front.to == self.session {
                self.again(front.session, number)
            } else {
                Entry::Drop(Reason::Session)
            };
        }
        if front.to != self.session {
            return self.tell(now, front);
        }
        if !self.senders.contains_key(&front.session) && self.senders.len() >= SENDERS_MAX {
            self.session = entropy::word();
            self.senders.clear();
            return self.tell(now, front);
        }
        if !self
            .senders
            .entry(front.session)
            .or_default()
            .take(front.number)
        {
            return Entry::Drop(Reason::Replay);
        }
        self.learn(address, front.session);
        Entry::Open
    }

    /// Tells the sender of a packet for another session to send it again, unless too many were told.
    fn tell(&mut self, now: Time, refused: Front) -> Entry {
        let second = now.0 / 1_000_000;
        if self.told.0 != second {
            self.told = (second, 0);
        }
        if self.told.1 >= AGAIN_MAX {
            return Entry::Drop(Reason::Session);
        }
        self.told.1 += 1;
        let front = Front {
            session: self.session,
            number: 0,
            to: refused.session,
        };
        Entry::Tell(front, refused.number)
    }

    /// Takes packet `number` out to send it again, to the session that did not let it in.
    fn again(&mut self, session: u64, number: u64) -> Entry {
        let oldest = self.number + 1 - self.sent.len() as u64;
        let place = number.checked_sub(oldest).map(usize::try_from);
        let Some(Ok(place)) = place else {
            return Entry::Done;
        };
        let Some(sent) = self.sent.get_mut(place).filter(|s| s.to != session) else {
            return Entry::Done;
        };
        let Some(bytes) = sent.bytes.take() else {
            return Entry::Done;
        };
        let address = sent.address;
        self.learn(address, session);
        Entry::Resend(address, bytes)
    }

    fn learn(&mut self, address: SocketAddr, session: u64) {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&address) {
            self.peers.clear();
        }
        self.peers.insert(address, session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(0);

    fn address(host: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, host], 7718))
    }

    fn message(gate: &mut Gate, to: u8, text: &[u8]) -> (Front, Vec<u8>) {
        let (front, bytes) = gate.goes(address(to), text.to_vec());
        (front, bytes.to_vec())
    }

    fn comes(gate: &mut Gate, from: u8, (front, bytes): &(Front, Vec<u8>)) -> Entry {
        let body = Body::Message(bytes);
        let front = *front;
        gate.comes(NOW, address(from), &Packet { front, body })
    }

    fn told(gate: &mut Gate, from: u8, entry: &Entry) -> Entry {
        let Entry::Tell(front, number) = *entry else {
            panic!("{entry:?}");
        };
        let body = Body::Again(number);
        gate.comes(NOW, address(from), &Packet { front, body })
    }

    /// Alice (1) and Bob (2), who have met.
    fn met() -> (Gate, Gate) {
        let (mut alice, mut bob) = (Gate::new(), Gate::new());
        let packet = message(&mut alice, 2, b"hello");
        let entry = comes(&mut bob, 1, &packet);
        let again = told(&mut alice, 2, &entry);
        assert_eq!(again, Entry::Resend(address(2), b"hello".to_vec()));
        let packet = message(&mut alice, 2, b"hello");
        assert_eq!(comes(&mut bob, 1, &packet), Entry::Open);
        (alice, bob)
    }

    #[test]
    fn two_that_never_met_need_one_more_turn_and_then_none() {
        let (mut alice, mut bob) = met();
        for _ in 0..3 {
            let packet = message(&mut alice, 2, b"ping");
            assert_eq!(comes(&mut bob, 1, &packet), Entry::Open);
        }
        // Bob has learned Alice's session from what she said.
        let packet = message(&mut bob, 1, b"ack");
        assert_eq!(comes(&mut alice, 2, &packet), Entry::Open);
    }

    #[test]
    fn nothing_is_let_in_twice() {
        let (mut alice, mut bob) = met();
        let (one, two) = (message(&mut alice, 2, b"1"), message(&mut alice, 2, b"2"));
        assert_eq!(comes(&mut bob, 1, &two), Entry::Open);
        assert_eq!(comes(&mut bob, 1, &one), Entry::Open);
        for packet in [one, two] {
            assert_eq!(comes(&mut bob, 1, &packet), Entry::Drop(Reason::Replay));
            assert_eq!(comes(&mut bob, 9, &packet), Entry::Drop(Reason::Replay));
        }
    }

    #[test]
    fn a_recording_leads_nowhere_after_the_receivers_restart_nor_at_anybody_else() {
        let (mut alice, mut bob) = met();
        let recorded: Vec<_> = (0..9).map(|_| message(&mut alice, 2, b"old")).collect();
        for packet in &recorded {
            assert_eq!(comes(&mut bob, 1, packet), Entry::Open);
        }
        for mut other in [Gate::new(), Gate::new()] {
            for packet in &recorded {
                assert!(matches!(comes(&mut other, 1, packet), Entry::Tell(..)));
            }
        }
    }

    #[test]
    fn a_restarted_peer_gets_what_was_under_way_once_and_anew() {
        let (mut alice, bob) = met();
        drop(bob);
        let mut bob = Gate::new();
        let lost = [
            message(&mut alice, 2, b"ping"),
            message(&mut alice, 2, b"news"),
        ];
        let refusals: Vec<Entry> = lost.iter().map(|p| comes(&mut bob, 1, p)).collect();
        for (refusal, text) in refusals.iter().zip([b"ping", b"news"]) {
            let again = told(&mut alice, 2, refusal);
            assert_eq!(again, Entry::Resend(address(2), text.to_vec()));
            let packet = message(&mut alice, 2, text);
            assert_eq!(comes(&mut bob, 1, &packet), Entry::Open);
            // The same word a second time changes nothing.
            assert_eq!(told(&mut alice, 2, refusal), Entry::Done);
        }
    }

    #[test]
    fn a_recorded_word_to_send_again_is_worth_nothing_in_another_life() {
        let (mut alice, mut bob) = (Gate::new(), Gate::new());
        let packet = message(&mut alice, 2, b"hello");
        let refusal = comes(&mut bob, 1, &packet);
        let mut alice = Gate::new();
        message(&mut alice, 2, b"hello");
        assert_eq!(told(&mut alice, 2, &refusal), Entry::Drop(Reason::Session));
    }

    #[test]
    fn the_word_to_send_again_may_come_from_another_address_of_the_peer() {
        let (mut alice, mut bob) = (Gate::new(), Gate::new());
        let packet = message(&mut alice, 2, b"hello");
        let refusal = comes(&mut bob, 1, &packet);
        let again = told(&mut alice, 7, &refusal);
        assert_eq!(again, Entry::Resend(address(2), b"hello".to_vec()));
    }

    #[test]
    fn a_node_that_sends_to_itself_hears_it_once() {
        let mut alice = Gate::new();
        let packet = message(&mut alice, 1, b"me");
        let refusal = comes(&mut alice, 1, &packet);
        assert!(matches!(told(&mut alice, 1, &refusal), Entry::Resend(..)));
        let packet = message(&mut alice, 1, b"me");
        assert_eq!(comes(&mut alice, 1, &packet), Entry::Open);
        assert_eq!(comes(&mut alice, 1, &packet), Entry::Drop(Reason::Replay));
    }

    #[test]
    fn every_number_that_could_be_asked_for_again_is_answered_or_ignored() {
        let mut alice = Gate::new();
        for _ in 0..2 * SENT_MAX {
            message(&mut alice, 2, b"x");
        }
        let session = alice.session;
        let mut resent = 0;
        for number in (0..3_000).chain([u64::MAX]) {
            let front = Front {
                session: 77,
                number: 0,
                to: session,
            };
            let body = Body::Again(number);
            match alice.comes(NOW, address(2), &Packet { front, body }) {
                Entry::Resend(..) => resent += 1,
                other => assert_eq!(other, Entry::Done),
            }
        }
        assert_eq!((resent, alice.sent.len()), (SENT_MAX, SENT_MAX));
    }

    #[test]
    fn the_table_of_senders_is_bounded_and_what_it_forgot_is_refused() {
        let mut bob = Gate::new();
        let known = bob.session;
        let body = Body::Message(b"x");
        let packet = |session: u64, to: u64| Packet {
            front: Front {
                session,
                number: 1,
                to,
            },
            body,
        };
        for session in 1..=SENDERS_MAX as u64 {
            assert_eq!(
                bob.comes(NOW, address(1), &packet(session, known)),
                Entry::Open
            );
        }
        let one_more = bob.comes(NOW, address(1), &packet(99_999, known));
        assert!(matches!(one_more, Entry::Tell(..)), "{one_more:?}");
        assert_eq!(bob.senders.len(), 0);
        // All that was recorded before is for a session that is no more.
        for session in [1, 50, 4_096] {
            let entry = bob.comes(NOW, address(1), &packet(session, known));
            assert!(matches!(entry, Entry::Tell(..)), "{entry:?}");
        }
        let now_known = bob.session;
        assert_eq!(
            bob.comes(NOW, address(1), &packet(1, now_known)),
            Entry::Open
        );
    }

    #[test]
    fn the_table_of_peers_and_the_words_to_strangers_are_bounded() {
        let mut bob = Gate::new();
        for nth in 0..3 * PEERS_MAX as u64 {
            let host = u32::try_from(nth).unwrap().to_be_bytes();
            bob.learn(SocketAddr::from((host, 1)), nth);
            assert!(bob.peers.len() <= PEERS_MAX);
        }
        let mut told = 0;
        for nth in 0..5_000 {
            let front = Front {
                session: nth + 1,
                number: 1,
                to: 3,
            };
            let body = Body::Message(b"x");
            let packet = Packet { front, body };
            match bob.comes(NOW, address(1), &packet) {
                Entry::Tell(..) => told += 1,
                entry => assert_eq!(entry, Entry::Drop(Reason::Session)),
            }
        }
        assert_eq!(told, AGAIN_MAX);
        assert!(bob.senders.is_empty());
        let front = Front {
            session: 1,
            number: 1,
            to: 3,
        };
        let later = bob.comes(
            Time(1_000_000),
            address(1),
            &Packet {
                front,
                body: Body::Message(b"x"),
            },
        );
        assert!(matches!(later, Entry::Tell(..)));
    }
}
