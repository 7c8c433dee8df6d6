//! What an HTTP answer must look like, compiled, and held against an answer.
//!
//! Status first, then headers, then the body: the first that does not hold is the reason.
//! Equal patterns are compiled once per process. Start reading at [`Conditions::check`].
//! Does not know sockets.

use std::cmp::Ordering;
use std::collections::HashMap;

use health::{BodyRule, Compare, Expect, HeaderCondition, HeaderRule, JsonRule, Reason};
use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::response::Response;
use super::trace::Fault;

/// More distinct patterns than this, and compiled ones are no longer shared.
const PATTERNS: usize = 4_096;
/// The longest program of one pattern.
const PATTERN_SIZE: usize = 4 << 20;

/// Compiled patterns; a thousand targets with the same one share it.
#[derive(Default)]
pub(super) struct Patterns(HashMap<(Box<str>, bool), Regex>);

impl Patterns {
    /// A pattern over a whole body or header.
    pub(super) fn whole(&mut self, pattern: &str) -> Result<Regex, String> {
        self.get(pattern, false)
    }

    /// A pattern over a dialogue, in which `^` and `$` stand for each line's ends.
    pub(super) fn line(&mut self, pattern: &str) -> Result<Regex, String> {
        self.get(pattern, true)
    }

    fn get(&mut self, pattern: &str, lines: bool) -> Result<Regex, String> {
        let key = (pattern.into(), lines);
        if let Some(made) = self.0.get(&key) {
            return Ok(made.clone());
        }
        let mut builder = RegexBuilder::new(pattern);
        builder
            .size_limit(PATTERN_SIZE)
            .multi_line(lines)
            .crlf(lines);
        let made = builder.build().map_err(|error| {
            format!(
                "pattern {pattern:?}: {}",
                error.to_string().replace('\n', " ")
            )
        })?;
        if self.0.len() < PATTERNS {
            self.0.insert(key, made.clone());
        }
        Ok(made)
    }
}

/// Conditions beyond the status.
pub(super) struct Conditions {
    headers: Box<[HeaderCheck]>,
    body: Box<[BodyCheck]>,
}

struct HeaderCheck {
    name: Box<str>,
    must: HeaderMust,
}

enum HeaderMust {
    Present,
    Absent,
    Match(Regex),
    NotMatch(Regex),
}

enum BodyCheck {
    Match(Regex),
    NotMatch(Regex),
    Json(Box<JsonCheck>),
}

struct JsonCheck {
    path: JsonPath,
    must: JsonMust,
    /// For people: `$.status == "ok"`.
    words: String,
}

enum JsonMust {
    Exist,
    BeAbsent,
    Compare(Compare, Value),
    Match(Regex),
}

impl Conditions {
    /// `None` if there are none; otherwise all of them, or all their faults.
    pub(super) fn compile(
        expect: &Expect,
        patterns: &mut Patterns,
    ) -> Result<Option<Self>, Vec<String>> {
        let mut faults = Vec::new();
        for &(from, to) in &expect.status {
            if from > to || from < 100 || to > 999 {
                faults.push(format!(
                    "status {from}-{to} is not a range between 100 and 999"
                ));
            }
        }
        let mut keep = |fault| faults.push(fault);
        let headers = expect.headers.iter();
        let headers = headers
            .filter_map(|r| header(r, patterns).map_err(&mut keep).ok())
            .collect();
        let body = expect.body.iter();
        let body = body
            .filter_map(|r| body_rule(r, patterns).map_err(&mut keep).ok())
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let all = Self { headers, body };
        Ok((!all.headers.is_empty() || !all.body.is_empty()).then_some(all))
    }

    pub(super) fn want_head(&self) -> bool {
        !self.headers.is_empty()
    }

    pub(super) fn want_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Holds all conditions against a complete answer.
    pub(super) fn check(&self, response: &Response) -> Result<(), Fault> {
        for check in &self.headers {
            check.hold(&response.header(&check.name))?;
        }
        let mut json = None;
        for check in &self.body {
            check.hold(response.body(), &mut json)?;
        }
        Ok(())
    }
}

/// Whether a status is among the expected ones; none given means 200 to 299.
pub(super) fn check_status(expected: &[(u16, u16)], status: u16) -> Result<(), Fault> {
    let expected = if expected.is_empty() {
        &[(200, 299)]
    } else {
        expected
    };
    if expected
        .iter()
        .any(|&(from, to)| (from..=to).contains(&status))
    {
        return Ok(());
    }
    let ranges: Vec<String> = expected
        .iter()
        .map(|(from, to)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            }
        })
        .collect();
    Err(Fault::new(
        Reason::Status(status),
        format!("expected {}", ranges.join(", ")),
    ))
}

fn header(rule: &HeaderRule, patterns: &mut Patterns) -> Result<HeaderCheck, String> {
    let must = match &rule.condition {
        HeaderCondition::Present => HeaderMust::Present,
        HeaderCondition::Absent => HeaderMust::Absent,
        HeaderCondition::Matches(pattern) => HeaderMust::Match(patterns.whole(pattern)?),
        HeaderCondition::NotMatches(pattern) => HeaderMust::NotMatch(patterns.whole(pattern)?),
    };
    let name = rule.name.clone();
    Ok(HeaderCheck { name, must })
}

