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

/// One target as everyone sees it, packed; [`Line::open`] makes a [`Row`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
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

/// One target as everyone sees it, with everything at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    line: Arc<Line>,
    /// What is checked.
    pub definition: Arc<Definition>,
    /// What its outcomes add up to; never ahead of the disk.
    pub status: Status,
    /// What others saw when the last verdict was made; `None` when nobody was asked.
    pub votes: Option<Arc<Votes>>,
}

impl std::ops::Deref for Row {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

impl Row {
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
        let line = Line::new(slot, What::Whole(&definition), origin, &status, &votes);
        Self {
            line: Arc::new(line),
            definition,
            status,
            votes,
        }
    }

    /// The same as a view keeps it.
    #[must_use]
    pub const fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

/// How a line keeps its definition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    /// As the type that somebody else holds too.
    Whole(&'a Arc<Definition>),
    /// As bytes.
    Packed(&'a [u8]),
}

impl Line {
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
    pub fn open(self: &Arc<Self>) -> Row {
        let entry = self.entry();
        Row {
            line: Arc::clone(self),
            definition: self.definition(),
            status: entry.status,
            votes: entry.votes,
        }
    }
}
