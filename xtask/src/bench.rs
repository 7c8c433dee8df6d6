//! Builds, mostly in release, and measures.

use anyhow::Result;
use clap::ValueEnum;

use crate::process::{self, cargo, root};
use crate::tools;

/// What can be measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Name {
    /// Outcomes per second of the pure core, from 1,000 to 1,000,000 targets
    Core,
    /// Who owns what: moves, shares and times
    Ownership,
    /// Bytes, memory and time of the replicated store at a million keys
    Store,
    /// CPU, lateness and memory of real checks, beside HAProxy and a bare loop
    Probes,
    /// Crash, joining and idling of 30 agents over real sockets, beside HashiCorp's serf
    Membership,
    /// The same in simulated time, and at 1,000 members, over a day and across partitions
    MembershipSim,
    /// How fast and at what cost changes spread between stores, in simulated time
    Spread,
    /// How far a fleet goes: memory per target, idle traffic, 1,000 nodes; in the simulator
    Scale,
    /// Five real nodes under every fault: each requirement beside what the targets saw. Minutes
    Fleet,
}

/// Builds what `name` needs and runs it; `rest` goes to the bench as it is.
pub(crate) fn run(name: Name, rest: &[String]) -> Result<()> {
    let (binary, needs): (&str, &[&str]) = match name {
        Name::Fleet => return fleet(rest),
        Name::Core => ("core", &["--package", "roundsman-bench", "--bin", "core"]),
        Name::Ownership => (
            "ownership",
            &["--package", "roundsman-bench", "--bin", "ownership"],
        ),
        Name::Store => ("store", &["--package", "roundsman-bench", "--bin", "store"]),
        Name::Spread => (
            "spread",
            &["--package", "roundsman-bench", "--bin", "spread"],
        ),
        Name::Scale => ("scale", &["--package", "roundsman-bench", "--bin", "scale"]),
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
        Name::Membership => (
            "membership",
            &["--package", "roundsman-bench", "--bin", "membership"],
        ),
        Name::MembershipSim => (
            "membership_sim",
            &["--package", "roundsman-bench", "--bin", "membership_sim"],
        ),
    };
    match name {
        Name::Probes => tools::install(&tools::TOOLS),
        Name::Membership => tools::install(&tools::BENCH_TOOLS),
        _ => {}
    }
    process::run(cargo(&["build", "--release"]).args(needs))?;
    let program = root().join("target/release").join(binary);
    let mut command = std::process::Command::new(program);
    for tool in &tools::BENCH_TOOLS {
        if let Some(path) = tool.path() {
            command.env(tool.variable, path);
        }
    }
    process::run(command.args(rest).current_dir(root()))
}

/// The long form of the binary's own tests of a fleet, one after the other; `rest` names some.
/// With every check of the development build on: no figure here is about speed.
fn fleet(rest: &[String]) -> Result<()> {
    tools::install(&tools::TOOLS);
    let mut command = cargo(&["test", "--package", "roundsman"]);
    command
        .args(["--test", "fleet", "--", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        .args(rest);
    process::run(&mut command)
}
