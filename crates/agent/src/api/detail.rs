//! One target's story: what happened to it, where its counters stand, and why it is as it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base::{Time, Wall};
use health::{
    Account, Explanation, Finding, Missing, OpenRow, Phase, State as Condition, Transition,
};
use serde_json::{Map, Value, json};

use super::failure::{code, failure};
use super::target::{Target, ballots, order};
use super::targets::{Name, name_of};
use super::text::{finding_code, finding_name, millis, parse_rfc3339, rfc3339, whole_millis};
use super::{Desk, Problem, Query, definition};
use crate::figures::{Past, Reading};
use crate::front::{Front, Told};

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
pub(crate) fn transitions(front: &Front, row: &OpenRow) -> Vec<Change> {
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
    let row = &row.open();
    let transitions: Vec<Value> = transitions(front, row)
        .iter()
        .filter(|change| since.is_none_or(|since| change.transition.at >= since))
        .map(Change::to_json)
        .collect();
    let (by, recent) = match outcomes(front, row).await {
        Err(Missing::NoTarget) => return Err(Problem::no_target(&name)),
        Err(why) => (Err(why), Vec::new()),
        Ok((by, recent)) => (Ok(by), recent),
    };
    let outcomes: Vec<Value> = recent
        .iter()
        .filter(|past| since.is_none_or(|since| past.at >= since))
        .map(past_to_json)
        .collect();
    Ok(Json(json!({
        "target": name,
        "transitions": transitions,
        "outcomes": outcomes,
        "by": by.as_deref().ok(),
        "partial": by.is_err(),
        "missing": by.as_ref().err().map(missing),
    })))
}

/// The last outcomes of a target and who tells them: this node's own figures where it owns the
/// target, else what the owner answers. Who is too busy to ask has none.
async fn outcomes(front: &Front, row: &OpenRow) -> Result<(Arc<str>, Vec<Past>), Missing> {
    if front.is_checked_here(row) {
        let by = Arc::clone(&front.identity.name);
        return Ok((by, front.figures.recent(row.slot)));
    }
    let told = front.account(row.name()).await;
    let account = told.unwrap_or(Err(Missing::TooMany))?;
    Ok((account.by, account.findings.recent))
}

/// Who gave the account; this node itself on a node alone.
fn teller<'a>(front: &'a Front, account: &'a Account) -> &'a str {
    match &*account.by {
        "" => &front.identity.name,
        by => by,
    }
}