fn body_rule(rule: &BodyRule, patterns: &mut Patterns) -> Result<BodyCheck, String> {
    Ok(match rule {
        BodyRule::Matches(pattern) => BodyCheck::Match(patterns.whole(pattern)?),
        BodyRule::NotMatches(pattern) => BodyCheck::NotMatch(patterns.whole(pattern)?),
        BodyRule::Json(rule) => BodyCheck::Json(Box::new(json_rule(rule, patterns)?)),
    })
}

fn json_rule(rule: &JsonRule, patterns: &mut Patterns) -> Result<JsonCheck, String> {
    let path = JsonPath::parse(&rule.path)
        .map_err(|error| format!("JSONPath {:?}: {error}", rule.path))?;
    let must = match rule.compare {
        Compare::Exists => JsonMust::Exist,
        Compare::Absent => JsonMust::BeAbsent,
        Compare::Matches => {
            // A pattern may stand there as JSON text or bare.
            let quoted: Result<String, _> = serde_json::from_str(&rule.value);
            JsonMust::Match(patterns.whole(quoted.as_deref().unwrap_or(&rule.value))?)
        }
        compare => {
            let value = serde_json::from_str(&rule.value)
                .map_err(|error| format!("JSON value {:?}: {error}", rule.value))?;
            JsonMust::Compare(compare, value)
        }
    };
    let words = format!("{} {} {}", rule.path, sign(rule.compare), rule.value);
    Ok(JsonCheck {
        path,
        must,
        words: words.trim_end().to_owned(),
    })
}

const fn sign(compare: Compare) -> &'static str {
    match compare {
        Compare::Exists => "exists",
        Compare::Absent => "is absent",
        Compare::Equals => "==",
        Compare::NotEquals => "!=",
        Compare::Less => "<",
        Compare::AtMost => "<=",
        Compare::Greater => ">",
        Compare::AtLeast => ">=",
        Compare::Matches => "matches",
    }
}

impl HeaderCheck {
    fn hold(&self, values: &[&[u8]]) -> Result<(), Fault> {
        let name = &self.name;
        let detail = match &self.must {
            HeaderMust::Present if values.is_empty() => format!("{name} is missing"),
            HeaderMust::Absent if !values.is_empty() => format!("{name} is there"),
            HeaderMust::Match(_) if values.is_empty() => format!("{name} is missing"),
            HeaderMust::Match(regex) if !values.iter().any(|value| regex.is_match(value)) => {
                format!("{name} does not match {regex}")
            }
            HeaderMust::NotMatch(regex) if values.iter().any(|value| regex.is_match(value)) => {
                format!("{name} matches {regex}")
            }
            _ => return Ok(()),
        };
        Err(Fault::new(Reason::HeaderMismatch, detail))
    }
}

impl BodyCheck {
    /// `json` keeps the parsed body between rules.
    fn hold(&self, body: &[u8], json: &mut Option<Value>) -> Result<(), Fault> {
        let detail = match self {
            Self::Match(regex) if !regex.is_match(body) => {
                format!("{} bytes without a match of {regex}", body.len())
            }
            Self::NotMatch(regex) if regex.is_match(body) => format!("matches {regex}"),
            Self::Match(_) | Self::NotMatch(_) => return Ok(()),
            Self::Json(check) => {
                if json.is_none() {
                    let parsed = serde_json::from_slice(body);
                    *json = Some(parsed.map_err(|error| {
                        Fault::new(Reason::JsonMismatch, format!("not JSON: {error}"))
                    })?);
                }
                return check.hold(json.as_ref().unwrap_or(&Value::Null));
            }
        };
        Err(Fault::new(Reason::BodyMismatch, detail))
    }
}

impl JsonCheck {
    fn hold(&self, body: &Value) -> Result<(), Fault> {
        let nodes = self.path.query(body);
        let holds = match &self.must {
            JsonMust::Exist => !nodes.is_empty(),
            JsonMust::BeAbsent => nodes.is_empty(),
            JsonMust::Compare(compare, value) => nodes.iter().any(|n| compares(n, *compare, value)),
            JsonMust::Match(regex) => nodes.iter().any(|node| match node {
                Value::String(text) => regex.is_match(text.as_bytes()),
                other => regex.is_match(other.to_string().as_bytes()),
            }),
        };
        if holds {
            return Ok(());
        }
        let found = match nodes.first() {
            Some(node) => excerpt(&node.to_string()),
            None => "nothing".to_owned(),
        };
        let detail = format!("expected {}, found {found}", self.words);
        Err(Fault::new(Reason::JsonMismatch, detail))
    }
}

fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn compares(node: &Value, compare: Compare, value: &Value) -> bool {
    let order = order(node, value);
    match compare {
        Compare::Equals => is_equal(node, value),
        Compare::NotEquals => !is_equal(node, value),
        Compare::Less => order == Some(Ordering::Less),
        Compare::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Compare::Greater => order == Some(Ordering::Greater),
        Compare::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Compare::Exists | Compare::Absent | Compare::Matches => false,
    }
}

/// Numbers are equal by value: `1` is `1.0`.
fn is_equal(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && order(a, b) == Some(Ordering::Equal))
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i128(), b.as_i128()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
