//! Valid encodings to start from.

use std::net::SocketAddr;
use std::sync::Arc;

use agent::cluster::{Body, Frame, Front, Keyring, Packet, Seal};
use base::{Duration, NodeId, Origin, Time, Wall, Way};
use health::{
    Config, Definition, Finding, Http, Input, Key, Node, Output, Probe, Probed, Reason, Rule,
    Source, Write,
};

/// One valid encoding.
pub type Piece = Vec<u8>;

/// Definitions with everything that a definition can have.
pub(crate) fn definitions() -> Vec<Piece> {
    let plain = web();
    let paused = Definition {
        paused: true,
        name: "ünïcode name / with everything".into(),
        group: None,
        labels: Box::default(),
        ..plain.clone()
    };
    [plain, paused]
        .iter()
        .map(health::encode_definition)
        .collect()
}

pub(crate) fn web() -> Definition {
    Definition {
        name: "web".into(),
        probe: Probe::Http(Box::new(Http::get("http://127.0.0.1/"))),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        rule: Rule::default(),
        confirm: 2,
        paused: false,
        labels: Box::new([("team".into(), "pay".into()), ("env".into(), "prod".into())]),
        group: Some("shop".into()),
    }
}

/// What a node has written down of a target's status, from its first outcome to its third death.
pub(crate) fn statuses() -> Vec<Piece> {
    let mut node = Node::new(Config::default()).expect("the default is valid");
    let mut now = Time(1_000_000);
    let mut pieces = Vec::new();
    let first = [
        Input::WallClock(Wall(1_700_000_000_000)),
        Input::Restored(Vec::new()),
        Input::Load(Source::File, vec![Arc::new(web())]),
    ];
    let mut inputs: Vec<Input> = first.into();
    for round in 0..1_000_u32 {
        for input in std::mem::take(&mut inputs) {
            node.handle(now, input);
        }
        while let Some(output) = node.poll() {
            match output {
                Output::Probe(check) => {
                    let finding = if round % 40 < 20 {
                        Finding::Passed
                    } else {
                        Finding::Failed(Reason::Refused)
                    };
                    inputs.push(Input::Probed(Probed {
                        slot: check.slot,
                        ticket: check.ticket,
                        finding,
                        late: Duration::ZERO,
                        timeout: Duration::from_secs(2),
                        local: true,
                        detail: Some("connection refused".into()),
                    }));
                }
                Output::Persist { batch, writes, .. } => {
                    for write in writes {
                        if let Write::Set(Key::Status(_), value) = write {
                            pieces.push(value);
                        }
                    }
                    inputs.push(Input::Persisted(batch));
                }
                _ => {}
            }
        }
        inputs.push(Input::Tick);
        now += Duration::from_millis(500);
    }
    pieces.dedup();
    pieces.truncate(64);
    pieces
}

/// A store that knows a peer and holds something.
pub(crate) fn store(id: u64) -> store::Store {
    let config = store::Config::lan(NodeId(id), Origin(id), id);
    let mut store = store::Store::new(config, Vec::new()).expect("the preset is valid");
    let peers = store::Input::Peers {
        live: vec![NodeId(3 - id)],
        frontier: vec![NodeId(3 - id)],
    };
    store.handle(Time(1), peers);
    store.handle(
        Time(1),
        store::Input::Put(b"key".to_vec(), b"value".to_vec()),
    );
    store.handle(Time(1), store::Input::Persisted(store::Mark(9)));
    store
}

/// What two stores say to each other until they are equal, and some deletes later.
pub(crate) fn store_messages() -> Vec<Piece> {
    talk().0
}

/// What they write down meanwhile: key and content behind each other.
pub(crate) fn store_records() -> Vec<Piece> {
    talk().1
}

