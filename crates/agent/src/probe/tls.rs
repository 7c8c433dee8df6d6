//! TLS over a connected socket: settings shared between targets, and what a handshake says.
//!
//! One rustls configuration per distinct pair of roots and verification, however many targets use
//! it. Start reading at [`handshake`].
//! Does not know HTTP.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use base::Wall;
use health::{Phase, Reason};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Run;
use super::certificate::{CertificateFault, Verifier, chain_expiry, date};
use super::tickets::Tickets;
use super::trace::Fault;

/// One way to verify: a rustls configuration and the sessions made under it.
pub(super) struct Setup {
    config: ClientConfig,
    tickets: Arc<Tickets>,
    verify: bool,
}

/// What one target asks of TLS.
#[derive(Clone)]
pub(super) struct Secure {
    pub(super) setup: Arc<Setup>,
    pub(super) name: ServerName<'static>,
    pub(super) valid_for: Option<Duration>,
}

/// PEM text of own roots, if any, and whether to verify.
type Key = (Option<Vec<u8>>, bool);

/// The setups in use, and the machine's roots once somebody needed them.
#[derive(Default)]
pub(super) struct Setups {
    made: Mutex<HashMap<Key, Weak<Setup>>>,
    roots: OnceLock<Arc<RootCertStore>>,
}

impl Setups {
    /// The setup for these roots (PEM; the machine's without) and this verification.
    pub(super) fn of(&self, ca: Option<Vec<u8>>, verify: bool) -> Result<Arc<Setup>, String> {
        let key = (ca, verify);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(setup) = made.get(&key).and_then(Weak::upgrade) {
            return Ok(setup);
        }
        made.retain(|_, setup| setup.strong_count() > 0);
        let setup = Arc::new(self.make(key.0.as_deref(), verify)?);
        made.insert(key, Arc::downgrade(&setup));
        Ok(setup)
    }

    fn make(&self, ca: Option<&[u8]>, verify: bool) -> Result<Setup, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = self.verifier(ca, verify, &provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Setup {
            config,
            tickets: Arc::default(),
            verify,
        })
    }

    fn verifier(
        &self,
        ca: Option<&[u8]>,
        verify: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Verifier, String> {
        let schemes = provider
            .signature_verification_algorithms
            .supported_schemes();
        let mut verifier = Verifier {
            inner: None,
            pinned: Vec::new(),
            schemes,
        };
        if !verify {
            return Ok(verifier);
        }
        let roots = if let Some(pem) = ca {
            verifier.pinned = own_roots(pem)?;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(verifier.pinned.iter().cloned());
            Arc::new(roots)
        } else {
            Arc::clone(self.roots.get_or_init(machine_roots))
        };
        let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        verifier.inner = Some(inner.build().map_err(|error| error.to_string())?);
        Ok(verifier)
    }
}

fn own_roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let roots = roots.map_err(|error| error.to_string())?;
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(roots)
}

/// What the machine trusts; Mozilla's list where the machine has none.
fn machine_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Arc::new(roots)
}

/// What a handshake led to.
pub(super) enum Shaken {
    Stream(Box<TlsStream<TcpStream>>),
    /// The resumed session's certificate ends: only a full handshake shows today's.
    Stale,
}

/// Speaks TLS over `stream`, and checks how long the certificate still holds.
pub(super) async fn handshake(
    run: &Run<'_>,
    stream: TcpStream,
    secure: &Secure,
    address: SocketAddr,
) -> Result<Shaken, Fault> {
    run.enter(Phase::Tls);
    // The copy shares everything but the place of its sessions.
    let tickets = secure.setup.tickets.at(address);
    let mut config = secure.setup.config.clone();
    config.resumption = Resumption::store(Arc::clone(&tickets) as _);
    let connector = TlsConnector::from(Arc::new(config));
    let shaken = connector.connect(secure.name.clone(), stream).await;
    let stream = shaken.map_err(|error| {
        let (fault, expiry) = handshake_fault(&error, address);
        run.trace.certified(expiry);
        fault
    })?;
    let (_, session) = stream.get_ref();
    let expiry = session.peer_certificates().and_then(chain_expiry);
    let judged = judge(secure, expiry);
    if judged.is_err() && session.handshake_kind() == Some(HandshakeKind::Resumed) {
        tickets.forget(&secure.name);
        return Ok(Shaken::Stale);
    }
    run.trace.certified(expiry);
    judged?;
    Ok(Shaken::Stream(Box::new(stream)))
}

/// Whether a chain that ends at `expiry` holds long enough. The handshake verified it already,
/// unless the session was resumed.
pub(super) fn judge(secure: &Secure, expiry: Option<Wall>) -> Result<(), Fault> {
    let Some(expiry) = expiry else { return Ok(()) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    let left = u64::try_from(expiry.0.saturating_sub(now)).unwrap_or(0);
    let left = Duration::from_millis(left);
    let until = date(expiry.0 / 1_000);
    if secure.setup.verify && left.is_zero() {
        return Err(Fault::new(Reason::CertExpired, format!("ended {until}")));
    }
    match secure.valid_for {
        Some(wanted) if left < wanted => {
            let wanted = humantime::format_duration(wanted);
            let detail = format!("ends {until}, expected at least {wanted} more");
            Err(Fault::new(Reason::CertExpiresSoon, detail))
        }
        _ => Ok(()),
    }
}

/// What a failed handshake says about the peer, and the expiry of the chain if one came.
fn handshake_fault(error: &io::Error, address: SocketAddr) -> (Fault, Option<Wall>) {
    if let Some(tls) = tls_error(error) {
        return tls_fault(tls);
    }
    let fault = if error.kind() == io::ErrorKind::UnexpectedEof {
        Fault::new(Reason::TlsHandshake, "closed during the handshake")
    } else {
        Fault::io(error, Phase::Tls, Some(address))
    };
    (fault, None)
}

/// The TLS error inside an I/O error, if that is what it is.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

pub(super) fn tls_fault(error: &rustls::Error) -> (Fault, Option<Wall>) {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            if let Some(fault) = other.0.downcast_ref::<CertificateFault>() {
                return (
                    Fault::new(fault.reason, fault.detail.as_str()),
                    fault.expiry,
                );
            }
            (Fault::new(Reason::CertInvalid, error.to_string()), None)
        }
        rustls::Error::InvalidCertificate(_) => {
            (Fault::new(Reason::CertInvalid, error.to_string()), None)
        }
        rustls::Error::InvalidMessage(_) => (
            Fault::new(Reason::TlsHandshake, "the peer does not speak TLS"),
            None,
        ),
        other => (Fault::new(Reason::TlsHandshake, other.to_string()), None),
    }
}
