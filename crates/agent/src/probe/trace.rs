//! How far a check got, readable from outside while it waits, so that a timeout names its phase.
//!
//! Start reading at [`Trace::outcome`].
//! Does not know what is asked.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Wall;
use health::{Doubt, Finding, Outcome, Phase, Phases, Reason};
use rustix::io::Errno;

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) finding: Finding,
    pub(super) detail: Option<Arc<str>>,
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: impl Into<Arc<str>>) -> Self {
        Self {
            finding: Finding::Failed(reason),
            detail: Some(detail.into()),
        }
    }

    /// What an error of the operating system says about the target, or about this machine.
    pub(super) fn io(error: &io::Error, phase: Phase, address: Option<SocketAddr>) -> Self {
        let finding = Errno::from_io_error(error).map_or_else(
            || match error.kind() {
                io::ErrorKind::UnexpectedEof => Finding::Failed(Reason::ClosedEarly),
                _ => Finding::Failed(Reason::Reset),
            },
            |errno| classify(errno, phase),
        );
        // "refused: connection refused" would say it twice.
        let says_all = matches!(finding, Finding::Failed(Reason::Refused | Reason::Reset));
        let words = if says_all {
            None
        } else {
            Some(describe(error))
        };
        let parts = [address.map(|a| a.to_string()), words];
        let detail: Vec<String> = parts.into_iter().flatten().collect();
        Self {
            finding,
            detail: (!detail.is_empty()).then(|| detail.join(": ").into()),
        }
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        match self.finding {
            Finding::Failed(reason) => Some(reason),
            Finding::Passed | Finding::Inconclusive(_) => None,
        }
    }
}

fn classify(errno: Errno, phase: Phase) -> Finding {
    match errno {
        Errno::CONNREFUSED => Finding::Failed(Reason::Refused),
        Errno::HOSTUNREACH
        | Errno::NETUNREACH
        | Errno::NETDOWN
        | Errno::HOSTDOWN
        | Errno::AFNOSUPPORT
        | Errno::INVAL
        | Errno::ACCESS
        | Errno::PERM => Finding::Failed(Reason::Unreachable),
        Errno::TIMEDOUT => Finding::Failed(Reason::Timeout(phase)),
        Errno::MFILE | Errno::NFILE => Finding::Inconclusive(Doubt::Descriptors),
        Errno::ADDRNOTAVAIL | Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM => {
            Finding::Inconclusive(Doubt::Ports)
        }
        _ => Finding::Failed(Reason::Reset),
    }
}

/// An error's words without "(os error 111)".
fn describe(error: &io::Error) -> String {
    let mut words = error.to_string();
    if let Some(at) = words.find(" (os error") {
        words.truncate(at);
    }
    words.to_lowercase()
}

/// What is known of a kept connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    address: Option<SocketAddr>,
    own: bool,
    /// When the chain ends that was presented when it was opened.
    pub(super) expiry: Option<Wall>,
}

/// One check's progress. Cells, because the check and its timeout both look at it.
pub(super) struct Trace {
    phase: Cell<Option<Phase>>,
    since: Cell<Instant>,
    phases: Cell<Phases>,
    address: Cell<Option<SocketAddr>>,
    status: Cell<Option<u16>>,
    expiry: Cell<Option<Wall>>,
    /// The connection leads to this very machine.
    own: Cell<bool>,
}

impl Trace {
    pub(super) fn start() -> Self {
        Self {
            phase: Cell::new(None),
            since: Cell::new(Instant::now()),
            phases: Cell::new(Phases::default()),
            address: Cell::new(None),
            status: Cell::new(None),
            expiry: Cell::new(None),
            own: Cell::new(false),
        }
    }

    /// Ends the phase under way and begins `phase`.
    pub(super) fn enter(&self, phase: Phase) {
        self.settle();
        self.phase.set(Some(phase));
    }

    /// Books the time since the last change to the phase under way.
    fn settle(&self) {
        let now = Instant::now();
        if let Some(phase) = self.phase.get() {
            let mut phases = self.phases.get();
            phases.add(phase, now.duration_since(self.since.get()));
            self.phases.set(phases);
        }
        self.since.set(now);
    }

    pub(super) fn connecting(&self, address: SocketAddr) {
        self.address.set(Some(address));
        self.own.set(false);
    }

