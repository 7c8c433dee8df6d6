//! Whether expanded text is what a probe can use: URLs, addresses, patterns, files.
//!
//! The definition keeps unexpanded text, so this runs once when a config is read and the result
//! is dropped; the probe compiles for itself. Messages never hold expanded text, which may be a
//! secret. Does not know where the text stands.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::Regex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use serde_json_path::JsonPath;
use url::Url;

use super::expand::expand;
use super::export::HIDDEN;
use super::take::Env;
use crate::secret::read_bounded;

/// The longest file of certificates that is read, in bytes.
const CA_FILE_MAX: u64 = 16 << 20;

/// What text must be once it is expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Check {
    /// Anything.
    Any,
    /// `http://` or `https://` with a host.
    Url,
    /// `host:port`.
    Address,
    /// An HTTP method.
    Method,
    /// The value of a header.
    HeaderValue,
    /// A regex.
    Pattern,
    /// RFC 9535.
    JsonPath,
    /// JSON text.
    Json,
    /// A host name or an IP address.
    ServerName,
    /// A readable PEM file with at least one certificate.
    CaFile,
    /// A readable file with a secret in it.
    SecretFile,
    /// A secret that a header can carry.
    Token,
    /// The name of basic authentication.
    Username,
}

impl Check {
    /// Whether the result is worth remembering.
    pub(super) const fn is_costly(self) -> bool {
        matches!(
            self,
            Self::Pattern | Self::JsonPath | Self::CaFile | Self::SecretFile
        )
    }

    /// Whether it opens what the text names.
    pub(super) const fn reads_a_file(self) -> bool {
        matches!(self, Self::CaFile | Self::SecretFile)
    }

    fn run(self, text: &str) -> Result<(), String> {
        match self {
            Self::Any => Ok(()),
            Self::Url => url(text),
            Self::Address => address(text),
            Self::Method => method(text),
            Self::HeaderValue => header_value(text),
            Self::Pattern => pattern(text),
            Self::JsonPath => json_path(text),
            Self::Json => json(text),
            Self::ServerName => server_name(text),
            Self::CaFile => ca_file(text),
            Self::SecretFile => secret_file(text),
            Self::Token => token(text),
            Self::Username => username(text),
        }
    }
}

/// Whether `written` expands here, and to something that passes `check`.
pub(super) fn expands_to(written: &str, env: Env<'_>, check: Check) -> Result<(), String> {
    check.run(&expand(written, env).map_err(|error| error.to_string())?)
}

fn url(text: &str) -> Result<(), String> {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err("the URL must begin with http:// or https://".to_owned());
    }
    // The URL standard takes any number of slashes; a third is a forgotten host.
    let after = text.split_once("://").map_or("", |(_, after)| after);
    if after.starts_with('/') {
        return Err("the URL has no host after '://'".to_owned());
    }
    // The URL standard drops or rewrites these; here they are mistakes.
    if text.contains(|c: char| c.is_control() || c == ' ' || c == '\\') {
        return Err(
            "the URL has a space, a backslash or a control character; write it as %20, / or %..."
                .to_owned(),
        );
    }
    let url = Url::parse(text).map_err(|error| format!("the URL is not valid: {error}"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the URL has no host".to_owned());
    }
    if url.username() == HIDDEN || url.password() == Some(HIDDEN) {
        return Err("'***' is shown in place of a user and password and is not one".to_owned());
    }
    if url.port() == Some(0) {
        return Err("the URL's port is 0; write one from 1 to 65535".to_owned());
    }
    Ok(())
}

/// Whether expanded text is a `https://` URL.
pub(super) fn is_https(text: &str) -> bool {
    text.get(..8)
        .is_some_and(|head| head.eq_ignore_ascii_case("https://"))
}

/// Whether `text` is `host:port`; the message never holds it.
pub(crate) fn address(text: &str) -> Result<(), String> {
    let example = "write host:port, such as db.example:5432, 10.0.0.9:5432 or [::1]:5432";
    if text.contains("://") {
        return Err(format!("an address has no scheme; {example}"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("the address has no port; {example}"));
    };
    if !port.bytes().all(|b| b.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|p| p > 0) {
        return Err(format!("the port must be from 1 to 65535; {example}"));
    }
    if host.contains(':') && !host.starts_with('[') {
        return Err("an IPv6 address stands in brackets, such as [::1]:5432".to_owned());
    }
    if is_host(host) {
        Ok(())
    } else {
        Err(format!("the address has no valid host; {example}"))
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').unwrap_or("");
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    // What looks like an IPv4 address must be one: "10.0.0.256" is no name.
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    name.len() <= 253 && name.split('.').all(label)
}

fn method(text: &str) -> Result<(), String> {
    const KNOWN: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE",
    ];
    if !is_token(text) {
        return Err(
            "the method is not a word that HTTP allows; write GET, HEAD or POST".to_owned(),
        );
    }
    match KNOWN.iter().find(|known| known.eq_ignore_ascii_case(text)) {
        Some(known) if *known != text => Err(format!("methods are upper case; write {known}")),
        _ if text.eq_ignore_ascii_case("CONNECT") => {
            Err("CONNECT opens a tunnel and can't be a check; use 'tcp'".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether `text` is a token of RFC 9110: a method or the name of a header.
pub(super) fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

fn header_value(text: &str) -> Result<(), String> {
    if text.bytes().any(|b| (b < 32 && b != b'\t') || b == 127) {
        return Err("a header's value can't hold a line break or another control character".into());
    }
    if text.trim_matches([' ', '\t']) != text {
        return Err("a header's value can't begin or end with a space".into());
    }
    Ok(())
}

fn pattern(text: &str) -> Result<(), String> {
    let Err(error) = Regex::new(text) else {
        return Ok(());
    };
    // The first lines repeat the pattern, which may have come out of a variable.
    let error = error.to_string();
    let reason = error.lines().last().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    Err(format!("the regex is not valid: {reason}"))
}

fn json_path(text: &str) -> Result<(), String> {
    match JsonPath::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "the JSONPath is not valid at its character {}: {}; write one such as $.status or $.items[0].name",
            error.position(),
            error.message()
        )),
    }
}

fn json(text: &str) -> Result<(), String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("the value is no longer JSON once its variables are replaced".to_owned()),
    }
}

fn server_name(text: &str) -> Result<(), String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("the server name must be a host name or an IP address".to_owned()),
    }
}

fn ca_file(path: &str) -> Result<(), String> {
    let pem = read_bounded(path, CA_FILE_MAX).map_err(|error| error.to_string())?;
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|error| format!("file '{path}' is not PEM: {error}"))?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err(format!(
            "file '{path}' holds no PEM certificate (-----BEGIN CERTIFICATE-----)"
        ));
    }
    Ok(())
}

fn secret_file(path: &str) -> Result<(), String> {
    // The path is expanded already; a dollar in it must not be expanded again.
    let secret = crate::secret::read_file(path).map_err(|error| error.to_string())?;
    token(secret.expose()).map_err(|message| format!("file '{path}': {message}"))
}

fn token(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the secret is empty".to_owned());
    }
    if text == HIDDEN {
        return Err(
            "'***' is shown in place of a secret and is not one; write the secret or ${NAME}"
                .to_owned(),
        );
    }
    if text.bytes().any(|b| b < 32 || b == 127) {
        return Err(
            "the secret has a line break or control character that no header can carry".to_owned(),
        );
    }
    Ok(())
}

fn username(text: &str) -> Result<(), String> {
    if text.contains(':') {
        return Err("a username of basic authentication can't hold a ':'".to_owned());
    }
    token(text)
}
