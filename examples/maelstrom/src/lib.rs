//! The first labs of the class on distributed systems, over our own cores.
//!
//! Two halves. The [`Node`] speaks Maelstrom's protocol (JSON lines; the protocol document of
//! jepsen-io/maelstrom) and keeps its sets and counters in the `store` core. The [`Lab`] is a harness of
//! ours that routes the lines, delays and cuts, plays the clients and applies the checkers' rules.
//! Both are state machines that are told the time, so the same pair runs in [`world`] (virtual time)
//! and in [`processes`] (real ones). Start reading at [`Node::handle`] and [`Lab::handle`].

mod check;
mod lab;
mod message;
mod node;
pub mod processes;
mod replica;
pub mod report;
pub mod serve;
mod tuning;
pub mod world;

pub use check::{Bars, Check, Figures, Quantiles, check, figures};
pub use lab::{
    History, Input as LabInput, Lab, Latency, Operation, Outcome, Output as LabOutput, Plan,
    PlanError, Request, Shape, Traffic, Watched, Workload,
};
pub use message::{Code, Message};
pub use node::{Input, Node, Setup};
pub use tuning::Tuning;
