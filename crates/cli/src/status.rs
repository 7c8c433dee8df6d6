//! `status`: the targets as a node sees them, worst first.

use std::process::ExitCode;

use health::State;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::Status;
use crate::client::{Client, Trouble, query};
use crate::failure::Failure;
use crate::out;
use crate::table::{ago, cut, millis, pad, span, text, thousands};

/// How many targets are asked for at once.
const PAGE: &str = "1000";

/// All pages as one document.
#[derive(Debug, Serialize)]
struct Listing {
    version: Value,
    coverage: Value,
    items: Vec<Value>,
}

/// Lists the targets.
pub(crate) fn status(node: &Client, status: &Status) -> Result<ExitCode, Failure> {
    let mut listing = fetch(node, status)?;
    if status.json {
        out::json(&listing);
    } else {
        listing.items.sort_by_cached_key(|target| {
            (rank(target), target["name"].as_str().map(str::to_owned))
        });
        let rows: Vec<Row> = listing.items.iter().map(Row::of).collect();
        let layout = Layout::of(&rows, out::columns());
        if !rows.is_empty() {
            out::say(layout.heading());
        }
        let coloured = out::is_coloured();
        for row in &rows {
            out::say(layout.line(row, coloured));
        }
        out::say(totals(&listing));
    }
    let bad = listing.items.iter().filter_map(state);
    let matches = bad.into_iter().any(|state| status.fail_on.contains(&state));
    Ok(ExitCode::from(if matches { 3 } else { 0 }))
}

fn fetch(node: &Client, status: &Status) -> Result<Listing, Failure> {
    let states: Vec<&str> = status.state.iter().map(|state| state.name()).collect();
    let states = states.join(",");
    let mut pairs = vec![("limit", PAGE)];
    pairs.extend((!states.is_empty()).then_some(("state", states.as_str())));
    pairs.extend(status.group.as_deref().map(|group| ("group", group)));
    pairs.extend(status.label.iter().map(|label| ("label", label.as_str())));
    let mut listing = Listing {
        version: Value::Null,
        coverage: Value::Null,
        items: Vec::new(),
    };
    let mut cursor: Option<String> = None;
    loop {
        let mut page = page(node, &pairs, cursor.as_deref())?;
        let Value::Array(items) = page["items"].take() else {
            return Err(Failure::Other(
                "the node sent no list of targets".to_owned(),
            ));
        };
        listing.items.extend(items);
        listing.coverage = page["coverage"].take();
        if listing.version.is_null() {
            listing.version = page["version"].take();
        }
        let next = page["next"].as_str().map(str::to_owned);
        if next.is_none() {
            return Ok(listing);
        }
        if next == cursor {
            return Err(Failure::Other(
                "the node sent the same page twice".to_owned(),
            ));
        }
        cursor = next;
    }
}

fn page(node: &Client, pairs: &[(&str, &str)], cursor: Option<&str>) -> Result<Value, Trouble> {
    let mut pairs = pairs.to_vec();
    pairs.extend(cursor.map(|cursor| ("cursor", cursor)));
    node.get(&format!("/v1/targets{}", query(&pairs)))
}

fn state(target: &Value) -> Option<State> {
    State::from_name(target["state"].as_str()?)
}

/// Worst first; a state of a later version after the ones that we know.
fn rank(target: &Value) -> usize {
    let state = state(target);
    let known = State::ALL.iter().position(|known| Some(*known) == state);
    known.unwrap_or(State::ALL.len())
}

