//! Certificates of every wrong kind, and sessions that are resumed.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use health::{Finding, Http, Outcome, Probe, Reason, Tcp, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use tempfile::NamedTempFile;

use super::servers::{
    ask, ask_http, ask_prepared, assert_failed, assert_passed, hear, ok, prepared, route, serve,
};
use crate::probe::Shared;

/// A private authority, an intermediate under it, and the file that a target trusts.
struct Authority {
    root: Issuer<'static, KeyPair>,
    middle: Issuer<'static, KeyPair>,
    middle_der: CertificateDer<'static>,
    file: NamedTempFile,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["shop.test".to_owned(), "127.0.0.1".to_owned()])
        .expect("the names are good");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    fn new() -> Self {
        Self::called("Test Root")
    }

    fn called(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let root = Issuer::new(params, key);
        let mut params = named("Test Middle");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let middle_der = params.signed_by(&key, &root).unwrap().der().clone();
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        Self {
            root,
            middle: Issuer::new(params, key),
            middle_der,
            file,
        }
    }

    fn tls(&self) -> Tls {
        Tls {
            ca_file: Some(self.file.path().to_str().unwrap().into()),
            ..Tls::default()
        }
    }

    /// A good leaf under the root, changed as the test wants it.
    fn leaf(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let mut params = named("shop");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.root).unwrap();
        (vec![cert.der().clone()], key)
    }
}

fn server(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// A TLS server that answers 200, and counts resumed handshakes.
fn serve_tls(config: Arc<ServerConfig>) -> (SocketAddr, Arc<AtomicUsize>) {
    let resumed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&resumed);
    let address = serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        hear(&mut stream);
        if stream.conn.handshake_kind() == Some(HandshakeKind::Resumed) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let _ = stream.write_all(ok("secret").as_bytes());
        let _ = stream.flush();
        let _ = stream.read(&mut [0; 16]);
    });
    (address, resumed)
}

fn https(address: SocketAddr, tls: Tls) -> Http {
    let mut http = Http::get(&format!("https://{address}/"));
    http.tls = tls;
    http
}

fn ask_with(chain: Vec<CertificateDer<'static>>, key: &KeyPair, tls: Tls) -> Outcome {
    ask_http(https(serve_tls(server(chain, key)).0, tls))
}

const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_good_certificate_passes_and_its_end_is_known() {
    let authority = Authority::new();
    let (chain, key) =
        authority.leaf(|params| params.not_after = (SystemTime::now() + 30 * DAY).into());
    let outcome = ask_with(chain, &key, authority.tls());
    assert_passed(&outcome);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let left = outcome.cert_expiry.unwrap().0 - i64::try_from(now.as_millis()).unwrap();
    assert!((29..=30).contains(&(left / 86_400_000)), "{left} ms");
}

#[test]
fn the_time_of_a_certificate_counts() {
    let authority = Authority::new();
    let now = SystemTime::now();
    let (chain, key) = authority.leaf(|params| {
        params.not_before = (now - 20 * DAY).into();
        params.not_after = (now - 10 * DAY).into();
    });
    let outcome = ask_with(chain, &key, authority.tls());
    assert_failed(&outcome, Reason::CertExpired, "CN=shop ended 2");
    assert!(outcome.cert_expiry.is_some());
    let (chain, key) = authority.leaf(|params| params.not_before = (now + 5 * DAY).into());
    let outcome = ask_with(chain, &key, authority.tls());
    assert_failed(&outcome, Reason::CertNotYetValid, "CN=shop begins 2");
    let (chain, key) = authority.leaf(|params| params.not_after = (now + 5 * DAY).into());
    let mut http = https(serve_tls(server(chain, &key)).0, authority.tls());
    http.expect.cert_valid_for = Some(7 * DAY);
    let outcome = ask_http(http.clone());
    assert_failed(
        &outcome,
        Reason::CertExpiresSoon,
        "expected at least 7days more",
    );
    http.expect.cert_valid_for = Some(3 * DAY);
    assert_passed(&ask_http(http));
}

