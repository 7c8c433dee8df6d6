//! The node itself: its counts, its one member, whether it lives and is ready.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use health::{Counts, Seat};
use serde_json::{Value, json};

use super::{Desk, Freshness, OPENAPI, Problem, Query};
use crate::meters::Lag;

/// `GET /v1/summary`.
pub(super) async fn summary(
    State(desk): State<Arc<Desk>>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.allow(&[], &[])?;
    let overview = desk.overview(Freshness::ThisView);
    let groups: Vec<Value> = overview
        .groups
        .iter()
        .map(|group| {
            json!({
                "group": group.name.as_deref(),
                "counts": counts(group.counts),
                "stale": group.stale,
            })
        })
        .collect();
    Ok(Json(json!({
        "version": super::token::token(&desk.front, overview.view.version),
        "counts": counts(overview.view.counts()),
        "stale": overview.stale,
        "groups": groups,
        "node": &*desk.front.identity.name,
        "lag": lag(&desk.front.meters.lag),
    })))
}

fn counts(counts: Counts) -> Value {
    json!({
        "up": counts.up,
        "down": counts.down,
        "unknown": counts.unknown,
        "paused": counts.paused,
        "total": counts.total(),
    })
}

/// How late checks started since the process did; a percentile is the bound of its bucket, and
/// null beyond the last.
fn lag(lag: &Lag) -> Value {
    let count = lag.count();
    let percentile = |hundredths: u64| {
        lag.cumulative()
            .find(|(_, below)| count > 0 && below * 100 >= count * hundredths)
            .map(|(bound, _)| bound * 1_000.0)
    };
    json!({ "checks": count, "p50_ms": percentile(50), "p99_ms": percentile(99) })
}

/// `GET /v1/members`.
pub(super) async fn members(
    State(desk): State<Arc<Desk>>,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.allow(&[], &[])?;
    let identity = &desk.front.identity;
    let view = desk.front.view.load_full();
    if let Some(fleet) = view.fleet() {
        let items: Vec<Value> = fleet.members.iter().map(member).collect();
        return Ok(Json(json!({ "items": items })));
    }
    Ok(Json(json!({
        "items": [{
            "name": &*identity.name,
            "address": identity.address.to_string(),
            "state": "alive",
            "incarnation": identity.incarnation,
            "zone": &*identity.zone,
            "weight": identity.weight,
            "owned": view.len(),
            "draining": false,
            "version": env!("CARGO_PKG_VERSION"),
        }],
    })))
}

fn member(seat: &Seat) -> Value {
    json!({
        "name": &*seat.name,
        "address": seat.address.to_string(),
        "state": seat.state,
        "incarnation": seat.incarnation,
        "zone": &*seat.zone,
        "weight": seat.weight,
        "owned": seat.owned,
        "draining": seat.is_draining,
        "version": format!("wire {}", seat.wire),
    })
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: checks have begun.
pub(super) async fn readyz(State(desk): State<Arc<Desk>>) -> Result<&'static str, Problem> {
    if desk.front.is_ready() && !*desk.front.stopping.borrow() {
        return Ok("ok\n");
    }
    let detail = "checks have not begun, or the node is stopping";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with("retry-after", "1"))
}

/// `GET /openapi.json`.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
