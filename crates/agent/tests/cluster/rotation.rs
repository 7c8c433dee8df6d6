//! Keys change while nodes talk.

use base::Way;
use roundsman_agent::cluster::Reason;

use crate::stage::{Peer, key, ring, wait};

/// Datagrams and stream messages both ways, all of which must arrive.
fn talk(alice: &Peer, bob: &Peer) {
    let before = (alice.inbox().len(), bob.inbox().len());
    for _ in 0..25 {
        for way in [Way::Datagram, Way::Stream] {
            alice.send(bob.address(), way, "a");
            bob.send(alice.address(), way, "b");
        }
    }
    wait("nothing is lost", || {
        alice.inbox().len() == before.0 + 50 && bob.inbox().len() == before.1 + 50
    });
}

#[test]
fn keys_are_rotated_without_losing_a_packet() {
    let (old, new) = (key(), key());
    let (alice, bob) = (Peer::open("", ring(&[&old])), Peer::open("", ring(&[&old])));
    // They meet first: what two strangers say goes twice.
    alice.send(bob.address(), Way::Datagram, "met");
    wait("met", || bob.inbox().len() == 1);
    bob.send(alice.address(), Way::Datagram, "met");
    wait("met", || alice.inbox().len() == 1);
    let drops = |peer: &Peer| [peer.drops(Way::Datagram), peer.drops(Way::Stream)];
    let before = [drops(&alice), drops(&bob)];
    talk(&alice, &bob);
    for step in [[&*old, &*new].as_slice(), &[&new, &old], &[&new]] {
        for peer in [&alice, &bob] {
            peer.transport.rekey(ring(step)).expect("it has a key");
            talk(&alice, &bob);
        }
    }
    assert_eq!([drops(&alice), drops(&bob)], before);
    let late = Peer::open("", ring(&[&old]));
    late.send(bob.address(), Way::Datagram, "old");
    wait("the old key is worth nothing", || {
        bob.dropped(Way::Datagram, Reason::Key) + bob.dropped(Way::Datagram, Reason::Seal) == 1
    });
}

#[test]
fn a_key_that_is_taken_away_ends_the_streams_under_it_at_once() {
    let (old, new) = (key(), key());
    let (alice, bob) = (Peer::open("", ring(&[&old])), Peer::open("", ring(&[&old])));
    alice.send(bob.address(), Way::Stream, "1");
    bob.wait_for(&["1"]);
    bob.transport.rekey(ring(&[&new])).expect("it has a key");
    alice.send(bob.address(), Way::Stream, "2");
    wait("refused", || {
        bob.dropped(Way::Stream, Reason::Key) + bob.dropped(Way::Stream, Reason::Seal) == 1
    });
    alice.transport.rekey(ring(&[&new])).expect("it has a key");
    wait("heard again", || {
        alice.send(bob.address(), Way::Stream, "3");
        std::thread::sleep(std::time::Duration::from_millis(20));
        bob.texts().contains(&"3".to_owned())
    });
    assert!(!bob.texts().contains(&"2".to_owned()));
}
