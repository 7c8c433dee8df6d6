//! Everything that guards a landing, and one honest line at its end.
//!
//! A test that lacks a tool says so by appending a line to the file named by
//! `ROUNDSMAN_TEST_SKIPS` and returns; its runner counts it as passed, we count it as skipped.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, run_and_read, works};
use crate::specs;
use crate::tools::{self, TOOLS};

/// Installs what the tests need if it may, runs them all, and counts.
pub(crate) fn run() -> Result<()> {
    tools::install(&TOOLS);
    let skips = root().join("target").join("test-skips");
    fs::create_dir_all(root().join("target")).context("target/")?;
    fs::write(&skips, "").with_context(|| skips.display().to_string())?;
    let with_tools = |mut command: Command| {
        command.env("ROUNDSMAN_TEST_SKIPS", &skips);
        for tool in &TOOLS {
            match tool.path() {
                Some(path) => command.env(tool.variable, path),
                None => command.env_remove(tool.variable),
            };
        }
        command
    };

    let nextest = works(&mut cargo(&["nextest", "--version"]));
    let all: &[&str] = if nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--no-fail-fast", "--all-targets"]
    };
    let (tests_well, lines) = run_and_read(&mut with_tools(cargo(all)))?;
    let mut tally = Tally::read(&lines);
    let doc = ["test", "--workspace", "--doc", "--no-fail-fast"];
    let (docs_well, lines) = run_and_read(&mut with_tools(cargo(&doc)))?;
    tally.add(&Tally::read(&lines));

    let specs_well = check_specs(&mut tally, &skips)?;

    let said = fs::read_to_string(&skips).unwrap_or_default();
    let skipped: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    println!();
    for tool in TOOLS.iter().filter(|tool| tool.path().is_none()) {
        println!("missing: {}", tool.name);
    }
    for (line, times) in counted(&skipped) {
        println!("skipped: {line} ({times})");
    }
    println!("{}", tally.line(skipped.len()));
    if !tests_well || !docs_well || !specs_well {
        bail!("tests failed");
    }
    if tally.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// The specs with small constants; without TLC they are one skipped test.
fn check_specs(tally: &mut Tally, skips: &Path) -> Result<bool> {
    if !specs::is_to_be_had() {
        let mut file = fs::OpenOptions::new().append(true).open(skips)?;
        writeln!(file, "needs TLC")?;
        tally.passed += 1;
        return Ok(true);
    }
    match specs::run(&specs::Options::default()) {
        Ok(checked) => tally.passed += checked,
        Err(error) => {
            println!("specs: {error:#}");
            tally.failed += 1;
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many tests ended how, as their runner says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// Passed, and not the first time.
    flaky: usize,
}

impl Tally {
    /// Adds up every summary line, nextest's or libtest's.
    fn read(lines: &[String]) -> Self {
        let mut sum = Self::default();
        for line in lines {
            let line = line.trim_start();
            let counts = if line.starts_with("Summary [") {
                line.split_once("tests run:")
                    .or_else(|| line.split_once("test run:"))
            } else {
                line.strip_prefix("test result:")
                    .and_then(|rest| rest.split_once('.'))
            };
            if let Some((_, counts)) = counts {
                sum.add(&Self::of_counts(counts));
            }
        }
        sum
    }

    /// Reads "18 passed (1 slow), 1 failed, 2 timed out, 3 skipped".
    fn of_counts(counts: &str) -> Self {
        let mut tally = Self::default();
        let words: Vec<&str> = counts.split([' ', ',', '(', ')']).collect();
        if let Some(at) = words.iter().position(|word| *word == "flaky") {
            tally.flaky = words[at - 1].parse().unwrap_or(0);
        }
        for part in counts.split([',', ';']) {
            let mut words = part.split_whitespace();
            let Some(Ok(number)) = words.next().map(str::parse::<usize>) else {
                continue;
            };
            match words.next() {
                Some("passed") => tally.passed += number,
                Some("failed" | "timed" | "exec") => tally.failed += number,
                Some("skipped" | "ignored") => tally.ignored += number,
                _ => {}
            }
        }
        tally
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.flaky += other.flaky;
    }

    /// The last line: a skipped test does not count as passed.
    fn line(&self, skipped: usize) -> String {
        let passed = self.passed.saturating_sub(skipped);
        let mut line = format!("{passed} passed, {} failed, {skipped} skipped", self.failed);
        if self.flaky > 0 {
            line += &format!(", {} passed only when asked again", self.flaky);
        }
        if self.ignored > 0 {
            line += &format!(" ({} more are for `cargo xtask campaign`)", self.ignored);
        }
        line
    }
}

/// Equal lines once, with how often they stood there.
fn counted<'a>(lines: &[&'a str]) -> BTreeMap<&'a str, usize> {
    let mut times = BTreeMap::new();
    for line in lines {
        *times.entry(*line).or_default() += 1;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Tally {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        Tally::read(&lines)
    }

    #[test]
    fn nextest_and_libtest_are_both_understood() {
        let next = read(&[
            "        PASS [   0.004s] roundsman-base time::tests::x",
            "     Summary [   1.2s] 24 tests run: 20 passed (1 slow, 1 flaky), 3 failed, 1 timed out, 2 skipped",
        ]);
        let expected = Tally {
            passed: 20,
            failed: 4,
            ignored: 2,
            flaky: 1,
        };
        assert_eq!(next, expected);
        let lib = read(&[
            "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ]);
        let expected = Tally {
            passed: 10,
            failed: 2,
            ignored: 1,
            flaky: 0,
        };
        assert_eq!(lib, expected);
        assert_eq!(
            read(&["     Summary [ 0.1s] 1 test run: 1 passed, 0 skipped"]).passed,
            1
        );
    }

    #[test]
    fn a_skipped_test_does_not_count_as_passed() {
        let tally = Tally {
            passed: 10,
            failed: 0,
            ..Tally::default()
        };
        assert_eq!(tally.line(3), "7 passed, 0 failed, 3 skipped");
        let told = Tally { flaky: 1, ..tally }.line(3);
        assert!(told.ends_with(", 1 passed only when asked again"), "{told}");
    }
}
