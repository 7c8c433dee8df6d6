//! What a node takes in and gives out: two closed enums of plain, comparable data.
//!
//! A recorded list of `(Time, Input)` is the replay. Outputs that must follow a disk write are
//! emitted only once [`Input::Persisted`] has said that the write is down: views, events and
//! answers never run ahead of the disk.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Slot, Ticket, Time, Version, Wall, Way};

use crate::account::{Account, Findings, Missing};
use crate::cluster::Notice;
use crate::definition::Definition;
use crate::outcome::Finding;
use crate::status::{State, Transition};
use crate::view::{Source, View};

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What the disk held at boot; given once, before anything else. Empty on a new disk.
    /// The wall clock and the load of the config file follow at once, even if there is no file.
    Restored(Vec<Record>),
    /// What the machine's wall clock says now. Given at boot and then every second.
    WallClock(Wall),
    /// The whole new content of a config source. Names are unique within it.
    Load(Source, Vec<Arc<Definition>>),
    /// Define a target through the API.
    Put(Request, Arc<Definition>),
    /// Take a target made through the API away.
    Delete(Request, Arc<str>),
    /// A probe came back.
    Probed(Probed),
    /// Bytes came from another node, opened. For a stream, the address is the cluster address
    /// that the peer named, not the port that it called from.
    Received(SocketAddr, Way, Vec<u8>),
    /// Other nodes may be found at these addresses too.
    Join(Vec<SocketAddr>),
    /// Give all targets to others, and go on checking until they have them.
    Drain(Request),
    /// Drain, then say farewell; [`Output::Left`] follows, at the latest after so long.
    Leave(Duration),
    /// An operator takes a dead member out for good.
    Forget(Request, Arc<str>),
    /// Somebody here wants to know what the owner of this target knows of it: [`Output::Told`]
    /// follows within half a second.
    Inquire(Request, Arc<str>),
    /// What was found of the target that [`Output::Inquired`] named; given at once.
    Tell(Inquiry, Box<Findings>),
    /// This batch, and with it all earlier ones, is on disk.
    Persisted(Batch),
    /// The deadline has come.
    Tick,
    /// The process is about to end: start nothing more, and write what still waits.
    Stop,
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start this probe now.
    Probe(Check),
    /// What the disk still knows of the past, oldest first; complete after this version. Given
    /// once, in answer to [`Input::Restored`].
    Past(Version, Vec<Event>),
    /// The outcome in hand counts, and as this.
    Judged(Slot, Finding),
    /// From now on this slot means this target.
    Define(Slot, Arc<Definition>, Source),
    /// This slot means nothing any more.
    Undefine(Slot),
    /// Write this down, then say [`Input::Persisted`]. `urgent`: somebody waits for it.
    Persist {
        /// Counts the batches.
        batch: Batch,
        /// In this order.
        writes: Vec<Write>,
        /// Somebody waits: write within 10 ms. Otherwise within a second.
        urgent: bool,
    },
    /// A request through the API is done, and on disk where it changed anything.
    Answer(Request, Answer),
    /// Say what was found of this slot's target lately: [`Input::Tell`].
    Inquired(Inquiry, Slot),
    /// What the owner of a target knows of it, or why that can't be said.
    Told(Request, Result<Box<Account>, Missing>),
    /// A config source took effect.
    Loaded(Source, Box<Diff>),
    /// A target changed its state, and the disk knows.
    Event(Event),
    /// What readers see from now on.
    View(Arc<View>),
    /// Send this to another node. A stream that can't be opened is no error.
    Send(SocketAddr, Way, Vec<u8>),
    /// People should be told.
    Notice(Box<Notice>),
    /// Another live node has this node's name; this process must end.
    Refused {
        /// The name.
        name: Arc<str>,
        /// Where the other one is.
        at: SocketAddr,
    },
    /// The farewell was heard, or there was nobody to hear it: the process may end.
    Left,
}

/// Names a request through the API until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(pub u64);

/// A question about a target: who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inquiry {
    pub(crate) slot: Slot,
    pub(crate) asker: Asker,
}

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A reader of this node.
    Here(Request),
    /// Another node, by a number of its own.
    There(NodeId, u64),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The target is new.
    Created(Version),
    /// The target was there, and is now as asked.
    Replaced(Version),
    /// The target is gone.
    Deleted(Version),
    /// There is no target of this name.
    NotFound,
    /// The target comes from the config file and can't be taken away through the API.
    FromFile,
    /// The node holds as many targets as it may.
    Full,
    /// It will be done.
    Accepted,
    /// The node is alone: there is nobody to give anything to, and nobody to forget.
    NoCluster,
}

/// A probe to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which target.
    pub slot: Slot,
    /// Comes back with the outcome.
    pub ticket: Ticket,
    /// When it was due; what passed since then is lag.
    pub due: Time,
}

/// A probe that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Which target.
    pub slot: Slot,
    /// As given with the check.
    pub ticket: Ticket,
    /// What the probe found.
    pub finding: Finding,
    /// How long the checker's own loop stood still while the probe waited.
    pub late: Duration,
    /// The time that the probe had.
    pub timeout: Duration,
    /// The target's address is on this machine: no uplink can be at fault.
    pub local: bool,
    /// What differs from check to check.
    pub detail: Option<Arc<str>>,
}

/// Counts batches of writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch(pub u64);

/// Where on disk a record lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The node's origin and last sequence number.
    Origin,
    /// A target's status and counters.
    Status(Arc<str>),
    /// A definition made through the API.
    Definition(Arc<str>),
    /// The node's id, and the members that it knew.
    Members,
    /// A record of the replicated store.
    Store(Vec<u8>),
}

/// One record on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub key: Key,
    /// What.
    pub value: Vec<u8>,
}

/// One change on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Put, over what is there.
    Set(Key, Vec<u8>),
    /// Take away, if it is there.
    Remove(Key),
}

/// A target changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The target's name.
    pub target: Arc<str>,
    /// What happened.
    pub transition: Transition,
    /// The detail of the outcome that did it.
    pub detail: Option<Arc<str>>,
}

/// What a reload changed; names in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// New targets.
    pub added: Vec<Arc<str>>,
    /// Targets with another definition.
    pub changed: Vec<Arc<str>>,
    /// Targets that are gone.
    pub removed: Vec<Arc<str>>,
    /// How many stayed as they were, with their counters.
    pub unchanged: usize,
}

/// A target's verdict in the making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The state that the counters stand on; what readers see follows it once it is on disk.
    pub state: State,
    /// Failures in a row, up to `fall`.
    pub failures: u16,
    /// Successes in a row, up to `rise`.
    pub successes: u16,
    /// The last outcomes as bits, newest lowest, 1 for a failure; used when `of` exceeds `fall`.
    pub window: u64,
    /// Whether a probe is under way.
    pub in_flight: bool,
    /// When the next check is due; `None` when paused, or checked elsewhere.
    pub next_due: Option<Time>,
}
