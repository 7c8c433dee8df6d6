//! From a definition to a [`Prepared`] probe: text expanded, secrets read, patterns compiled.
//!
//! Done once per definition, so that a check does nothing of it. A hundred thousand prepared
//! targets are normal: the plain ones take about 300 bytes each, and what is rare is boxed.
//! Start reading at [`prepare`].
//! Does not know sockets.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use health::{Auth, Close, Definition, Family, Http, Probe, SecretSource, Step, Tcp, Tls};
use regex::bytes::Regex;
use rustls::pki_types::ServerName;
use thiserror::Error;
use url::Url;

use crate::{config, secret};

use super::connect::{Endpoint, Host};
use super::expect::Conditions;
use super::request::Request;
use super::tls::Secure;
use super::{Guard, Shared, Trust};

/// One target's probe, ready to run: address, request bytes, patterns, TLS settings.
pub struct Prepared {
    pub(super) endpoint: Endpoint,
    pub(super) family: Family,
    pub(super) close: Close,
    /// Whether the first connection is secured; a redirect may need `secure` also without.
    pub(super) starts_secure: bool,
    pub(super) secure: Option<Box<Secure>>,
    pub(super) guard: Option<Arc<Guard>>,
    pub(super) ask: Ask,
}

impl fmt::Debug for Prepared {
    /// Request bytes hold secrets: only the address is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// What is asked once connected.
pub(super) enum Ask {
    Http(AskHttp),
    Tcp(Box<[Line]>),
}

/// A request and what is expected of its answer.
pub(super) struct AskHttp {
    pub(super) request: Box<[u8]>,
    pub(super) status: Box<[(u16, u16)]>,
    pub(super) conditions: Option<Box<Conditions>>,
    pub(super) max_body: u32,
    pub(super) redirects: u8,
    pub(super) keep_alive: bool,
    pub(super) bodiless: bool,
}

/// One step of a TCP dialogue.
pub(super) enum Line {
    Send(Box<[u8]>),
    Expect(Regex),
}

/// Why a definition can't be probed on this node; one sentence per fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}", .0.join("; "))]
pub struct PrepareError(pub Vec<String>);

/// Compiles `definition` for probing on this node. Changes nothing but caches in `shared`.
pub fn prepare(
    definition: &Definition,
    trust: Trust,
    shared: &Shared,
) -> Result<Prepared, PrepareError> {
    let mut work = Work {
        is_trusted: matches!(trust, Trust::File),
        shared,
        faults: Vec::new(),
    };
    let guard = match trust {
        Trust::File => None,
        Trust::Api(guard) => Some(guard),
    };
    let prepared = match &definition.probe {
        Probe::Http(http) => work.http(http, guard),
        Probe::Tcp(tcp) => work.tcp(tcp, guard),
    };
    match prepared {
        Some(prepared) if work.faults.is_empty() => Ok(prepared),
        _ => Err(PrepareError(work.faults)),
    }
}

const UNTRUSTED: &str = "a target made through the API can't read this node's environment or \
                         files; define it in the config file";

/// A compilation under way; goes on after a fault to find them all.
struct Work<'a> {
    /// Whoever wrote the definition may read this node's environment and files. Who may only
    /// write through the API may not: the probe could carry what it reads anywhere.
    is_trusted: bool,
    shared: &'a Shared,
    faults: Vec<String>,
}

