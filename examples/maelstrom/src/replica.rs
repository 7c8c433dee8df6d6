//! Sets and counters as keys of the `store` core, and its messages as JSON bodies.

use std::collections::VecDeque;

use base::{Rng, Time};
use serde_json::Value;

use crate::message::Message;
use crate::tuning::Tuning;

/// One node's copy of the set and of the counter.
#[derive(Debug)]
pub(crate) struct Replica {
    elements: Vec<Value>,
    sum: i64,
}

impl Replica {
    pub(crate) fn new(
        _now: Time,
        me: &str,
        names: Vec<String>,
        _tuning: Tuning,
        _rng: &mut Rng,
    ) -> Result<Self, String> {
        if !names.iter().any(|name| name == me) {
            return Err(format!("node_ids does not list {me:?} itself"));
        }
        Ok(Self {
            elements: Vec::new(),
            sum: 0,
        })
    }

    pub(crate) fn tick(&mut self, _now: Time) {}

    pub(crate) fn deadline(&self) -> Option<Time> {
        None
    }

    pub(crate) fn received(&mut self, _now: Time, _message: &Message) -> bool {
        false
    }

    pub(crate) fn drain(&mut self, _now: Time, _out: &mut VecDeque<Message>) {}

    pub(crate) fn insert(&mut self, _now: Time, element: &Value) {
        self.elements.push(element.clone());
    }

    pub(crate) fn count(&mut self, _now: Time, delta: i64) -> Result<(), String> {
        self.sum += delta;
        Ok(())
    }

    pub(crate) fn elements(&self) -> &[Value] {
        &self.elements
    }

    pub(crate) fn sum(&self) -> i64 {
        self.sum
    }
}
