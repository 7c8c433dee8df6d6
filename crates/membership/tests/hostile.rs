//! Bytes from anybody: nothing that arrives makes a node panic, and what was written is read back.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{NodeId, Time, Way};
use membership::message::{BUCKETS, Claim, Message, WIRE_VERSION, encode};
use membership::{
    Config, Incarnation, Input, Member, Membership, Meta, Output, Packet, PacketError, Standing,
    State, decode,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn node() -> Membership {
    let mut node = Membership::new(Config::lan(alice(), 1)).expect("settings within their bounds");
    node.handle(Time(1), Input::Tick);
    node
}

fn alice() -> Member {
    Member {
        id: NodeId(1),
        name: "alice".into(),
        address: SocketAddr::from(([127, 0, 0, 1], 7_000)),
        state: State::Alive,
        incarnation: Incarnation(1_000),
        meta: Meta {
            zone: "a".into(),
            weight: 100,
            wire: (1, 1),
            standing: Standing::Usable,
        },
    }
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

fn states() -> impl Strategy<Value = State> {
    let all = [State::Alive, State::Suspect, State::Dead, State::Left];
    proptest::sample::select(all.to_vec())
}

fn members() -> impl Strategy<Value = Member> {
    let meta = (
        "[a-z]{0,64}",
        1..=1_000_u16,
        any::<(u8, u8)>(),
        any::<bool>(),
    );
    // Few ids and incarnations, so that claims about one member meet.
    (
        0..9_u64,
        "[a-d]{1,2}",
        addresses(),
        states(),
        990..1_010_u64,
        meta,
    )
        .prop_map(
            |(id, name, address, state, incarnation, (zone, weight, wire, drains))| Member {
                id: NodeId(id),
                name: name.into(),
                address,
                state,
                incarnation: Incarnation(incarnation),
                meta: Meta {
                    zone: Arc::from(zone),
                    weight,
                    wire,
                    standing: if drains {
                        Standing::Draining
                    } else {
                        Standing::Usable
                    },
                },
            },
        )
}

fn claims() -> impl Strategy<Value = Claim> {
    let accusers = vec((0..9_u64).prop_map(NodeId), 0..4);
    let about = (members(), 0..=990_u64, accusers, 0..100_000_u64).prop_map(
        |(member, born, accusers, age_s)| Claim::About {
            accusers: if member.state == State::Suspect {
                accusers
            } else {
                Vec::new()
            },
            age_s: if member.state > State::Suspect {
                age_s
            } else {
                0
            },
            born: Incarnation(born),
            member,
        },
    );
    let forgotten =
        (0..9_u64, 990..1_010_u64, 0..100_000_u64).prop_map(|(id, inc, age_s)| Claim::Forgotten {
            id: NodeId(id),
            incarnation: Incarnation(inc),
            age_s,
        });
    prop_oneof![4 => about, 1 => forgotten]
}

fn messages() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u32>(), 0..3_u64, any::<u64>()).prop_map(|(seq, to, digest)| Message::Ping {
            seq,
            to: NodeId(to),
            digest
        }),
        (any::<u32>(), any::<u64>(), any::<bool>()).prop_map(|(seq, digest, settled)| {
            Message::Ack {
                seq,
                digest,
                settled,
            }
        }),
        (any::<u32>(), any::<u64>(), addresses(), any::<u32>()).prop_map(
            |(seq, target, address, patience_ms)| {
                Message::Ask {
                    seq,
                    target: NodeId(target),
                    address,
                    patience_ms,
                }
            }
        ),
        any::<u32>().prop_map(|seq| Message::Nack { seq }),
        Just(Message::Gossip),
        any::<[u32; BUCKETS]>().prop_map(|parts| Message::Compare {
            buckets: Box::new(parts)
        }),
        (any::<u64>(), any::<bool>()).prop_map(|(mask, reply)| Message::Sync { mask, reply }),
        any::<bool>().prop_map(|reply| Message::Sync {
            mask: u64::MAX,
            reply
        }),
    ]
}

fn packets() -> impl Strategy<Value = Packet> {
    (0..9_u64, messages(), vec(claims(), 0..8)).prop_map(|(sender, message, claims)| Packet {
        sender: NodeId(sender),
        message,
        claims,
    })
}