impl Work<'_> {
    fn http(&mut self, http: &Http, guard: Option<Arc<Guard>>) -> Option<Prepared> {
        let url = self.url(&http.url);
        let request = self.request(http, url.as_ref());
        let conditions = self.conditions(http);
        let url = url?;
        let endpoint = endpoint_of(&url)?;
        let starts_secure = url.scheme() == "https";
        let is_custom = http.tls != Tls::default() || http.expect.cert_valid_for.is_some();
        let secure = if starts_secure || is_custom {
            Some(self.secure(&http.tls, &endpoint.host, http.expect.cert_valid_for)?)
        } else {
            None
        };
        Some(Prepared {
            endpoint,
            family: http.family,
            close: http.close,
            starts_secure,
            secure: secure.map(Box::new),
            guard,
            ask: Ask::Http(AskHttp {
                request: request?,
                status: http.expect.status.clone(),
                conditions,
                max_body: http.max_body,
                redirects: http.redirects,
                keep_alive: http.keep_alive,
                bodiless: &*http.method == "HEAD",
            }),
        })
    }

    fn tcp(&mut self, tcp: &Tcp, guard: Option<Arc<Guard>>) -> Option<Prepared> {
        let endpoint = self.expanded(&tcp.address).and_then(|text| {
            let endpoint = parse_address(&text);
            if endpoint.is_none() {
                self.fault(format!("address {:?} is not host:port", tcp.address));
            }
            endpoint
        });
        let lines: Vec<_> = tcp
            .dialogue
            .iter()
            .filter_map(|step| self.line(step))
            .collect();
        let endpoint = endpoint?;
        let secure = match &tcp.tls {
            Some(tls) => Some(self.secure(tls, &endpoint.host, tcp.cert_valid_for)?),
            None => None,
        };
        Some(Prepared {
            endpoint,
            family: tcp.family,
            close: tcp.close,
            starts_secure: secure.is_some(),
            secure: secure.map(Box::new),
            guard,
            ask: Ask::Tcp(lines.into()),
        })
    }

    fn line(&mut self, step: &Step) -> Option<Line> {
        match step {
            Step::Send(text) => {
                let text = self.expanded(text)?;
                Some(Line::Send(text.into_bytes().into()))
            }
            Step::Expect(pattern) => {
                let mut patterns = patterns(self.shared);
                let compiled = patterns.line(pattern);
                drop(patterns);
                compiled
                    .map_err(|fault| self.fault(fault))
                    .ok()
                    .map(Line::Expect)
            }
        }
    }

    fn conditions(&mut self, http: &Http) -> Option<Box<Conditions>> {
        let mut patterns = patterns(self.shared);
        let compiled = Conditions::compile(&http.expect, &mut patterns);
        drop(patterns);
        match compiled {
            Ok(conditions) => conditions.map(Box::new),
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }

    fn url(&mut self, text: &str) -> Option<Url> {
        let expanded = self.expanded(text)?;
        // The text as written, not as expanded: that may hold a secret.
        match Url::parse(&expanded) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                self.fault(format!("url {text:?} is neither http:// nor https://"));
                None
            }
            Ok(url) if url.host().is_none() || url.port() == Some(0) => {
                self.fault(format!("url {text:?} has no host and port to ask"));
                None
            }
            Ok(url) => Some(url),
            Err(error) => {
                self.fault(format!("url {text:?}: {error}"));
                None
            }
        }
    }

    fn request(&mut self, http: &Http, url: Option<&Url>) -> Option<Box<[u8]>> {
        if !is_token(&http.method) {
            self.fault(format!("method {:?} is not a word", http.method));
        }
        let mut headers = self.headers(http);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            let auth = self.auth(http.auth.as_ref(), url);
            headers.extend(auth.map(|value| ("Authorization".to_owned(), value)));
        }
        let body = http.body.as_ref().and_then(|body| self.expanded(body));
        let request = Request::new(
            &http.method,
            url?,
            headers,
            body.as_deref(),
            http.keep_alive,
        );
        Some(request.bytes())
    }

    fn headers(&mut self, http: &Http) -> Vec<(String, String)> {
        let mut headers = Vec::with_capacity(http.headers.len());
        for (name, value) in &http.headers {
            if !is_token(name) {
                self.fault(format!("header name {name:?} is not a word"));
            }
            let Some(value) = self.expanded(value) else {
                continue;
            };
            if value.chars().any(|c| c.is_control() && c != '\t') {
                self.fault(format!(
                    "header {name:?} has a control character in its value"
                ));
            }
            headers.push((name.as_ref().to_owned(), value));
        }
        headers
    }

    fn auth(&mut self, auth: Option<&Auth>, url: Option<&Url>) -> Option<String> {
        let value = match auth {
            Some(Auth::Basic(user, source)) => {
                let user = self.expanded(user)?;
                let password = self.secret(source)?;
                basic(&user, &password)
            }
            Some(Auth::Bearer(source)) => format!("Bearer {}", self.secret(source)?),
            None => {
                let url = url.filter(|url| !url.username().is_empty())?;
                let plain = |text: &str| {
                    percent_encoding::percent_decode_str(text)
                        .decode_utf8_lossy()
                        .into_owned()
                };
                basic(&plain(url.username()), &plain(url.password().unwrap_or("")))
            }
        };
        if value.chars().any(char::is_control) {
            self.fault("the secret holds a line break or another control character".to_owned());
            return None;
        }
        Some(value)
    }

    fn secure(&mut self, tls: &Tls, host: &Host, valid_for: Option<Duration>) -> Option<Secure> {
        let ca = match &tls.ca_file {
            Some(path) => Some(self.ca(path)?),
            None => None,
        };
        let name = match &tls.server_name {
            Some(name) => {
                let name = self.expanded(name)?;
                ServerName::try_from(name).ok()
            }
            None => name_of(host),
        };
        if name.is_none() {
            self.fault("the server name is not a name that a certificate could have".to_owned());
        }
        let setup = self.shared.tls.of(ca, tls.verify);
        let setup = setup.map_err(|error| {
            let place = tls
                .ca_file
                .as_deref()
                .unwrap_or("the machine's certificates");
            self.fault(format!("{place}: {error}"));
        });
        Some(Secure {
            setup: setup.ok()?,
            name: name?,
            valid_for,
        })
    }

    fn ca(&mut self, path: &str) -> Option<Vec<u8>> {
        if !self.is_trusted {
            self.fault(format!("ca_file: {UNTRUSTED}"));
            return None;
        }
        let path = self.expanded(path)?;
        let read = std::fs::read(&path);
        read.map_err(|error| self.fault(format!("ca_file {path}: {error}")))
            .ok()
    }

    fn expanded(&mut self, text: &str) -> Option<String> {
        let expanded = if self.is_trusted {
            expand(text)
        } else {
            config::expand(text, &|_| None).map_err(|error| format!("{error}; {UNTRUSTED}"))
        };
        expanded.map_err(|fault| self.fault(fault)).ok()
    }

    fn secret(&mut self, source: &SecretSource) -> Option<String> {
        match source {
            SecretSource::Text(text) => self.expanded(text),
            SecretSource::File(_) if !self.is_trusted => {
                self.fault(format!("secret in a file: {UNTRUSTED}"));
                None
            }
            SecretSource::File(_) => secret(source).map_err(|fault| self.fault(fault)).ok(),
        }
    }

    fn fault(&mut self, sentence: String) {
        self.faults.push(sentence);
    }
}

