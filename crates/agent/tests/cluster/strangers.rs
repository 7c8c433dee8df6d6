//! Datagrams of those who do not belong here, or whose words were damaged on their way.

use std::net::{SocketAddr, UdpSocket};

use base::{Rng, Way};
use roundsman_agent::cluster::{Keyring, PACKET_MAX, Reason};

use crate::relay::Relay;
use crate::stage::{Peer, key, ring, wait};

/// A socket without a transport, which lets the receiver keep pace.
struct Gun<'a> {
    socket: UdpSocket,
    at: &'a Peer,
    shots: u64,
}

impl<'a> Gun<'a> {
    fn at(at: &'a Peer) -> Self {
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").expect("a port"),
            shots: at.dropped_in_all(Way::Datagram),
            at,
        }
    }

    /// Sends what must be dropped.
    fn shoot(&mut self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.at.address()).expect("sent");
        self.shots += 1;
        if self.shots.is_multiple_of(32) {
            self.settle();
        }
    }

    fn settle(&self) {
        wait("every shot is counted", || {
            self.at.dropped_in_all(Way::Datagram) == self.shots
        });
    }
}

#[test]
fn another_key_no_key_and_another_label_are_told_apart_and_nothing_is_taken() {
    let ours = key();
    let node = Peer::open("prod", ring(&[&ours]));
    let send = |peer: &Peer| {
        for _ in 0..5 {
            peer.send(node.address(), Way::Datagram, "hello");
        }
    };
    send(&Peer::open("test", ring(&[&ours])));
    wait("label", || {
        node.drops(Way::Datagram) == [(Reason::Label, 5)]
    });
    send(&Peer::open("test", Keyring::plain()));
    wait("label", || {
        node.drops(Way::Datagram) == [(Reason::Label, 10)]
    });
    send(&Peer::open("prod", Keyring::plain()));
    wait("key", || node.dropped(Way::Datagram, Reason::Key) == 5);
    send(&Peer::open("prod", ring(&[&key()])));
    // One strange key in 255 has the hint of ours and is found out by its seal.
    wait("key", || {
        node.dropped(Way::Datagram, Reason::Key) + node.dropped(Way::Datagram, Reason::Seal) == 10
    });
    let plain = Peer::open("prod", Keyring::plain());
    let sealed = Peer::open("prod", ring(&[&ours]));
    sealed.send(plain.address(), Way::Datagram, "hello");
    wait("key", || plain.drops(Way::Datagram) == [(Reason::Key, 1)]);
    assert_eq!((node.inbox().len(), plain.inbox().len()), (0, 0));
}

/// A datagram that Bob would take, and Bob.
fn under_way(keyring: &Keyring) -> (Peer, Peer, Relay, Vec<u8>) {
    let alice = Peer::open("prod", keyring.clone());
    let bob = Peer::open("prod", keyring.clone());
    let relay = Relay::between(alice.address(), bob.address());
    alice.send(relay.address(), Way::Datagram, "met");
    for _ in ["she says it", "he did not know her", "she says it again"] {
        relay.pass();
    }
    bob.wait_for(&["met"]);
    alice.send(relay.address(), Way::Datagram, "hello");
    let (_, packet) = relay.hold();
    (alice, bob, relay, packet)
}

#[test]
fn a_datagram_cut_at_any_length_or_with_any_bit_flipped_is_dropped_and_the_whole_one_is_taken() {
    for keyring in [ring(&[&key()]), Keyring::plain()] {
        let (_alice, bob, relay, packet) = under_way(&keyring);
        let mut gun = Gun::at(&bob);
        for len in 0..packet.len() {
            gun.shoot(&packet[..len]);
        }
        gun.settle();
        let count = |reason| bob.dropped(Way::Datagram, reason);
        let short = if keyring.is_plain() { 14 } else { 46 };
        assert_eq!(count(Reason::Truncated), short);
        assert_eq!(count(Reason::Seal), packet.len() as u64 - short);
        let before = count(Reason::Seal);
        for bit in 0..packet.len() * 8 {
            let mut wrong = packet.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            gun.shoot(&wrong);
        }
        gun.settle();
        assert_eq!(count(Reason::Version), 8);
        assert_eq!(count(Reason::Key), 8);
        assert_eq!(count(Reason::Label), 32);
        assert_eq!(count(Reason::Seal) - before, packet.len() as u64 * 8 - 48);
        let longer = [&packet[..], b"x"].concat();
        gun.shoot(&longer);
        gun.settle();
        assert_eq!(bob.texts(), ["met"]);
        relay.give(bob.address(), &packet);
        bob.wait_for(&["met", "hello"]);
        assert_eq!(count(Reason::Session) + count(Reason::Truncated), 1 + short);
        assert_eq!(count(Reason::Replay) + count(Reason::Malformed), 0);
    }
}

#[test]
fn oversized_and_random_datagrams_are_dropped() {
    let node = Peer::open("prod", ring(&[&key()]));
    let mut gun = Gun::at(&node);
    let mut rng = Rng::new(7);
    let mut random = |len: usize| -> Vec<u8> {
        let byte = |_| u8::try_from(rng.below(256)).expect("a byte");
        (0..len).map(byte).collect()
    };
    for len in [PACKET_MAX + 1, 1_500, 9_000, 65_507] {
        gun.shoot(&random(len));
    }
    gun.settle();
    assert_eq!(node.drops(Way::Datagram), [(Reason::Oversized, 4)]);
    for nth in 0..3_000 {
        let mut bytes = random(nth % (PACKET_MAX + 1));
        if nth % 3 == 0 && !bytes.is_empty() {
            bytes[0] = 1;
        }
        gun.shoot(&bytes);
    }
    gun.settle();
    assert_eq!(node.inbox().len(), 0);
    assert_eq!(node.dropped(Way::Datagram, Reason::Replay), 0);
    assert!(node.dropped(Way::Datagram, Reason::Version) > 1_000);
    assert!(node.dropped(Way::Datagram, Reason::Label) > 500);
}

#[test]
fn a_newer_version_is_counted_and_no_other_is_hurt() {
    let keys = ring(&[&key()]);
    let (alice, bob) = (Peer::open("", keys.clone()), Peer::open("", keys));
    let mut gun = Gun::at(&bob);
    for version in 2..=255 {
        gun.shoot(&[version; 100]);
    }
    gun.settle();
    assert_eq!(bob.drops(Way::Datagram), [(Reason::Version, 254)]);
    alice.send(bob.address(), Way::Datagram, "hello");
    bob.wait_for(&["hello"]);
}

#[test]
fn a_datagram_that_the_kernel_refuses_is_counted() {
    let alice = Peer::open("", ring(&[&key()]));
    // Bound to IPv4, it can't reach an IPv6 address.
    let to: SocketAddr = "[::1]:9".parse().expect("an address");
    alice.send(to, Way::Datagram, "hello");
    assert_eq!(alice.drops(Way::Datagram), [(Reason::Unreachable, 1)]);
}