fn talk() -> (Vec<Piece>, Vec<Piece>) {
    let mut stores = [store(1), store(2)];
    let (mut said, mut written) = (Vec::new(), Vec::new());
    for round in 0..40_u64 {
        let now = Time(round * 500_000 + 2);
        for at in 0..2 {
            let key = format!("k{}", round % 3).into_bytes();
            let input = match round % 4 {
                0 => store::Input::Put(key, vec![7; 9]),
                3 => store::Input::Delete(key),
                _ => store::Input::Tick,
            };
            let mut inputs = vec![(at, input)];
            while let Some((at, input)) = inputs.pop() {
                stores[at].handle(now, input);
                while let Some(output) = stores[at].poll() {
                    match output {
                        store::Output::Send(_, way, bytes) => {
                            said.push(bytes.clone());
                            let from = NodeId(at as u64 + 1);
                            inputs.push((1 - at, store::Input::Received(from, way, bytes)));
                        }
                        store::Output::Persist(mark, records) => {
                            for record in records {
                                if let Some(content) = record.content {
                                    written.push([record.key, content].concat());
                                }
                            }
                            inputs.push((at, store::Input::Persisted(mark)));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    said.truncate(80);
    written.truncate(80);
    (said, written)
}

/// Where a node of the corpus is.
pub(crate) fn address(id: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, id], 7718))
}

/// A membership that has just begun.
pub(crate) fn member(id: u8) -> membership::Membership {
    let me = membership::Member {
        id: NodeId(u64::from(id)),
        name: format!("node-{id}").into(),
        address: address(id),
        state: membership::State::Alive,
        incarnation: membership::Incarnation(1_700_000_000_000),
        meta: membership::Meta {
            zone: "eu".into(),
            weight: 1,
            wire: (1, 1),
            standing: membership::Standing::Usable,
        },
    };
    let config = membership::Config::lan(me, u64::from(id));
    membership::Membership::new(config).expect("the preset is valid")
}

/// What three members say to each other in their first seconds.
pub(crate) fn membership_packets() -> Vec<Piece> {
    let mut members = [member(1), member(2), member(3)];
    let mut said = Vec::new();
    for round in 0..60_u64 {
        let now = Time(round * 100_000 + 1);
        for at in 0..3 {
            let first = match round {
                0 => membership::Input::Join(vec![address(1)]),
                _ => membership::Input::Tick,
            };
            let mut inputs = vec![(at, first)];
            while let Some((at, input)) = inputs.pop() {
                members[at].handle(now, input);
                while let Some(output) = members[at].poll() {
                    if let membership::Output::Send(to, way, bytes) = output {
                        said.push(bytes.clone());
                        let lost = round > 40 && way == Way::Datagram;
                        let peer = (1..=3_u8).position(|id| address(id) == to);
                        let from = address(u8::try_from(at + 1).expect("three"));
                        if let Some(peer) = peer.filter(|_| !lost) {
                            let input = membership::Input::Received(from, way, bytes);
                            inputs.push((peer, input));
                        }
                    }
                }
            }
        }
    }
    said.truncate(120);
    said
}

/// Every kind of datagram and frame, opened.
pub(crate) fn cluster_contents() -> Vec<Piece> {
    let front = Front {
        session: 0x0123_4567_89ab_cdef,
        number: 77,
        to: 3,
    };
    let message = b"a message of the node";
    let packet = |body| {
        let mut out = Vec::new();
        Packet { front, body }.encode(&mut out);
        out
    };
    let frame = |frame: Frame<'_>| {
        let mut out = Vec::new();
        frame.encode(&mut out);
        out
    };
    vec![
        packet(Body::Message(message)),
        packet(Body::Again(76)),
        frame(Frame::Hello(address(1))),
        frame(Frame::Hello(SocketAddr::from(([0; 16], 7718)))),
        frame(Frame::Message(message)),
    ]
}

/// The same as it goes over the wire between nodes without a key.
pub(crate) fn cluster_sealed() -> Vec<Piece> {
    let seal = Seal::new("fuzz", Keyring::plain());
    let closed = |content: Piece| {
        let mut out = Vec::new();
        seal.close(b"d", &mut out, |out| out.extend_from_slice(&content));
        out
    };
    cluster_contents().into_iter().map(closed).collect()
}
