//! One target's story: what happened to it, where its counters stand, and why it is as it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base::{Time, Wall};
use health::{Explanation, Finding, Phase, Row, State as Condition, Transition};
use serde_json::{Map, Value, json};

use super::failure::{code, failure};
use super::target::{Target, ballots, order};
use super::targets::{Name, name_of};
use super::text::{finding_code, finding_name, millis, parse_rfc3339, rfc3339, whole_millis};
use super::{Desk, Problem, Query, definition};
use crate::figures::{Past, Reading};
use crate::front::Front;

/// A transition and, where it is still known, what the outcome that made it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) transition: Transition,
    pub(crate) detail: Option<Arc<str>>,
}

impl Change {
    /// The change's reason in words.
    pub(crate) fn error(&self) -> Option<String> {
        failure(self.transition.reason, self.detail.as_deref())
    }

    fn to_json(&self) -> Value {
        let transition = &self.transition;
        json!({
            "number": transition.number,
            "at": rfc3339(transition.at),
            "from": transition.from.name(),
            "to": transition.to.name(),
            "reason": code(transition.reason),
            "error": self.error(),
        })
    }
}

/// The transitions of `row`, oldest first: the eight that its status carries, and those before
/// that the event log still holds without a gap.
pub(crate) fn transitions(front: &Front, row: &Row) -> Vec<Change> {
    let log = front.events.after(None).events;
    let mine: Vec<_> = log.iter().filter(|e| *e.target == *row.name()).collect();
    let detail = |wanted: &Transition| {
        let found = mine.iter().find(|e| e.transition == *wanted);
        match found {
            Some(event) => event.detail.clone(),
            None if wanted.number == row.status.transition => row.status.detail.clone(),
            None => None,
        }
    };
    let carried = row.status.recent.iter().map(|transition| Change {
        transition: *transition,
        detail: detail(transition),
    });
    let mut changes: Vec<Change> = carried.collect();
    // An earlier target of the same name has other numbers or later times.
    for event in mine.iter().rev() {
        let earlier = &event.transition;
        let continues = changes.first().is_some_and(|first| {
            let first = &first.transition;
            earlier.number + 1 == first.number && earlier.to == first.from && earlier.at <= first.at
        });
        if continues {
            changes.insert(
                0,
                Change {
                    transition: *earlier,
                    detail: event.detail.clone(),
                },
            );
        }
    }
    changes
}

/// `GET /v1/targets/{name}/history`.
pub(super) async fn history(
    State(desk): State<Arc<Desk>>,
    name: Name,
    query: Query,
) -> Result<Json<Value>, Problem> {
    let name = name_of(name)?;
    query.allow(&["since"], &[])?;
    let since = since(&query)?;
    let front = &*desk.front;
    let view = front.view.load_full();
    let row = view.get(&name).ok_or_else(|| Problem::no_target(&name))?;
    let transitions: Vec<Value> = transitions(front, row)
        .iter()
        .filter(|change| since.is_none_or(|since| change.transition.at >= since))
        .map(Change::to_json)
        .collect();
    let is_here = front.is_checked_here(row);
    let recent = if is_here {
        front.figures.recent(row.slot)
    } else {
        Vec::new()
    };
    let outcomes: Vec<Value> = recent
        .iter()
        .filter(|past| since.is_none_or(|since| front.clock.wall_at(past.at) >= since))
        .map(|past| past_to_json(front, past))
        .collect();
    Ok(Json(json!({
        "target": name,
        "transitions": transitions,
        "outcomes": outcomes,
        "partial": !front.is_checked_here(row),
    })))
}

fn since(query: &Query) -> Result<Option<Wall>, Problem> {
    let Some(text) = query.get("since") else {
        return Ok(None);
    };
    parse_rfc3339(text).map(Some).ok_or_else(|| {
        Problem::bad_request(format!(
            "'since' is a moment as 2026-01-31T12:00:00Z, not '{text}'"
        ))
    })
}

