//! What to check: one target's definition, a type here and bytes to the store.
//!
//! Text that may hold a secret (`${…}`, file names) stays unexpanded: it is expanded on the node
//! that probes, so that secrets never travel. Patterns and URLs are text too; `agent` compiles
//! them. The codec is in `definition/codec.rs`.
//! Does not know YAML, JSON or how a probe is made.

mod codec;

use std::sync::Arc;

use base::Duration;
use thiserror::Error;

pub use codec::{decode, encode};
pub(crate) use codec::{group_in, is_paused_in, kind_in, name_in, pace_in};

/// One target: a unique name, a probe, an interval and what its outcomes add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Unique; 1 to 200 characters, no control characters.
    pub name: Arc<str>,
    /// How the target is asked.
    pub probe: Probe,
    /// Time between two checks. Default 10 s; at least [`Definition::INTERVAL_MIN`].
    pub interval: Duration,
    /// Time for one probe. Default 2 s, or the interval if that is shorter; at most the interval.
    pub timeout: Duration,
    /// When outcomes become a status.
    pub rule: Rule,
    /// How many other nodes are asked before `down`. Default 2; a node alone decides alone.
    pub confirm: u8,
    /// Not checked at all, and shown as paused.
    pub paused: bool,
    /// For filters; sorted by key, no key twice, at most [`Definition::LABELS_MAX`].
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    /// The group on the page and in the summary.
    pub group: Option<Arc<str>>,
}

impl Definition {
    /// The shortest interval: 100 ms.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
    /// The longest interval: one day.
    pub const INTERVAL_MAX: Duration = Duration::from_hours(24);
    /// The longest name, in characters.
    pub const NAME_MAX: usize = 200;
    /// The most labels of one target.
    pub const LABELS_MAX: usize = 64;
    /// The most bytes of one definition as it is stored: 60 KiB, so that the cluster's store, which
    /// takes 64 KiB, refuses none.
    pub const BYTES_MAX: usize = 60 << 10;

    /// Checks what holds for every definition, wherever it comes from.
    pub fn check(&self) -> Result<(), DefinitionError> {
        check_name(&self.name)?;
        if self.interval < Self::INTERVAL_MIN || self.interval > Self::INTERVAL_MAX {
            return Err(DefinitionError::Interval(self.interval));
        }
        if self.timeout.is_zero() {
            return Err(DefinitionError::NoTimeout);
        }
        if self.timeout > self.interval {
            return Err(DefinitionError::TimeoutOverInterval {
                timeout: self.timeout,
                interval: self.interval,
            });
        }
        if self.labels.len() > Self::LABELS_MAX {
            return Err(DefinitionError::Labels(self.labels.len()));
        }
        let bytes = encode(self).len();
        if bytes > Self::BYTES_MAX {
            return Err(DefinitionError::Bytes(bytes));
        }
        self.rule.check()
    }
}

/// Checks a target's name: 1 to 200 characters, none of them a control character.
pub fn check_name(name: &str) -> Result<(), DefinitionError> {
    let characters = name.chars().count();
    if characters == 0 || characters > Definition::NAME_MAX {
        return Err(DefinitionError::NameLength(characters));
    }
    if name.chars().any(char::is_control) {
        return Err(DefinitionError::NameControl);
    }
    Ok(())
}

/// When outcomes become a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How many failures make a target down. Default 3.
    pub fall: u16,
    /// Among the last how many outcomes they must lie; equal to `fall` means "in a row".
    /// At most [`Rule::WINDOW_MAX`].
    pub of: u16,
    /// How many successes in a row bring it back. Default 2.
    pub rise: u16,
}

impl Rule {
    /// The longest window: as many outcomes as fit the bits of a word.
    pub const WINDOW_MAX: u16 = 64;

    fn check(self) -> Result<(), DefinitionError> {
        if self.fall == 0 || self.rise == 0 {
            return Err(DefinitionError::ZeroCount);
        }
        if self.of < self.fall || (self.of > self.fall && self.of > Self::WINDOW_MAX) {
            return Err(DefinitionError::Window {
                fall: self.fall,
                of: self.of,
            });
        }
        Ok(())
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            fall: 3,
            of: 3,
            rise: 2,
        }
    }
}

/// A definition that no node accepts. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DefinitionError {
    /// The name is empty or too long.
    #[error("a name has 1 to 200 characters, this one has {0}")]
    NameLength(usize),
    /// The name holds a control character.
    #[error("a name has no control characters")]
    NameControl,
    /// The interval is out of bounds.
    #[error("interval {0:?} is not between 100ms and 24h")]
    Interval(Duration),
    /// The timeout is zero.
    #[error("timeout must be longer than zero")]
    NoTimeout,
    /// The probe could still run when the next is due.
    #[error(
        "timeout {timeout:?} is longer than interval {interval:?}; shorten the timeout or lengthen the interval"
    )]
    TimeoutOverInterval {
        /// Time for one probe.
        timeout: Duration,
        /// Time between two.
        interval: Duration,
    },
    /// Too many labels.
    #[error("{0} labels, at most 64")]
    Labels(usize),
    /// The definition is too long for the cluster's store.
    #[error("the definition has {0} bytes, at most 61440; shorten its body, headers or labels")]
    Bytes(usize),
    /// Fall or rise is zero.
    #[error("fall and rise must be at least 1")]
    ZeroCount,
    /// The window can't hold the failures, or is too long.
    #[error("fall {fall} of {of}: the window must be at least {fall} and at most 64")]
    Window {
        /// Failures.
        fall: u16,
        /// Outcomes.
        of: u16,
    },
}

