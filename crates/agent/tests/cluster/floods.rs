//! More callers than there is room for: what is kept of them stays within its bound.

use base::Way;
use roundsman_agent::cluster::{
    CALLERS_MAX, FRAMES_MAX, Frame, MESSAGE_MAX, Reason, STRANGERS_EACH, Seal,
};

use crate::stage::{Caller, Peer, key, ring, wait};

fn node() -> (Peer, Peer, Seal) {
    let key = key();
    (
        Peer::open("", ring(&[&key])),
        Peer::open("", ring(&[&key])),
        Seal::new("", ring(&[&key])),
    )
}

#[test]
fn callers_that_say_nothing_push_out_each_other_and_not_the_peers() {
    let (node, friend, _) = node();
    let mut silent = Vec::new();
    for nth in 0..300_u64 {
        silent.push(Caller::call(node.address()));
        // All but the last few have been hung up on: no more than that is kept.
        let over = (nth + 1).saturating_sub(STRANGERS_EACH as u64);
        wait("the oldest go", || {
            let gone = node.dropped(Way::Stream, Reason::Crowded)
                + node.dropped(Way::Stream, Reason::Slow);
            gone >= over
        });
        if nth % 50 == 0 {
            friend.send(node.address(), Way::Stream, "through");
            wait("a peer is heard", || {
                node.inbox().len() as u64 == nth / 50 + 1
            });
        }
    }
    wait("the last are too slow", || {
        let drops = node.drops(Way::Stream);
        drops.iter().map(|d| d.1).sum::<u64>() == 300
            && drops
                .iter()
                .all(|d| matches!(d.0, Reason::Crowded | Reason::Slow))
    });
}

#[test]
fn a_huge_length_costs_nothing_before_and_after_a_hello() {
    let (node, friend, seal) = node();
    for nth in 1..=200 {
        let mut caller = Caller::call(node.address());
        let mut said = Vec::new();
        let len = if nth % 2 == 0 {
            let hello = Frame::Hello(format!("127.0.0.1:{nth}").parse().expect("an address"));
            said = caller.frame(&seal, &hello);
            u32::try_from(MESSAGE_MAX).expect("a MiB") + 1_000
        } else {
            1_000
        };
        said.extend(len.to_be_bytes());
        said.extend([1; 100]);
        caller.say_last(&said);
        wait("refused at once", || {
            node.dropped(Way::Stream, Reason::Oversized) == nth
        });
    }
    assert_eq!(node.dropped_in_all(Way::Stream), 200);
    friend.send(node.address(), Way::Stream, "through");
    node.wait_for(&["through"]);
}

#[test]
fn peers_that_stall_in_long_frames_share_a_bounded_room_and_are_cut_off() {
    let (node, friend, seal) = node();
    let frame = u32::try_from(MESSAGE_MAX).expect("a MiB").to_be_bytes();
    let mut hellos = 0;
    let stalled: Vec<Caller> = (1..=60)
        .map(|nth| {
            let mut caller = Caller::call(node.address());
            let hello = Frame::Hello(format!("127.0.0.1:{nth}").parse().expect("an address"));
            let said = caller.frame(&seal, &hello);
            caller.say(&said);
            hellos += said.len() as u64;
            wait("no stranger any more", || {
                node.traffic.of(Way::Stream).bytes_in.get() == hellos
            });
            caller.say(&frame);
            caller
        })
        .collect();
    // 32 have room for their MiB, the others wait for it; datagrams are not held up.
    wait("the room is full", || {
        node.transport.backlog().incoming == FRAMES_MAX
    });
    friend.send(node.address(), Way::Datagram, "datagram");
    node.wait_for(&["datagram"]);
    wait("all are cut off", || {
        node.dropped(Way::Stream, Reason::Slow) == 60
    });
    friend.send(node.address(), Way::Stream, "stream");
    node.wait_for(&["datagram", "stream"]);
    wait("the room is free", || {
        node.transport.backlog().incoming == 0
    });
    drop(stalled);
}

#[test]
fn connections_with_a_seal_are_bounded_too() {
    let (node, _, seal) = node();
    let mut callers = Vec::new();
    let over = 20;
    for nth in 1..=CALLERS_MAX + over {
        let mut caller = Caller::call(node.address());
        let hello = Frame::Hello(format!("127.0.0.1:{nth}").parse().expect("an address"));
        let mut said = caller.frame(&seal, &hello);
        said.extend(caller.frame(&seal, &Frame::Message(b"in")));
        caller.say(&said);
        let expected = nth.min(CALLERS_MAX);
        wait("taken or turned away", || {
            let out = node.dropped(Way::Stream, Reason::Crowded);
            node.inbox().len() == expected && out as usize == nth - expected
        });
        callers.push(caller);
    }
    drop(callers);
    wait("there is room again", || {
        let mut caller = Caller::call(node.address());
        let hello = Frame::Hello("127.0.0.1:1".parse().expect("an address"));
        let mut said = caller.frame(&seal, &hello);
        said.extend(caller.frame(&seal, &Frame::Message(b"in")));
        caller.say_last(&said);
        node.inbox().len() > CALLERS_MAX
    });
}
