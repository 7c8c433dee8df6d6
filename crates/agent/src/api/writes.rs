//! What changes the node: defining and removing targets, reading the config again.
//!
//! Every write shows the token. Nothing is answered before the driver says that it is on disk.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::{Duration, Version};
use health::{Answer, Row};
use serde_json::{Value, json};

use super::target::Target;
use super::targets::{Name, name_of};
use super::token;
use super::{Desk, Problem, Query, definition, encode_segment};
use crate::front::Front;

/// The longest body of a write.
const BODY_MAX: usize = 64 << 10;
/// The header with a deletion's version, whose answer has no body.
const VERSION: &str = "roundsman-version";
/// How long a client may take to send it.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// `PUT /v1/targets/{name}`.
pub(super) async fn put(
    State(desk): State<Arc<Desk>>,
    name: Name,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let front = &*desk.front;
    authorize(front, &headers)?;
    let name = name_of(name)?;
    query.allow(&[], &[])?;
    let body = read(body).await?;
    if let Err(wrong) = serde_json::from_str::<serde::de::IgnoredAny>(&body) {
        return Err(Problem::bad_request(format!(
            "the body is not JSON: {wrong}"
        )));
    }
    let definition = definition::parse(&name, &body).map_err(|faults| Problem::faults(&faults))?;
    let answer = front.put(definition).await?.map_err(Problem::refused)?;
    let (status, version) = match answer {
        Answer::Created(version) => (StatusCode::CREATED, version),
        Answer::Replaced(version) | Answer::Deleted(version) => (StatusCode::OK, version),
        Answer::NotFound => return Err(Problem::no_target(&name)),
        Answer::FromFile => return Err(from_file(&name)),
        Answer::Full => return Err(full()),
        Answer::Accepted | Answer::NoCluster => unreachable!("a put is not answered so"),
    };
    tracing::info!(target = name, %version, "defined through the API");
    let place = format!("/v1/targets/{}", encode_segment(&name));
    Ok((
        status,
        [(header::LOCATION, place)],
        Json(written(front, &name, version)),
    )
        .into_response())
}

fn written(front: &Front, name: &str, version: Version) -> Value {
    let view = front.view.load_full();
    let row = view.get(name).map(Row::open);
    let target = row
        .as_ref()
        .map(|row| Target::of(front, row, front.clock.now()));
    json!({ "version": token::token(front, version), "target": target })
}

/// `DELETE /v1/targets/{name}`.
pub(super) async fn delete(
    State(desk): State<Arc<Desk>>,
    name: Name,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    authorize(&desk.front, &headers)?;
    let name = name_of(name)?;
    query.allow(&[], &[])?;
    match desk.front.delete(&name).await? {
        Answer::Deleted(version) | Answer::Created(version) | Answer::Replaced(version) => {
            tracing::info!(target = name, %version, "removed through the API");
            let version = token::token(&desk.front, version);
            Ok((StatusCode::NO_CONTENT, [(VERSION, version)]).into_response())
        }
        Answer::NotFound => Err(Problem::no_target(&name)),
        Answer::FromFile => Err(from_file(&name)),
        Answer::Full => Err(full()),
        Answer::Accepted | Answer::NoCluster => unreachable!("a delete is not answered so"),
    }
}

/// `POST /v1/drain`.
pub(super) async fn drain(
    State(desk): State<Arc<Desk>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    authorize(&desk.front, &headers)?;
    query.allow(&[], &[])?;
    accepted("draining", desk.front.drain().await?, "")
}

/// `POST /v1/leave`.
pub(super) async fn leave(
    State(desk): State<Arc<Desk>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    authorize(&desk.front, &headers)?;
    query.allow(&[], &[])?;
    accepted("leaving", desk.front.leave().await?, "")
}

/// `POST /v1/members/{name}/forget`.
pub(super) async fn forget(
    State(desk): State<Arc<Desk>>,
    name: Name,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    authorize(&desk.front, &headers)?;
    let name = name_of(name)?;
    query.allow(&[], &[])?;
    accepted("forgotten", desk.front.forget(&name).await?, &name)
}

