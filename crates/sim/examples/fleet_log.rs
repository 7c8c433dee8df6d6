//! Writes the log of every node of one run of the fleet: the course of a kind and seed, with and
//! without a rule that is broken on purpose.
//!
//! `cargo run --release -p roundsman-sim --example fleet_log -- KIND:SEED DIRECTORY [MUTATION]`;
//! `cargo xtask timeline --course` calls it and merges what it wrote.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool beside the simulator: it reads its arguments and writes files"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use health::Mutation;
use sim::fleet::{Course, Kind, tell};

const MUTATIONS: [Mutation; 19] = [
    Mutation::NoCollapse,
    Mutation::VotesIgnored,
    Mutation::SilenceAgrees,
    Mutation::StreakInventsDown,
    Mutation::BurstAfterPause,
    Mutation::MarkIgnoresPending,
    Mutation::TakeoverWithoutPhase,
    Mutation::BootOverrules,
    Mutation::TokenSkipsGaps,
    Mutation::SeenBeforeShown,
    Mutation::AsksOnce,
    Mutation::KeepsTheDead,
    Mutation::MissedIsMissed,
    Mutation::TakeoverBeginsAnew,
    Mutation::MarkOfOthers,
    Mutation::MarkSkipsGaps,
    Mutation::MarkBeforeShown,
    Mutation::MarkHoldsAtOnce,
    Mutation::FormerAddress,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match write_all(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(arguments: &[String]) -> Result<(), String> {
    let [course, directory, rest @ ..] = arguments else {
        return Err("KIND:SEED DIRECTORY [MUTATION]".to_owned());
    };
    let course = drawn(course)?;
    let directory = Path::new(directory);
    write(&course, &directory.join("sound"))?;
    if let Some(name) = rest.first() {
        let known = MUTATIONS.into_iter().find(|m| format!("{m:?}") == *name);
        let mutation = known.ok_or_else(|| format!("{name} is none of {MUTATIONS:?}"))?;
        let broken = Course {
            mutation: Some(mutation),
            ..course
        };
        write(&broken, &directory.join("broken"))?;
    }
    Ok(())
}

fn drawn(text: &str) -> Result<Course, String> {
    let wrong = || format!("'{text}' is no KIND:SEED; kinds are {:?}", Kind::ALL);
    let (kind, seed) = text.split_once(':').ok_or_else(wrong)?;
    let kinds = Kind::ALL.into_iter();
    let same = |known: &Kind| format!("{known:?}").eq_ignore_ascii_case(kind);
    let kind = kinds.into_iter().find(same).ok_or_else(wrong)?;
    Ok(Course::draw(kind, seed.parse().map_err(|_| wrong())?))
}

fn write(course: &Course, directory: &Path) -> Result<(), String> {
    let (report, lines) = tell(course);
    let mut logs: BTreeMap<String, String> = BTreeMap::new();
    for line in &lines {
        let log = logs.entry(line.node().to_string()).or_default();
        log.push_str(&line.to_json(course));
        log.push('\n');
    }
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    for (node, log) in logs {
        fs::write(directory.join(format!("{node}.jsonl")), log).map_err(failed)?;
    }
    if let Some(broken) = report.broken {
        println!("{}: {broken}", directory.display());
    }
    Ok(())
}