/// Feeds a packet, lets half a second pass, and checks what must hold after every step.
fn feed(node: &mut Membership, at: &mut u64, bytes: Vec<u8>) {
    let from = SocketAddr::from(([127, 0, 0, 1], 7_001));
    node.handle(Time(*at), Input::Received(from, Way::Datagram, bytes));
    let until = *at + 500_000;
    while let Some(due) = node.deadline().filter(|due| due.0 <= until) {
        *at = due.0.max(*at);
        node.handle(Time(*at), Input::Tick);
    }
    *at = until;
    while let Some(output) = node.poll() {
        if let Output::Send(_, Way::Datagram, bytes) = output {
            assert!(
                bytes.len() <= 1_200,
                "{} bytes in one datagram",
                bytes.len()
            );
            decode(&bytes).expect("what a node sends can be read");
        }
    }
    assert!(node.members().any(|member| member.id == NodeId(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_written_is_read_back(packet in packets()) {
        prop_assert_eq!(decode(&encode(&packet)), Ok(packet));
    }

    #[test]
    fn no_bytes_whatever_make_a_node_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        feed(&mut node(), &mut 1, bytes);
    }

    #[test]
    fn no_well_formed_packets_whatever_break_a_node(packets in vec(packets(), 1..20)) {
        let (mut node, mut at) = (node(), 1);
        for packet in packets {
            feed(&mut node, &mut at, encode(&packet));
        }
    }

    #[test]
    fn a_changed_byte_never_passes(packet in packets(), place in any::<usize>(), bits in 1..=255_u8) {
        let mut bytes = encode(&packet);
        let place = place % bytes.len();
        bytes[place] ^= bits;
        prop_assert!(decode(&bytes).is_err());
    }

    /// What is true does not depend on the order of arrival.
    #[test]
    fn two_nodes_that_hear_the_same_in_any_order_believe_the_same_incarnations(
        news in vec(members(), 1..12),
        turn in any::<prop::sample::Index>(),
    ) {
        let said = |node: &mut Membership, member: &Member| {
            // Distinct names: who bears a name is another promise.
            let mut member = member.clone();
            member.name = format!("node-{}", member.id).into();
            let claim = Claim::About {
                born: Incarnation(1), accusers: Vec::new(), age_s: 0, member,
            };
            let sender = NodeId(77);
            let packet = Packet { sender, message: Message::Gossip, claims: vec![claim] };
            let from = SocketAddr::from(([127, 0, 0, 1], 7_001));
            node.handle(Time(2), Input::Received(from, Way::Datagram, encode(&packet)));
        };
        let others: Vec<Member> = news.into_iter().filter(|member| member.id != NodeId(1)).collect();
        let (mut a, mut b) = (node(), node());
        for member in &others {
            said(&mut a, member);
        }
        let first = if others.is_empty() { 0 } else { turn.index(others.len()) };
        for member in others[first..].iter().chain(&others[..first]).rev() {
            said(&mut b, member);
        }
        let ranks = |node: &Membership| -> Vec<_> {
            node.members().map(|m| (m.id, m.incarnation, m.state)).collect()
        };
        prop_assert_eq!(ranks(&a), ranks(&b));
        prop_assert_eq!(a.digest(), b.digest());
    }
}

#[test]
fn packets_of_a_newer_version_are_counted_and_dropped() {
    let packet = Packet {
        sender: NodeId(2),
        message: Message::Gossip,
        claims: Vec::new(),
    };
    let mut bytes = encode(&packet);
    bytes[0] = WIRE_VERSION + 1;
    assert_eq!(decode(&bytes), Err(PacketError::TooNew(WIRE_VERSION + 1)));
    let mut node = node();
    feed(&mut node, &mut 1, bytes);
    assert_eq!(node.counters().too_new, 1);
}

#[test]
fn every_kind_of_bad_packet_has_its_counter() {
    let mut node = node();
    let packet = Packet {
        sender: NodeId(1),
        message: Message::Gossip,
        claims: Vec::new(),
    };
    let good = encode(&packet);
    feed(&mut node, &mut 1, good.clone());
    let mut bad = good;
    bad[2] ^= 1;
    feed(&mut node, &mut 1, bad);
    feed(&mut node, &mut 1, Vec::new());
    let counted = node.counters();
    assert_eq!(
        (counted.from_myself, counted.corrupt, counted.malformed),
        (1, 1, 1)
    );
}

#[test]
fn the_longest_member_fits_into_the_smallest_packet() {
    let mut config = Config::lan(alice(), 1);
    config.packet_size = 512;
    config.me.name = "n".repeat(128).into();
    config.me.meta.zone = "z".repeat(64).into();
    config.me.address = SocketAddr::from(([0xff; 16], u16::MAX));
    config.me.incarnation = Incarnation(1 << 61);
    let mut node = Membership::new(config.clone()).expect("settings within their bounds");
    node.handle(Time(1), Input::Tick);
    // An asker as long as we are, whom we hold for dead, and who holds us for dead.
    let mut asker = config.me.clone();
    asker.id = NodeId(u64::MAX);
    asker.name = "m".repeat(128).into();
    let mut dead = [asker, config.me];
    for member in &mut dead {
        member.state = State::Dead;
    }
    let claims = dead.map(|member| Claim::About {
        born: Incarnation(0),
        accusers: Vec::new(),
        age_s: 80_000,
        member,
    });
    let message = Message::Ping {
        seq: u32::MAX,
        to: NodeId(1),
        digest: u64::MAX,
    };
    let packet = Packet {
        sender: NodeId(u64::MAX),
        message,
        claims: claims.to_vec(),
    };
    let from = SocketAddr::from(([127, 0, 0, 1], 7_001));
    node.handle(
        Time(2),
        Input::Received(from, Way::Datagram, encode(&packet)),
    );
    let answer = std::iter::from_fn(|| node.poll()).find_map(|output| match output {
        Output::Send(_, _, bytes) => decode(&bytes).ok().filter(|p| p.claims.len() == 2),
        _ => None,
    });
    assert!(answer.is_some(), "the answer carries both claims");
}