/// How a target is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// An HTTP/1.1 request.
    Http(Box<Http>),
    /// A TCP connection, with a dialogue if wanted.
    Tcp(Box<Tcp>),
}

impl Probe {
    /// The probe's kind as in config and API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
        }
    }

    /// Where the probe goes, unexpanded: a URL or `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        match self {
            Self::Http(http) => &http.url,
            Self::Tcp(tcp) => &tcp.address,
        }
    }
}

/// An HTTP/1.1 request and what is expected of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `http://` or `https://`, may hold `${…}`.
    pub url: Box<str>,
    /// Default GET.
    pub method: Box<str>,
    /// Sent besides Host, User-Agent, Accept and Connection; may replace them.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// Sent with the request.
    pub body: Option<Box<str>>,
    /// How many redirects are followed; 0 takes a redirect as the answer. Default 10.
    pub redirects: u8,
    /// What the answer must look like.
    pub expect: Expect,
    /// The longest body that is read, in bytes. Default 10 MiB.
    pub max_body: u32,
    /// Used for `https://`.
    pub tls: Tls,
    /// Sent as `Authorization`.
    pub auth: Option<Auth>,
    /// Keep the connection for the next check. Default false: connecting is part of the check.
    pub keep_alive: bool,
    /// Which addresses of a name are used.
    pub family: Family,
    /// How a fresh connection is closed.
    pub close: Close,
}

impl Http {
    /// The default of [`Http::max_body`]: 10 MiB.
    pub const MAX_BODY: u32 = 10 << 20;
    /// The default of [`Http::redirects`].
    pub const REDIRECTS: u8 = 10;

    /// A GET of `url` with every default.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self {
            url: url.into(),
            method: "GET".into(),
            headers: Box::default(),
            body: None,
            redirects: Self::REDIRECTS,
            expect: Expect::default(),
            max_body: Self::MAX_BODY,
            tls: Tls::default(),
            auth: None,
            keep_alive: false,
            family: Family::Any,
            close: Close::Reset,
        }
    }
}

/// How a connection is closed after the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Close {
    /// By a reset: leaves nothing in TIME_WAIT on either side and costs least.
    #[default]
    Reset,
    /// By the ordinary handshake.
    Fin,
}

/// What an HTTP answer must look like; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Ranges of the status, inclusive; empty means 200–299.
    pub status: Box<[(u16, u16)]>,
    /// Conditions on the body.
    pub body: Box<[BodyRule]>,
    /// Conditions on headers.
    pub headers: Box<[HeaderRule]>,
    /// The certificate must hold at least this much longer.
    pub cert_valid_for: Option<Duration>,
}

/// One condition on a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// The regex is found.
    Matches(Box<str>),
    /// The regex is not found.
    NotMatches(Box<str>),
    /// A JSONPath (RFC 9535) compared with a value.
    Json(JsonRule),
}

/// A JSONPath compared with a value: holds when some selected node compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonRule {
    /// RFC 9535.
    pub path: Box<str>,
    /// How the nodes are compared.
    pub compare: Compare,
    /// JSON text; unused by [`Compare::Exists`] and [`Compare::Absent`].
    pub value: Box<str>,
}

/// How a selected JSON node is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// At least one node is selected.
    Exists,
    /// No node is selected.
    Absent,
    /// Equal.
    Equals,
    /// Some node is selected, and it is not equal.
    NotEquals,
    /// A smaller number, or text that sorts before.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
    /// Text in which the regex is found.
    Matches,
}

/// One condition on a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// The header's name; case does not matter.
    pub name: Box<str>,
    /// What its value must do.
    pub condition: HeaderCondition,
}

/// What a header must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderCondition {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// The regex is found in a value.
    Matches(Box<str>),
    /// The regex is found in no value.
    NotMatches(Box<str>),
}

/// How a TLS peer is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Trust these certificates (PEM) instead of the machine's.
    pub ca_file: Option<Box<str>>,
    /// Ask for and verify this name instead of the one connected to.
    pub server_name: Option<Box<str>>,
    /// Default true. Without it every certificate is taken.
    pub verify: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            ca_file: None,
            server_name: None,
            verify: true,
        }
    }
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// HTTP basic authentication.
    Basic(Box<str>, SecretSource),
    /// A bearer token.
    Bearer(SecretSource),
}

/// Where a secret comes from; never the secret itself once it is behind `${…}` or in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Text that is expanded on the probing node.
    Text(Box<str>),
    /// The content of a file on the probing node, without its last line break.
    File(Box<str>),
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Whatever there is; IPv6 after IPv4.
    #[default]
    Any,
    /// IPv4 first.
    PreferV4,
    /// IPv6 first.
    PreferV6,
    /// IPv4 only.
    OnlyV4,
    /// IPv6 only.
    OnlyV6,
}

/// A TCP connection and, if wanted, what is said over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// `host:port`, may hold `${…}`.
    pub address: Box<str>,
    /// Speak TLS once connected.
    pub tls: Option<Tls>,
    /// The certificate must hold at least this much longer.
    pub cert_valid_for: Option<Duration>,
    /// What is sent and expected, in turn; empty means that connecting is enough.
    pub dialogue: Box<[Step]>,
    /// Which addresses of a name are used.
    pub family: Family,
    /// How the connection is closed.
    pub close: Close,
}

impl Tcp {
    /// A connection to `address` with every default.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        Self {
            address: address.into(),
            tls: None,
            cert_valid_for: None,
            dialogue: Box::default(),
            family: Family::Any,
            close: Close::Reset,
        }
    }
}

/// One step of a TCP dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this text as it is (write `\r\n` yourself); `${…}` is expanded.
    Send(Box<str>),
    /// Read until the regex is found in what came since the last step.
    Expect(Box<str>),
}