/// The last line: how many targets are in each state, and what the answer does not cover.
fn totals(listing: &Listing) -> String {
    let all = listing.items.len();
    let count = |wanted| {
        let of = |target: &&Value| state(target) == Some(wanted);
        listing.items.iter().filter(of).count()
    };
    let mut parts: Vec<String> = State::ALL
        .into_iter()
        .map(|state| format!("{} {}", thousands(count(state)), state.name()))
        .collect();
    for what in ["stale", "unowned"] {
        let number = listing.coverage[what].as_u64().unwrap_or(0);
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let noun = if all == 1 { "target" } else { "targets" };
    format!("{} {noun}: {}", thousands(all), parts.join(", "))
}

/// One target, ready to print.
struct Row {
    state: String,
    name: String,
    span: String,
    latency: String,
    error: String,
}

impl Row {
    fn of(target: &Value) -> Self {
        let latency = target["latency_ms"].as_f64().map(millis);
        let span = target["since"].as_str().and_then(ago).map(span);
        let mut error = text(target, "error");
        if error.is_empty() {
            error = text(target, "doubt");
        }
        if target["stale"] == Value::Bool(true) {
            let age = target["age_ms"]
                .as_u64()
                .map(std::time::Duration::from_millis);
            let age = age.map_or_else(
                || "stale".to_owned(),
                |age| format!("stale for {}", self::span(age)),
            );
            error = if error.is_empty() {
                age
            } else {
                format!("{age}; {error}")
            };
        }
        Self {
            state: text(target, "state"),
            name: text(target, "name"),
            span: span.unwrap_or_else(|| "-".to_owned()),
            latency: latency.unwrap_or_else(|| "-".to_owned()),
            error,
        }
    }
}

/// How wide each column is, so that every line fits.
struct Layout {
    name: usize,
    error: usize,
}

impl Layout {
    const STATE: usize = 7;
    const SPAN: usize = 7;
    const LATENCY: usize = 8;
    const GAP: usize = 2;

    /// Names get what they need, but an error that needs room keeps half of what there is.
    fn of(rows: &[Row], columns: usize) -> Self {
        let widest = |cell: fn(&Row) -> &str| {
            let widths = rows.iter().map(|row| cell(row).chars().count());
            widths.max().unwrap_or(0)
        };
        let fixed = Self::STATE + Self::SPAN + Self::LATENCY + 4 * Self::GAP;
        let room = columns.saturating_sub(fixed);
        let error = widest(|row| &row.error).max("ERROR".len());
        let name = widest(|row| &row.name).max("NAME".len());
        let name = name.min(room.saturating_sub(error).max(room / 2));
        Self {
            name,
            error: room.saturating_sub(name),
        }
    }

    fn heading(&self) -> String {
        self.cells("STATE", "NAME", "FOR", "LATENCY", "ERROR", "STATE")
    }

    fn line(&self, row: &Row, coloured: bool) -> String {
        let shown = if coloured {
            colour(&row.state)
        } else {
            row.state.clone()
        };
        self.cells(
            &shown,
            &row.name,
            &row.span,
            &row.latency,
            &row.error,
            &row.state,
        )
    }

    fn cells(
        &self,
        shown: &str,
        name: &str,
        span: &str,
        latency: &str,
        error: &str,
        state: &str,
    ) -> String {
        let fill = Self::STATE.saturating_sub(state.chars().count());
        let line = format!(
            "{shown}{:fill$}  {}  {:>span_width$}  {:>latency_width$}  {}",
            "",
            pad(name, self.name),
            span,
            latency,
            cut(error, self.error),
            span_width = Self::SPAN,
            latency_width = Self::LATENCY,
        );
        line.trim_end().to_owned()
    }
}

fn colour(state: &str) -> String {
    let code = match State::from_name(state) {
        Some(State::Up) => "32",
        Some(State::Down) => "31;1",
        Some(State::Unknown) => "33",
        Some(State::Paused) | None => "2",
    };
    format!("\u{1b}[{code}m{state}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, error: &str) -> Row {
        Row {
            state: "down".to_owned(),
            name: name.to_owned(),
            span: "3m20s".to_owned(),
            latency: "12.3 ms".to_owned(),
            error: error.to_owned(),
        }
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_whatever_names_and_errors_hold() {
        for (name, error) in [(3, 3), (200, 3), (3, 300), (200, 300), (200, 0)] {
            let rows = [row(&"n".repeat(name), &"e".repeat(error))];
            for columns in [60, 80, 200] {
                let layout = Layout::of(&rows, columns);
                let line = layout.line(&rows[0], false);
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn colour_changes_no_width() {
        let rows = [row("web", "refused")];
        let layout = Layout::of(&rows, 80);
        let bare = layout
            .line(&rows[0], true)
            .replace("\u{1b}[31;1m", "")
            .replace("\u{1b}[0m", "");
        assert_eq!(bare, layout.line(&rows[0], false));
    }
}
