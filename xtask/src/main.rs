//! The project's own commands: what guards a landing, the long runs, the benches.
//!
//! `check` never edits; `fix` does. Start reading at [`Command`]. Knows cargo and Debian's
//! package tool; does not know what roundsman does.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people: its output is its purpose"
)]

mod bench;
mod campaign;
mod check;
mod floors;
mod fuzz;
mod process;
mod reasons;
mod specs;
mod test;
mod timeline;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Format, clippy with warnings as errors, floors, docs, licences. Never edits
    Check,
    /// Edits what `check` would complain about and a program can mend
    Fix,
    /// Which crate may import which, and what a core may depend on
    Floors,
    /// Everything that guards a landing
    Test,
    /// The long runs: ignored tests, in release, many seeds
    Campaign {
        /// How many seeds each seeded test takes
        #[arg(long, default_value_t = 100_000)]
        seeds: u64,
    },
    /// Every decoder under libFuzzer, one after the other
    Fuzz {
        /// How long each target runs, in seconds
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Only these targets
        targets: Vec<String>,
    },
    /// The specs, checked by TLC: what must hold, and what must fail
    Specs(specs::Options),
    /// All nodes' logs as one story; for a mutant in the simulator, its first wrong step
    Timeline(timeline::Options),
    /// Build in release and measure
    Bench {
        /// What to measure
        #[arg(value_enum)]
        name: bench::Name,
        /// Given on to the bench; see `cargo xtask bench NAME -- --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check => check::check(),
        Command::Fix => check::fix(),
        Command::Floors => floors::run(),
        Command::Test => test::run(),
        Command::Campaign { seeds } => campaign::run(seeds),
        Command::Fuzz { seconds, targets } => fuzz::run_all(seconds, &targets),
        Command::Specs(options) => {
            specs::run(&options).map(|checked| println!("{checked} as they must be"))
        }
        Command::Timeline(options) => timeline::run(&options),
        Command::Bench { name, rest } => bench::run(name, &rest),
    }
}
