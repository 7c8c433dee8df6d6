//! Under which keys the store holds what, and the values that no other room encodes.
//!
//! | key | value |
//! |---|---|
//! | `f`, name | a definition of the config file |
//! | `a`, name | a definition made through the API |
//! | `s`, name | a status, and who wrote it |
//! | `m`, source | the source's manifest |
//! | `u`, node, 0, name | nothing: this node can't probe this target |
//! | `o`, node id | the origins that this node writes and wrote under, as far as they are open; and the last statuses that it found in former lives |
//! | `x`, node id | the same, of a node that is gone for good: everybody retires them |
//!
//! A status never keeps a definition alive: they are separate keys.

use std::sync::Arc;

use base::wire::{DecodeError, Reader, Writer};
use base::{NodeId, Origin, Version};

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
    Origins(NodeId),
    Gone(NodeId),
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

pub(crate) fn origins_key(node: NodeId) -> Vec<u8> {
    [&b"o"[..], &node.0.to_be_bytes()].concat()
}

pub(crate) fn gone_key(node: NodeId) -> Vec<u8> {
    [&b"x"[..], &node.0.to_be_bytes()].concat()
}

/// What a node says of its lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lives {
    /// Under what it writes, and under what it wrote and nobody has taken over yet.
    pub(crate) origins: Vec<Origin>,
    /// The last write of each origin but the present one that has a status which it found.
    pub(crate) found: Vec<Version>,
}

/// Entries of each list of [`Lives`] at most; more are not written and not read.
const LIVES_MAX: usize = 64;

impl Lives {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        for origin in self.origins.iter().take(LIVES_MAX) {
            w.field(1, |w| w.raw(&origin.0.to_be_bytes()));
        }
        for found in self.found.iter().take(LIVES_MAX) {
            w.field(2, |w| {
                w.raw(&found.origin.0.to_be_bytes());
                w.number(found.seq);
            });
        }
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut lives = Self::default();
        while let Some((tag, mut field)) = r.field()? {
            if !matches!(tag, 1 | 2) {
                continue;
            }
            let origin = field.raw(8)?.try_into().expect("eight bytes");
            let origin = Origin(u64::from_be_bytes(origin));
            if tag == 1 && lives.origins.len() < LIVES_MAX {
                lives.origins.push(origin);
            }
            if tag == 2 && lives.found.len() < LIVES_MAX {
                let seq = field.number()?;
                lives.found.push(Version { origin, seq });
            }
        }
        Ok(lives)
    }
}

/// What a key stands for; `None` for one of a newer version.
pub(crate) fn kind_of(key: &[u8]) -> Option<Kind> {
    let (kind, rest) = key.split_first()?;
    let name = || std::str::from_utf8(rest).ok().map(Arc::from);
    match kind {
        b'f' => Some(Kind::Definition(Source::File, name()?)),
        b'a' => Some(Kind::Definition(Source::Api, name()?)),
        b's' => Some(Kind::Status(name()?)),
        b'o' => Some(Kind::Origins(node_of(rest)?)),
        b'x' => Some(Kind::Gone(node_of(rest)?)),
        b'm' if rest == b"file" => Some(Kind::Manifest),
        b'u' => {
            let text = std::str::from_utf8(rest).ok()?;
            let (node, target) = text.split_once('\0')?;
            Some(Kind::Unable(node.into(), target.into()))
        }
        _ => None,
    }
}

fn node_of(bytes: &[u8]) -> Option<NodeId> {
    Some(NodeId(u64::from_be_bytes(bytes.try_into().ok()?)))
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
    /// It was chosen among siblings: whoever wrote it now had found something else, perhaps.
    pub(crate) is_chosen: bool,
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
        if self.is_chosen {
            w.field_bytes(11, &[]);
        }
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (status, _) = record::decode_status(bytes)?;
        let mut r = Reader::new(bytes);
        let mut by: Arc<str> = "".into();
        let mut votes: Option<Votes> = None;
        let mut is_chosen = false;
        while let Some((tag, mut field)) = r.field()? {
            match tag {
                11 => is_chosen = true,
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
        Ok(Self {
            status,
            by,
            votes,
            is_chosen,
        })
    }

    /// Which node found what an entry says that was read before; nobody if it was chosen.
    pub(crate) fn finder_in(bytes: &[u8]) -> Option<&str> {
        let mut r = Reader::new(bytes);
        let mut by = "";
        while let Some((tag, field)) = r.field().ok().flatten() {
            match tag {
                8 => by = field.rest_text().unwrap_or_default(),
                11 => return None,
                _ => {}
            }
        }
        Some(by)
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
        let node = NodeId(0x0102_0304_0506_0708);
        assert_eq!(kind_of(&origins_key(node)), Some(Kind::Origins(node)));
        assert_eq!(kind_of(&gone_key(node)), Some(Kind::Gone(node)));
        assert_eq!(kind_of(b"oshort"), None);
        for (key, kind) in table {
            assert_eq!(kind_of(&key), Some(kind));
        }
        assert_eq!(kind_of(b"zfuture"), None);
        assert_eq!(kind_of(b""), None);
    }

    #[test]
    fn lives_come_back_up_to_a_bound() {
        let origins: Vec<Origin> = (1..=100).map(Origin).collect();
        let version = |origin: &Origin| Version {
            origin: *origin,
            seq: origin.0 * 1_000,
        };
        let found: Vec<Version> = origins.iter().map(version).collect();
        let lives = Lives { origins, found };
        let read = Lives::decode(&lives.encode()).unwrap();
        assert_eq!(read.origins, lives.origins[..LIVES_MAX]);
        assert_eq!(read.found, lives.found[..LIVES_MAX]);
        assert!(Lives::decode(&[1, 3, 0, 0, 0]).is_err());
        let of_a_later_release = [Lives::default().encode(), vec![9, 1, 7]].concat();
        assert_eq!(Lives::decode(&of_a_later_release), Ok(Lives::default()));
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
            is_chosen: true,
        };
        assert_eq!(
            StatusEntry::finder_in(&entry.encode()),
            None,
            "it was chosen"
        );
        let found = StatusEntry {
            is_chosen: false,
            ..entry.clone()
        };
        assert_eq!(StatusEntry::finder_in(&found.encode()), Some("n1"));
        for entry in [entry, found] {
            assert_eq!(StatusEntry::decode(&entry.encode()), Ok(entry));
        }
    }
}
