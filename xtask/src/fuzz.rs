//! Every decoder under libFuzzer, without cargo-fuzz and on the pinned toolchain.
//!
//! The instrumentation is that of cargo-fuzz without a sanitizer: the cores forbid unsafe code, so
//! what is looked for is panics, endless loops and memory, which libFuzzer watches by itself.
//! What it finds interesting stays in `target/fuzz/corpus`, what breaks in `target/fuzz/broken`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{cargo, root, run};

/// Edge counters and comparisons, for libFuzzer to steer by; checks as in a debug build.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=on -Coverflow-checks=on \
    -Ccodegen-units=1 --cfg fuzzing";

/// Builds the guided binary and runs `chosen` targets, or all, for `seconds` each.
pub(crate) fn run_all(seconds: u64, chosen: &[String]) -> Result<()> {
    let target = root().join("target/fuzz");
    let machine = machine()?;
    // With an explicit machine, build scripts and macros are not instrumented.
    run(
        cargo(&["build", "--release", "--package", "roundsman-fuzz"])
            .args(["--features", "libfuzzer", "--bin", "guided"])
            .args(["--target", &machine, "--target-dir"])
            .arg(&target)
            .env("RUSTFLAGS", INSTRUMENTED),
    )?;
    let guided = target.join(machine).join("release/guided");
    let corpus = target.join("corpus");
    let names = cargo(&[
        "run",
        "--quiet",
        "--package",
        "roundsman-fuzz",
        "--bin",
        "names",
        "--",
    ])
    .arg(&corpus)
    .output()
    .context("names")?;
    ensure!(names.status.success(), "the corpus could not be written");
    let names = String::from_utf8(names.stdout).context("names")?;
    let all: Vec<&str> = names.lines().collect();
    for name in chosen {
        ensure!(
            all.contains(&name.as_str()),
            "there is no target {name}; there are {}",
            all.join(", ")
        );
    }
    let mut broken = Vec::new();
    for name in all {
        if !chosen.is_empty() && !chosen.iter().any(|c| c == name) {
            continue;
        }
        let crashes = target.join("broken").join(name);
        fs::create_dir_all(&crashes).with_context(|| crashes.display().to_string())?;
        println!("fuzz {name}: {seconds} s");
        let ran = run(Command::new(&guided)
            .arg(corpus.join(name))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .args(["-max_len=4096", "-timeout=5", "-rss_limit_mb=1024"])
            .args(["-print_final_stats=1", "-verbosity=0"])
            .env("ROUNDSMAN_FUZZ_TARGET", name));
        if ran.is_err() {
            broken.push(name);
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!(
        "{} broke; the inputs are in target/fuzz/broken",
        broken.join(", ")
    )
}

/// The machine that rustc builds for by default.
fn machine() -> Result<String> {
    let version = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}
