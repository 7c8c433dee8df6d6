//! Definitions as JSON: the two places where the API meets the config's language.

use health::Definition;
use serde_json::Value;

use crate::config::{self, Fault};

/// Reads the definition of target `name`; every mistake, not only the first.
///
/// No variable of this node's environment is set for it: see `probe::prepare`.
pub(super) fn parse(name: &str, body: &str) -> Result<Definition, Vec<Fault>> {
    config::parse_target(name, body, &|_| None)
}

/// A definition as a PUT takes it, secrets hidden.
pub(crate) fn to_json(definition: &Definition) -> Value {
    config::target_to_json(definition)
}
