//! One target as a view keeps it: packed, because most nodes only show most targets.
//!
//! A node that checks a target has its definition as a type; all others keep the bytes that came
//! through the store, and make the type when somebody asks for it. Where the store holds the same
//! bytes they lie in memory once. What every list needs (name, state) is read without making
//! anything. Does not know views, owners or the store.

use std::sync::Arc;

use base::{Duration, Slot, Wall, hash64};

use crate::cluster::StatusEntry;
use crate::definition::{self, Definition};
use crate::fleet::Votes;
use crate::record;
use crate::status::{State, Status};
use crate::view::Source;

/// One target as everyone sees it, packed; [`Row::open`] makes an [`OpenRow`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    what: What,
    /// The status with its votes, perhaps behind its key.
    status: Arc<[u8]>,
    /// Where its hot figures lie.
    pub slot: Slot,
    /// Where the status's bytes begin. The highest bit says that the API defines the same name.
    at: u16,
    /// Where the definition comes from.
    pub source: Source,
    state: State,
}

/// A key has at most 801 bytes.
const SHADOWED: u16 = 1 << 15;

/// How a row keeps its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// As the type that somebody else holds too.
    Whole(Arc<Definition>),
    /// As bytes.
    Packed(Arc<[u8]>),
}

/// A row opened: everything of it at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRow {
    row: Row,
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
        let (what, origin) = (What::Whole(Arc::clone(&definition)), (source, shadowed));
        Self {
            row: Row::new(slot, what, origin, &status, &votes),
            definition,
            status,
            votes,
        }
    }

    /// The same as a view keeps it.
    #[must_use]
    pub const fn row(&self) -> &Row {
        &self.row
    }
}

fn encoded(status: &Status, votes: &Option<Arc<Votes>>) -> Arc<[u8]> {
    let entry = StatusEntry {
        status: status.clone(),
        by: "".into(),
        votes: votes.clone(),
        is_chosen: false,
    };
    entry.encode().into()
}

impl Row {
    pub(crate) fn new(
        slot: Slot,
        what: What,
        (source, shadowed): (Source, bool),
        status: &Status,
        votes: &Option<Arc<Votes>>,
    ) -> Self {
        Self {
            what,
            status: encoded(status, votes),
            slot,
            at: if shadowed { SHADOWED } else { 0 },
            source,
            state: status.state,
        }
    }

    /// This target with another status.
    pub(crate) fn with_status(&self, status: &Status, votes: &Option<Arc<Votes>>) -> Self {
        self.with_entry((encoded(status, votes), 0), status.state)
    }

    /// This target with another status, whose encoded entry begins there in the bytes.
    pub(crate) fn with_entry(&self, (entry, from): (Arc<[u8]>, usize), state: State) -> Self {
        let from = u16::try_from(from).expect("a key has at most 801 bytes");
        Self {
            status: entry,
            at: self.at & SHADOWED | from,
            state,
            ..self.clone()
        }
    }

    /// This target as it is defined from now on.
    pub(crate) fn with_definition(&self, what: What, (source, shadowed): (Source, bool)) -> Self {
        let shadowed = if shadowed { SHADOWED } else { 0 };
        Self {
            what,
            at: self.at & !SHADOWED | shadowed,
            source,
            ..self.clone()
        }
    }

    /// Whether this row keeps its definition so, and not only equally.
    pub(crate) fn keeps(&self, what: &What) -> bool {
        match (&self.what, what) {
            (What::Whole(mine), What::Whole(other)) => Arc::ptr_eq(mine, other),
            (What::Packed(mine), What::Packed(other)) => Arc::ptr_eq(mine, other),
            (What::Whole(_), What::Packed(_)) | (What::Packed(_), What::Whole(_)) => false,
        }
    }

    /// Whether its status is this entry, and not only an equal one.
    pub(crate) fn keeps_entry(&self, entry: &Arc<[u8]>) -> bool {
        Arc::ptr_eq(&self.status, entry)
    }

    /// The API defines the same name, and the file wins.
    #[must_use]
    pub const fn shadowed(&self) -> bool {
        self.at & SHADOWED != 0
    }

    /// The definition's bytes, where it is packed.
    pub(crate) fn packed(&self) -> Option<&[u8]> {
        match &self.what {
            What::Whole(_) => None,
            What::Packed(bytes) => Some(bytes),
        }
    }

    fn status_bytes(&self) -> &[u8] {
        &self.status[usize::from(self.at & !SHADOWED)..]
    }

