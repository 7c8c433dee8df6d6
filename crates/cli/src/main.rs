//! The one binary, `roundsman`: reads arguments, calls the rooms below, prints.
//!
//! Start reading at [`main`]: each verb is one arm and one file. The only crate that writes to
//! standard output and error, and that in one place, `out.rs`. Does not know how a check is made
//! or when; verbs that ask a node know nothing but its HTTP API.

mod arguments;
mod check;
mod client;
mod events;
mod explain;
mod failure;
mod keygen;
mod later;
mod leave;
mod logs;
mod manual;
mod members;
mod out;
mod owners;
mod reload;
mod run;
mod simulate;
mod status;
mod table;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Verb};
use client::Client;
use failure::Failure;

/// The root `Cargo.toml` says why.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return later::explain(&error),
    };
    logs::start(&arguments);
    match perform(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            for line in failure.lines() {
                out::complain(&line);
            }
            failure.code()
        }
    }
}

fn perform(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let node = || Client::new(&arguments.node);
    match &arguments.verb {
        Verb::Run(run) => run::run(run),
        Verb::Validate { config } => run::validate(config),
        Verb::Check(check) => check::check(check),
        Verb::Status(status) => status::status(&node()?, status),
        Verb::Owners(owners) => owners::owners(owners),
        Verb::Members { json } => members::members(&node()?, *json),
        Verb::Events(events) => events::events(&node()?, events),
        Verb::Explain { target, json } => explain::explain(&node()?, target, *json),
        Verb::Reload { json } => reload::reload(&node()?, *json),
        Verb::Drain => leave::drain(&node()?),
        Verb::Leave => leave::leave(&node()?),
        Verb::Forget { member } => leave::forget(&node()?, member),
        Verb::Simulate(simulate) => simulate::simulate(simulate),
        Verb::Keygen => Ok(keygen::keygen()),
        Verb::Completions { shell } => Ok(manual::completions(*shell)),
        Verb::Man => manual::man(),
    }
}
