//! `/metrics` in Prometheus' text format, written by hand.
//!
//! A metrics registry would hold every per-target series a second time beside `figures`; this
//! writes them straight from there, in chunks, so that 100,000 targets are neither copied nor
//! joined into one text. Start reading at [`Exposition`].

mod families;
mod writer;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base::Time;
use health::{Row, View};

use self::families::{Family, PER_TARGET, node};
use self::writer::Writer;
use super::Desk;
use crate::front::Front;

/// How many targets are written at once.
const ROWS: usize = 256;

/// `GET /metrics`. Query strings are let be: scrapers add their own.
pub(super) async fn exposition(State(desk): State<Arc<Desk>>) -> Response {
    let chunks = Exposition::of(Arc::clone(&desk.front)).map(Ok::<_, Infallible>);
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, Body::from_stream(tokio_stream::iter(chunks))).into_response()
}

/// The text, chunk by chunk: first what the node counts, then family by family, all targets.
struct Exposition {
    front: Arc<Front>,
    view: Arc<View>,
    now: Time,
    has_begun: bool,
    families: &'static [Family],
    /// The last target that was written of the first family.
    after: Option<Arc<str>>,
}

impl Exposition {
    fn of(front: Arc<Front>) -> Self {
        let families = if front.settings.load().metrics_per_target {
            PER_TARGET
        } else {
            &[]
        };
        Self {
            view: front.view.load_full(),
            now: front.clock.now(),
            front,
            has_begun: false,
            families,
            after: None,
        }
    }
}

impl Iterator for Exposition {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = Writer::default();
        if !self.has_begun {
            self.has_begun = true;
            node(&self.front, &self.view, self.now, &mut out);
            return Some(out.into_bytes());
        }
        let (family, rest) = self.families.split_first()?;
        if self.after.is_none() {
            out.family(family.name, "gauge", family.help);
        }
        let rows: Vec<&Row> = self.view.rows(self.after.as_deref()).take(ROWS).collect();
        for row in rows.iter().filter(|row| self.front.is_checked_here(row)) {
            (family.write)(row, &self.front.figures, &mut out);
        }
        let last = rows.last().filter(|_| rows.len() == ROWS);
        self.after = last.map(|row| row.title());
        if self.after.is_none() {
            self.families = rest;
        }
        Some(out.into_bytes())
    }
}