#[test]
fn the_name_of_a_certificate_counts() {
    let authority = Authority::new();
    let (chain, key) = authority.leaf(|_| {});
    let (address, _) = serve_tls(server(chain, &key));
    let mut tls = authority.tls();
    tls.server_name = Some("other.test".into());
    let outcome = ask_http(https(address, tls.clone()));
    assert_failed(&outcome, Reason::CertWrongHost, "for shop.test, 127.0.0.1");
    tls.server_name = Some("shop.test".into());
    assert_passed(&ask_http(https(address, tls)));
}

#[test]
fn an_unknown_authority_is_told_from_a_missing_intermediate() {
    let (trusted, strange) = (Authority::new(), Authority::called("Strange Root"));
    let key = KeyPair::generate().unwrap();
    let alone = named("lonely").self_signed(&key).unwrap();
    let outcome = ask_with(vec![alone.der().clone()], &key, trusted.tls());
    assert_failed(&outcome, Reason::CertUntrusted, "CN=lonely signed itself");
    let under_middle = named("shop").signed_by(&key, &strange.middle).unwrap();
    let chain = vec![under_middle.der().clone(), strange.middle_der.clone()];
    let outcome = ask_with(chain, &key, trusted.tls());
    assert_failed(
        &outcome,
        Reason::CertUntrusted,
        "the chain ends at CN=Strange Root",
    );
    let leaf = named("shop").signed_by(&key, &trusted.middle).unwrap();
    let outcome = ask_with(vec![leaf.der().clone()], &key, trusted.tls());
    assert_failed(
        &outcome,
        Reason::CertIncompleteChain,
        "CN=Test Middle, which the server",
    );
    let chain = vec![leaf.der().clone(), trusted.middle_der.clone()];
    assert_passed(&ask_with(chain, &key, trusted.tls()));
}

#[test]
fn an_authority_made_anew_under_its_old_name_is_untrusted() {
    let (old, new) = (Authority::new(), Authority::new());
    let (chain, key) = new.leaf(|_| {});
    let outcome = ask_with(chain, &key, old.tls());
    assert_failed(
        &outcome,
        Reason::CertUntrusted,
        "CN=Test Root that is trusted",
    );
}

#[test]
fn a_self_made_certificate_passes_once_it_is_trusted_itself() {
    let mut params = named("self");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    let (address, _) = serve_tls(server(vec![cert.der().clone()], &key));
    let outcome = ask_http(https(address, Authority::new().tls()));
    assert_failed(&outcome, Reason::CertUntrusted, "CN=self signed itself");
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), cert.pem()).unwrap();
    let mut tls = Tls {
        ca_file: Some(file.path().to_str().unwrap().into()),
        ..Tls::default()
    };
    assert_passed(&ask_http(https(address, tls.clone())));
    tls.server_name = Some("other.test".into());
    assert_failed(
        &ask_http(https(address, tls)),
        Reason::CertWrongHost,
        "shop.test",
    );
}

#[test]
fn without_verification_every_certificate_is_taken() {
    let key = KeyPair::generate().unwrap();
    let mut params = named("old");
    params.not_after = (SystemTime::now() - DAY).into();
    let cert = params.self_signed(&key).unwrap();
    let tls = Tls {
        verify: false,
        ..Tls::default()
    };
    let outcome = ask_with(vec![cert.der().clone()], &key, tls);
    assert_passed(&outcome);
    assert!(outcome.cert_expiry.is_some());
}

