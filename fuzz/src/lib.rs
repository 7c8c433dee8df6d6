//! Every decoder under hostile bytes: valid encodings, broken in all the ways that bytes break.
//!
//! A target takes bytes and must come back without a panic; what it decodes it must also be able
//! to encode to the same meaning. [`TARGETS`] lists them all. The landing tests run each over
//! inputs made by [`mutate`] for some seconds; `cargo xtask fuzz` runs them under libFuzzer, which
//! sees which branches an input reached. Does not know sockets.

mod corpus;
mod meeting;
mod mutate;
mod targets;

pub use corpus::Piece;
pub use mutate::mutate;
pub use targets::{TARGETS, Target};
