//! The long runs, for nights and before a release.

use anyhow::Result;

use crate::process;
use crate::process::cargo;
use crate::specs;
use crate::tools::{self, TOOLS};

/// Runs the ignored tests of every room in release, then all of the simulator's with many
/// seeds, then the specs with their larger constants.
pub(crate) fn run(seeds: u64) -> Result<()> {
    tools::install(&TOOLS);
    let release = |arguments: &[&str]| {
        let mut command = cargo(&["test", "--release", "--no-fail-fast"]);
        command
            .args(arguments)
            .env("ROUNDSMAN_SEEDS", seeds.to_string());
        for tool in &TOOLS {
            if let Some(path) = tool.path() {
                command.env(tool.variable, path);
            }
        }
        process::run(&mut command)
    };
    let ignored = release(&["--workspace", "--all-targets", "--", "--ignored"]);
    let seeded = release(&["--package", "roundsman-sim"]);
    let specs = specs::run(&specs::Options::long()).map(|_| ());
    seeded.and(ignored).and(specs)
}
