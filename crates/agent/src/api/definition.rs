//! Definitions as JSON: the two places where the API meets the config's language.

use health::Definition;
use serde_json::Value;

use crate::config::{self, Fault};

/// Reads the definition of target `name`; every mistake, not only the first.
pub(super) fn parse(name: &str, body: &str) -> Result<Definition, Vec<Fault>> {
    config::parse_target(name, body, &|variable| std::env::var(variable).ok())
}

/// A definition as a PUT takes it, secrets hidden.
pub(crate) fn to_json(definition: &Definition) -> Value {
    config::target_to_json(definition)
}
