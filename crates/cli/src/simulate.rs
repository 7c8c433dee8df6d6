//! `simulate`: what would a fleet like this do?
//!
//! Reads the words into a [`sim::fleet::rehearsal::Rehearsal`] (`words.rs`), lets it happen, and prints what came of it for
//! people (`report.rs`) or programs (`document.rs`). Everything that decides is in the simulator.

mod document;
mod report;
mod spans;
mod traffic;
mod words;

use std::process::ExitCode;

use sim::fleet::rehearsal::rehearse;

use crate::arguments::Simulate;
use crate::failure::Failure;
use crate::out;

/// Prints the report of a rehearsal; exit 1 when a promise was broken.
pub(crate) fn simulate(simulate: &Simulate) -> Result<ExitCode, Failure> {
    let rehearsal = words::rehearsal(simulate).map_err(Failure::Input)?;
    let forecast = rehearse(&rehearsal);
    if simulate.json {
        out::json(&document::document(&rehearsal, &forecast));
    } else {
        let lines = report::lines(&rehearsal, &forecast, out::columns());
        lines.iter().for_each(out::say);
    }
    let is_kept = forecast.broken.is_empty();
    Ok(if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}
