//! How a target is asked: from a definition to an outcome, over real sockets.
//!
//! [`prepare`] compiles a definition once; [`Workers`] run prepared probes on one thread per core,
//! one short task per check; [`probe_once`] runs a single one. One fresh connection costs what
//! the kernel's TCP costs: prebuilt request bytes, one write, one read, no HTTP library.
//! Start reading at `Run::finish`, then `http.rs`.
//! Does not know schedules, statuses or what an outcome leads to.

mod certificate;
mod connect;
mod expect;
mod guard;
mod http;
mod idle;
mod prepare;
mod redirect;
mod request;
mod resolve;
mod response;
mod tcp;
#[cfg(test)]
mod tests;
mod tickets;
mod tls;
mod trace;
mod worker;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Slot;
use health::{Outcome, Phase};

pub use guard::{Guard, Trust};
pub use prepare::{PrepareError, Prepared, prepare, reads_outside};
pub use worker::{Finished, Job, Workers};

use expect::Patterns;
use prepare::Ask;
use trace::{Fault, Trace};

/// What all probes of a process share: name cache, trusted roots, TLS sessions, patterns.
#[derive(Default)]
pub struct Shared {
    resolvers: resolve::Resolvers,
    tls: tls::Setups,
    patterns: Mutex<Patterns>,
}

impl Shared {
    /// Nothing is read or allocated until the first probe needs it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Runs one probe now, on the calling task; for `roundsman check`.
///
/// Keeps no connection. The future is not `Send`: drive it with `block_on`, or on a `LocalSet`.
pub async fn probe_once(prepared: &Prepared, shared: &Shared, timeout: Duration) -> Outcome {
    let trace = Trace::start();
    let run = Run {
        prepared,
        shared,
        trace: &trace,
        idle: None,
    };
    match tokio::time::timeout(timeout, run.finish()).await {
        Ok(found) => trace.outcome(found),
        Err(_) => trace.outcome(Err(trace.timed_out(timeout))),
    }
}

/// One check under way: what it asks, and where it writes down how far it got.
struct Run<'a> {
    prepared: &'a Prepared,
    shared: &'a Shared,
    trace: &'a Trace,
    /// Where kept connections live, and under which slot and identity this one is kept.
    idle: Option<(&'a idle::Idle, Slot, &'a Arc<Prepared>)>,
}

impl Run<'_> {
    /// Asks the target; returns when it is known whether it passed. Has no timeout of its own.
    async fn finish(&self) -> Result<(), Fault> {
        match &self.prepared.ask {
            Ask::Http(ask) => http::ask(self, ask).await,
            Ask::Tcp(ask) => Box::pin(tcp::ask(self, ask)).await,
        }
    }

    fn enter(&self, phase: Phase) {
        self.trace.enter(phase);
    }
}
