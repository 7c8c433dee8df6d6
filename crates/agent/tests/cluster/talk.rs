//! Two nodes of one cluster.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base::Way;
use roundsman_agent::cluster::{
    DATAGRAM_MAX, Keyring, OpenError, PACKET_MAX, Reason, Settings, Transport,
};

use crate::stage::{Peer, key, ring, wait};

#[test]
fn two_nodes_talk_both_ways_with_a_key_and_without() {
    let keys = ring(&[&key()]);
    for ring in [keys, Keyring::plain()] {
        let (alice, bob) = (Peer::open("prod", ring.clone()), Peer::open("prod", ring));
        for way in [Way::Datagram, Way::Stream] {
            for (one, other) in [(&alice, &bob), (&bob, &alice)] {
                one.send(other.address(), way, "hello");
                wait("it comes", || {
                    other
                        .inbox()
                        .iter()
                        .any(|a| (a.from, a.way, &*a.bytes) == (one.address(), way, b"hello"))
                });
            }
        }
        assert_eq!((alice.inbox().len(), bob.inbox().len()), (2, 2));
        for way in [Way::Datagram, Way::Stream] {
            let (out, came) = (alice.traffic.of(way), bob.traffic.of(way));
            assert_eq!(came.messages_in.get(), 1);
            assert_eq!(out.bytes_out.get(), came.bytes_in.get());
            assert!(out.bytes_out.get() > 30);
        }
    }
}

#[test]
fn the_first_datagrams_to_a_stranger_and_after_a_restart_arrive_once() {
    let keys = ring(&[&key()]);
    let alice = Peer::open("", keys.clone());
    let bob = Peer::open("", keys.clone());
    alice.send(bob.address(), Way::Datagram, "1");
    alice.send(bob.address(), Way::Datagram, "2");
    wait("both", || bob.inbox().len() == 2);
    let address = bob.address();
    drop(bob);
    let bob = Peer::at(&address.to_string(), "", keys);
    alice.send(address, Way::Datagram, "3");
    alice.send(address, Way::Datagram, "4");
    wait("both", || bob.inbox().len() == 2);
    let mut texts = bob.texts();
    texts.sort();
    assert_eq!(texts, ["3", "4"]);
    // The second may have gone out when the first had come back already.
    let drops = bob.drops(Way::Datagram);
    assert!(matches!(drops[..], [(Reason::Session, 1 | 2)]), "{drops:?}");
    // From now on nothing is said twice.
    alice.send(address, Way::Datagram, "5");
    bob.send(alice.address(), Way::Datagram, "6");
    wait("no detour", || {
        bob.inbox().len() == 3 && alice.inbox().len() == 1
    });
    assert_eq!(bob.drops(Way::Datagram), drops);
    assert_eq!(alice.dropped_in_all(Way::Datagram), 0);
}

#[test]
fn a_node_may_send_to_itself() {
    let alice = Peer::open("", ring(&[&key()]));
    alice.send(alice.address(), Way::Datagram, "me");
    alice.wait_for(&["me"]);
    alice.send(alice.address(), Way::Stream, "again");
    alice.wait_for(&["me", "again"]);
}

#[test]
fn the_longest_datagram_fits_and_one_byte_more_is_dropped_where_it_is_sent() {
    let keys = ring(&[&key()]);
    let (alice, bob) = (Peer::open("", keys.clone()), Peer::open("", keys));
    alice.send(bob.address(), Way::Datagram, &"x".repeat(DATAGRAM_MAX));
    wait("it comes", || bob.inbox().len() == 1);
    assert_eq!(bob.inbox()[0].bytes.len(), DATAGRAM_MAX);
    alice.send(bob.address(), Way::Datagram, &"x".repeat(DATAGRAM_MAX + 1));
    assert_eq!(alice.drops(Way::Datagram), [(Reason::Oversized, 1)]);
    let raw = UdpSocket::bind("127.0.0.1:0").expect("a port");
    alice.send(
        raw.local_addr().expect("bound"),
        Way::Datagram,
        &"x".repeat(DATAGRAM_MAX),
    );
    let len = raw.recv(&mut [0; 2_000]).expect("it comes");
    assert_eq!(len, PACKET_MAX);
}

#[test]
fn a_full_queue_drops_datagrams_and_makes_streams_wait() {
    let keys = ring(&[&key()]);
    let (alice, bob) = (Peer::open("", keys.clone()), Peer::open("", keys));
    alice.send(bob.address(), Way::Datagram, "met");
    bob.wait_for(&["met"]);
    bob.is_full.store(true, Relaxed);
    for nth in 0..10 {
        alice.send(bob.address(), Way::Stream, &nth.to_string());
        alice.send(bob.address(), Way::Datagram, "lost");
    }
    wait("datagrams are lost", || {
        bob.dropped(Way::Datagram, Reason::Queue) == 10
    });
    assert_eq!(bob.inbox().len(), 1);
    bob.is_full.store(false, Relaxed);
    bob.wait_for(&["met", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(bob.drops(Way::Stream), []);
}

#[test]
fn nodes_that_listen_everywhere_are_known_by_the_address_they_are_met_at() {
    let keys = ring(&[&key()]);
    let bob = Peer::open("", keys.clone());
    for everywhere in ["0.0.0.0:0", "[::]:0"] {
        // Only with a key, and only where the machine speaks IPv6.
        if everywhere.starts_with('[') && UdpSocket::bind("[::1]:0").is_err() {
            continue;
        }
        let alice = Peer::at(everywhere, "", keys.clone());
        let address = SocketAddr::from(([127, 0, 0, 1], alice.address().port()));
        for way in [Way::Datagram, Way::Stream] {
            alice.send(bob.address(), way, "out");
            wait("known", || {
                bob.inbox()
                    .iter()
                    .any(|a| a.from == address && a.way == way)
            });
            bob.send(address, way, "back");
            wait("known", || {
                alice
                    .inbox()
                    .iter()
                    .any(|a| a.from == bob.address() && a.way == way)
            });
        }
    }
}

#[test]
fn without_a_key_only_loopback_is_served_and_never_opened_by_taking_keys_away() {
    let settings = |listen: &str, keyring: Keyring| Settings {
        listen: listen.parse().expect("an address"),
        label: "".into(),
        keyring,
        traffic: Arc::default(),
    };
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = Transport::open(settings(open, Keyring::plain()), Err);
        let said = refused.expect_err("it is open").to_string();
        assert!(said.contains(open) && said.contains("keygen"), "{said}");
    }
    let transport = Transport::open(settings("0.0.0.0:0", ring(&[&key()])), Err);
    let transport = transport.expect("it has a key");
    let refused = transport.rekey(Keyring::plain());
    assert!(matches!(refused, Err(OpenError::Open(_))));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let alice = Peer::open("", ring(&[&key()]));
    let settings = Settings {
        listen: alice.address(),
        label: "".into(),
        keyring: Keyring::plain(),
        traffic: Arc::default(),
    };
    let said = Transport::open(settings, Err)
        .expect_err("taken")
        .to_string();
    assert!(said.contains(&alice.address().to_string()), "{said}");
}

#[test]
fn closing_lets_streams_that_are_under_way_arrive() {
    let keys = ring(&[&key()]);
    let (alice, bob) = (Peer::open("", keys.clone()), Peer::open("", keys));
    for _ in 0..3 {
        alice.send(bob.address(), Way::Stream, &"farewell ".repeat(50_000));
    }
    alice.transport.close(std::time::Duration::from_secs(20));
    wait("all came", || bob.inbox().len() == 3);
}
