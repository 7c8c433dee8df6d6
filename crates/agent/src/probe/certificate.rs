//! What is wrong with a certificate, in words that name the certificate's own facts.
//!
//! rustls' verifier decides; this wraps it to see the chain that was presented also when the
//! handshake fails, and to tell a missing intermediate from an unknown authority.
//! Start reading at [`Verifier`].
//! Does not know sockets or targets.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base::Wall;
use health::Reason;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, OtherError, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// A certificate's fault, carried out of the handshake inside rustls' error.
#[derive(Clone, Debug)]
pub(super) struct CertificateFault {
    pub(super) reason: Reason,
    pub(super) detail: String,
    pub(super) expiry: Option<Wall>,
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for CertificateFault {}

/// Verifies as rustls does and classifies what it refuses; without `inner` takes everything.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) inner: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates of `ca_file`: a server that presents one of them itself is trusted.
    pub(super) pinned: Vec<CertificateDer<'static>>,
    pub(super) schemes: Vec<SignatureScheme>,
}

impl Verifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let Some(inner) = &self.inner else {
            return Ok(());
        };
        if self
            .pinned
            .iter()
            .any(|pinned| pinned.as_ref() == leaf.as_ref())
        {
            return verify_pinned(leaf, name, now);
        }
        match inner.verify_server_cert(leaf, rest, name, &[], now) {
            Ok(_) => Ok(()),
            Err(TlsError::InvalidCertificate(error)) => Err(error),
            Err(_) => Err(CertificateError::BadEncoding),
        }
    }
}

/// A self-made certificate marked as authority fails the path rules, though it is the very one
/// that the config trusts; its time and names still count.
fn verify_pinned(
    leaf: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet);
    }
    if now > parsed.validity.not_after.timestamp() {
        return Err(CertificateError::Expired);
    }
    let parsed = ParsedCertificate::try_from(leaf).map_err(|_| CertificateError::BadEncoding)?;
    rustls::client::verify_server_name(&parsed, name).map_err(|error| match error {
        TlsError::InvalidCertificate(error) => error,
        _ => CertificateError::NotValidForName,
    })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.verify(leaf, rest, name, now).map_err(|error| {
            let fault = explain(&error, leaf, rest);
            let other = OtherError(Arc::new(fault));
            TlsError::InvalidCertificate(CertificateError::Other(other))
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.as_ref().map_or_else(
            || Ok(HandshakeSignatureValid::assertion()),
            |inner| inner.verify_tls12_signature(message, cert, signed),
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.as_ref().map_or_else(
            || Ok(HandshakeSignatureValid::assertion()),
            |inner| inner.verify_tls13_signature(message, cert, signed),
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// When the first certificate of a chain ends; `None` if none can be read.
pub(super) fn chain_expiry<'a>(
    chain: impl IntoIterator<Item = &'a CertificateDer<'a>>,
) -> Option<Wall> {
    let parsed = chain
        .into_iter()
        .filter_map(|der| X509Certificate::from_der(der).ok());
    let ends = parsed.map(|(_, cert)| cert.validity.not_after.timestamp());
    ends.min()
        .map(|seconds| Wall(seconds.saturating_mul(1_000)))
}

fn explain(
    error: &CertificateError,
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
) -> CertificateFault {
    let chain: Vec<X509Certificate<'_>> = std::iter::once(leaf)
        .chain(rest)
        .filter_map(|der| X509Certificate::from_der(der).ok().map(|(_, cert)| cert))
        .collect();
    let Some(first) = chain.first() else {
        return CertificateFault {
            reason: Reason::CertInvalid,
            detail: "the certificate can't be read".to_owned(),
            expiry: None,
        };
    };
    let (reason, detail) = classify(error, first, &chain);
    let ends = chain.iter().map(|cert| cert.validity.not_after.timestamp());
    CertificateFault {
        reason,
        detail,
        expiry: ends
            .min()
            .map(|seconds| Wall(seconds.saturating_mul(1_000))),
    }
}

fn classify(
    error: &CertificateError,
    leaf: &X509Certificate<'_>,
    chain: &[X509Certificate<'_>],
) -> (Reason, String) {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let ended = chain
                .iter()
                .min_by_key(|c| c.validity.not_after.timestamp());
            let cert = ended.unwrap_or(leaf);
            let at = date(cert.validity.not_after.timestamp());
            (
                Reason::CertExpired,
                format!("{} ended {at}", cert.subject()),
            )
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let begins = chain
                .iter()
                .max_by_key(|c| c.validity.not_before.timestamp());
            let cert = begins.unwrap_or(leaf);
            let at = date(cert.validity.not_before.timestamp());
            (
                Reason::CertNotYetValid,
                format!("{} begins {at}", cert.subject()),
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (Reason::CertWrongHost, format!("for {}", names(leaf)))
        }
        CertificateError::UnknownIssuer => unknown_issuer(leaf, chain),
        // An authority that was made anew under its old name: the one trusted has another key.
        CertificateError::BadSignature => {
            let last = chain.last().unwrap_or(leaf);
            let detail = format!("not signed by the {} that is trusted", last.issuer());
            (Reason::CertUntrusted, detail)
        }
        _ if leaf.subject() == leaf.issuer() => unknown_issuer(leaf, chain),
        other => (Reason::CertInvalid, other.to_string()),
    }
}

/// A leaf alone lacks its intermediate; a longer chain simply ends at somebody unknown.
fn unknown_issuer(leaf: &X509Certificate<'_>, chain: &[X509Certificate<'_>]) -> (Reason, String) {
    if leaf.subject() == leaf.issuer() {
        return (
            Reason::CertUntrusted,
            format!("{} signed itself", leaf.subject()),
        );
    }
    let mut last = leaf;
    for _ in 0..chain.len() {
        let next = chain.iter().find(|c| c.subject() == last.issuer());
        match next {
            Some(cert) if last.subject() != last.issuer() => last = cert,
            _ => break,
        }
    }
    if last.subject() == leaf.subject() {
        let detail = format!(
            "signed by {}, which the server does not send",
            leaf.issuer()
        );
        (Reason::CertIncompleteChain, detail)
    } else {
        (
            Reason::CertUntrusted,
            format!("the chain ends at {}", last.issuer()),
        )
    }
}

/// The names that a certificate is for, at most five of them.
fn names(cert: &X509Certificate<'_>) -> String {
    let listed = cert.subject_alternative_name().ok().flatten();
    let general = listed.map(|ext| ext.value.general_names.as_slice());
    let mut names: Vec<String> = general
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => Some(ip_text(bytes)),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return format!("no name at all ({})", cert.subject());
    }
    let more = names.len().saturating_sub(5);
    names.truncate(5);
    let listed = names.join(", ");
    if more == 0 {
        listed
    } else {
        format!("{listed} and {more} more")
    }
}

fn ip_text(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return std::net::Ipv4Addr::from(v4).to_string();
    }
    <[u8; 16]>::try_from(bytes).map_or_else(
        |_| "an unreadable address".to_owned(),
        |v6| std::net::Ipv6Addr::from(v6).to_string(),
    )
}

/// A Unix time for people: "2026-11-21T00:00:00Z".
pub(super) fn date(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    // Four-digit years are all that RFC 3339 has.
    let seconds = seconds.min(253_402_300_799);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(at).to_string()
}
