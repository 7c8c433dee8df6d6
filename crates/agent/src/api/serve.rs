//! Connections of API and page: accepted, bounded, ended.
//!
//! hyper speaks HTTP/1.1; what is ours is the bound on how many are open, the limits on slow
//! clients and the end within a second once the node stops.

use std::sync::Arc;

use axum::Router;
use base::Duration;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::router_with;
use crate::front::Front;

mod patience;
use patience::Patience;

/// How long the head of a request may take, and how long a connection may wait for the next one.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long answers may go on once the node stops.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait after an accept that failed, as without descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\n\
    retry-after: 1\r\nconnection: close\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"too many connections are open; close some or try again\"}";

/// Serves API and page on `listener` until the front says that the node is stopping, then lets
/// answers under way end for at most a second. More than `max_connections` at a time are
/// answered with 503 and counted.
pub async fn serve(listener: TcpListener, front: Arc<Front>, max_connections: usize) {
    // Streams of events stay open for hours: they never take the room that a question needs.
    let router = router_with(Arc::clone(&front), (max_connections / 2).clamp(1, 4_096));
    let room = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&front) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => match Arc::clone(&room).try_acquire_owned() {
                Ok(permit) => {
                    connections.spawn(converse(stream, router.clone(), Arc::clone(&front), permit));
                }
                Err(_) => turn_away(&stream, &front),
            },
            Err(error) => {
                tracing::warn!(%error, "API connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        tracing::info!("API connections cut off after {GRACE:?}");
    }
}

/// Returns once the node is stopping.
async fn stopped(front: &Front) {
    // The sender lives in the front, so this ends only by the value.
    let mut stopping = front.stopping.subscribe();
    drop(stopping.wait_for(|&is| is).await);
}

fn turn_away(stream: &TcpStream, front: &Front) {
    front.meters.api_refused.add(1);
    // Said if it fits the socket's buffer; a client that can't even take that is just closed.
    let _unsaid = stream.try_write(TOO_MANY);
}

async fn converse(
    stream: TcpStream,
    router: Router,
    front: Arc<Front>,
    _permit: OwnedSemaphorePermit,
) {
    let _slower = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(
            TokioIo::new(Patience::new(stream)),
            TowerToHyperService::new(router),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&front) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "API connection ended");
    }
}