fn patterns(shared: &Shared) -> std::sync::MutexGuard<'_, super::Patterns> {
    shared
        .patterns
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    )
}

/// What RFC 9110 lets be a method or a header's name.
fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Where a URL leads; `None` if it has no host or port.
pub(super) fn endpoint_of(url: &Url) -> Option<Endpoint> {
    let host = match url.host()? {
        url::Host::Ipv4(ip) => Host::Ip(ip.into()),
        url::Host::Ipv6(ip) => Host::Ip(ip.into()),
        url::Host::Domain(name) => Host::Name(name.into()),
    };
    let port = url.port_or_known_default().filter(|&port| port != 0)?;
    Some(Endpoint { host, port })
}

/// The name that a certificate must be for when `host` is connected to.
pub(super) fn name_of(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Ip(ip) => Some(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(name.to_owned()).ok()
        }
    }
}

fn parse_address(text: &str) -> Option<Endpoint> {
    let text = text.strip_prefix("tcp://").unwrap_or(text);
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bare.unwrap_or(host).parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) if bare.is_none() => return None,
        Ok(ip) => Host::Ip(ip),
        Err(_) if bare.is_some() => return None,
        Err(_) => match url::Host::parse(host).ok()? {
            url::Host::Domain(name) => Host::Name(name.into()),
            url::Host::Ipv4(ip) => Host::Ip(ip.into()),
            url::Host::Ipv6(ip) => Host::Ip(ip.into()),
        },
    };
    Some(Endpoint { host, port })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn expand(text: &str) -> Result<String, String> {
    config::expand(text, &variable).map_err(|error| error.to_string())
}

fn secret(source: &SecretSource) -> Result<String, String> {
    let secret = secret::resolve(source, &variable).map_err(|error| error.to_string())?;
    Ok(secret.expose().to_owned())
}

/// Whether a probe depends on more than its definition: files or environment variables, which
/// a reload reads anew.
#[must_use]
pub fn reads_outside(definition: &Definition) -> bool {
    let tls_file = |tls: &Tls| tls.ca_file.is_some();
    match &definition.probe {
        Probe::Http(http) => {
            let texts = http.headers.iter().map(|(_, value)| value);
            let mut texts = texts.chain(&http.body).chain([&http.url]);
            http.auth.is_some() || tls_file(&http.tls) || texts.any(|text| text.contains("${"))
        }
        Probe::Tcp(tcp) => {
            let says_variable =
                |step: &Step| matches!(step, Step::Send(text) if text.contains("${"));
            tcp.tls.as_ref().is_some_and(tls_file)
                || tcp.address.contains("${")
                || tcp.dialogue.iter().any(says_variable)
        }
    }
}
