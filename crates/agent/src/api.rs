//! The HTTP API of one node: JSON for programs, Prometheus text, server-sent events.
//!
//! Reads take the node's view and figures as they are and wait for nobody; writes and `explain`
//! go through the driver's queue. Start reading at [`router`]; `openapi.json` describes every
//! route and is held to it by `tests/web`.
//! Does not know how a verdict is reached, nor what is on disk.

mod definition;
mod detail;
mod events;
mod failure;
mod filter;
mod metrics;
mod node;
mod overview;
mod problem;
mod query;
mod serve;
mod target;
mod targets;
mod text;
mod token;
mod writes;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use tokio::sync::Semaphore;

use crate::front::Front;
use crate::page;

pub(crate) use definition::to_json as definition_to_json;
pub(crate) use detail::{Change, Story, missing};
pub(crate) use failure::{error_of, failure};
pub(crate) use filter::Filter;
pub(crate) use overview::{Freshness, Group, Overview};
pub(crate) use problem::Problem;
pub(crate) use query::Query;
pub(crate) use target::order;
pub(crate) use targets::{Name, name_of};
pub(crate) use text::{encode_segment, finding_name, rfc3339};

pub use serve::serve;
pub use target::masked;

/// The description of the API, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("api/openapi.json");

/// What every handler holds: the node's front, and the overview that is kept for a moment.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) front: Arc<Front>,
    overview: overview::Kept,
    /// Room for streams of events.
    streams: Arc<Semaphore>,
}

impl Desk {
    /// What holds for all targets together, from this view or one at most 250 ms older.
    pub(crate) fn overview(&self, freshness: Freshness) -> Arc<Overview> {
        self.overview.get(&self.front, freshness)
    }
}

/// Every route of the API by its path, as `openapi.json` names it.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<Desk>>)> {
    vec![
        ("/v1/targets", get(targets::list)),
        (
            "/v1/targets/{name}",
            get(targets::one).put(writes::put).delete(writes::delete),
        ),
        ("/v1/targets/{name}/history", get(detail::history)),
        ("/v1/targets/{name}/explain", get(detail::explain)),
        ("/v1/summary", get(node::summary)),
        ("/v1/members", get(node::members)),
        ("/v1/members/{name}/forget", post(writes::forget)),
        ("/v1/drain", post(writes::drain)),
        ("/v1/leave", post(writes::leave)),
        ("/v1/events", get(events::stream)),
        ("/-/reload", post(writes::reload)),
        ("/metrics", get(metrics::exposition)),
        ("/healthz", get(node::healthz)),
        ("/readyz", get(node::readyz)),
        ("/openapi.json", get(node::openapi)),
    ]
}

/// The paths of the API, those of the page left out.
#[must_use]
pub fn paths() -> Vec<&'static str> {
    routes().into_iter().map(|(path, _)| path).collect()
}

/// API and page over `front`, with up to 512 streams of events.
pub fn router(front: Arc<Front>) -> Router {
    router_with(front, 512)
}

/// API and page over `front`, with so many streams of events at a time.
fn router_with(front: Arc<Front>, streams: usize) -> Router {
    let desk = Arc::new(Desk {
        front,
        overview: overview::Kept::default(),
        streams: Arc::new(Semaphore::new(streams)),
    });
    let mut router = Router::new();
    for (path, methods) in routes().into_iter().chain(page::routes()) {
        router = router.route(path, methods);
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(harden))
        .with_state(desk)
}

async fn nothing_here(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let accepts_html = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if accepts_html {
        return page::not_found(&desk, "There is no such page.");
    }
    Problem::not_found(format!(
        "nothing is served at '{}'; /openapi.json lists what is",
        request.uri().path()
    ))
    .into_answer()
}

async fn wrong_method(request: Request) -> Problem {
    Problem::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} is not done at '{}'; see the Allow header",
            request.method(),
            request.uri().path()
        ),
    )
}

/// What every answer carries: browsers must not guess types, and nothing is cached unsaid.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
