//! The replicated store alone in the world of many hosts: promises, faults, and how news spreads.
//!
//! Each host runs one [`::store::Store`] over its own disk; an oracle stands in for membership
//! ([`Detector`]); an independent model of all dots ever written judges every step
//! ([`Promise`]). A run is a pure function of a [`Course`], which is drawn from a seed.
//! Start reading at [`run`]. Does not know what keys and values mean, nor how members are found.

mod course;
mod detector;
mod model;
mod node;
pub mod plain;
mod promises;
pub mod reports;
mod run;
mod view;

pub use course::{Course, Kind};
pub use detector::Detector;
pub use node::{Call, Replica, Tuning, Word, host_of, id_of};
pub use promises::{Broken, Promise};
pub use run::{Report, cut_down, run, run_of};
pub use view::{Core, Held, View};
