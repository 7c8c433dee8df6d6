//! `drain`, `leave` and `forget`: what an operator has a member do, or has done with one.

use std::process::ExitCode;

use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::out;
use crate::table::plain;

/// Has the node give all its targets to the others.
pub(crate) fn drain(node: &Client) -> Result<ExitCode, Failure> {
    node.post("/v1/drain")?;
    out::say("draining: the others take its targets; `roundsman members` shows when it owns none");
    Ok(ExitCode::SUCCESS)
}

/// Has the node hand over, say farewell and end.
pub(crate) fn leave(node: &Client) -> Result<ExitCode, Failure> {
    node.post("/v1/leave")?;
    out::say("leaving: it ends once the others have its targets, at the latest in 10 s");
    Ok(ExitCode::SUCCESS)
}

/// Has a dead member taken out for good.
pub(crate) fn forget(node: &Client, member: &str) -> Result<ExitCode, Failure> {
    let name = segment(member);
    node.post(&format!("/v1/members/{name}/forget"))?;
    out::say(format!("forgotten: {}", plain(member)));
    Ok(ExitCode::SUCCESS)
}
