//! What the benches share: processes and their accounts, the target server's log, tables.
//!
//! Core 1 is for the targets, core 0 for the checker. Every figure comes from the target's own
//! log and from the kernel's accounting, never from the checker's word.

pub mod account;
pub mod checkers;
pub mod cluster;
pub mod ours;
pub mod remote;
pub mod serf;
pub mod timeliness;
pub mod wire;