    /// The connection has `local` at this end: equal addresses are one machine.
    pub(super) fn connected_from(&self, local: IpAddr) {
        let peer = self.address.get().map(|at| at.ip().to_canonical());
        self.own.set(peer == Some(local.to_canonical()));
    }

    /// Where the connection leads, for whoever keeps it.
    pub(super) fn way(&self) -> Kept {
        Kept {
            address: self.address.get(),
            own: self.own.get(),
            expiry: self.expiry.get(),
        }
    }

    /// A kept connection is used again.
    pub(super) fn reusing(&self, way: Kept) {
        self.address.set(way.address);
        self.own.set(way.own);
        self.certified(way.expiry);
    }

    pub(super) fn answered(&self, status: u16) {
        self.status.set(Some(status));
    }

    /// Notes when a presented chain ends; of several chains the earliest counts.
    pub(super) fn certified(&self, expiry: Option<Wall>) {
        let earliest = match (self.expiry.get(), expiry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.expiry.set(earliest);
    }

    pub(super) fn is_local(&self) -> bool {
        let address = self.address.get().map(|at| at.ip().to_canonical());
        self.own.get() || address.is_some_and(|ip| ip.is_loopback())
    }

    /// The fault of a check whose time is over.
    pub(super) fn timed_out(&self, timeout: Duration) -> Fault {
        let phase = self.phase.get().unwrap_or(Phase::Resolve);
        let detail = match (phase, self.address.get()) {
            (Phase::Resolve, _) => format!("no answer from the name server within {timeout:?}"),
            (Phase::Connect, Some(at)) => format!("no answer from {at} within {timeout:?}"),
            _ => format!("after {timeout:?}"),
        };
        Fault::new(Reason::Timeout(phase), detail)
    }

    /// What the check yielded.
    pub(super) fn outcome(&self, found: Result<(), Fault>) -> Outcome {
        self.settle();
        let (finding, detail) = match found {
            Ok(()) => (Finding::Passed, None),
            Err(fault) => (fault.finding, fault.detail),
        };
        Outcome {
            finding,
            phases: self.phases.get(),
            detail,
            address: self.address.get().map(|at| at.ip()),
            http_status: self.status.get(),
            cert_expiry: self.expiry.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_this_machine_are_inconclusive_and_those_of_the_way_are_not() {
        let finding = |errno: Errno| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            Fault::io(&error, Phase::Connect, None).finding
        };
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert_eq!(finding(errno), Finding::Inconclusive(Doubt::Descriptors));
        }
        for errno in [Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(finding(errno), Finding::Inconclusive(Doubt::Ports));
        }
        for errno in [
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::NETDOWN,
            Errno::PERM,
        ] {
            assert_eq!(finding(errno), Finding::Failed(Reason::Unreachable));
        }
        assert_eq!(
            finding(Errno::CONNREFUSED),
            Finding::Failed(Reason::Refused)
        );
        assert_eq!(finding(Errno::PIPE), Finding::Failed(Reason::Reset));
        let timeout = Finding::Failed(Reason::Timeout(Phase::Connect));
        assert_eq!(finding(Errno::TIMEDOUT), timeout);
    }

    #[test]
    fn a_target_on_any_address_of_this_machine_is_local() {
        let trace = Trace::start();
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        trace.connecting("192.0.2.7:80".parse().unwrap());
        assert!(!trace.is_local());
        trace.connected_from(from("192.0.2.8"));
        assert!(!trace.is_local());
        trace.connected_from(from("192.0.2.7"));
        assert!(trace.is_local());
        let kept = trace.way();
        // A redirect that leads elsewhere, and a later check over the same connection.
        trace.connecting("192.0.2.9:80".parse().unwrap());
        assert!(!trace.is_local());
        let next = Trace::start();
        next.reusing(kept);
        assert!(next.is_local());
    }

    #[test]
    fn an_error_is_described_once_and_without_its_number() {
        let detail = |errno: Errno| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            let at = "10.0.0.9:5432".parse().ok();
            Fault::io(&error, Phase::Connect, at)
                .detail
                .unwrap()
                .to_string()
        };
        assert_eq!(detail(Errno::CONNREFUSED), "10.0.0.9:5432");
        assert_eq!(
            detail(Errno::HOSTUNREACH),
            "10.0.0.9:5432: no route to host"
        );
    }
}
