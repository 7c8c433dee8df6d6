//! Asks a node over its HTTP API.
//!
//! Blocking: one question at a time is all that the verbs need. Every answer is bounded in time
//! and size, except the stream of events. Does not know what the answers mean.

use std::fs;
use std::io::{self, BufReader};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;
use ureq::http::Response;
use ureq::{Agent, Body, BodyReader};

use crate::arguments::NodeAddress;
use crate::failure::Failure;
use crate::table::plain;

/// The longest answer that is read, in bytes; a page of targets has far less.
const ANSWER_MAX: u64 = 256 << 20;

/// A stream that is read line by line.
pub(crate) type Lines = BufReader<BodyReader<'static>>;

/// A node.
pub(crate) struct Client {
    http: Agent,
    base: String,
    token: Option<String>,
}

/// Why a node did not answer as asked.
#[derive(Debug, Error)]
pub(crate) enum Trouble {
    /// Nobody answers there.
    #[error("can't reach {base}: {why}; is `roundsman run` up? --api URL names another node")]
    Unreachable {
        /// Where.
        base: String,
        /// What went wrong.
        why: String,
    },
    /// The node said no.
    #[error("{title}: {detail}{}", listed(.errors))]
    Problem {
        /// HTTP's status.
        status: u16,
        /// What kind of thing went wrong.
        title: String,
        /// What went wrong.
        detail: String,
        /// One line per mistake, where there are several.
        errors: Vec<String>,
    },
    /// Something answers, but not as a node does.
    #[error("{base} does not answer like a roundsman node: {what}")]
    NotANode {
        /// Where.
        base: String,
        /// What it does instead.
        what: String,
    },
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Other(trouble.to_string())
    }
}

fn listed(errors: &[String]) -> String {
    errors.iter().map(|error| format!("\n{error}")).collect()
}

impl Client {
    /// The node that the arguments name.
    pub(crate) fn new(node: &NodeAddress) -> Result<Self, Failure> {
        let http = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("roundsman/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(15)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Ok(Self {
            http,
            base: base(&node.api)?,
            token: token(node)?,
        })
    }

    /// The document at `path`.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Trouble> {
        let request = self.http.get(format!("{}{path}", self.base));
        self.document(request.call())
    }

    /// The document that a write to `path` is answered with.
    pub(crate) fn post(&self, path: &str) -> Result<Value, Trouble> {
        let mut request = self.http.post(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        self.document(request.send_empty())
    }

    /// The lines of the stream at `path`, from after event `last` on.
    pub(crate) fn stream(&self, path: &str, last: Option<&str>) -> Result<Lines, Trouble> {
        let mut request = self
            .http
            .get(format!("{}{path}", self.base))
            .header("Accept", "text/event-stream");
        if let Some(id) = last {
            request = request.header("Last-Event-ID", id);
        }
        let response = self.accepted(request.call())?;
        Ok(BufReader::new(response.into_body().into_reader()))
    }

    fn document(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, Trouble> {
        let mut response = self.accepted(answer)?;
        let text = self.body(&mut response)?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| self.not_a_node(error))
    }

    /// The answer if the node said yes.
    fn accepted(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Trouble> {
        let mut response = answer.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = self.body(&mut response)?;
        match serde_json::from_str::<Value>(&text) {
            Ok(problem) if problem["title"].is_string() => {
                Err(read_problem(status.as_u16(), &problem))
            }
            _ => Err(self.not_a_node(format!("status {status}"))),
        }
    }

    fn body(&self, response: &mut Response<Body>) -> Result<String, Trouble> {
        response
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_string()
            .map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(_) => self.not_a_node("the answer is too large"),
                other => self.unreachable(&other),
            })
    }

    fn unreachable(&self, error: &ureq::Error) -> Trouble {
        let why = match error {
            ureq::Error::Io(error) => words(error),
            ureq::Error::HostNotFound => "name not found".to_owned(),
            ureq::Error::Timeout(_) => "no answer in time".to_owned(),
            ureq::Error::ConnectionFailed => "connection failed".to_owned(),
            ureq::Error::Protocol(_) => return self.not_a_node(error),
            other => other.to_string(),
        };
        Trouble::Unreachable {
            base: self.base.clone(),
            why,
        }
    }

    fn not_a_node(&self, what: impl ToString) -> Trouble {
        Trouble::NotANode {
            base: self.base.clone(),
            what: plain(&what.to_string()),
        }
    }
}

