//! `members`: the nodes as one of them sees them.

use std::process::ExitCode;

use crate::client::Client;
use crate::failure::Failure;
use crate::out;
use crate::table::{rows, text};

/// Lists the nodes.
pub(crate) fn members(node: &Client, json: bool) -> Result<ExitCode, Failure> {
    let document = node.get("/v1/members")?;
    if json {
        out::json(&document);
        return Ok(ExitCode::SUCCESS);
    }
    let keys = [
        "name", "state", "address", "zone", "weight", "owned", "version",
    ];
    let items = document["items"].as_array().map_or(&[][..], Vec::as_slice);
    let cells: Vec<[String; 7]> = items
        .iter()
        .map(|member| keys.map(|key| text(member, key)))
        .collect();
    let headings = [
        "NAME", "STATE", "ADDRESS", "ZONE", "WEIGHT", "OWNED", "VERSION",
    ];
    for line in rows(headings, &cells, out::columns()) {
        out::say(line);
    }
    Ok(ExitCode::SUCCESS)
}
