//! Streams: peers, and callers that have no key, no sense or no end.

use std::net::{Shutdown, TcpListener};

use base::{Rng, Way};
use roundsman_agent::cluster::{Frame, Keyring, MESSAGE_MAX, Reason, Seal};

use crate::stage::{Caller, Peer, key, ring, wait};

#[test]
fn long_messages_arrive_whole_and_in_order_on_one_connection() {
    let keys = ring(&[&key()]);
    let (alice, bob) = (Peer::open("", keys.clone()), Peer::open("", keys));
    for letter in ["a", "b", "c"] {
        alice.send(bob.address(), Way::Stream, &letter.repeat(MESSAGE_MAX));
        alice.send(bob.address(), Way::Stream, letter);
    }
    wait("all came", || bob.inbox().len() == 6);
    for (pair, letter) in bob.texts().chunks(2).zip(["a", "b", "c"]) {
        assert!(pair[0].len() == MESSAGE_MAX && pair[0].starts_with(letter));
        assert_eq!(pair[1], letter);
    }
    assert_eq!(alice.dropped_in_all(Way::Stream), 0);
    alice.send(bob.address(), Way::Stream, &"x".repeat(MESSAGE_MAX + 1));
    assert_eq!(alice.drops(Way::Stream), [(Reason::Oversized, 1)]);
}

#[test]
fn a_peer_that_is_away_is_called_again_when_there_is_something_to_say() {
    let keys = ring(&[&key()]);
    let (alice, bob) = (Peer::open("", keys.clone()), Peer::open("", keys.clone()));
    let address = bob.address();
    alice.send(address, Way::Stream, "1");
    bob.wait_for(&["1"]);
    drop(bob);
    wait("nobody takes it", || {
        alice.send(address, Way::Stream, "2");
        alice.dropped(Way::Stream, Reason::Unreachable) > 0
    });
    let bob = Peer::at(&address.to_string(), "", keys);
    wait("heard again", || {
        alice.send(address, Way::Stream, "3");
        std::thread::sleep(std::time::Duration::from_millis(10));
        bob.texts().contains(&"3".to_owned())
    });
}

#[test]
fn a_sender_that_outlives_its_transport_drops_what_it_is_given() {
    let keys = ring(&[&key()]);
    let (alice, bob) = (Peer::open("", keys.clone()), Peer::open("", keys));
    let sender = alice.transport.sender();
    drop(alice.transport);
    sender.send(bob.address(), Way::Stream, b"hello".to_vec());
    let count = |reason| alice.traffic.of(Way::Stream).dropped(reason).get();
    wait("dropped", || count(Reason::Unreachable) == 1);
    assert_eq!(bob.inbox().len(), 0);
}

#[test]
fn what_waits_for_a_peer_is_bounded() {
    let alice = Peer::open("", ring(&[&key()]));
    // Somebody who takes calls and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = silent.local_addr().expect("bound");
    for _ in 0..10 {
        alice.send(to, Way::Stream, &"x".repeat(MESSAGE_MAX));
    }
    assert_eq!(
        alice.drops(Way::Stream),
        [(Reason::Queue, 6)],
        "4 MiB may wait"
    );
    assert_eq!(alice.transport.backlog().outgoing, 4 << 20);
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = other.local_addr().expect("bound");
    for _ in 0..100 {
        alice.send(to, Way::Stream, "x");
    }
    // Not one has left the queue yet: the listener has to greet first.
    assert_eq!(
        alice.dropped(Way::Stream, Reason::Queue),
        6 + 36,
        "64 may wait"
    );
    wait("given up", || {
        alice.dropped(Way::Stream, Reason::Unreachable) == 4 + 64
    });
    wait("nothing waits any more", || {
        alice.transport.backlog().outgoing == 0
    });
}

#[test]
fn another_key_no_key_and_another_label_are_told_apart_on_streams_too() {
    let ours = key();
    let node = Peer::open("prod", ring(&[&ours]));
    for (label, keyring, reason) in [
        ("test", ring(&[&ours]), Reason::Label),
        ("prod", Keyring::plain(), Reason::Key),
    ] {
        let stranger = Peer::open(label, keyring);
        stranger.send(node.address(), Way::Stream, "hello");
        wait("refused", || node.dropped(Way::Stream, reason) == 1);
    }
    let stranger = Peer::open("prod", ring(&[&key()]));
    stranger.send(node.address(), Way::Stream, "hello");
    wait("refused", || {
        node.dropped(Way::Stream, Reason::Key) + node.dropped(Way::Stream, Reason::Seal) == 2
    });
    assert_eq!(node.inbox().len(), 0);
}

