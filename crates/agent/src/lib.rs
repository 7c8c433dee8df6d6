//! Sockets, disk, clock, probes, API and page around one [`health`] node.
//!
//! Start reading at `driver.rs`: one loop, one queue, one node. Does not know how a verdict is
//! reached or when a check is due; that is `health`'s.

pub mod api;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod disk;
mod driver;
pub mod events;
pub mod figures;
pub mod front;
pub mod meters;
pub mod page;
pub mod probe;
mod run;
pub mod secret;
mod story;

pub use run::{RunError, RunOptions, run};