/// `name` as one segment of a path.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// `pairs` as a query string with its question mark; empty when there are none.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", segment(value)))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("?{}", pairs.join("&")),
    }
}

/// Reads `application/problem+json`.
fn read_problem(status: u16, problem: &Value) -> Trouble {
    let text = |key| plain(problem[key].as_str().unwrap_or_default());
    let errors = problem["errors"].as_array();
    Trouble::Problem {
        status,
        title: text("title"),
        detail: text("detail"),
        errors: errors.map_or_else(Vec::new, |all| all.iter().map(mistake).collect()),
    }
}

/// A mistake as `file:line:column: message`, as far as it says where it is.
fn mistake(error: &Value) -> String {
    let message = error.as_str().or(error["message"].as_str());
    let message = message.map_or_else(|| error.to_string(), str::to_owned);
    let place: String = [
        error["file"].as_str().map(str::to_owned),
        error["line"].as_u64().map(|line| line.to_string()),
        error["column"].as_u64().map(|column| column.to_string()),
    ]
    .into_iter()
    .flatten()
    .map(|part| part + ":")
    .collect();
    let gap = if place.is_empty() { "" } else { " " };
    plain(&format!("{place}{gap}{message}"))
}

fn base(api: &str) -> Result<String, Failure> {
    let api = api.trim_end_matches('/');
    match api.split_once("://") {
        Some(("http", host)) if !host.is_empty() => Ok(api.to_owned()),
        None if !api.is_empty() => Ok(format!("http://{api}")),
        Some(("https", _)) => Err(Failure::Input(format!(
            "--api {api}: https is not in this version"
        ))),
        _ => Err(Failure::Input(format!(
            "--api {api}: write it as http://HOST:PORT"
        ))),
    }
}

fn token(node: &NodeAddress) -> Result<Option<String>, Failure> {
    let token = match &node.token_file {
        None => std::env::var("ROUNDSMAN_TOKEN").ok(),
        Some(path) => Some(fs::read_to_string(path).map_err(|error| {
            Failure::Input(format!(
                "--token-file {}: {}",
                path.display(),
                words(&error)
            ))
        })?),
    };
    let token = token.map(|token| token.trim().to_owned());
    match token {
        Some(token) if token.chars().any(|c| !c.is_ascii_graphic()) => Err(Failure::Input(
            "the token holds a character that no header can carry".to_owned(),
        )),
        other => Ok(other.filter(|token| !token.is_empty())),
    }
}

/// What the system said, without its number and in lower case.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_as_one_segment_whatever_they_hold() {
        assert_eq!(segment("a/b c?ü.."), "a%2Fb%20c%3F%C3%BC%2E%2E");
    }

    #[test]
    fn a_query_carries_every_pair() {
        assert_eq!(query(&[]), "");
        assert_eq!(query(&[("label", "k=v"), ("q", "x")]), "?label=k%3Dv&q=x");
    }

    #[test]
    fn an_api_may_be_named_by_host_and_port_alone() {
        assert_eq!(base("h:1").unwrap(), "http://h:1");
        assert_eq!(base("http://h:1/").unwrap(), "http://h:1");
        assert!(base("https://h").is_err());
        assert!(base("ftp://h").is_err());
        assert!(base("").is_err());
    }

    #[test]
    fn a_problem_lists_its_mistakes_with_their_places() {
        let problem = serde_json::json!({
            "title": "Unprocessable Content", "detail": "2 mistakes",
            "errors": [{"file": "a.yaml", "line": 3, "column": 5, "message": "no"}, {"message": "x"}],
        });
        assert_eq!(
            read_problem(422, &problem).to_string(),
            "Unprocessable Content: 2 mistakes\na.yaml:3:5: no\nx"
        );
    }
}
