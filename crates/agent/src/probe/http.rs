//! One HTTP/1.1 request over one connection, and what its answer means.
//!
//! Start reading at [`ask`].
//! Does not know how an answer is parsed (`response.rs`) or where redirects lead
//! (`redirect.rs`).

use std::time::Instant;

use health::{Phase, Reason};

use super::Run;
use super::connect::{Socket, connect, talk_fault};
use super::expect::check_status;
use super::idle::Reused;
use super::prepare::AskHttp;
use super::redirect;
use super::response::{Response, Wanted};
use super::tls;
use super::trace::Fault;

/// Asks, follows redirects if they are to be followed, and judges the last answer.
pub(super) async fn ask(run: &Run<'_>, ask: &AskHttp) -> Result<(), Fault> {
    let mut response = first(run, ask).await?;
    if ask.redirects > 0 && redirect::is_redirect(response.status()) {
        response = Box::pin(redirect::follow(run, ask, response)).await?;
    }
    run.trace.answered(response.status());
    check_status(&ask.status, response.status())?;
    match &ask.conditions {
        Some(conditions) => conditions.check(&response),
        None => Ok(()),
    }
}

/// The answer to the target's own request, over a kept connection if there is one.
async fn first(run: &Run<'_>, ask: &AskHttp) -> Result<Response, Fault> {
    if ask.keep_alive
        && let Some(kept) = run.idle.and_then(|(idle, slot, who)| idle.take(slot, who))
        && is_still_good(run, &kept)
    {
        run.trace.reusing(kept.way);
        let mut response = Response::new(ask.wanted());
        match exchange(run, ask, (kept.socket, kept.opened), &mut response).await {
            // The server closed just when we asked again, or what came was left over from before
            // we asked: only a fresh connection tells whether that is a fault.
            Err(fault) if response.status() == 0 && is_of_the_past(&response, &fault) => {}
            result => return result.map(|()| response),
        }
    }
    let secure = run.prepared.secure.as_deref();
    let secure = secure.filter(|_| run.prepared.starts_secure);
    let socket = connect(run, &run.prepared.endpoint, secure, false).await?;
    let mut response = Response::new(ask.wanted());
    exchange(run, ask, (socket, Instant::now()), &mut response).await?;
    Ok(response)
}

/// Whether the certificate that a kept connection was opened with would still pass.
fn is_still_good(run: &Run<'_>, kept: &Reused) -> bool {
    match run.prepared.secure.as_deref() {
        Some(secure) if run.prepared.starts_secure => tls::judge(secure, kept.way.expiry).is_ok(),
        _ => true,
    }
}

fn is_of_the_past(response: &Response, fault: &Fault) -> bool {
    match fault.reason() {
        Some(Reason::Reset | Reason::ClosedEarly) => response.is_untouched(),
        Some(Reason::NotHttp) => true,
        _ => false,
    }
}

/// Sends the request, reads the answer into `response`, and keeps or closes the connection,
/// which was opened at the given moment.
async fn exchange(
    run: &Run<'_>,
    ask: &AskHttp,
    (mut socket, opened): (Socket, Instant),
    response: &mut Response,
) -> Result<(), Fault> {
    converse(run, &mut socket, &ask.request, response).await?;
    match run.idle {
        Some((idle, slot, who)) if ask.keep_alive && response.is_reusable() => {
            let way = run.trace.way();
            let used = Reused {
                socket,
                opened,
                way,
            };
            idle.keep(slot, who, used);
        }
        _ => socket.close(run.prepared.close),
    }
    Ok(())
}

/// Sends `request` and reads the whole answer into `response`.
pub(super) async fn converse(
    run: &Run<'_>,
    socket: &mut Socket,
    request: &[u8],
    response: &mut Response,
) -> Result<(), Fault> {
    run.enter(Phase::Processing);
    let sent = socket.send(request).await;
    sent.map_err(|error| talk_fault(&error, Phase::Processing))?;
    let mut phase = Phase::Processing;
    loop {
        let received = socket.receive(|bytes| {
            if bytes.is_empty() {
                response.end().map(|()| true)
            } else {
                response.feed(bytes)
            }
        });
        let is_done = received.await.map_err(|error| talk_fault(&error, phase))?;
        if phase == Phase::Processing {
            phase = Phase::Transfer;
            run.enter(phase);
        }
        if response.status() != 0 {
            run.trace.answered(response.status());
        }
        if is_done? {
            return Ok(());
        }
    }
}

impl AskHttp {
    /// What must be kept of an answer.
    pub(super) fn wanted(&self) -> Wanted {
        let conditions = self.conditions.as_ref();
        Wanted {
            bodiless: self.bodiless,
            head: conditions.is_some_and(|c| c.want_head()),
            redirect: self.redirects > 0,
            body: conditions.is_some_and(|c| c.want_body()),
            max_body: self.max_body,
        }
    }
}
