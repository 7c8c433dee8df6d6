//! Whole clustered nodes in the world of many hosts, with servers to check and people who ask.
//!
//! Each host runs one [`::health::Node`] over its own disk, driven as the agent drives it:
//! everything between a disk, a socket and a probe is virtual, all else is the very same code.
//! The world knows how every server really behaves towards every host; after every step what the
//! nodes do and show is held against that ([`Promise`]). A run is a pure function of a
//! [`Course`], which is drawn from a seed. Start reading at [`run`].

mod calm;
mod course;
mod judge;
mod ledger;
mod moves;
mod node;
mod promises;
pub mod provoked;
mod readers;
pub mod rehearsal;
mod run;
pub mod scale;
mod servers;
mod story;
mod trouble;

pub use course::{Course, Kind};
pub use judge::Figures;
pub use node::{Call, Process, Word};
pub use promises::{Broken, Promise};
pub use readers::Read;
pub use run::{Report, cut_down, run, tell};
pub use servers::{Block, Servers};
pub use story::{Line, Wrong, first_wrong};
pub use trouble::Trouble;
