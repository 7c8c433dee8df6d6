//! Imports go downwards only: the arrows that are allowed, and what a core may depend on.
//!
//! The table is design.md §3 for the rooms that exist; a new room is a new line here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::process::root;

/// Each package of ours, and which of ours it may import.
const ARROWS: [(&str, &[&str]); 13] = [
    ("roundsman-base", &[]),
    ("roundsman-membership", &["roundsman-base"]),
    ("roundsman-store", &["roundsman-base"]),
    ("roundsman-ownership", &["roundsman-base"]),
    (
        "roundsman-health",
        &[
            "roundsman-membership",
            "roundsman-store",
            "roundsman-ownership",
            "roundsman-base",
        ],
    ),
    ("roundsman-agent", &["roundsman-health", "roundsman-base"]),
    (
        "roundsman-sim",
        &[
            "roundsman-health",
            "roundsman-membership",
            "roundsman-store",
            "roundsman-base",
        ],
    ),
    (
        "roundsman",
        &[
            "roundsman-agent",
            "roundsman-sim",
            "roundsman-health",
            "roundsman-base",
        ],
    ),
    (
        "roundsman-kv",
        &["roundsman-membership", "roundsman-store", "roundsman-base"],
    ),
    (
        "roundsman-bench",
        &[
            "roundsman-kv",
            "roundsman-agent",
            "roundsman-health",
            "roundsman-sim",
            "roundsman-membership",
            "roundsman-store",
            "roundsman-ownership",
            "roundsman-base",
        ],
    ),
    (
        "roundsman-maelstrom",
        &["roundsman-membership", "roundsman-store", "roundsman-base"],
    ),
    (
        "roundsman-fuzz",
        &[
            "roundsman-agent",
            "roundsman-health",
            "roundsman-membership",
            "roundsman-store",
            "roundsman-base",
        ],
    ),
    ("xtask", &[]),
];

/// Pure rooms: nothing from outside but these, and a `clippy.toml` that bans the rest.
const CORES: [&str; 5] = [
    "roundsman-base",
    "roundsman-membership",
    "roundsman-store",
    "roundsman-ownership",
    "roundsman-health",
];
const CORES_MAY_USE: [&str; 1] = ["thiserror"];

/// Folders whose `clippy.toml` must be the same: clippy takes the nearest and merges nothing.
const PURE_FOLDERS: [&str; 6] = [
    "crates/base",
    "crates/membership",
    "crates/store",
    "crates/ownership",
    "crates/health",
    "crates/sim",
];

/// Fails when a crate imports what its floor does not allow.
pub(crate) fn run() -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .context("cargo metadata")?;
    let mut faults: Vec<String> = imports(&metadata)
        .iter()
        .filter_map(Import::fault)
        .collect();
    for package in &metadata.packages {
        if arrows_of(&package.name).is_none() {
            faults.push(format!(
                "{} stands on no floor; add it to xtask/src/floors.rs",
                package.name
            ));
        }
    }
    faults.extend(differing(&root(), &PURE_FOLDERS));
    if faults.is_empty() {
        println!(
            "floors: {} crates, every arrow goes down",
            metadata.packages.len()
        );
        return Ok(());
    }
    bail!("{}", faults.join("\n  "))
}

/// One dependency of one of our packages.
struct Import {
    from: String,
    to: String,
    ours: bool,
    kind: DependencyKind,
}

impl Import {
    fn fault(&self) -> Option<String> {
        let Self { from, to, .. } = self;
        let kind = match self.kind {
            DependencyKind::Normal => "imports",
            DependencyKind::Development => "imports for its tests",
            DependencyKind::Build => "imports for its build",
            _ => "imports somehow",
        };
        if self.ours {
            let allowed = arrows_of(from).unwrap_or_default();
            return (!allowed.contains(&to.as_str())).then(|| {
                let may = if allowed.is_empty() {
                    "none of ours".to_owned()
                } else {
                    allowed.join(", ")
                };
                format!("{from} {kind} {to}; it may import {may}")
            });
        }
        let pure = CORES.contains(&from.as_str()) && self.kind != DependencyKind::Development;
        (pure && !CORES_MAY_USE.contains(&to.as_str())).then(|| {
            format!(
                "{from} {kind} {to}; a core may use {}",
                CORES_MAY_USE.join(", ")
            )
        })
    }
}

fn arrows_of(package: &str) -> Option<&'static [&'static str]> {
    ARROWS
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, allowed)| *allowed)
}

fn imports(metadata: &Metadata) -> Vec<Import> {
    let ours = |name: &str| metadata.packages.iter().any(|p: &Package| *p.name == name);
    metadata
        .packages
        .iter()
        .flat_map(|package| {
            package.dependencies.iter().map(move |dependency| Import {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                ours: ours(&dependency.name),
                kind: dependency.kind,
            })
        })
        .collect()
}

/// The folders whose `clippy.toml` is missing or differs from the first's.
fn differing(root: &Path, folders: &[&str]) -> Vec<String> {
    let read = |folder: &str| fs::read_to_string(root.join(folder).join("clippy.toml"));
    let Some((first, rest)) = folders.split_first() else {
        return Vec::new();
    };
    let Ok(model) = read(first) else {
        return vec![format!("{first}/clippy.toml is missing")];
    };
    rest.iter()
        .filter_map(|folder| match read(folder) {
            Ok(text) if text == model => None,
            Ok(_) => Some(format!(
                "{folder}/clippy.toml differs from {first}/clippy.toml"
            )),
            Err(_) => Some(format!("{folder}/clippy.toml is missing")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(from: &str, to: &str, kind: DependencyKind) -> Import {
        Import {
            from: from.to_owned(),
            to: to.to_owned(),
            ours: arrows_of(to).is_some(),
            kind,
        }
    }

    #[test]
    fn an_arrow_upwards_is_a_fault_also_in_tests() {
        for kind in [DependencyKind::Normal, DependencyKind::Development] {
            let fault = import("roundsman-health", "roundsman-agent", kind).fault();
            let said = fault.expect("health must not know the agent");
            assert!(
                said.contains("it may import roundsman-membership"),
                "{said}"
            );
        }
    }

    #[test]
    fn arrows_of_the_design_are_fine() {
        for (from, allowed) in ARROWS {
            for to in allowed {
                assert_eq!(import(from, to, DependencyKind::Normal).fault(), None);
            }
        }
    }

    #[test]
    fn a_core_uses_thiserror_and_nothing_else_but_its_tests_may() {
        let with = |to, kind| import("roundsman-base", to, kind).fault();
        assert_eq!(with("thiserror", DependencyKind::Normal), None);
        assert_eq!(with("proptest", DependencyKind::Development), None);
        assert!(with("tokio", DependencyKind::Normal).is_some());
        assert!(with("cc", DependencyKind::Build).is_some());
    }

    #[test]
    fn a_core_without_its_own_clippy_list_is_named() {
        let faults = differing(&root(), &["crates/base", "xtask"]);
        assert_eq!(faults, ["xtask/clippy.toml is missing"]);
    }
}
