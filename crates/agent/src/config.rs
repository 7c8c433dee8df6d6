//! Stub until the config worker's module lands.
use std::sync::Arc;
/// A mistake in a file.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The file.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}
