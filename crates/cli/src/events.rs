//! `events`: changes of state as server-sent events, one line each.

use std::io::BufRead;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::arguments::Events;
use crate::client::{Client, Lines, Trouble};
use crate::failure::Failure;
use crate::out;
use crate::table::text;

/// How long to wait before a lost stream is asked for again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The longest line that is read, in bytes.
const LINE_MAX: u64 = 1 << 20;

/// Prints what is known, and with `--follow` what comes.
pub(crate) fn events(node: &Client, events: &Events) -> Result<ExitCode, Failure> {
    let mut stream = Stream::default();
    let print = |event: &Received| {
        if events.json {
            out::json(&event.document());
        } else {
            out::say(event.line());
        }
    };
    if !events.follow {
        stream.read(node.stream("/v1/events?follow=false", None)?, print);
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = node.stream("/v1/events", None)?;
    loop {
        stream.read(lines, print);
        lines = again(node, stream.last.as_deref())?;
    }
}

/// Asks for the stream until somebody answers; a node that says no is believed.
fn again(node: &Client, last: Option<&str>) -> Result<Lines, Trouble> {
    let mut said = false;
    loop {
        thread::sleep(AGAIN_AFTER);
        match node.stream("/v1/events", last) {
            Err(trouble @ Trouble::Unreachable { .. }) => {
                if !said {
                    out::complain(format!("roundsman: {trouble}; trying again"));
                    said = true;
                }
            }
            other => return other,
        }
    }
}

/// A stream of events, and how far it was read.
#[derive(Debug, Default)]
struct Stream {
    last: Option<String>,
}

impl Stream {
    /// Reads until the stream ends and hands every event on.
    fn read(&mut self, mut lines: impl BufRead, mut print: impl FnMut(&Received)) {
        let mut event = Received::default();
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let mut bounded = std::io::Read::take(&mut lines, LINE_MAX);
            match bounded.read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end_matches(['\n', '\r']);
            if !line.is_empty() {
                event.take(line);
                continue;
            }
            let done = std::mem::take(&mut event);
            if let Some(id) = &done.id {
                self.last = Some(id.clone());
            }
            if !done.content.is_empty() {
                print(&done);
            }
        }
    }
}

/// One event as it came.
#[derive(Debug, Default)]
struct Received {
    id: Option<String>,
    kind: String,
    content: String,
}

impl Received {
    /// Takes one line of the event in; comments and unknown fields are skipped.
    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.content.is_empty() {
                    self.content.push('\n');
                }
                self.content.push_str(value);
            }
            _ => {}
        }
    }

    /// For programs: the node's document, with the event's kind and id where they are missing.
    fn document(&self) -> Value {
        let mut document: Value =
            serde_json::from_str(&self.content).unwrap_or_else(|_| json!({ "text": self.content }));
        if let Value::Object(fields) = &mut document {
            if !self.kind.is_empty() {
                fields
                    .entry("event")
                    .or_insert_with(|| self.kind.as_str().into());
            }
            if let Some(id) = &self.id {
                fields.entry("id").or_insert_with(|| id.as_str().into());
            }
        }
        document
    }

    /// For people.
    fn line(&self) -> String {
        let document = self.document();
        let nested = &document["transition"];
        let part = |key: &str| match text(&document, key) {
            empty if empty.is_empty() && nested.is_object() => text(nested, key),
            found => found,
        };
        let target = match part("target") {
            empty if empty.is_empty() => part("name"),
            found => found,
        };
        if target.is_empty() {
            let said = match self.kind.as_str() {
                "gap" => "some changes were missed".to_owned(),
                kind => kind.to_owned(),
            };
            let detail = part("detail");
            return format!("-- {said} {detail}").trim_end().to_owned();
        }
        let error = part("error");
        let reasons = match error.is_empty() {
            true => vec![part("reason").replace('_', " "), part("detail")],
            false => vec![error],
        };
        let why: Vec<String> = reasons.into_iter().filter(|why| !why.is_empty()).collect();
        let why = match why.is_empty() {
            true => String::new(),
            false => format!(": {}", why.join(", ")),
        };
        let (at, from, to) = (part("at"), part("from"), part("to"));
        format!("{at}  {target}  {from} -> {to}{why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(stream: &str) -> (Vec<String>, Option<String>) {
        let (mut lines, mut reader) = (Vec::new(), Stream::default());
        reader.read(stream.as_bytes(), |event| lines.push(event.line()));
        (lines, reader.last)
    }

    #[test]
    fn each_event_is_one_line_and_comments_are_none() {
        let stream = ": hello\n\nid: o-7\nevent: transition\ndata: {\"target\":\"web\",\"at\":\"T\",\ndata: \"from\":\"up\",\"to\":\"down\",\"reason\":\"timeout_connect\",\"detail\":\"x\"}\n\n";
        let (lines, last) = received(stream);
        assert_eq!(lines, ["T  web  up -> down: timeout connect, x"]);
        assert_eq!(last.as_deref(), Some("o-7"));
    }

    #[test]
    fn an_error_says_more_than_its_reason() {
        let stream = "data: {\"target\":\"web\",\"at\":\"T\",\"from\":\"up\",\"to\":\"down\",\"reason\":\"refused\",\"error\":\"refused: 10.0.0.1:80\"}\n\n";
        let (lines, _) = received(stream);
        assert_eq!(lines, ["T  web  up -> down: refused: 10.0.0.1:80"]);
    }

    #[test]
    fn a_gap_is_said() {
        let (lines, _) = received("event: gap\r\ndata: {}\r\n\r\n");
        assert_eq!(lines, ["-- some changes were missed"]);
    }

    #[test]
    fn an_event_that_was_cut_off_is_not_shown() {
        let (lines, last) = received("id: 1\ndata: {\"target\":\"web\"}\n");
        assert_eq!((lines.len(), last), (0, None));
    }
}
