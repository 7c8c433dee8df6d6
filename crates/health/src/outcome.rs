//! What one probe yielded, and the closed list of reasons.
//!
//! A reason has a stable code (for programs) and stable words (for people); what differs from
//! check to check (addresses, dates, what was expected) stands in the outcome's `detail`.
//! Does not know how a probe is made.

use std::net::IpAddr;
use std::sync::Arc;

use base::{Duration, Wall};

/// What one probe yielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Passed, failed or inconclusive.
    pub finding: Finding,
    /// How long each step took.
    pub phases: Phases,
    /// What differs from check to check: "expected 200-299". `None` when passed.
    pub detail: Option<Arc<str>>,
    /// The address that was asked, once there was one.
    pub address: Option<IpAddr>,
    /// The status of an HTTP answer.
    pub http_status: Option<u16>,
    /// When the first certificate of the presented chain ends.
    pub cert_expiry: Option<Wall>,
}

impl Outcome {
    /// An outcome with nothing but its finding.
    #[must_use]
    pub fn new(finding: Finding) -> Self {
        Self {
            finding,
            phases: Phases::default(),
            detail: None,
            address: None,
            http_status: None,
            cert_expiry: None,
        }
    }
}

/// The three ways in which a probe ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The target answered as expected.
    Passed,
    /// It did not.
    Failed(Reason),
    /// The checker could not tell: says more about the checker than about the target.
    Inconclusive(Doubt),
}

/// A step of a probe, in blackbox_exporter's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Name to address.
    Resolve,
    /// TCP handshake.
    Connect,
    /// TLS handshake.
    Tls,
    /// Request sent, first byte of the answer awaited.
    Processing,
    /// The rest of the answer.
    Transfer,
}

impl Phase {
    /// All phases, in the order in which a probe goes through them.
    pub const ALL: [Self; 5] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Processing,
        Self::Transfer,
    ];

    /// The phase's name in metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Processing => "processing",
            Self::Transfer => "transfer",
        }
    }
}

/// How long each phase took, in microseconds; 0 for a phase that did not happen.
///
/// Redirects add up. 32 bits hold 71 minutes; longer is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases(pub [u32; 5]);

impl Phases {
    /// Adds `span` to `phase`.
    pub fn add(&mut self, phase: Phase, span: Duration) {
        let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
        let at = &mut self.0[phase as usize];
        *at = at.saturating_add(micros);
    }

    /// Time spent in `phase`.
    #[must_use]
    pub const fn get(&self, phase: Phase) -> Duration {
        Duration::from_micros(self.0[phase as usize] as u64)
    }

    /// All phases together.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.0.iter().map(|&p| u64::from(p)).sum())
    }
}

/// Why a probe failed. The list only grows; codes are stored and never change their meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No reason: the target passed, or nothing was found out yet.
    #[default]
    None,
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// No route, or a router said that the host can't be reached.
    Unreachable,
    /// Nothing came in time, in this phase.
    Timeout(Phase),
    /// The name does not exist.
    NameNotFound,
    /// The name server did not answer, or answered with an error.
    NameServer,
    /// The connection was closed before the answer was complete.
    ClosedEarly,
    /// The answer is not HTTP.
    NotHttp,
    /// The status is not among the expected ones.
    Status(u16),
    /// The body does not match (or matches what it must not).
    BodyMismatch,
    /// The JSON in the body does not say what is expected.
    JsonMismatch,
    /// A header is missing or does not match.
    HeaderMismatch,
    /// The body, or the head, is longer than the limit.
    TooLarge,
    /// Redirected in a circle, or more often than allowed.
    RedirectLoop,
    /// A redirect leads nowhere that can be asked.
    BadRedirect,
    /// The certificate's time is over.
    CertExpired,
    /// The certificate's time has not come.
    CertNotYetValid,
    /// The certificate ends sooner than the target demands.
    CertExpiresSoon,
    /// The certificate is for other names.
    CertWrongHost,
    /// The certificate's chain ends at an authority that is not trusted.
    CertUntrusted,
    /// The server sent a certificate without the one that signed it.
    CertIncompleteChain,
    /// Any other fault of a certificate.
    CertInvalid,
    /// The peer does not speak TLS, or no version or cipher is shared.
    TlsHandshake,
    /// The address lies in a denied range.
    Denied,
    /// The TCP dialogue went otherwise than expected.
    Unexpected,
    /// The probe can't be made as it is defined: a secret, file or pattern can't be read here.
    Unable,
    /// The owner sees it fail, and too few others could say the same.
    Unconfirmed,
}

