//! All nodes' logs as one story: what happened where and why, in the order of time.
//!
//! Reads what `--log-format json` writes (the simulator writes the same). Clocks of different
//! machines disagree; where one node's line must have come before another's (a question before its
//! answer) the later clock is moved, and that is said. Repeats are folded, lines have at most 100
//! columns. For the run of a mutant in the simulator it names the first wrong step: the first
//! line that the same course without the mutation does not have. Does not know what a node is.

mod clocks;
mod line;
mod story;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};

use crate::process::{root, run as run_command};
use line::Line;

/// Which logs, and what of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Logs of one cluster, one for each node, as `--log-format json` writes them
    files: Vec<PathBuf>,
    /// Only what concerns this target
    #[arg(long)]
    target: Option<String>,
    /// From here on: a time as in the logs, or seconds since the first line
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until here
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Also single checks and promises, where the logs have them
    #[arg(long)]
    all: bool,
    /// Instead of files: this run of the simulator, as `Cuts:7`
    #[arg(long, value_name = "KIND:SEED", conflicts_with = "files")]
    course: Option<String>,
    /// With this rule broken, as `VotesIgnored`; the first wrong step is named
    #[arg(long, value_name = "NAME", requires = "course")]
    mutation: Option<String>,
}

/// Prints the story.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Some(course) = &options.course else {
        if options.files.is_empty() {
            bail!("name the nodes' logs, or a run of the simulator with --course KIND:SEED");
        }
        return tell(&read(&options.files)?, options);
    };
    let directory = simulate(course, options.mutation.as_deref())?;
    let sound = read(&logs_in(&directory.join("sound"))?)?;
    if options.mutation.is_none() {
        return tell(&sound, options);
    }
    let broken = read(&logs_in(&directory.join("broken"))?)?;
    tell(&broken, options)?;
    println!("{}", story::first_wrong(&broken, &sound));
    Ok(())
}

/// Lets the simulator write the logs of a run; where they are.
fn simulate(course: &str, mutation: Option<&str>) -> Result<PathBuf> {
    let place = format!(
        "{}-{}",
        course.replace(':', "-"),
        mutation.unwrap_or("sound")
    );
    let directory = root().join("target/timeline").join(place);
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "run",
            "--quiet",
            "-p",
            "roundsman-sim",
            "--example",
            "fleet_log",
            "--",
        ])
        .arg(course)
        .arg(&directory)
        .args(mutation)
        .current_dir(root());
    run_command(&mut command)?;
    Ok(directory)
}

fn logs_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("can't read {}", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

/// All lines of these logs, in the order of time as far as it can be known.
fn read(files: &[PathBuf]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("can't read {}", file.display()))?;
        let stem = file.file_stem().map(|stem| stem.to_string_lossy());
        lines.extend(line::read(&stem.unwrap_or_default(), &text));
    }
    if lines.is_empty() {
        bail!("no line of these files is a log line in JSON; run the nodes with --log-format json");
    }
    Ok(lines)
}

fn tell(lines: &[Line], options: &Options) -> Result<()> {
    let mut lines = lines.to_vec();
    let clocks = clocks::correct(&mut lines);
    lines.sort_by_key(|line| line.at);
    for said in &clocks {
        println!("{said}");
    }
    let first = lines.first().map_or(0, |line| line.at);
    let from = options
        .from
        .as_deref()
        .map(|t| moment(t, first))
        .transpose()?;
    let until = options
        .until
        .as_deref()
        .map(|t| moment(t, first))
        .transpose()?;
    let is_asked_for = |line: &&Line| {
        (options.all || !line.is_fine())
            && from.is_none_or(|from| line.at >= from)
            && until.is_none_or(|until| line.at <= until)
            && options.target.as_ref().is_none_or(|t| line.concerns(t))
    };
    let chosen: Vec<&Line> = lines.iter().filter(is_asked_for).collect();
    for told in story::told(&chosen) {
        println!("{told}");
    }
    let nodes: BTreeSet<&str> = lines.iter().map(|line| &*line.node).collect();
    println!(
        "{} of {} lines of {} nodes",
        chosen.len(),
        lines.len(),
        nodes.len()
    );
    Ok(())
}

/// A moment as a log writes it, or in seconds since `first`; in microseconds since 1970.
fn moment(text: &str, first: u64) -> Result<u64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let span = std::time::Duration::try_from_secs_f64(seconds)?;
        return Ok(first + u64::try_from(span.as_micros())?);
    }
    let at = humantime::parse_rfc3339_weak(text)
        .with_context(|| format!("'{text}' is no time as 2026-01-31T12:00:00Z, and no seconds"))?;
    Ok(u64::try_from(at.duration_since(UNIX_EPOCH)?.as_micros())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_seconds_since_the_first_line() {
        assert_eq!(moment("2.5", 1_000_000).unwrap(), 3_500_000);
        assert_eq!(moment("1970-01-01T00:00:02Z", 9).unwrap(), 2_000_000);
        assert_eq!(moment("1970-01-01 00:00:02.25", 9).unwrap(), 2_250_000);
        for wrong in ["noon", "-1", "12:00"] {
            assert!(moment(wrong, 0).is_err(), "{wrong}");
        }
    }
}
