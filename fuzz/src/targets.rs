//! The decoders, each as a function of bytes.

use agent::cluster::{Frame, Keyring, Packet, Seal, length};
use base::wire::{Reader, Writer};
use base::{NodeId, Origin, Time, Way};
use health::{Config, Input, Key, Node, Record};

use crate::corpus::{self, Piece};
use crate::meeting;

/// One decoder.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Must return whatever the bytes are.
    pub run: fn(&[u8]),
    /// Valid encodings to start from.
    pub corpus: fn() -> Vec<Piece>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "fields",
        run: fields,
        corpus: corpus::definitions,
    },
    Target {
        name: "definition",
        run: definition,
        corpus: corpus::definitions,
    },
    Target {
        name: "status",
        run: status,
        corpus: corpus::statuses,
    },
    Target {
        name: "store_message",
        run: store_message,
        corpus: corpus::store_messages,
    },
    Target {
        name: "store_record",
        run: store_record,
        corpus: corpus::store_records,
    },
    Target {
        name: "membership_packet",
        run: membership_packet,
        corpus: corpus::membership_packets,
    },
    Target {
        name: "health_packet",
        run: health_packet,
        corpus: meeting::packets,
    },
    Target {
        name: "cluster_content",
        run: cluster_content,
        corpus: corpus::cluster_contents,
    },
    Target {
        name: "cluster_sealed",
        run: cluster_sealed,
        corpus: corpus::cluster_sealed,
    },
];

/// The tagged fields that every record is made of, three levels deep.
fn fields(bytes: &[u8]) {
    fn walk(mut reader: Reader<'_>, depth: u32) {
        while let Ok(Some((_, content))) = reader.field() {
            let mut number = content;
            let _ = number.number();
            let mut signed = content;
            let _ = signed.signed();
            let _ = content.rest_text();
            if depth > 0 {
                walk(content, depth - 1);
            }
        }
    }
    walk(Reader::new(bytes), 3);
}

/// What is decoded comes back from its own encoding.
fn definition(bytes: &[u8]) {
    if let Ok(decoded) = health::decode_definition(bytes) {
        let again = health::decode_definition(&health::encode_definition(&decoded));
        assert_eq!(again.as_ref(), Ok(&decoded));
    }
}

/// A store file with one broken record: the node starts all the same.
fn status(bytes: &[u8]) {
    let mut node = Node::new(Config::default()).expect("the default is valid");
    let record = |key| Record {
        key,
        value: bytes.to_vec(),
    };
    let records = vec![
        record(Key::Origin),
        record(Key::Status("web".into())),
        record(Key::Definition("web".into())),
    ];
    node.handle(Time(1), Input::Restored(records));
    while node.poll().is_some() {}
}

/// The bytes with a checksum that is right, which somebody hostile would see to.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some((head, content)) = bytes.split_at_mut_checked(5) {
        let sum = base::hash64(content).to_le_bytes();
        head[1..].copy_from_slice(&sum[4..]);
    }
    bytes
}

/// What a peer says: decoded, told again, and taken in by a store that has something to lose.
fn store_message(bytes: &[u8]) {
    let bytes = &resealed(bytes);
    if let Ok(message) = store::Message::decode(bytes) {
        assert_eq!(
            store::Message::decode(&message.encode()).as_ref(),
            Ok(&message)
        );
    }
    let mut store = corpus::store(1);
    let input = store::Input::Received(NodeId(2), Way::Datagram, bytes.to_vec());
    store.handle(Time(2), input);
    while store.poll().is_some() {}
    assert!(store.get(b"key").is_some() || !store.is_empty());
}

/// A store file with one broken record: it is refused by name or read, never a panic.
fn store_record(bytes: &[u8]) {
    let split = bytes.len().min(17);
    let record = store::Record {
        key: bytes[..split].to_vec(),
        content: Some(bytes[split..].to_vec()),
    };
    let config = store::Config::lan(NodeId(1), Origin(1), 1);
    if let Ok(store) = store::Store::new(config, vec![record]) {
        assert!(store.len() <= 1);
    }
}

/// What a member says.
fn membership_packet(bytes: &[u8]) {
    let bytes = &resealed(bytes);
    if let Ok(packet) = membership::decode(bytes) {
        let again = membership::message::encode(&packet);
        assert_eq!(membership::decode(&again).as_ref(), Ok(&packet));
    }
    let mut node = corpus::member(1);
    let from = corpus::address(2);
    node.handle(
        Time(2),
        membership::Input::Received(from, Way::Datagram, bytes.to_vec()),
    );
    while node.poll().is_some() {}
    assert!(node.members().count() >= 1);
}

/// What one packet may make a node say, in outputs and in bytes: a whole exchange of its small
/// store, and no more.
const OUTPUTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 1 << 20;

/// What another node says, all rooms together, to a node that has met it.
fn health_packet(bytes: &[u8]) {
    for way in [Way::Datagram, Way::Stream] {
        let (outputs, said) = meeting::give(resealed_within(bytes), way);
        assert!(outputs <= OUTPUTS_MAX, "{outputs} outputs");
        assert!(said <= BYTES_MAX, "{said} bytes");
    }
}

/// A packet whose membership and store sections have checksums that are right.
fn resealed_within(bytes: &[u8]) -> Vec<u8> {
    let Some((head, sections)) = bytes.split_at_checked(9) else {
        return bytes.to_vec();
    };
    let mut reader = Reader::new(sections);
    let mut w = Writer::new();
    w.raw(head);
    while let Ok(Some((tag, mut content))) = reader.field() {
        let content = content.raw(content.left()).unwrap_or_default();
        match tag {
            1 | 2 => w.field_bytes(tag, &resealed(content)),
            _ => w.field_bytes(tag, content),
        }
    }
    // What is no section stays at the end as it was.
    let left = reader.left();
    w.raw(&sections[sections.len() - left..]);
    w.finish()
}

/// What is under a seal: a datagram's content or a frame's.
fn cluster_content(bytes: &[u8]) {
    if let Ok(packet) = Packet::decode(bytes) {
        let mut again = Vec::new();
        packet.encode(&mut again);
        assert_eq!(Packet::decode(&again), Ok(packet));
        assert!(
            bytes.starts_with(&again),
            "only what follows may be skipped"
        );
    }
    if let Ok(frame) = Frame::decode(bytes) {
        let mut again = Vec::new();
        frame.encode(&mut again);
        assert_eq!(Frame::decode(&again), Ok(frame));
    }
}

/// A datagram, or a frame with its length, as it comes from the socket: to a node with keys, which
/// nobody can seal for, and to one without.
fn cluster_sealed(bytes: &[u8]) {
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let keyed = Seal::new("fuzz", Keyring::parse(key).expect("a key"));
    assert!(keyed.open(b"d", &mut bytes.to_vec()).is_err());
    let plain = Seal::new("fuzz", Keyring::plain());
    if let Ok(content) = plain.open(b"d", &mut bytes.to_vec()) {
        cluster_content(content);
    }
    if let Some((front, rest)) = bytes.split_first_chunk()
        && let Ok(len) = length(*front, 256)
    {
        assert!(len <= 256);
        let _ = keyed.open(b"s", &mut rest[..len.min(rest.len())].to_vec());
    }
    // What somebody hostile would see to: a checksum that is right.
    let mut sealed = Vec::new();
    plain.close(b"d", &mut sealed, |out| out.extend_from_slice(bytes));
    let content = plain.open(b"d", &mut sealed).expect("just closed");
    assert_eq!(content, bytes);
    cluster_content(content);
}