/// A listener, and a hello and message that it would take on the connection of the caller.
struct Stage {
    node: Peer,
    seal: Seal,
}

impl Stage {
    fn new() -> Self {
        let key = key();
        Self {
            node: Peer::open("prod", ring(&[&key])),
            seal: Seal::new("prod", ring(&[&key])),
        }
    }

    fn call(&self) -> (Caller, Vec<u8>) {
        let mut caller = Caller::call(self.node.address());
        let hello = Frame::Hello("127.0.0.1:9".parse().expect("an address"));
        let mut said = caller.frame(&self.seal, &hello);
        said.extend(caller.frame(&self.seal, &Frame::Message(b"hello")));
        (caller, said)
    }
}

#[test]
fn a_stream_cut_at_any_length_is_dropped_and_the_whole_one_is_taken() {
    let stage = Stage::new();
    let (caller, said) = stage.call();
    caller.say_last(&said);
    stage.node.wait_for(&["hello"]);
    assert_eq!(stage.node.drops(Way::Stream), []);
    let hello = 4 + usize::from(said[3]);
    for len in 0..said.len() {
        let before = stage.node.dropped(Way::Stream, Reason::Truncated);
        let (caller, said) = stage.call();
        caller.say_last(&said[..len]);
        // After a whole hello a caller may hang up.
        let expected = before + u64::from(len != hello);
        wait(&format!("{len} bytes"), || {
            stage.node.dropped(Way::Stream, Reason::Truncated) == expected
        });
    }
    assert_eq!(stage.node.texts(), ["hello"]);
}

#[test]
fn a_stream_with_any_byte_changed_is_cut_off_and_counted_once() {
    let stage = Stage::new();
    let (_, said) = stage.call();
    let total = || stage.node.dropped_in_all(Way::Stream);
    wait("the first has hung up", || total() == 1);
    for at in 0..said.len() {
        let before = total();
        let (caller, mut said) = stage.call();
        said[at] ^= 1 << (at % 8);
        caller.say_last(&said);
        wait(&format!("byte {at}"), || total() == before + 1);
    }
    assert_eq!(stage.node.inbox().len(), 0);
    let reasons: Vec<Reason> = stage.node.drops(Way::Stream).iter().map(|d| d.0).collect();
    for reason in [
        Reason::Version,
        Reason::Label,
        Reason::Key,
        Reason::Seal,
        Reason::Oversized,
    ] {
        assert!(reasons.contains(&reason), "{reason:?} in {reasons:?}");
    }
}

#[test]
fn frames_out_of_turn_and_without_sense_end_the_stream() {
    let stage = Stage::new();
    let address = "127.0.0.1:9".parse().expect("an address");
    let count = |reason| stage.node.dropped(Way::Stream, reason);
    // A message in place of the hello; a second hello; a frame left out.
    let mut caller = Caller::call(stage.node.address());
    let message = caller.frame(&stage.seal, &Frame::Message(b"hello"));
    caller.say_last(&message);
    wait("no hello", || count(Reason::Malformed) == 1);
    let mut caller = Caller::call(stage.node.address());
    let mut said = caller.frame(&stage.seal, &Frame::Hello(address));
    said.extend(caller.frame(&stage.seal, &Frame::Hello(address)));
    caller.say_last(&said);
    wait("two hellos", || count(Reason::Malformed) == 2);
    let mut caller = Caller::call(stage.node.address());
    let mut said = caller.frame(&stage.seal, &Frame::Hello(address));
    let _left_out = caller.place.step();
    said.extend(caller.frame(&stage.seal, &Frame::Message(b"third")));
    caller.say_last(&said);
    wait("one left out", || count(Reason::Seal) == 1);
    assert_eq!(stage.node.inbox().len(), 0);
}

#[test]
fn random_callers_are_turned_away() {
    let stage = Stage::new();
    let mut rng = Rng::new(3);
    for nth in 0..300 {
        let len = rng.below(400);
        let bytes: Vec<u8> = (0..len)
            .map(|_| u8::try_from(rng.below(256)).expect("a byte"))
            .collect();
        Caller::call(stage.node.address()).say_last(&bytes);
        wait("counted", || {
            stage.node.dropped_in_all(Way::Stream) == nth + 1
        });
    }
    assert_eq!(stage.node.inbox().len(), 0);
    // One that speaks another protocol hears seventeen bytes and the end.
    let mut http = Caller::call(stage.node.address());
    http.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut http.stream, &mut answer);
    assert!(answer.is_empty());
    let _ = http.stream.shutdown(Shutdown::Both);
}