fn accepted(what: &str, answer: Answer, name: &str) -> Result<Response, Problem> {
    match answer {
        Answer::NoCluster => Err(Problem::new(
            StatusCode::CONFLICT,
            "this node is alone: there are no other members",
        )),
        Answer::NotFound => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("no dead member is named '{name}'; a live one leaves by itself"),
        )),
        Answer::Accepted
        | Answer::Created(_)
        | Answer::Replaced(_)
        | Answer::Deleted(_)
        | Answer::FromFile
        | Answer::Full => {
            tracing::info!(name, what, "asked for through the API");
            Ok((StatusCode::ACCEPTED, Json(json!({ "status": what }))).into_response())
        }
    }
}

/// `POST /-/reload`.
pub(super) async fn reload(
    State(desk): State<Arc<Desk>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    authorize(&desk.front, &headers)?;
    query.allow(&[], &[])?;
    let diff = desk.front.reload().await?;
    let diff = diff.map_err(|faults| Problem::faults_in_files(&faults))?;
    let names = |names: &[Arc<str>]| names.iter().map(|name| Value::from(&**name)).collect();
    let (added, changed): (Vec<Value>, Vec<Value>) = (names(&diff.added), names(&diff.changed));
    let removed: Vec<Value> = names(&diff.removed);
    let body = json!({
        "added": added,
        "changed": changed,
        "removed": removed,
        "unchanged": diff.unchanged,
    });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

fn from_file(name: &str) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        format!("'{name}' comes from the config file; take it out there and reload"),
    )
}

fn full() -> Problem {
    Problem::new(
        StatusCode::INSUFFICIENT_STORAGE,
        "the node holds as many targets as it may; remove some first",
    )
}

async fn read(body: Body) -> Result<String, Problem> {
    let too_slow = |_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body took longer than 10 s",
        )
    };
    let bytes = tokio::time::timeout(BODY_WAIT, to_bytes(body, BODY_MAX))
        .await
        .map_err(too_slow)?
        .map_err(|why| {
            // axum names the limit only in the chain of sources.
            let is_length = std::error::Error::source(&why)
                .is_some_and(|s| s.to_string().contains("length limit"));
            if is_length {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 64 KiB")
            } else {
                Problem::bad_request("the body ended early")
            }
        })?;
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::bad_request("the body is not JSON: it is not UTF-8"))
}

fn authorize(front: &Front, headers: &HeaderMap) -> Result<(), Problem> {
    let settings = front.settings.load();
    let Some(token) = settings.token.as_ref() else {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "writes are off because there is no token; set api.token_file in the config",
        ));
    };
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
        .map(|(_, shown)| shown);
    if shown.is_some_and(|shown| is_same(shown, token.expose().as_bytes())) {
        return Ok(());
    }
    let detail = if shown.is_some() {
        "this is not the node's token"
    } else {
        "writes need the header 'Authorization: Bearer TOKEN'"
    };
    Err(Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with("www-authenticate", "Bearer realm=\"roundsman\""))
}

/// Compares without telling by its duration how much of `shown` was right; only the length of
/// `shown`, which its sender knows, makes a difference.
fn is_same(shown: &[u8], token: &[u8]) -> bool {
    let mut difference = usize::from(token.is_empty()) | (shown.len() ^ token.len());
    for (at, byte) in shown.iter().enumerate() {
        let expected = token.get(at % token.len().max(1)).copied().unwrap_or(0);
        difference |= usize::from(std::hint::black_box(byte ^ expected));
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn only_the_whole_token_opens() {
        assert!(is_same(b"secret", b"secret"));
        for wrong in [&b""[..], b"secre", b"secrets", b"secretsecret", b"Secret"] {
            assert!(!is_same(wrong, b"secret"), "{wrong:?}");
        }
        assert!(!is_same(b"", b""));
    }
}
