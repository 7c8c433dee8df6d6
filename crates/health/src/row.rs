//! One target as a view keeps it: packed, because most nodes only show most targets.
//!
//! A node that checks a target has its definition as a type; all others keep the bytes that came
//! through the store, and make the type when somebody asks for it. What every list needs (name,
//! state, number) is read without that. Does not know views, owners or the store.

use std::sync::Arc;

use base::{Duration, Slot, Wall};

use crate::cluster::StatusEntry;
use crate::definition::{self, Definition};
use crate::fleet::Votes;
use crate::status::{State, Status};
use crate::view::Source;

/// One target as everyone sees it, packed; [`Row::open`] makes an [`OpenRow`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where its hot figures lie.
    pub slot: Slot,
    transition: u32,
    /// The definition as a type, where it is at hand; else its bytes come first in `bytes`.
    whole: Option<Arc<Definition>>,
    /// The definition's bytes, then the status with its votes.
    bytes: Box<[u8]>,
    /// How many of `bytes` are the definition's; definitions have at most 60 KiB.
    status_at: u16,
    /// Where the definition comes from.
    pub source: Source,
    /// The API defines the same name, and the file wins.
    pub shadowed: bool,
    state: State,
}

/// A row opened: everything of it at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRow {
    row: Arc<Row>,
    /// What is checked.
    pub definition: Arc<Definition>,
    /// What its outcomes add up to; never ahead of the disk.
    pub status: Status,
    /// What others saw when the last verdict was made; `None` when nobody was asked.
    pub votes: Option<Arc<Votes>>,
}

impl std::ops::Deref for OpenRow {
    type Target = Row;

    fn deref(&self) -> &Row {
        &self.row
    }
}

impl OpenRow {
    /// A row in a slot, with the definition kept as a type.
    #[must_use]
    pub fn new(
        slot: Slot,
        definition: Arc<Definition>,
        (source, shadowed): (Source, bool),
        status: Status,
        votes: Option<Arc<Votes>>,
    ) -> Self {
        let origin = (source, shadowed);
        let row = Row::new(slot, What::Whole(&definition), origin, &status, &votes);
        Self {
            row: Arc::new(row),
            definition,
            status,
            votes,
        }
    }

    /// The same as a view keeps it.
    #[must_use]
    pub const fn row(&self) -> &Arc<Row> {
        &self.row
    }
}