#[test]
fn a_peer_that_speaks_no_tls_fails_the_handshake() {
    let plain = serve(move |mut stream| {
        let _ = stream.read(&mut [0; 4_096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let outcome = ask_http(https(plain, Tls::default()));
    assert_failed(&outcome, Reason::TlsHandshake, "does not speak TLS");
    let closing = serve(drop);
    let outcome = ask_http(https(closing, Tls::default()));
    assert!(
        matches!(
            outcome.finding,
            Finding::Failed(Reason::TlsHandshake | Reason::Reset)
        ),
        "{outcome:?}"
    );
}

#[test]
fn sessions_are_resumed_and_still_tell_the_certificates_end() {
    let authority = Authority::new();
    let (chain, key) = authority.leaf(|_| {});
    let (address, resumed) = serve_tls(server(chain, &key));
    let shared = Shared::new();
    let probe = Probe::Http(Box::new(https(address, authority.tls())));
    let prepared = prepared(probe, &shared).unwrap();
    for _ in 0..6 {
        let outcome = ask_prepared(&prepared, &shared, Duration::from_secs(10));
        assert_passed(&outcome);
        assert!(outcome.cert_expiry.is_some());
    }
    assert_eq!(resumed.load(Ordering::SeqCst), 5);
}

#[test]
fn a_resumed_session_never_fails_a_renewed_certificate() {
    let authority = Authority::new();
    let end = |left: Duration| {
        authority.leaf(move |params| params.not_after = (SystemTime::now() + left).into())
    };
    let ((old, old_key), (new, new_key)) = (end(5 * DAY), end(50 * DAY));
    let first = server(old, &old_key);
    let mut second = ServerConfig::clone(&server(new, &new_key));
    second.session_storage = Arc::clone(&first.session_storage);
    let second = Arc::new(second);
    let served = Arc::new(AtomicUsize::new(0));
    let address = serve(move |stream| {
        let is_first = served.fetch_add(1, Ordering::SeqCst) == 0;
        let config = if is_first { &first } else { &second };
        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        hear(&mut stream);
        let _ = stream.write_all(ok("").as_bytes());
        let _ = stream.read(&mut [0; 16]);
    });
    let shared = Shared::new();
    let ask = |valid_for| {
        let mut http = https(address, authority.tls());
        http.expect.cert_valid_for = valid_for;
        let prepared = prepared(Probe::Http(Box::new(http)), &shared).unwrap();
        let outcome = ask_prepared(&prepared, &shared, Duration::from_secs(10));
        (outcome, prepared)
    };
    let (outcome, _kept) = ask(None);
    assert_passed(&outcome);
    // The ticket of the first handshake carries a chain with 5 days left; the server has 50.
    let (outcome, _kept) = ask(Some(20 * DAY));
    assert_passed(&outcome);
}

#[test]
fn a_redirect_may_lead_from_http_to_https() {
    let authority = Authority::new();
    let (chain, key) = authority.leaf(|_| {});
    let (address, _) = serve_tls(server(chain, &key));
    let plain = route(move |_| {
        format!("HTTP/1.1 302 Found\r\nLocation: https://{address}/\r\nContent-Length: 0\r\n\r\n")
    });
    let mut http = Http::get(&format!("http://{plain}/"));
    http.tls = authority.tls();
    let outcome = ask_http(http);
    assert_passed(&outcome);
    assert!(outcome.cert_expiry.is_some());
}

#[test]
fn tcp_over_tls_talks_and_judges_the_certificate() {
    let authority = Authority::new();
    let (chain, key) = authority.leaf(|_| {});
    let (address, _) = serve_tls(server(chain, &key));
    let mut tcp = Tcp::connect(&address.to_string());
    tcp.tls = Some(authority.tls());
    tcp.dialogue = [
        health::Step::Send("GET / HTTP/1.0\r\n\r\n".into()),
        health::Step::Expect("^secret".into()),
    ]
    .into();
    let ask_it = |tcp: &Tcp| ask(Probe::Tcp(Box::new(tcp.clone())), Duration::from_secs(10));
    assert_passed(&ask_it(&tcp));
    let other = Authority::new();
    tcp.tls = Some(other.tls());
    assert_failed(&ask_it(&tcp), Reason::CertUntrusted, "");
}
