//! Servers that do what a test needs, and probes of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use health::{Definition, Finding, Http, Outcome, Probe, Reason, Rule, Tcp};

use crate::probe::{PrepareError, Prepared, Shared, Trust, prepare, probe_once};

/// A server that gives every connection to `script`, on a thread of its own.
pub(super) fn serve(script: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            thread::spawn(move || script(stream));
        }
    });
    address
}

/// A server that reads a request and answers with `bytes`, then closes.
pub(super) fn answer(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes = bytes.into();
    serve(move |mut stream| {
        hear(&mut stream);
        let _ = stream.write_all(&bytes);
    })
}

/// A server that answers each path by a function of the whole request.
pub(super) fn route(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    serve(move |mut stream| {
        let request = hear(&mut stream);
        let _ = stream.write_all(answer(&request).as_bytes());
    })
}

/// Reads a request's head, and what came with it.
pub(super) fn hear(stream: &mut impl Read) -> String {
    let mut heard = Vec::new();
    let mut room = [0; 4_096];
    while !heard.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut room) {
            Ok(0) | Err(_) => break,
            Ok(n) => heard.extend_from_slice(&room[..n]),
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// An answer with status 200 and a body.
pub(super) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An address at which nobody listens.
pub(super) fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound")
}

pub(super) fn define(probe: Probe) -> Definition {
    Definition {
        name: "shop".into(),
        probe,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        rule: Rule::default(),
        confirm: 2,
        paused: false,
        labels: Box::default(),
        group: None,
    }
}

pub(super) fn prepared(probe: Probe, shared: &Shared) -> Result<Prepared, PrepareError> {
    prepare(&define(probe), Trust::File, shared)
}

pub(super) fn get(address: SocketAddr) -> Http {
    Http::get(&format!("http://{address}/"))
}

pub(super) fn ask_http(http: Http) -> Outcome {
    ask(Probe::Http(Box::new(http)), Duration::from_secs(10))
}

pub(super) fn ask_tcp(tcp: Tcp) -> Outcome {
    ask(Probe::Tcp(Box::new(tcp)), Duration::from_secs(10))
}

pub(super) fn ask(probe: Probe, timeout: Duration) -> Outcome {
    let shared = Shared::new();
    let prepared = prepared(probe, &shared).expect("the test's definition is good");
    ask_prepared(&prepared, &shared, timeout)
}

pub(super) fn ask_prepared(prepared: &Prepared, shared: &Shared, timeout: Duration) -> Outcome {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime can be made");
    runtime.block_on(probe_once(prepared, shared, timeout))
}

pub(super) fn reason(outcome: &Outcome) -> Reason {
    match outcome.finding {
        Finding::Failed(reason) => reason,
        Finding::Passed | Finding::Inconclusive(_) => Reason::None,
    }
}

#[track_caller]
pub(super) fn assert_passed(outcome: &Outcome) {
    assert_eq!(outcome.finding, Finding::Passed, "{outcome:?}");
    assert_eq!(outcome.detail, None);
}

#[track_caller]
pub(super) fn assert_failed(outcome: &Outcome, expected: Reason, detail: &str) {
    assert_eq!(outcome.finding, Finding::Failed(expected), "{outcome:?}");
    let found = outcome.detail.as_deref().unwrap_or_default();
    assert!(found.contains(detail), "{found:?} does not say {detail:?}");
}