impl Reason {
    /// The reason's name for programs; `status_503` and `timeout_connect` carry their argument.
    #[must_use]
    pub fn code(self) -> String {
        match self {
            Self::Timeout(phase) => format!("timeout_{}", phase.name()),
            Self::Status(status) => format!("status_{status}"),
            Self::None
            | Self::Refused
            | Self::Reset
            | Self::Unreachable
            | Self::NameNotFound
            | Self::NameServer
            | Self::ClosedEarly
            | Self::NotHttp
            | Self::BodyMismatch
            | Self::JsonMismatch
            | Self::HeaderMismatch
            | Self::TooLarge
            | Self::RedirectLoop
            | Self::BadRedirect
            | Self::CertExpired
            | Self::CertNotYetValid
            | Self::CertExpiresSoon
            | Self::CertWrongHost
            | Self::CertUntrusted
            | Self::CertIncompleteChain
            | Self::CertInvalid
            | Self::TlsHandshake
            | Self::Denied
            | Self::Unexpected
            | Self::Unable
            | Self::Unconfirmed => self.words().replace(' ', "_"),
        }
    }

    /// The reason for people: "refused", "timeout in connect", "status 503".
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Timeout(phase) => format!("timeout in {}", phase.name()),
            Self::Status(status) => format!("status {status}"),
            other => other.plain().to_owned(),
        }
    }

    const fn plain(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::NameNotFound => "name not found",
            Self::NameServer => "name server failed",
            Self::ClosedEarly => "closed early",
            Self::NotHttp => "not http",
            Self::Status(_) => "status",
            Self::BodyMismatch => "body mismatch",
            Self::JsonMismatch => "json mismatch",
            Self::HeaderMismatch => "header mismatch",
            Self::TooLarge => "too large",
            Self::RedirectLoop => "redirect loop",
            Self::BadRedirect => "bad redirect",
            Self::CertExpired => "certificate expired",
            Self::CertNotYetValid => "certificate not yet valid",
            Self::CertExpiresSoon => "certificate expires soon",
            Self::CertWrongHost => "certificate for wrong host",
            Self::CertUntrusted => "certificate untrusted",
            Self::CertIncompleteChain => "certificate chain incomplete",
            Self::CertInvalid => "certificate invalid",
            Self::TlsHandshake => "tls handshake failed",
            Self::Denied => "address denied",
            Self::Unexpected => "unexpected answer",
            Self::Unable => "unable to probe",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// Whether this failure proves that nothing at all came back, as when the checker's own
    /// uplink is cut.
    #[must_use]
    pub const fn is_silent(self) -> bool {
        matches!(
            self,
            Self::Timeout(Phase::Resolve | Phase::Connect) | Self::Unreachable | Self::NameServer
        )
    }

    /// What a status or a packet stores: a number that keeps its meaning for ever.
    #[must_use]
    pub fn to_stored(self) -> u32 {
        let (kind, argument) = match self {
            Self::None => (0, 0),
            Self::Refused => (1, 0),
            Self::Reset => (2, 0),
            Self::Unreachable => (3, 0),
            Self::Timeout(phase) => (4, phase as u32),
            Self::NameNotFound => (5, 0),
            Self::NameServer => (6, 0),
            Self::ClosedEarly => (7, 0),
            Self::NotHttp => (8, 0),
            Self::Status(status) => (9, u32::from(status)),
            Self::BodyMismatch => (10, 0),
            Self::JsonMismatch => (11, 0),
            Self::HeaderMismatch => (12, 0),
            Self::TooLarge => (13, 0),
            Self::RedirectLoop => (14, 0),
            Self::BadRedirect => (15, 0),
            Self::CertExpired => (16, 0),
            Self::CertNotYetValid => (17, 0),
            Self::CertExpiresSoon => (18, 0),
            Self::CertWrongHost => (19, 0),
            Self::CertUntrusted => (20, 0),
            Self::CertIncompleteChain => (21, 0),
            Self::CertInvalid => (22, 0),
            Self::TlsHandshake => (23, 0),
            Self::Denied => (24, 0),
            Self::Unexpected => (25, 0),
            Self::Unable => (26, 0),
            Self::Unconfirmed => (27, 0),
        };
        kind | (argument << 8)
    }

    /// The reason that was stored; [`Reason::None`] for a code of a newer version.
    #[must_use]
    pub fn from_stored(stored: u32) -> Self {
        let argument = stored >> 8;
        match stored & 0xff {
            1 => Self::Refused,
            2 => Self::Reset,
            3 => Self::Unreachable,
            4 => Self::Timeout(
                *Phase::ALL
                    .get(argument as usize)
                    .unwrap_or(&Phase::Transfer),
            ),
            5 => Self::NameNotFound,
            6 => Self::NameServer,
            7 => Self::ClosedEarly,
            8 => Self::NotHttp,
            9 => Self::Status(u16::try_from(argument).unwrap_or(u16::MAX)),
            10 => Self::BodyMismatch,
            11 => Self::JsonMismatch,
            12 => Self::HeaderMismatch,
            13 => Self::TooLarge,
            14 => Self::RedirectLoop,
            15 => Self::BadRedirect,
            16 => Self::CertExpired,
            17 => Self::CertNotYetValid,
            18 => Self::CertExpiresSoon,
            19 => Self::CertWrongHost,
            20 => Self::CertUntrusted,
            21 => Self::CertIncompleteChain,
            22 => Self::CertInvalid,
            23 => Self::TlsHandshake,
            24 => Self::Denied,
            25 => Self::Unexpected,
            26 => Self::Unable,
            27 => Self::Unconfirmed,
            _ => Self::None,
        }
    }
}

