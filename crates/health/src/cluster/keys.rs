//! Under which keys the store holds what, and the values that no other room encodes.
//!
//! | key | value |
//! |---|---|
//! | `f`, name | a definition of the config file |
//! | `a`, name | a definition made through the API |
//! | `s`, name | a status, and who wrote it |
//! | `m`, source | the source's manifest |
//! | `u`, node, 0, name | nothing: this node can't probe this target |
//!
//! A status never keeps a definition alive: they are separate keys.

use std::sync::Arc;

use base::wire::{DecodeError, Reader, Writer};

use super::votes::Vote;
use crate::fleet::Votes;
use crate::record;
use crate::status::Status;
use crate::view::Source;

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Definition(Source, Arc<str>),
    Status(Arc<str>),
    Manifest,
    Unable(Arc<str>, Arc<str>),
}

pub(crate) fn definition_key(source: Source, name: &str) -> Vec<u8> {
    let kind = match source {
        Source::File => b'f',
        Source::Api => b'a',
    };
    [&[kind], name.as_bytes()].concat()
}

pub(crate) fn status_key(name: &str) -> Vec<u8> {
    [b"s", name.as_bytes()].concat()
}

pub(crate) fn manifest_key() -> Vec<u8> {
    b"mfile".to_vec()
}

pub(crate) fn unable_key(node: &str, target: &str) -> Vec<u8> {
    [b"u", node.as_bytes(), &[0], target.as_bytes()].concat()
}

/// What a key stands for; `None` for one of a newer version.
pub(crate) fn kind_of(key: &[u8]) -> Option<Kind> {
    let (kind, rest) = key.split_first()?;
    let name = || std::str::from_utf8(rest).ok().map(Arc::from);
    match kind {
        b'f' => Some(Kind::Definition(Source::File, name()?)),
        b'a' => Some(Kind::Definition(Source::Api, name()?)),
        b's' => Some(Kind::Status(name()?)),
        b'm' if rest == b"file" => Some(Kind::Manifest),
        b'u' => {
            let text = std::str::from_utf8(rest).ok()?;
            let (node, target) = text.split_once('\0')?;
            Some(Kind::Unable(node.into(), target.into()))
        }
        _ => None,
    }
}

/// Votes that are read of one status at most: as many as can be asked for.
const VOTES_MAX: usize = 256;

/// A status as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusEntry {
    pub(crate) status: Status,
    /// Which node wrote it.
    pub(crate) by: Arc<str>,
    /// What was said when the last verdict was made.
    pub(crate) votes: Option<Arc<Votes>>,
}

impl StatusEntry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        record::put_status(&mut w, &self.status);
        w.field_bytes(8, self.by.as_bytes());
        if let Some(votes) = &self.votes {
            w.field_number(9, u64::from(votes.contested));
            for vote in &votes.votes {
                w.field(10, |w| {
                    w.number(vote.passed.map_or(2, u64::from));
                    w.bytes(vote.node.as_bytes());
                });
            }
        }
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (status, _) = record::decode_status(bytes)?;
        let mut r = Reader::new(bytes);
        let mut by: Arc<str> = "".into();
        let mut votes: Option<Votes> = None;
        while let Some((tag, mut field)) = r.field()? {
            match tag {
                8 => by = field.rest_text()?.into(),
                9 => votes.get_or_insert_default().contested = field.number()? == 1,
                10 => {
                    let passed = match field.number()? {
                        0 => Some(false),
                        1 => Some(true),
                        _ => None,
                    };
                    let node = field.text()?.into();
                    let votes = votes.get_or_insert_default();
                    if votes.votes.len() < VOTES_MAX {
                        votes.votes.push(Vote { node, passed });
                    }
                }
                _ => {}
            }
        }
        let votes = votes.map(Arc::new);
        Ok(Self { status, by, votes })
    }

    /// The greater knows more: what readers see of siblings, equally on every node.
    pub(crate) fn rank(&self) -> (u32, base::Wall, u8, &str) {
        let status = &self.status;
        (
            status.transition,
            status.since,
            status.state as u8,
            &self.by,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Reason;
    use crate::status::State;
    use base::Wall;

    #[test]
    fn every_key_is_read_as_it_was_made() {
        let table = [
            (
                definition_key(Source::File, "a b"),
                Kind::Definition(Source::File, "a b".into()),
            ),
            (
                definition_key(Source::Api, "x"),
                Kind::Definition(Source::Api, "x".into()),
            ),
            (status_key("é"), Kind::Status("é".into())),
            (manifest_key(), Kind::Manifest),
            (
                unable_key("n1", "web"),
                Kind::Unable("n1".into(), "web".into()),
            ),
        ];
        for (key, kind) in table {
            assert_eq!(kind_of(&key), Some(kind));
        }
        assert_eq!(kind_of(b"zfuture"), None);
        assert_eq!(kind_of(b""), None);
    }

    #[test]
    fn a_status_travels_whole_with_its_writer() {
        let status = Status::new(Wall(5)).changed(
            State::Down,
            Wall(9),
            Reason::Refused,
            Some("x".into()),
            0,
        );
        let vote = |node: &str, passed| Vote {
            node: node.into(),
            passed,
        };
        let votes = Votes {
            votes: vec![vote("n1", Some(false)), vote("n2", None)],
            contested: true,
        };
        let entry = StatusEntry {
            status,
            by: "n1".into(),
            votes: Some(Arc::new(votes)),
        };
        assert_eq!(StatusEntry::decode(&entry.encode()), Ok(entry));
    }
}
