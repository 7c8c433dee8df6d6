//! A replicated map of keys to values that any node may write and every node holds.
//!
//! Dots per origin over one shared map, live dots only: a delta-state CRDT (Almeida, Shoker,
//! Baquero 2018) with an optimised causal context, exchanged whole. Pure: no sockets, clocks or
//! disk. Start reading at [`Store::handle`]. Does not know what keys and values mean, nor how
//! peers are found.

mod config;
mod input;

pub use config::{Config, ConfigError};
pub use input::{Input, Mark, Output, Record};

use base::Time;

/// One node's copy.
#[derive(Debug)]
pub struct Store {
    config: Config,
}

impl Store {
    /// A copy as the disk held it; `records` is empty on a new disk.
    ///
    /// # Errors
    /// When a setting is out of its bounds, or a record can't be read.
    pub fn new(config: Config, _records: Vec<Record>) -> Result<Self, ConfigError> {
        Ok(Self { config })
    }

    /// Takes in what happened; never fails, never waits.
    pub fn handle(&mut self, _now: Time, _input: Input) {}

    /// What is to be done next; drain until `None` after every [`Self::handle`].
    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        None
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }
}
