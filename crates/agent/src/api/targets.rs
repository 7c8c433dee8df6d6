//! Reading targets: one, or page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use health::Row;
use serde::Serialize;

use super::target::Target;
use super::{Desk, Filter, Freshness, Problem, Query};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

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
        .chain(["limit", "cursor"])
        .collect();
    query.allow(&known, &Filter::REPEATED)?;
    let (limit, after) = (limit(&query)?, cursor(&query)?);
    let filter = Filter::read(&query)?;
    let front = &*desk.front;
    let (view, now) = (front.view.load_full(), front.clock.now());
    let mut found = view
        .rows(after.as_deref())
        .filter(|row| filter.matches(front, row, now));
    let rows: Vec<&Row> = found.by_ref().take(limit).collect();
    let has_more = found.next().is_some();
    let last = rows.last().filter(|_| has_more);
    let overview = desk.overview(Freshness::Recent);
    let targets = view.len();
    let stale = overview.stale.min(targets);
    let list = List {
        version: view.version.to_string(),
        coverage: Coverage {
            targets,
            fresh: targets - stale,
            stale,
            unowned: 0,
            members_seen: 1,
            members_known: 1,
        },
        items: rows.iter().map(|row| Target::of(front, row, now)).collect(),
        next: last.map(|row| BASE64_URL_SAFE_NO_PAD.encode(row.name())),
    };
    Ok(Json(list).into_response())
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
    query.allow(&[], &[])?;
    let front = &*desk.front;
    let view = front.view.load_full();
    let row = view.get(&name).ok_or_else(|| Problem::no_target(&name))?;
    Ok(Json(Target::of(front, row, front.clock.now())).into_response())
}
