//! What can be said about the code without running it.

use anyhow::{Result, bail};

use crate::process::{cargo, run, works};
use crate::{floors, reasons};

const CLIPPY: [&str; 3] = ["clippy", "--workspace", "--all-targets"];

/// Every check, also after one has failed, so that one run names all that is wrong.
pub(crate) fn check() -> Result<()> {
    let mut failed = Vec::new();
    let mut step = |name: &'static str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    };
    step("format", run(&mut cargo(&["fmt", "--all", "--check"])));
    step("floors", floors::run());
    step("reasons", reasons::run());
    step("clippy", run(cargo(&CLIPPY).args(["--", "-D", "warnings"])));
    step(
        "docs",
        run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings")),
    );
    if works(&mut cargo(&["deny", "--version"])) {
        step("deny", run(&mut cargo(&["deny", "check"])));
    } else {
        eprintln!(
            "deny: skipped, cargo-deny is missing (cargo install cargo-deny); licences and banned crates are unchecked"
        );
    }
    if failed.is_empty() {
        println!("check: all is well");
        return Ok(());
    }
    bail!(
        "failed: {}; `cargo xtask fix` mends what a program can",
        failed.join(", ")
    )
}

/// Formats and applies what clippy can mend.
pub(crate) fn fix() -> Result<()> {
    run(cargo(&CLIPPY).args(["--fix", "--allow-dirty", "--allow-staged"]))?;
    run(&mut cargo(&["fmt", "--all"]))
}
