//! What passes between two nodes, recorded and used again.

use base::Way;
use roundsman_agent::cluster::Reason;

use crate::relay::Relay;
use crate::stage::{Caller, Peer, key, ring, wait};

/// Alice and Bob, who have met through a relay; Alice says everything to the relay.
fn met() -> (Peer, Peer, Relay, String) {
    let key = key();
    let (alice, bob) = (Peer::open("", ring(&[&key])), Peer::open("", ring(&[&key])));
    let relay = Relay::between(alice.address(), bob.address());
    alice.send(relay.address(), Way::Datagram, "met");
    for _ in ["she says it", "he did not know her", "she says it again"] {
        relay.pass();
    }
    bob.wait_for(&["met"]);
    (alice, bob, relay, key)
}

#[test]
fn a_datagram_that_comes_again_is_dropped_whoever_sends_it() {
    let (alice, bob, relay, _) = met();
    let recorded: Vec<Vec<u8>> = (0..50)
        .map(|nth| {
            alice.send(relay.address(), Way::Datagram, &nth.to_string());
            relay.pass()
        })
        .collect();
    wait("all came", || bob.inbox().len() == 51);
    let elsewhere = Relay::between(alice.address(), bob.address());
    for bytes in &recorded {
        relay.give(bob.address(), bytes);
        elsewhere.give(bob.address(), bytes);
    }
    wait("all is counted", || {
        bob.dropped(Way::Datagram, Reason::Replay) == 100
    });
    assert_eq!(bob.inbox().len(), 51);
    assert_eq!(
        bob.drops(Way::Datagram),
        [(Reason::Session, 1), (Reason::Replay, 100)]
    );
}

#[test]
fn a_recording_is_worth_nothing_after_the_receiver_restarts_nor_to_anybody_else() {
    let (alice, bob, relay, key) = met();
    let recorded: Vec<Vec<u8>> = (0..20)
        .map(|nth| {
            alice.send(relay.address(), Way::Datagram, &nth.to_string());
            relay.pass()
        })
        .collect();
    wait("all came", || bob.inbox().len() == 21);
    let address = bob.address();
    drop(bob);
    let bob = Peer::at(&address.to_string(), "", ring(&[&key]));
    let carol = Peer::open("", ring(&[&key]));
    for node in [&bob, &carol] {
        for bytes in &recorded {
            relay.give(node.address(), bytes);
        }
        wait("all is counted", || {
            node.dropped(Way::Datagram, Reason::Session) == 20
        });
        assert_eq!(node.inbox().len(), 0);
    }
    // Every one of these words to Alice is lost on the way; she is heard all the same.
    for _ in 0..40 {
        relay.hold();
    }
    alice.send(relay.address(), Way::Datagram, "now");
    for _ in ["she says it", "he did not know her", "she says it again"] {
        relay.pass();
    }
    bob.wait_for(&["now"]);
}

#[test]
fn what_was_held_back_counts_once_and_what_comes_far_too_late_not_at_all() {
    let (alice, bob, relay, _) = met();
    alice.send(relay.address(), Way::Datagram, "soon");
    let (_, soon) = relay.hold();
    alice.send(relay.address(), Way::Datagram, "late");
    let (_, late) = relay.hold();
    for nth in 0..500 {
        alice.send(relay.address(), Way::Datagram, "x");
        relay.pass();
        wait("no burst", || bob.inbox().len() == 2 + nth);
    }
    relay.give(bob.address(), &soon);
    wait("it counts", || bob.texts().contains(&"soon".to_owned()));
    for nth in 0..600 {
        alice.send(relay.address(), Way::Datagram, "x");
        relay.pass();
        wait("no burst", || bob.inbox().len() == 503 + nth);
    }
    relay.give(bob.address(), &late);
    wait("it is too late", || {
        bob.dropped(Way::Datagram, Reason::Replay) == 1
    });
    assert!(!bob.texts().contains(&"late".to_owned()));
}

#[test]
fn a_recorded_stream_opens_on_no_other_connection() {
    use std::io::{Read, Write};
    let key = key();
    let (alice, bob) = (Peer::open("", ring(&[&key])), Peer::open("", ring(&[&key])));
    let between = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    alice.send(between.local_addr().expect("bound"), Way::Stream, "hello");
    // One in the middle: Bob's greeting to Alice, her words to him, and a copy for later.
    let (mut to_alice, _) = between.accept().expect("she calls");
    let mut to_bob = std::net::TcpStream::connect(bob.address()).expect("he listens");
    let mut greeting = [0; 17];
    to_bob.read_exact(&mut greeting).expect("a greeting");
    to_alice.write_all(&greeting).expect("she listens");
    let mut recorded = Vec::new();
    while bob.inbox().is_empty() {
        let mut buffer = [0; 2_000];
        let len = to_alice.read(&mut buffer).expect("her words");
        recorded.extend_from_slice(&buffer[..len]);
        to_bob.write_all(&buffer[..len]).expect("he listens");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(bob.inbox()[0].from, alice.address());
    // The same frame again on the same connection, and everything again on others.
    let hello = 4 + usize::from(recorded[3]);
    to_bob.write_all(&recorded[hello..]).expect("he listens");
    wait("refused", || bob.dropped(Way::Stream, Reason::Seal) == 1);
    for nth in 1..=10 {
        Caller::call(bob.address()).say_last(&recorded);
        wait("refused", || {
            bob.dropped(Way::Stream, Reason::Seal) == 1 + nth
        });
    }
    assert_eq!(bob.texts(), ["hello"]);
}