/// Why an outcome says more about the checker than about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// The checker's own loop was late while the probe waited.
    Late,
    /// No file descriptor was left.
    Descriptors,
    /// No local port or socket memory was left.
    Ports,
    /// Nothing at all answers: the checker itself is probably cut off.
    NothingAnswers,
    /// This node lacks what the probe needs: a secret, a file, an environment variable.
    Unable,
}

impl Doubt {
    /// All doubts.
    pub const ALL: [Self; 5] = [
        Self::Late,
        Self::Descriptors,
        Self::Ports,
        Self::NothingAnswers,
        Self::Unable,
    ];

    /// The doubt for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Late => "checker late",
            Self::Descriptors => "no file descriptor left",
            Self::Ports => "no local port left",
            Self::NothingAnswers => "nothing at all answers",
            Self::Unable => "unable to probe",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_reason() -> Vec<Reason> {
        let mut all: Vec<Reason> = (0..=27).map(Reason::from_stored).collect();
        all.extend(Phase::ALL.map(Reason::Timeout));
        all.extend([Reason::Status(200), Reason::Status(503)]);
        all
    }

    #[test]
    fn every_reason_comes_back_from_its_stored_number() {
        for reason in every_reason() {
            assert_eq!(Reason::from_stored(reason.to_stored()), reason);
        }
        assert_eq!(Reason::from_stored(255), Reason::None);
    }

    #[test]
    fn codes_are_single_words_and_words_are_for_people() {
        assert_eq!(Reason::Timeout(Phase::Connect).code(), "timeout_connect");
        assert_eq!(
            Reason::Timeout(Phase::Connect).words(),
            "timeout in connect"
        );
        assert_eq!(Reason::Status(503).code(), "status_503");
        assert_eq!(Reason::CertWrongHost.words(), "certificate for wrong host");
        for reason in every_reason() {
            assert!(!reason.code().contains(' '), "{reason:?}");
        }
    }

    #[test]
    fn phases_add_up_and_never_overflow() {
        let mut phases = Phases::default();
        phases.add(Phase::Connect, Duration::from_millis(2));
        phases.add(Phase::Connect, Duration::from_millis(3));
        phases.add(Phase::Tls, Duration::from_secs(1_000_000));
        assert_eq!(phases.get(Phase::Connect), Duration::from_millis(5));
        assert!(phases.total() > Duration::from_secs(4_000));
    }
}