fn past_to_json(front: &Front, past: &Past) -> Value {
    json!({
        "at": rfc3339(front.clock.wall_at(past.at)),
        "result": finding_name(past.finding),
        "reason": finding_code(past.finding),
        "latency_ms": millis(past.latency),
    })
}

/// `GET /v1/targets/{name}/explain`.
pub(super) async fn explain(
    State(desk): State<Arc<Desk>>,
    name: Name,
    query: Query,
) -> Result<Json<Value>, Problem> {
    let name = name_of(name)?;
    query.allow(&[], &[])?;
    let front = &*desk.front;
    let slot = front.view.load().get(&name).map(|row| row.slot);
    let slot = slot.ok_or_else(|| Problem::no_target(&name))?;
    let counters = front.explain(slot).await?;
    let story = Story::tell(front, &name, counters).ok_or_else(|| Problem::no_target(&name))?;
    Ok(Json(story.to_json(front)))
}

/// Everything about one target at one moment.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) row: Row,
    pub(crate) reading: Reading,
    pub(crate) recent: Vec<Past>,
    /// `None` when the driver did not answer in time.
    pub(crate) counters: Option<Explanation>,
    pub(crate) changes: Vec<Change>,
    pub(crate) now: Time,
    pub(crate) wall: Wall,
}

impl Story {
    /// Puts together what is known of a target, `counters` as the driver said a moment ago;
    /// `None` without such a target.
    pub(crate) fn tell(front: &Front, name: &str, counters: Option<Explanation>) -> Option<Self> {
        let view = front.view.load_full();
        let row = view.get(name)?;
        let is_here = front.is_checked_here(row);
        Some(Self {
            row: row.clone(),
            reading: if is_here {
                front.figures.read(row.slot)
            } else {
                Reading::default()
            },
            recent: if is_here {
                front.figures.recent(row.slot)
            } else {
                Vec::new()
            },
            counters,
            changes: transitions(front, row),
            now: front.clock.now(),
            wall: front.clock.wall(),
        })
    }

    fn to_json(&self, front: &Front) -> Value {
        let (rule, counters) = (self.row.definition.rule, self.counters.as_ref());
        let next_due = counters.and_then(|c| c.next_due);
        let next_due = next_due.map(|at| whole_millis(at.since(self.now)));
        let recent: Vec<Value> = self.recent.iter().map(|p| past_to_json(front, p)).collect();
        let changes: Vec<Value> = self.changes.iter().map(Change::to_json).collect();
        json!({
            "target": Target::read(front, &self.row, &self.reading, self.now),
            "owner": order(front, &self.row).first(),
            "order": order(front, &self.row),
            "counters": {
                "failures": counters.map(|c| c.failures),
                "fall": rule.fall,
                "of": rule.of,
                "successes": counters.map(|c| c.successes),
                "rise": rule.rise,
            },
            "in_flight": counters.map(|c| c.in_flight),
            "next_due_in_ms": next_due,
            "last": self.last_to_json(front),
            "recent": recent,
            "transitions": changes,
            "votes": ballots(&self.row),
            "why": self.why(),
            "definition": definition::to_json(&self.row.definition),
            "shadowed": self.row.shadowed,
            "partial": counters.is_none() || !front.is_checked_here(&self.row),
        })
    }

    fn last_to_json(&self, front: &Front) -> Option<Value> {
        let (reading, last) = (&self.reading, self.reading.last?);
        let phases: Map<String, Value> = Phase::ALL
            .into_iter()
            .map(|phase| {
                (
                    phase.name().to_owned(),
                    millis(reading.phases.get(phase)).into(),
                )
            })
            .collect();
        Some(json!({
            "at": rfc3339(front.clock.wall_at(last.at)),
            "result": finding_name(last.finding),
            "reason": finding_code(last.finding),
            "detail": reading.detail.as_deref(),
            "latency_ms": millis(last.latency),
            "phases_ms": phases,
            "address": reading.address.map(|address| address.to_string()),
            "http_status": reading.http_status,
            "cert_expires": reading.cert_expiry.map(rfc3339),
        }))
    }

