//! `GET /v1/events`: changes of state as server-sent events.
//!
//! Each stream is a task that reads the front's log after its own place, so a slow reader holds
//! nobody up and is told of a gap if the log moved on without it. The number of streams is
//! bounded by half of the number of connections.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::{Duration, Version};
use health::Event;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::failure::{code, failure};
use super::target::Labels;
use super::{Desk, Problem, Query, rfc3339};
use crate::events::{Later, parse_id};
use crate::front::Front;

/// A comment this often keeps the connection from looking dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many events wait for a slow reader before its task waits too.
const AHEAD: usize = 16;

/// Where a stream begins.
enum Start {
    /// With everything that is kept.
    Backlog,
    /// After this id.
    After(Version),
    /// With what happens from now on.
    Now,
}

/// `GET /v1/events`.
pub(super) async fn stream(
    State(desk): State<Arc<Desk>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.allow(&["after", "follow"], &[])?;
    let follows = query.flag("follow", true)?;
    let last = headers
        .get("last-event-id")
        .map(|id| id.to_str().unwrap_or("?"));
    // A browser that reconnects keeps the address and adds the header: the header is newer.
    let start = match last.or(query.get("after")) {
        Some(id) => Start::After(parse_id(id).ok_or_else(|| no_id(id))?),
        None if follows => Start::Now,
        None => Start::Backlog,
    };
    let room = Arc::clone(&desk.streams).try_acquire_owned();
    let room = room.map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams of events are open; close some or try again",
        )
    })?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let front = Arc::clone(&desk.front);
    // Now, not in the task: whoever has read the answer's head misses nothing from then on.
    let place = place(&front, &start);
    tokio::spawn(async move {
        // The reader is gone: nothing to do about it.
        let _gone = send(&front, place, follows, &sender).await;
        drop(room);
    });
    let chunks = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((kind, Body::from_stream(chunks)).into_response())
}

/// Of what came instead of an id, only the beginning is said back.
fn no_id(text: &str) -> Problem {
    let shown = &text[..text.floor_char_boundary(40)];
    let dots = if shown.len() < text.len() { "..." } else { "" };
    Problem::bad_request(format!(
        "'{shown}{dots}' is not the id of an event: ORIGIN-NUMBER"
    ))
}

type Sent = Result<(), mpsc::error::SendError<Bytes>>;

async fn send(
    front: &Front,
    mut place: Option<Version>,
    follows: bool,
    reader: &mpsc::Sender<Bytes>,
) -> Sent {
    let mut changed = front.events.watch();
    let mut stopping = front.stopping.subscribe();
    reader.send(Bytes::from_static(b"retry: 2000\n\n")).await?;
    loop {
        changed.mark_unchanged();
        place = catch_up(front, place, reader).await?;
        if !follows || *stopping.borrow_and_update() {
            return Ok(());
        }
        tokio::select! {
            alive = changed.changed() => if alive.is_err() { return Ok(()) },
            alive = stopping.changed() => if alive.is_err() { return Ok(()) },
            () = reader.closed() => return Ok(()),
            () = tokio::time::sleep(HEARTBEAT) => {
                reader.send(Bytes::from_static(b": still here\n\n")).await?;
            }
        }
    }
}

fn place(front: &Front, start: &Start) -> Option<Version> {
    match start {
        Start::Backlog => None,
        Start::After(id) => Some(*id),
        Start::Now => {
            let later = front.events.after(None);
            later.events.last().map(|event| id(&later, event))
        }
    }
}

fn id(later: &Later, event: &Event) -> Version {
    Version {
        origin: later.origin,
        seq: event.transition.seq,
    }
}

async fn catch_up(
    front: &Front,
    place: Option<Version>,
    reader: &mpsc::Sender<Bytes>,
) -> Result<Option<Version>, mpsc::error::SendError<Bytes>> {
    let later = front.events.after(place);
    if later.gap {
        let after = place.map(|id| id.to_string());
        let body = json!({ "after": after, "kept": later.events.len() });
        reader
            .send(format!("event: gap\ndata: {body}\n\n").into())
            .await?;
    }
    let mut place = place.filter(|_| !later.gap);
    for event in &later.events {
        let id = id(&later, event);
        reader.send(transition(front, id, event)).await?;
        place = Some(id);
    }
    Ok(place)
}

fn transition(front: &Front, id: Version, event: &Event) -> Bytes {
    let view = front.view.load();
    let definition = view.get(&event.target).map(|row| row.definition());
    let definition = definition.as_deref();
    let change = &event.transition;
    let body = json!({
        "target": &*event.target,
        "number": change.number,
        "at": rfc3339(change.at),
        "from": change.from.name(),
        "to": change.to.name(),
        "reason": code(change.reason),
        "error": failure(change.reason, event.detail.as_deref()),
        "group": definition.and_then(|d| d.group.as_deref()),
        "labels": definition.map_or(Labels(&[]), |d| Labels(&d.labels)),
    });
    format!("id: {id}\nevent: transition\ndata: {body}\n\n").into()
}
