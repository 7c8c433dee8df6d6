//! The membership core alone in the world of many hosts: promises, mutants and figures.
//!
//! A [`Peer`] is one process that bears a [`::membership::Membership`] and nothing else. [`run`]
//! lets a [`Storm`] happen to a handful of them and checks every [`Promise`] after every step;
//! [`least`] cuts a failing storm down; [`reports`] measures. Start reading at [`run`].
//! Does not know what members work on.

mod node;
mod promises;
pub mod reports;
mod run;
mod storm;
mod truth;

pub use node::{Call, Flaw, Peer, Word};
pub use promises::{Broken, Promise};
pub use run::{Course, least, run};
pub use storm::{Storm, Trouble};
