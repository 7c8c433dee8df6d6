//! Every dependency has its reason beside it: a comment on its line or on the line above.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process::root;

/// Fails when the root manifest names a dependency without saying why.
pub(crate) fn run() -> Result<()> {
    let text = fs::read_to_string(root().join("Cargo.toml")).context("Cargo.toml")?;
    let bare = without_reason(&text);
    if bare.is_empty() {
        return Ok(());
    }
    bail!(
        "no reason in Cargo.toml for {}; write `# why` on its line or the line above",
        bare.join(", ")
    )
}

/// Names in `[workspace.dependencies]` that have no comment; our own crates need none.
fn without_reason(manifest: &str) -> Vec<&str> {
    let mut bare = Vec::new();
    let mut inside = false;
    let mut above = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if inside && !line.starts_with('#') {
            let named = line.split_once('=').map(|(name, _)| name.trim());
            let said = above.starts_with('#') || has_comment(line) || line.contains("path = ");
            bare.extend(named.filter(|_| !said));
        }
        above = line;
    }
    bare
}

/// Whether a `#` stands outside quotes.
fn has_comment(line: &str) -> bool {
    let mut quoted = false;
    line.chars().any(|c| {
        quoted ^= c == '"';
        c == '#' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_comment_on_or_above_its_line_is_named() {
        let manifest = r##"
[workspace]
members = ["a"]
[workspace.dependencies]
base = { path = "crates/base" }
# Errors.
thiserror = "2"
anyhow = "1" # one error type
hash = { version = "1", features = ["#"] }
serde = "1"
[workspace.lints.rust]
unsafe_code = "forbid"
"##;
        assert_eq!(without_reason(manifest), ["hash", "serde"]);
    }
}
