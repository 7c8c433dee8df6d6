//! `reload`: has a node read its config again and says what changed.

use std::process::ExitCode;

use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;
use crate::out;
use crate::table::{plain, thousands};

/// Has the node read its config again.
pub(crate) fn reload(node: &Client, json: bool) -> Result<ExitCode, Failure> {
    let diff = node.post("/-/reload")?;
    if json {
        out::json(&diff);
        return Ok(ExitCode::SUCCESS);
    }
    let mut counts = Vec::new();
    for (key, sign) in [("added", "+"), ("changed", "~"), ("removed", "-")] {
        let names = diff[key].as_array().map_or(&[][..], Vec::as_slice);
        for name in names {
            let name = name
                .as_str()
                .map_or_else(|| name.to_string(), str::to_owned);
            out::say(format!("{sign} {}", plain(&name)));
        }
        counts.push(format!("{} {key}", count(&diff[key])));
    }
    counts.push(format!("{} unchanged", count(&diff["unchanged"])));
    out::say(format!("reloaded: {}", counts.join(", ")));
    Ok(ExitCode::SUCCESS)
}

/// A number, or how many names a list has.
fn count(value: &Value) -> String {
    let number = value.as_array().map(Vec::len);
    let number = number.or_else(|| usize::try_from(value.as_u64()?).ok());
    thousands(number.unwrap_or(0))
}
