//! Who is in the cluster, and who has stopped answering.
//!
//! SWIM with suspicion (Das, Gupta, Motivala 2002) and Lifeguard (Dadgar, Phillips, Currey 2017).
//! Pure: no sockets, clocks or threads. Start reading at [`Membership::handle`].
//! Does not know about checks or the store.

mod config;
mod input;
mod member;

pub use config::{Config, ConfigError};
pub use input::{Input, Output};
pub use member::{Incarnation, Member, Meta, Standing, State};

use base::Time;

/// One node's knowledge of all members.
#[derive(Debug)]
pub struct Membership {
    config: Config,
}

impl Membership {
    /// A node that knows only itself.
    ///
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
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

    /// Every member that is known, this node included, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.config.me)
    }
}
