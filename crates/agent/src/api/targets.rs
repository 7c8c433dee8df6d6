//! Reading targets: one, or page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base::Duration;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use health::{OpenRow, Reach, Row};
use serde::Serialize;

use super::target::Target;
use super::token;
use super::{Desk, Filter, Freshness, Problem, Query};
use crate::front::Front;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// How long a reader waits for a version unless told otherwise, and at most.
const WAIT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A name in a path; a problem when it is no UTF-8.
pub(crate) type Name = Result<Path<String>, PathRejection>;

/// The name in the path, decoded.
pub(crate) fn name_of(name: Name) -> Result<String, Problem> {
    match name {
        Ok(Path(name)) => Ok(name),
        Err(why) => Err(Problem::bad_request(why.body_text())),
    }
}

#[derive(Serialize)]
struct List<'a> {
    version: String,
    coverage: Coverage,
    items: Vec<Target<'a>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Coverage {
    targets: usize,
    fresh: usize,
    stale: usize,
    unowned: usize,
    members_seen: usize,
    members_known: usize,
}

/// `GET /v1/targets`.
pub(super) async fn list(State(desk): State<Arc<Desk>>, query: Query) -> Result<Response, Problem> {
    let known: Vec<&str> = Filter::ONCE
        .into_iter()
        .chain(["limit", "cursor", "min_version", "within"])
        .collect();
    query.allow(&known, &Filter::REPEATED)?;
    let (limit, after) = (limit(&query)?, cursor(&query)?);
    let filter = Filter::read(&query)?;
    let front = &*desk.front;
    wait_for_version(front, &query).await?;
    let (view, now) = (front.view.load_full(), front.clock.now());
    let mut found = view
        .rows(after.as_deref())
        .filter(|row| filter.matches(front, row, now));
    let rows: Vec<OpenRow> = found.by_ref().take(limit).map(Row::open).collect();
    let has_more = found.next().is_some();
    let last = rows.last().filter(|_| has_more);
    let overview = desk.overview(Freshness::Recent);
    let targets = view.len();
    let stale = overview.stale.min(targets);
    let (members_seen, members_known) = token::members(&view);
    let list = List {
        version: token::token(front, view.version),
        coverage: Coverage {
            targets,
            fresh: targets - stale,
            stale,
            unowned: overview.unowned,
            members_seen,
            members_known,
        },
        items: rows.iter().map(|row| Target::of(front, row, now)).collect(),
        next: last.map(|row| BASE64_URL_SAFE_NO_PAD.encode(row.name())),
    };
    Ok(Json(list).into_response())
}

/// Waits until this node has seen the write that 'min_version' names: for as long as 'within'
/// says, or 5 s.
async fn wait_for_version(front: &Front, query: &Query) -> Result<(), Problem> {
    let within = match query.get("within") {
        None => WAIT,
        Some(text) => parse_span(text)
            .filter(|span| *span <= WAIT_MAX)
            .ok_or_else(|| {
                Problem::bad_request(format!(
                    "'within' is a span of at most 60 s as 50ms or 2s, not '{text}'"
                ))
            })?,
    };
    let Some(text) = query.get("min_version") else {
        return Ok(());
    };
    let version = token::parse(front, text)?;
    let end = front.clock.now() + within;
    while front.view.load().reach(version) != Reach::Shown {
        let left = end.since(front.clock.now());
        if left.is_zero() {
            return Err(token::late(front, version, within));
        }
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
    Ok(())
}

/// A span as `50ms` or `2s`.
fn parse_span(text: &str) -> Option<Duration> {
    if let Some(ms) = text.strip_suffix("ms") {
        return ms.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

fn limit(query: &Query) -> Result<usize, Problem> {
    let Some(text) = query.get("limit") else {
        return Ok(LIMIT);
    };
    text.parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "'limit' is a number from 1 to {LIMIT_MAX}, not '{text}'"
            ))
        })
}

fn cursor(query: &Query) -> Result<Option<String>, Problem> {
    let Some(text) = query.get("cursor") else {
        return Ok(None);
    };
    let name = BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    name.map(Some).ok_or_else(|| {
        Problem::bad_request("'cursor' is what an earlier answer gave as 'next', unchanged")
    })
}

/// `GET /v1/targets/{name}`.
pub(super) async fn one(
    State(desk): State<Arc<Desk>>,
    name: Name,
    query: Query,
) -> Result<Response, Problem> {
    let name = name_of(name)?;
    query.allow(&["min_version", "within"], &[])?;
    let front = &*desk.front;
    wait_for_version(front, &query).await?;
    let view = front.view.load_full();
    let row = view.get(&name).ok_or_else(|| Problem::no_target(&name))?;
    Ok(Json(Target::of(front, &row.open(), front.clock.now())).into_response())
}