    /// The hash of its status, if another than this node found what it says, or it was chosen among
    /// siblings; 0 for what nobody wrote.
    pub(crate) fn foreign_to(&self, owner: &str) -> u64 {
        let entry = self.status_bytes();
        match StatusEntry::finder_in(entry) {
            Some(by) if by.is_empty() || by == owner => 0,
            _ => hash64(entry),
        }
    }

    /// The target's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.what {
            What::Whole(whole) => &whole.name,
            What::Packed(bytes) => definition::name_in(bytes),
        }
    }

    /// The same, to be kept.
    #[must_use]
    pub fn title(&self) -> Arc<str> {
        match &self.what {
            What::Whole(whole) => Arc::clone(&whole.name),
            What::Packed(_) => self.name().into(),
        }
    }

    /// Its state; never ahead of the disk.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The number of its last transition; 0 before the first.
    #[must_use]
    pub fn transition(&self) -> u32 {
        record::transition_in(self.status_bytes())
    }

    /// Its group on the page and in the summary.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.what {
            What::Whole(whole) => whole.group.as_deref(),
            What::Packed(bytes) => definition::group_in(bytes),
        }
    }

    /// Its probe's kind, as in config and API.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.what {
            What::Whole(whole) => whole.probe.kind(),
            What::Packed(bytes) => definition::kind_in(bytes),
        }
    }

    /// Its interval and its timeout.
    #[must_use]
    pub fn pace(&self) -> (Duration, Duration) {
        match &self.what {
            What::Whole(whole) => (whole.interval, whole.timeout),
            What::Packed(bytes) => definition::pace_in(bytes),
        }
    }

    /// What is checked. Costs a few hundred nanoseconds where this node does not check it.
    #[must_use]
    pub fn definition(&self) -> Arc<Definition> {
        match &self.what {
            What::Whole(whole) => Arc::clone(whole),
            What::Packed(bytes) => {
                let definition = definition::decode(bytes);
                Arc::new(definition.expect("what was read once can be read again"))
            }
        }
    }

    /// Whether it is paused by its definition.
    pub(crate) fn is_paused(&self) -> bool {
        match &self.what {
            What::Whole(whole) => whole.paused,
            What::Packed(bytes) => definition::is_paused_in(bytes),
        }
    }

    /// Its status and its votes; who wrote it only if it is the store's entry.
    pub(crate) fn entry(&self) -> StatusEntry {
        let entry = StatusEntry::decode(self.status_bytes());
        entry.expect("what was read once can be read again")
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
    pub fn open(&self) -> OpenRow {
        let entry = self.entry();
        OpenRow {
            row: self.clone(),
            definition: self.definition(),
            status: entry.status,
            votes: entry.votes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Vote, status_key};
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

    fn packed(definition: &Definition) -> What {
        What::Packed(encode(definition).into())
    }

    fn rows(definition: &Arc<Definition>) -> [Row; 2] {
        [What::Whole(Arc::clone(definition)), packed(definition)].map(|what| {
            let origin = (Source::File, true);
            Row::new(Slot(7), what, origin, &status(), &votes())
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
                assert_eq!((row.source, row.shadowed()), (Source::File, true));
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
            assert_eq!(open.row(), &row);
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
            let changed = row.with_definition(packed(&other), (Source::Api, false));
            assert_eq!((changed.status(), changed.votes()), (status(), votes()));
            assert_eq!((changed.name(), changed.transition()), ("other", 2));
            assert_eq!((changed.source, changed.shadowed()), (Source::Api, false));
        }
    }

    #[test]
    fn an_entry_of_the_store_is_kept_as_it_lies_there() {
        let entry = StatusEntry {
            status: status(),
            by: "n1".into(),
            votes: votes(),
            is_chosen: false,
        };
        let bytes: Arc<[u8]> = [status_key("web"), entry.encode()].concat().into();
        let fresh = Status::new(Wall(1));
        let origin = (Source::File, false);
        let row = Row::new(Slot(7), packed(&definition("web")), origin, &fresh, &None);
        assert!(!row.keeps_entry(&bytes));
        let row = row.with_entry((Arc::clone(&bytes), 4), State::Down);
        assert!(row.keeps_entry(&bytes));
        assert_eq!(row.entry(), entry);
        let origin = (Source::File, true);
        let row = row.with_definition(packed(&definition("web")), origin);
        assert_eq!((row.entry(), row.shadowed()), (entry, true));
        assert_eq!((row.state(), row.transition()), (State::Down, 2));
    }

    #[test]
    fn a_row_takes_forty_bytes_and_a_slot_without_one_no_more() {
        assert_eq!((size_of::<Row>(), size_of::<Option<Row>>()), (40, 40));
    }
}
