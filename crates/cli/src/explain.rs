//! `explain`: why a target is in its state, as a story.

use std::process::ExitCode;

use serde_json::Value;

use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::out;
use crate::table::{ago, millis, pad, plain, span, text};

/// Tells what the node knows about `target`.
pub(crate) fn explain(node: &Client, target: &str, json: bool) -> Result<ExitCode, Failure> {
    let document = node.get(&format!("/v1/targets/{}/explain", segment(target)))?;
    if json {
        out::json(&document);
    } else {
        for line in story(&document) {
            out::say(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn story(document: &Value) -> Vec<String> {
    let mut lines = headline(&document["target"]);
    lines.extend(counters(document));
    lines.extend(next(document));
    if document["partial"] == Value::Bool(true) {
        let why = match text(document, "missing") {
            why if why.is_empty() => "the owner can't be reached".to_owned(),
            why => why,
        };
        lines.push(format!("{why}: this is what other nodes know"));
    }
    section(&mut lines, "last check", last(&document["last"]));
    section(
        &mut lines,
        "recent checks",
        each(&document["recent"], recent),
    );
    section(
        &mut lines,
        "transitions",
        each(&document["transitions"], transition),
    );
    section(&mut lines, "votes", each(&document["votes"], vote));
    section(
        &mut lines,
        "does not answer",
        each(&document["accused"], accused),
    );
    let mut definition = Vec::new();
    flatten("", &document["definition"], &mut definition);
    section(&mut lines, "definition", definition);
    lines
}

fn section(lines: &mut Vec<String>, title: &str, body: Vec<String>) {
    if !body.is_empty() {
        lines.extend([String::new(), title.to_owned()]);
        lines.extend(body.into_iter().map(|line| format!("  {line}")));
    }
}

fn each(list: &Value, line: fn(&Value) -> String) -> Vec<String> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(line).collect()
}

/// "shop is down since …, for 3m20s: status 503".
fn headline(target: &Value) -> Vec<String> {
    let (name, state) = (text(target, "name"), text(target, "state"));
    let mut line = format!("{name} is {state}");
    if let Some(since) = target["since"].as_str() {
        line += &format!(" since {}", plain(since));
        line += &ago(since).map_or_else(String::new, |ago| format!(", for {}", span(ago)));
    }
    for key in ["error", "reason"] {
        let why = text(target, key);
        if !why.is_empty() {
            line += &format!(": {}", why.replace('_', " "));
            break;
        }
    }
    let mut lines = vec![line];
    let doubt = text(target, "doubt");
    if !doubt.is_empty() {
        lines.push(format!("the last check could not tell: {doubt}"));
    }
    if target["stale"] == Value::Bool(true) {
        lines.push("stale: it has not been checked for longer than it should".to_owned());
    }
    lines
}

/// What is missing on the way to another state; both ways while it is in neither.
fn counters(document: &Value) -> Vec<String> {
    let (state, counters) = (&document["target"]["state"], &document["counters"]);
    let number = |key: &str| counters[key].as_u64();
    let mut lines = Vec::new();
    if let (Some(failures), Some(fall)) = (number("failures"), number("fall")) {
        let window = match number("of") {
            Some(of) if of > fall => format!("among the last {of} checks"),
            _ => "in a row".to_owned(),
        };
        if state != "down" {
            lines.push(format!(
                "{failures} of {fall} failures {window} that make it down"
            ));
        }
    }
    if let (Some(successes), Some(rise)) = (number("successes"), number("rise"))
        && state != "up"
    {
        lines.push(format!(
            "{successes} of {rise} successes in a row that make it up"
        ));
    }
    lines
}

fn next(document: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let owner = text(document, "owner");
    if !owner.is_empty() {
        let order = document["order"].as_array().map_or(&[][..], Vec::as_slice);
        let others: Vec<String> = order
            .iter()
            .filter_map(Value::as_str)
            .map(plain)
            .filter(|name| *name != owner)
            .collect();
        let then = match others.is_empty() {
            true => String::new(),
            false => format!(", then {}", others.join(", ")),
        };
        lines.push(format!("checked by {owner}{then}"));
    }
    let unable = document["unable"].as_array().map_or(&[][..], Vec::as_slice);
    for name in unable.iter().filter_map(Value::as_str).map(plain) {
        lines.push(format!("not by {name}: it can't probe it, or was outvoted"));
    }
    if document["in_flight"] == Value::Bool(true) {
        lines.push("a check is under way".to_owned());
    } else if let Some(due) = document["next_due_in_ms"].as_f64() {
        lines.push(format!("next check in {}", millis(due.max(0.0))));
    }
    lines
}

fn last(last: &Value) -> Vec<String> {
    if !last.is_object() {
        return Vec::new();
    }
    let mut lines = vec![recent(last)];
    let detail = text(last, "detail");
    if !detail.is_empty() {
        lines.push(detail);
    }
    for phase in health::Phase::ALL.map(health::Phase::name) {
        if let Some(ms) = last["phases_ms"][phase].as_f64().filter(|ms| *ms > 0.0) {
            lines.push(format!("{} {:>9}", pad(phase, 11), millis(ms)));
        }
    }
    for (key, title) in [
        ("address", "address"),
        ("http_status", "status"),
        ("cert_expires", "certificate ends"),
    ] {
        let value = text(last, key);
        if !value.is_empty() {
            lines.push(format!("{title} {value}"));
        }
    }
    lines
}

fn recent(check: &Value) -> String {
    let mut line = format!("{}  {}", text(check, "at"), text(check, "result"));
    let reason = text(check, "reason").replace('_', " ");
    if !reason.is_empty() {
        line += &format!(": {reason}");
    }
    if let Some(ms) = check["latency_ms"].as_f64() {
        line += &format!("  {}", millis(ms));
    }
    line
}

/// "n1 failed", "n2 silent".
fn vote(vote: &Value) -> String {
    let said = match vote["passed"].as_bool() {
        Some(true) => "passed",
        Some(false) => "failed",
        None => "silent",
    };
    format!("{} {said}", text(vote, "node"))
}

/// "2026-01-02T03:04:05Z  n2, says n1".
fn accused(said: &Value) -> String {
    let part = |key| text(said, key);
    format!("{}  {}, says {}", part("at"), part("member"), part("by"))
}

fn transition(transition: &Value) -> String {
    let part = |key| text(transition, key);
    let reason = part("reason").replace('_', " ");
    let line = format!(
        "#{}  {}  {} -> {}  {reason}",
        part("number"),
        part("at"),
        part("from"),
        part("to")
    );
    line.trim_end().to_owned()
}

/// A document as `path: value` lines.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    let under = |key: &str| match path.is_empty() {
        true => key.to_owned(),
        false => format!("{path}.{key}"),
    };
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&under(key), value, lines);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (at, item) in items.iter().enumerate() {
                flatten(&under(&at.to_string()), item, lines);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(scalar).collect();
            lines.push(plain(&format!("{path}: {}", items.join(", "))));
        }
        one => lines.push(plain(&format!("{path}: {}", scalar(one)))),
    }
}

fn scalar(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
