//! TARGET: one target as the API writes it.

use std::borrow::Cow;

use base::Time;
use health::{Finding, OpenRow, Row};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::failure::{code, error_of};
use super::text::{millis, rfc3339, whole_millis};
use crate::config::hide_query;
use crate::figures::Reading;
use crate::front::Front;

/// One target, borrowed from the view.
#[derive(Debug, Serialize)]
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) state: &'static str,
    pub(crate) since: String,
    pub(crate) transition: u32,
    pub(crate) reason: Option<String>,
    /// `None` when nobody who lives could check it.
    pub(crate) owner: Option<String>,
    standbys: Vec<String>,
    pub(crate) checked_at: Option<String>,
    pub(crate) age_ms: Option<u64>,
    pub(crate) stale: bool,
    contested: bool,
    votes: Vec<Ballot<'a>>,
    pub(crate) latency_ms: Option<f64>,
    pub(crate) error: Option<String>,
    pub(crate) doubt: Option<&'static str>,
    pub(crate) probe: &'static str,
    pub(crate) interval_ms: u64,
    pub(crate) timeout_ms: u64,
    pub(crate) labels: Labels<'a>,
    pub(crate) group: Option<&'a str>,
    pub(crate) source: &'static str,
    pub(crate) address: Cow<'a, str>,
    pub(crate) shadowed: bool,
}

/// What one node saw when the last verdict was made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ballot<'a> {
    node: &'a str,
    /// `null`: it has not said anything.
    passed: Option<bool>,
}

/// The owner and its standbys; this node itself on a node alone.
pub(crate) fn order(front: &Front, row: &Row) -> Vec<String> {
    let view = front.view.load();
    if view.fleet().is_none() {
        return vec![front.identity.name.to_string()];
    }
    view.owners(row.slot).map(ToString::to_string).collect()
}

/// What others saw when the last verdict was made.
pub(crate) fn ballots(row: &OpenRow) -> Vec<Ballot<'_>> {
    let votes = row.votes.iter().flat_map(|votes| &votes.votes);
    votes
        .map(|vote| Ballot {
            node: &vote.node,
            passed: vote.passed,
        })
        .collect()
}

/// Labels, written as one object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels<'a>(pub(crate) &'a [(std::sync::Arc<str>, std::sync::Arc<str>)]);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0 {
            map.serialize_entry(&**key, &**value)?;
        }
        map.end()
    }
}

impl<'a> Target<'a> {
    /// `row` as `front` knows it at `now`.
    pub(crate) fn of(front: &'a Front, row: &'a OpenRow, now: Time) -> Self {
        Self::read(front, row, &front.figures.read(row.slot), now)
    }

    /// The same with figures that were already read.
    pub(crate) fn read(front: &'a Front, row: &'a OpenRow, reading: &Reading, now: Time) -> Self {
        let (definition, status) = (&*row.definition, &row.status);
        let is_here = front.is_checked_here(row);
        let nothing = Reading::default();
        let reading = if is_here { reading } else { &nothing };
        let checked_at = front.checked_at(row, now);
        let mut order = order(front, row).into_iter();
        Self {
            name: row.name(),
            state: status.state.name(),
            since: rfc3339(status.since),
            transition: status.transition,
            reason: code(status.reason),
            owner: order.next(),
            standbys: order.collect(),
            checked_at: checked_at.map(|at| rfc3339(front.clock.wall_at(at))),
            age_ms: checked_at.map(|at| whole_millis(now.since(at))),
            stale: front.is_stale(row, now),
            contested: row.votes.as_ref().is_some_and(|votes| votes.contested),
            votes: ballots(row),
            latency_ms: reading.last.map(|last| millis(last.latency)),
            error: error_of(row, reading),
            doubt: match reading.last.map(|last| last.finding) {
                Some(Finding::Inconclusive(doubt)) => Some(doubt.words()),
                _ => None,
            },
            probe: definition.probe.kind(),
            interval_ms: whole_millis(definition.interval),
            timeout_ms: whole_millis(definition.timeout),
            labels: Labels(&definition.labels),
            group: definition.group.as_deref(),
            source: row.source.name(),
            address: masked(definition.probe.address()),
            shadowed: row.shadowed(),
        }
    }
}

/// `address` with user, password and sensitive parts of the query hidden.
///
/// Works on text, because an address may hold `${…}` and then is no URL yet. What stands before
/// the last `@` of the authority is hidden, even where it only might be a password.
pub fn masked(address: &str) -> Cow<'_, str> {
    let start = address.find("://").map_or(0, |at| at + 3);
    let end = address[start..]
        .find(['/', '?', '#'])
        .map_or(address.len(), |at| start + at);
    let shown = match address[start..end].rfind('@') {
        None => Cow::Borrowed(address),
        Some(at) => Cow::Owned(format!(
            "{}***{}",
            &address[..start],
            &address[start + at..]
        )),
    };
    if shown.contains('?') {
        Cow::Owned(hide_query(&shown))
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_of_an_address_are_hidden() {
        let cases = [
            ("http://a:b@h/x@y", "http://***@h/x@y"),
            ("https://h/x?u=a@b", "https://h/x?u=a@b"),
            ("${USER}:p@h:80", "***@h:80"),
            ("http://a:p@w@h", "http://***@h"),
            ("h:80", "h:80"),
            ("http://h/?token=x", "http://h/?token=***"),
        ];
        for (address, shown) in cases {
            assert_eq!(masked(address), shown);
        }
    }
}