/// How a row keeps its definition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    /// As the type that somebody else holds too.
    Whole(&'a Arc<Definition>),
    /// As bytes.
    Packed(&'a [u8]),
}

impl Row {
    pub(crate) fn new(
        slot: Slot,
        what: What<'_>,
        (source, shadowed): (Source, bool),
        status: &Status,
        votes: &Option<Arc<Votes>>,
    ) -> Self {
        let entry = StatusEntry {
            status: status.clone(),
            by: "".into(),
            votes: votes.clone(),
        };
        let (whole, first) = match what {
            What::Whole(definition) => (Some(Arc::clone(definition)), &[][..]),
            What::Packed(bytes) => (None, bytes),
        };
        Self {
            slot,
            transition: status.transition,
            whole,
            bytes: [first, &entry.encode()].concat().into(),
            status_at: u16::try_from(first.len()).expect("definitions have at most 60 KiB"),
            source,
            shadowed,
            state: status.state,
        }
    }

    /// This target with another status.
    pub(crate) fn with_status(&self, status: &Status, votes: &Option<Arc<Votes>>) -> Self {
        let origin = (self.source, self.shadowed);
        Self::new(self.slot, self.what(), origin, status, votes)
    }

    /// This target as it is defined from now on.
    pub(crate) fn with_definition(&self, what: What<'_>, origin: (Source, bool)) -> Self {
        let entry = self.entry();
        Self::new(self.slot, what, origin, &entry.status, &entry.votes)
    }

    /// How the definition is kept.
    pub(crate) fn what(&self) -> What<'_> {
        match &self.whole {
            Some(whole) => What::Whole(whole),
            None => What::Packed(self.definition_bytes()),
        }
    }

    fn definition_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.status_at)]
    }

    /// The target's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.whole {
            Some(whole) => &whole.name,
            None => definition::name_in(self.definition_bytes()),
        }
    }

    /// The same, to be kept.
    #[must_use]
    pub fn title(&self) -> Arc<str> {
        match &self.whole {
            Some(whole) => Arc::clone(&whole.name),
            None => self.name().into(),
        }
    }

    /// Its state; never ahead of the disk.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The number of its last transition; 0 before the first.
    #[must_use]
    pub const fn transition(&self) -> u32 {
        self.transition
    }

    /// Its group on the page and in the summary.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.whole {
            Some(whole) => whole.group.as_deref(),
            None => definition::group_in(self.definition_bytes()),
        }
    }

    /// Its probe's kind, as in config and API.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.whole {
            Some(whole) => whole.probe.kind(),
            None => definition::kind_in(self.definition_bytes()),
        }
    }

    /// Its interval and its timeout.
    #[must_use]
    pub fn pace(&self) -> (Duration, Duration) {
        match &self.whole {
            Some(whole) => (whole.interval, whole.timeout),
            None => definition::pace_in(self.definition_bytes()),
        }
    }

    /// What is checked. Costs a few hundred nanoseconds where this node does not check it.
    #[must_use]
    pub fn definition(&self) -> Arc<Definition> {
        match &self.whole {
            Some(whole) => Arc::clone(whole),
            None => {
                let definition = definition::decode(self.definition_bytes());
                Arc::new(definition.expect("what was read once can be read again"))
            }
        }
    }

    /// Whether it is paused by its definition.
    pub(crate) fn is_paused(&self) -> bool {
        match &self.whole {
            Some(whole) => whole.paused,
            None => definition::is_paused_in(self.definition_bytes()),
        }
    }

    fn entry(&self) -> StatusEntry {
        let entry = StatusEntry::decode(&self.bytes[usize::from(self.status_at)..]);
        entry.expect("what was encoded here can be decoded")
    }

    /// What its outcomes add up to.
    #[must_use]
    pub fn status(&self) -> Status {
        self.entry().status
    }

    /// Since when it is in its state.
    #[must_use]
    pub fn since(&self) -> Wall {
        self.entry().status.since
    }

    /// What others saw when the last verdict was made.
    #[must_use]
    pub fn votes(&self) -> Option<Arc<Votes>> {
        self.entry().votes
    }

    /// Everything at hand.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> OpenRow {
        let entry = self.entry();
        OpenRow {
            row: Arc::clone(self),
            definition: self.definition(),
            status: entry.status,
            votes: entry.votes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Vote;
    use crate::definition::{Probe, Tcp, encode};
    use crate::outcome::Reason;
    use crate::testing::definition;

    /// Definitions that differ in everything that is read without making the type.
    fn definitions() -> Vec<Arc<Definition>> {
        let long = "é".repeat(200);
        let mut all = Vec::new();
        for (n, name) in ["web", "a b/ü", &long].into_iter().enumerate() {
            let plain = definition(name);
            all.push(Arc::clone(&plain));
            all.push(Arc::new(Definition {
                probe: Probe::Tcp(Box::new(Tcp::connect("db:5432"))),
                interval: Duration::from_micros(1_500_001 + n as u64),
                timeout: Duration::from_micros(700_003),
                paused: true,
                labels: [("team".into(), "pay".into())].into(),
                group: Some("wëb".into()),
                ..Definition::clone(&plain)
            }));
        }
        all
    }

    fn status() -> Status {
        let up = Status::new(Wall(5)).changed(State::Up, Wall(7), Reason::None, None, 1);
        up.changed(
            State::Down,
            Wall(-9),
            Reason::Refused,
            Some("why".into()),
            2,
        )
    }

    fn votes() -> Option<Arc<Votes>> {
        let vote = Vote {
            node: "n1".into(),
            passed: Some(false),
        };
        Some(Arc::new(Votes {
            votes: vec![vote],
            contested: true,
        }))
    }

    fn rows(definition: &Arc<Definition>) -> [Arc<Row>; 2] {
        let bytes = encode(definition);
        [What::Whole(definition), What::Packed(&bytes)].map(|what| {
            let origin = (Source::Api, true);
            Arc::new(Row::new(Slot(7), what, origin, &status(), &votes()))
        })
    }

    #[test]
    fn a_packed_row_says_what_a_whole_one_says() {
        for definition in definitions() {
            for row in rows(&definition) {
                assert_eq!(row.name(), &*definition.name);
                assert_eq!(row.title(), definition.name);
                assert_eq!(row.pace(), (definition.interval, definition.timeout));
                assert_eq!(row.group(), definition.group.as_deref());
                assert_eq!(row.kind(), definition.probe.kind());
                assert_eq!(row.is_paused(), definition.paused);
                assert_eq!(row.definition(), definition);
                assert_eq!((row.state(), row.transition()), (State::Down, 2));
                assert_eq!((row.source, row.shadowed), (Source::Api, true));
            }
        }
    }

    #[test]
    fn an_opened_row_has_everything_at_hand() {
        for row in rows(&definition("web")) {
            let open = row.open();
            assert_eq!((&open.status, &open.votes), (&status(), &votes()));
            assert_eq!(
                (open.definition.clone(), open.slot),
                (definition("web"), Slot(7))
            );
            assert!(Arc::ptr_eq(open.row(), &row));
        }
    }

    #[test]
    fn another_status_leaves_the_definition_and_another_definition_the_status() {
        let other = definition("other");
        for row in rows(&definition("web")) {
            let up = Status::new(Wall(1));
            let changed = row.with_status(&up, &None);
            assert_eq!((changed.status(), changed.votes()), (up, None));
            assert_eq!(changed.definition(), definition("web"));
            let bytes = encode(&other);
            let changed = row.with_definition(What::Packed(&bytes), (Source::File, false));
            assert_eq!((changed.status(), changed.votes()), (status(), votes()));
            assert_eq!((changed.name(), changed.source), ("other", Source::File));
        }
    }

    #[test]
    fn a_row_is_a_cache_line_and_its_bytes() {
        let row = size_of::<Row>() + 2 * size_of::<usize>();
        assert!(row <= 64, "{row}");
    }
}
