//! What the clients asked, when, and what they were told.

use std::collections::BTreeMap;

use base::Time;
use serde_json::Value;

use crate::lab::network::Traffic;
use crate::message::Code;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Say this back.
    Echo(Value),
    /// An id, please.
    Generate,
    /// Add this element to the set (`broadcast` or `add`).
    Insert(u64),
    /// Add this to the counter.
    Count(i64),
    /// What do you have?
    Read,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Answered; what was said (null if the answer says nothing).
    Done(Value),
    /// Refused: it surely did not happen.
    Refused(Code, String),
    /// Nobody knows whether it happened.
    Open(String),
}

/// One operation of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Which node was asked.
    pub node: usize,
    /// For what.
    pub request: Request,
    /// Whether it is one of the reads after the recovery.
    pub is_final: bool,
    /// When it was asked.
    pub invoked: Time,
    /// When the answer, or the end of the client's patience, came.
    pub completed: Time,
    /// How it ended; open while it runs.
    pub outcome: Outcome,
}

impl Operation {
    /// The answer, if there was one.
    #[must_use]
    pub const fn answer(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Done(value) => Some(value),
            Outcome::Refused(..) | Outcome::Open(_) => None,
        }
    }
}

/// All that a lab has seen.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they were asked.
    pub operations: Vec<Operation>,
    /// What nodes did that no node may do, besides wrong answers; at most 20 are kept.
    pub misdeeds: Vec<String>,
    /// What the observer saw.
    pub watched: Watched,
    /// Messages between nodes.
    pub servers: Traffic,
    /// Messages between clients and nodes.
    pub clients: Traffic,
    /// How often the network was cut.
    pub cuts: u64,
}

impl History {
    /// Notes a misdeed, if there is room.
    pub(crate) fn misdeed(&mut self, text: String) {
        if self.misdeeds.len() < 20 {
            self.misdeeds.push(text);
        }
    }
}

/// When each element was known (its acknowledgement) and last missing on a node.
///
/// Kept as it goes rather than as a list of reads: an observer of 25 nodes makes tens of thousands.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// By element: when it was acknowledged, and when the last read began that should have shown it and did not.
    pub elements: BTreeMap<u64, (Time, Option<Time>)>,
    /// How many reads there were.
    pub reads: u64,
}

impl Watched {
    pub(crate) fn acknowledged(&mut self, element: u64, at: Time) {
        self.elements.entry(element).or_insert((at, None));
    }

    /// A read that began at `invoked` gave these.
    pub(crate) fn read(&mut self, invoked: Time, value: &Value) {
        self.reads += 1;
        let shown: std::collections::BTreeSet<u64> = value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        for (element, (known, missing)) in &mut self.elements {
            if *known <= invoked && !shown.contains(element) {
                *missing = (*missing).max(Some(invoked));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_observer_notes_the_last_read_that_missed_an_element_it_should_have_shown() {
        let mut watched = Watched::default();
        watched.acknowledged(1, Time(10));
        watched.acknowledged(2, Time(30));
        watched.read(Time(20), &json!([]));
        watched.read(Time(25), &json!([1]));
        watched.read(Time(29), &json!([1]));
        assert_eq!(watched.elements[&1], (Time(10), Some(Time(20))));
        let too_early = (Time(30), None);
        assert_eq!(watched.elements[&2], too_early);
    }
}
