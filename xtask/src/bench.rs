//! Builds in release and measures.

use anyhow::Result;
use clap::ValueEnum;

use crate::process::{self, cargo, root};
use crate::tools;

/// What can be measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Name {
    /// Outcomes per second of the pure core, from 1,000 to 1,000,000 targets
    Core,
    /// CPU, lateness and memory of real checks, beside HAProxy and a bare loop
    Probes,
    /// How fast and at what cost changes spread between stores, in simulated time
    Spread,
}

/// Builds what `name` needs and runs it; `rest` goes to the bench as it is.
pub(crate) fn run(name: Name, rest: &[String]) -> Result<()> {
    let (binary, needs): (&str, &[&str]) = match name {
        Name::Core => ("core", &["--package", "roundsman-bench", "--bin", "core"]),
        Name::Spread => (
            "spread",
            &["--package", "roundsman-bench", "--bin", "spread"],
        ),
        Name::Probes => (
            "probes",
            &[
                "--package",
                "roundsman-bench",
                "--package",
                "roundsman",
                "--bins",
            ],
        ),
    };
    if matches!(name, Name::Probes) {
        tools::install();
    }
    process::run(cargo(&["build", "--release"]).args(needs))?;
    let program = root().join("target/release").join(binary);
    process::run(
        std::process::Command::new(program)
            .args(rest)
            .current_dir(root()),
    )
}
