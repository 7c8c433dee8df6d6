//! One whole health-checking node, pure: what is checked, when, and what the outcomes add up to.
//!
//! Drive it with four verbs: [`Node::new`], [`Node::handle`], [`Node::poll`] until `None`, then
//! wait until [`Node::deadline`]. Start reading at [`Node::handle`].
//! No sockets, clocks, threads or tasks: the agent and the simulator drive the very same code.
//! Does not know YAML, HTTP or how a probe is made.

mod account;
mod catalogue;
mod clock;
mod cluster;
mod definition;
mod fleet;
mod input;
mod node;
mod outcome;
mod pace;
mod reach;
mod record;
mod row;
mod schedule;
mod staging;
mod status;
#[cfg(test)]
mod testing;
mod uplink;
mod verdict;
mod view;

/// What nodes send each other, for those who account for it.
pub mod packet {
    pub use crate::cluster::contents;
}

/// Who owns what, computed offline.
pub mod owners {
    pub use ownership::{Member, Standing, WEIGHT_MAX, order};
}

pub use account::{Account, Findings, Missing, Past};
pub use cluster::{
    ClusterConfig, ClusterError, Dropped, Notice, Vote, WIRE, WIRE_OLDEST, votes_in_words,
};
pub use definition::{
    Auth, BodyRule, Close, Compare, Definition, DefinitionError, Expect, Family, HeaderCondition,
    HeaderRule, Http, JsonRule, Probe, Rule, SecretSource, Step, Tcp, Tls, check_name,
    decode as decode_definition, encode as encode_definition,
};
pub use fleet::{Accusation, Fleet, Freshness, Seat, Votes};
pub use input::{
    Answer, Batch, Check, Diff, Event, Explanation, Input, Inquiry, Key, Output, Probed, Record,
    Request, Write,
};
pub use node::{Config, ConfigError, Mutation, Node, Tally};
pub use outcome::{Doubt, Finding, Outcome, Phase, Phases, Reason};
pub use reach::Reach;
pub use row::{OpenRow, Row};
pub use status::{State, Status, Transition};
pub use view::{Counts, Source, View};