/// Why the owner's part is missing, for people.
pub(crate) fn missing(why: &Missing) -> String {
    match why {
        Missing::NoTarget => "there is no such target any more".to_owned(),
        Missing::Unowned => "nobody who answers owns it".to_owned(),
        Missing::Silent(owner) => format!("its owner {owner} did not answer within 500 ms"),
        Missing::Disowned(node) => {
            format!("{node} was asked as its owner and is not: it is changing hands")
        }
        Missing::TooMany => "too many questions wait on this node; try again".to_owned(),
    }
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

fn past_to_json(past: &Past) -> Value {
    json!({
        "at": rfc3339(past.at),
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
    if front.view.load().get(&name).is_none() {
        return Err(Problem::no_target(&name));
    }
    let told = front.account(&name).await?;
    let story = Story::tell(front, &name, told).ok_or_else(|| Problem::no_target(&name))?;
    Ok(Json(story.to_json(front)))
}

/// Everything about one target at one moment.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) row: OpenRow,
    pub(crate) reading: Reading,
    pub(crate) recent: Vec<Past>,
    /// `None` when the owner's part is missing.
    pub(crate) counters: Option<Explanation>,
    /// Who told it, or why nobody did.
    pub(crate) by: Result<String, Missing>,
    /// Who is left out of the order for now.
    unable: Vec<Arc<str>>,
    /// Who said of whom, among those that matter here, that it does not answer.
    pub(crate) accusations: Vec<Accused>,
    pub(crate) changes: Vec<Change>,
    pub(crate) now: Time,
    pub(crate) wall: Wall,
}

impl Story {
    /// Puts together what is known of a target, the owner's part as it was `told` a moment ago;
    /// `None` without such a target.
    pub(crate) fn tell(front: &Front, name: &str, told: Told) -> Option<Self> {
        let view = front.view.load_full();
        let row = &view.get(name)?.open();
        let account = told.as_ref().ok();
        let findings = account.map(|account| &account.findings);
        Some(Self {
            row: row.clone(),
            reading: findings.map(Reading::from).unwrap_or_default(),
            recent: findings.map_or_else(Vec::new, |findings| findings.recent.clone()),
            counters: account.map(|account| account.explanation),
            unable: account.map_or_else(Vec::new, |account| account.unable.clone()),
            accusations: accusations(front, row),
            by: match &told {
                Ok(account) => Ok(teller(front, account).to_owned()),
                Err(why) => Err(why.clone()),
            },
            changes: transitions(front, row),
            now: front.clock.now(),
            wall: front.clock.wall(),
        })
    }

    fn to_json(&self, front: &Front) -> Value {
        let (rule, counters) = (self.row.definition.rule, self.counters.as_ref());
        let next_due = counters.and_then(|c| c.next_due);
        let next_due = next_due.map(|at| whole_millis(at.since(self.now)));
        let recent: Vec<Value> = self.recent.iter().map(past_to_json).collect();
        let accused: Vec<Value> = self.accusations.iter().map(Accused::to_json).collect();
        let changes: Vec<Value> = self.changes.iter().map(Change::to_json).collect();
        json!({
            "target": Target::read(front, &self.row, &self.reading, self.now),
            "owner": order(front, &self.row).first(),
            "order": order(front, &self.row),
            "unable": self.unable.iter().map(|name| &**name).collect::<Vec<&str>>(),
            "counters": {
                "failures": counters.map(|c| c.failures),
                "fall": rule.fall,
                "of": rule.of,
                "successes": counters.map(|c| c.successes),
                "rise": rule.rise,
            },
            "in_flight": counters.map(|c| c.in_flight),
            "next_due_in_ms": next_due,
            "last": self.last_to_json(),
            "recent": recent,
            "transitions": changes,
            "votes": ballots(&self.row),
            "accused": accused,
            "why": self.why(),
            "definition": definition::to_json(&self.row.definition),
            "shadowed": self.row.shadowed(),
            "by": self.by.as_ref().ok(),
            "partial": counters.is_none(),
            "missing": self.by.as_ref().err().map(missing),
        })
    }

    fn last_to_json(&self) -> Option<Value> {
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
            "at": rfc3339(last.at),
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
        if self.row.votes.as_ref().is_some_and(|votes| votes.contested) {
            why.push_str("; contested: most of those asked see it answer");
        }
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

/// One node's word that another does not answer, as this node heard it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accused {
    pub(crate) member: Arc<str>,
    pub(crate) by: Arc<str>,
    pub(crate) at: Wall,
}

impl Accused {
    fn to_json(&self) -> Value {
        json!({ "member": &*self.member, "by": &*self.by, "at": rfc3339(self.at) })
    }
}

/// Accusations of those in the target's order, and of whoever is not alive: a target may have
/// changed hands because of them.
fn accusations(front: &Front, row: &OpenRow) -> Vec<Accused> {
    let view = front.view.load();
    let Some(fleet) = view.fleet() else {
        return Vec::new();
    };
    let is_alive = |name: &str| {
        let mut seats = fleet.members.iter();
        seats.any(|seat| &*seat.name == name && seat.state == "alive")
    };
    let order: Vec<&Arc<str>> = view.owners(row.slot).collect();
    let matters = |name: &Arc<str>| order.contains(&name) || !is_alive(name);
    let all = fleet.accusations.iter();
    all.filter(|accusation| matters(&accusation.member))
        .map(|accusation| Accused {
            member: Arc::clone(&accusation.member),
            by: Arc::clone(&accusation.by),
            at: front.clock.wall_at(accusation.at),
        })
        .collect()
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
