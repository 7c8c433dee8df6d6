//! The decoders, each as a function of bytes.

use base::Time;
use base::wire::Reader;
use health::{Config, Input, Key, Node, Record};

use crate::corpus::{self, Piece};

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
