//! One line of a log: whose, when, what; and in words for people.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value};

/// One line of a node's log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// In microseconds since 1970; corrected, once [`super::clocks`] has seen it.
    pub(super) at: u64,
    /// Whose.
    pub(super) node: Arc<str>,
    /// The true time, where the simulator wrote it.
    pub(super) world_us: Option<u64>,
    level: String,
    message: String,
    fields: Map<String, Value>,
}

/// The lines of one file. The node is who says so in its `running` line; else the file's name tells.
pub(super) fn read(stem: &str, text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = text.lines().filter_map(one).collect();
    let running = lines.iter().find(|line| line.message == "running");
    let named = running.and_then(|line| line.text("node")).map(Arc::from);
    let node: Arc<str> = named.unwrap_or_else(|| stem.into());
    for line in &mut lines {
        line.node = Arc::clone(&node);
    }
    lines
}

/// `None` for what is no log line in JSON: a panic's words, an empty line.
fn one(text: &str) -> Option<Line> {
    let Value::Object(mut whole) = serde_json::from_str(text).ok()? else {
        return None;
    };
    let at = humantime::parse_rfc3339(whole.get("timestamp")?.as_str()?).ok()?;
    let Some(Value::Object(mut fields)) = whole.remove("fields") else {
        return None;
    };
    let message = match fields.remove("message") {
        Some(Value::String(message)) => message,
        _ => String::new(),
    };
    Some(Line {
        at: u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?,
        node: "".into(),
        world_us: whole.get("world_us").and_then(Value::as_u64),
        level: whole.get("level")?.as_str()?.to_owned(),
        message,
        fields,
    })
}

impl Line {
    /// A field as text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key)?.as_str()
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.fields.get(key)?.as_u64()
    }

    pub(super) fn is(&self, message: &str) -> bool {
        self.message == message
    }

    /// Whether it is too fine for a story, unless one asks for all.
    pub(super) fn is_fine(&self) -> bool {
        matches!(&*self.level, "TRACE" | "DEBUG")
    }

    /// Whether it is about this target.
    pub(super) fn concerns(&self, target: &str) -> bool {
        let named = |key| self.text(key) == Some(target);
        let among = self
            .text("first")
            .is_some_and(|all| all.split(' ').any(|t| t == target));
        named("name") || named("target") || among
    }

    fn plain(&self, key: &str) -> String {
        match self.fields.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "?".to_owned(),
        }
    }

    /// Why a target changed its state; nothing where it just answers.
    fn because(&self) -> String {
        let known = ["reason", "detail"].map(|key| self.text(key).unwrap_or_default());
        let said: Vec<&str> = known.into_iter().filter(|why| !why.is_empty()).collect();
        if said.is_empty() {
            return String::new();
        }
        format!(": {}", said.join(", "))
    }

    /// What it says, as a sentence of the node.
    pub(super) fn words(&self) -> String {
        let f = |key| self.plain(key);
        let said = match &*self.message {
            "running" => "starts".to_owned(),
            "member" => format!(
                "{} is {} (life {})",
                f("member"),
                f("state"),
                f("incarnation")
            ),
            "does not answer" => format!("{} does not answer {}", f("member"), f("by")),
            "transition" => format!(
                "{} goes from {} to {} (number {}){}",
                f("name"),
                f("from"),
                f("to"),
                f("number"),
                self.because()
            ),
            "asks others what they see" => {
                format!(
                    "asks {} what they see of {} (case {})",
                    f("of"),
                    f("name"),
                    f("case")
                )
            }
            "said what it sees" => {
                format!(
                    "tells {} of {} (case {}): {}",
                    f("to"),
                    f("name"),
                    f("case"),
                    f("finding")
                )
            }
            "ruled" => {
                format!(
                    "rules on {} (case {}): {}; {}",
                    f("name"),
                    f("case"),
                    f("ruling"),
                    f("votes")
                )
            }
            "took over" => format!(
                "takes {} from {}: {}: {}",
                f("count"),
                f("other"),
                f("why"),
                f("first")
            ),
            "handed over" => format!(
                "hands {} to {}: {}: {}",
                f("count"),
                f("other"),
                f("why"),
                f("first")
            ),
            "stale" => format!(
                "what {} checks every {} ms is stale: {} ms old",
                f("owner"),
                f("interval_ms"),
                f("age_ms")
            ),
            "fresh again" => format!(
                "what {} checks every {} ms is fresh again",
                f("owner"),
                f("interval_ms")
            ),
            "promises" => format!(
                "promises all of {} ms to be at most {} ms old, but for {}",
                f("interval_ms"),
                f("age_ms"),
                f("except")
            ),
            "a promise is broken" => format!("BROKEN {}: {}", f("promise"), f("how")),
            "fault" => f("what"),
            other => {
                let rest = self
                    .fields
                    .iter()
                    .map(|(key, _)| format!(" {key}={}", f(key)));
                format!("{other}{}", rest.collect::<String>())
            }
        };
        match &*self.level {
            "WARN" | "ERROR" => format!("! {said}"),
            _ => said,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line as the agent writes it, so many milliseconds after 1970.
    pub(in super::super) fn line(node: &str, ms: u64, message: &str, fields: &str) -> Line {
        let at =
            humantime::format_rfc3339_micros(UNIX_EPOCH + std::time::Duration::from_millis(ms));
        let text = format!(
            "{{\"timestamp\":\"{at}\",\"level\":\"INFO\",\"fields\":{{\"message\":\"{message}\"{fields}}},\"target\":\"a\"}}"
        );
        let mut read = read(node, &text);
        assert_eq!(read.len(), 1, "{text}");
        read.remove(0)
    }

    #[test]
    fn a_node_is_who_it_says_it_is_and_what_is_no_line_is_left_out() {
        let text = "thread 'x' panicked\n\n[1]\n{\"timestamp\":\"1970-01-01T00:00:01Z\",\"level\":\"INFO\",\"fields\":{\"message\":\"running\",\"node\":\"n7\"},\"target\":\"a\"}\n";
        let lines = read("log", text);
        assert_eq!(lines.len(), 1);
        assert_eq!((&*lines[0].node, lines[0].at), ("n7", 1_000_000));
        assert_eq!(&*line("n1", 5, "member", "").node, "n1");
    }

    #[test]
    fn lines_are_told_as_sentences_and_unknown_ones_as_they_are() {
        let t = line(
            "n1",
            0,
            "transition",
            ",\"name\":\"web\",\"from\":\"up\",\"to\":\"down\",\"number\":4,\"reason\":\"refused\"",
        );
        assert_eq!(t.words(), "web goes from up to down (number 4): refused");
        assert!(t.concerns("web") && !t.concerns("we"));
        let fields = ",\"name\":\"web\",\"from\":\"down\",\"to\":\"up\",\"number\":5,\"reason\":\"\",\"detail\":\"\"";
        let up = line("n1", 0, "transition", fields).words();
        assert_eq!(up, "web goes from down to up (number 5)");
        let moved = line("n1", 0, "took over", ",\"first\":\"web db\"");
        assert!(moved.concerns("db"));
        let other = line("n1", 0, "something", ",\"a\":1,\"b\":\"c\"");
        assert_eq!(other.words(), "something a=1 b=c");
    }
}