    /// Why the target is in its state, in one sentence for people.
    pub(crate) fn why(&self) -> String {
        let (status, rule) = (&self.row.status, self.row.definition.rule);
        let since = moment(status.since, self.is_of_today());
        let mut why = match status.state {
            Condition::Paused => return format!("paused since {since}: its definition says so"),
            Condition::Unknown if status.transition == 0 => {
                "unknown: not enough checks yet".to_owned()
            }
            Condition::Unknown => {
                format!("unknown since {since}: nobody could tell{}", self.cause())
            }
            Condition::Up => {
                let from = self.changes.last().map(|change| change.transition.from);
                let because = if from == Some(Condition::Down) {
                    format!("{} (rise {})", passed(rule.rise), rule.rise)
                } else {
                    "a check passed".to_owned()
                };
                format!("up since {since} because {because}")
            }
            Condition::Down => {
                let (checks, demand) = if rule.of > rule.fall {
                    let failed = format!("{} of {} checks in a row failed", rule.fall, rule.of);
                    (failed, format!("fall {} of {}", rule.fall, rule.of))
                } else {
                    (failed(rule.fall), format!("fall {}", rule.fall))
                };
                format!(
                    "down since {since} because {checks} ({demand}){}",
                    self.cause()
                )
            }
        };
        why.push_str(&self.pending());
        why
    }

    fn cause(&self) -> String {
        let status = &self.row.status;
        failure(status.reason, status.detail.as_deref())
            .map(|error| format!(": {error}"))
            .unwrap_or_default()
    }

    /// What would come next if the last outcomes went on.
    fn pending(&self) -> String {
        let rule = self.row.definition.rule;
        let (failures, successes) = self
            .counters
            .as_ref()
            .map_or((0, 0), |c| (c.failures, c.successes));
        let mut pending = match self.row.status.state {
            Condition::Down if successes > 0 => {
                format!("; {} since, {} bring it back", passed(successes), rule.rise)
            }
            Condition::Up | Condition::Unknown if failures > 0 => {
                let reason = self.last_failure().map(|words| format!(" ({words})"));
                let reason = reason.unwrap_or_default();
                format!(
                    "; {} since{reason}, {} make it down",
                    failed(failures),
                    rule.fall
                )
            }
            _ => String::new(),
        };
        if let Some(Finding::Inconclusive(doubt)) = self.reading.last.map(|last| last.finding) {
            pending.push_str("; the last check could not tell: ");
            pending.push_str(doubt.words());
        }
        pending
    }

    /// Why the last check failed, if it did.
    fn last_failure(&self) -> Option<String> {
        match self.reading.last?.finding {
            Finding::Failed(reason) => failure(reason, self.reading.detail.as_deref()),
            Finding::Passed | Finding::Inconclusive(_) => None,
        }
    }

    /// Whether the last change is so young that the time alone says when.
    fn is_of_today(&self) -> bool {
        rfc3339(self.row.status.since)[..10] == rfc3339(self.wall)[..10]
    }
}

fn passed(checks: u16) -> String {
    match checks {
        1 => "1 check passed".to_owned(),
        n => format!("{n} checks in a row passed"),
    }
}

fn failed(checks: u16) -> String {
    match checks {
        1 => "1 check failed".to_owned(),
        n => format!("{n} checks in a row failed"),
    }
}

/// "02:14:03 UTC", with the day before it unless it was today.
fn moment(at: Wall, is_today: bool) -> String {
    let text = rfc3339(at);
    let (day, time) = (&text[..10], &text[11..19]);
    if is_today {
        format!("{time} UTC")
    } else {
        format!("{day} {time} UTC")
    }
}
