//! The page: every target at a glance, and one target in full.
//!
//! Rendered here and usable without JavaScript; a small script keeps it live by fetching the
//! same address with `fragment=1` and changing only what differs. Nothing is inline, so that the
//! content security policy can forbid everything that is not ours. Start reading at `routes`.
//! Does not know JSON; what it shows it reads as the API does.

mod assets;
mod detail;
mod groups;
mod layout;
mod list;
mod nodes;
mod overview;
mod parts;
mod wall;
mod words;

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use maud::{Markup, html};

use crate::api::Desk;
use layout::Frame;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// The page's routes.
pub(crate) fn routes() -> Vec<(&'static str, MethodRouter<Arc<Desk>>)> {
    vec![
        ("/", get(overview::show)),
        ("/targets/{name}", get(detail::show)),
        ("/static/{file}", get(assets::serve)),
    ]
}

/// An answer for people who asked for what is not there.
pub(crate) fn not_found(desk: &Desk, why: &str) -> Response {
    trouble(desk, StatusCode::NOT_FOUND, "Not found", why)
}

/// A page that says what went wrong, and the way back.
fn trouble(desk: &Desk, status: StatusCode, title: &str, why: &str) -> Response {
    let content = html! {
        section.empty {
            h1 { (title) }
            p { (why) }
            p { a href="/" { "All targets" } }
        }
    };
    let frame = Frame {
        desk,
        title: title.to_owned(),
        is_live: false,
    };
    (status, answer(frame.around(&content))).into_response()
}

/// `markup` as an answer that runs nothing but our own script.
fn answer(markup: Markup) -> Response {
    let policy = HeaderValue::from_static(POLICY);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, policy),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("same-origin"),
        ),
    ];
    (headers, markup.into_string()).into_response()
}
