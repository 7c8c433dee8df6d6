//! Everything that any transport here logs, and what must never be in it.

use std::io::{self, Write};
use std::net::UdpSocket;
use std::sync::{Mutex, OnceLock};

use base::Way;
use roundsman_agent::cluster::Reason;

use crate::stage::{Caller, Peer, key, ring, wait};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From now on every line of every level is kept.
pub(crate) fn capture() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(|| Lines)
            .init();
    });
}

fn lines() -> String {
    String::from_utf8(LINES.lock().expect("whole").clone()).expect("text")
}

fn hex(key: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(key);
    let bytes = bytes.expect("a key");
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_reason_is_said_once_with_its_sender_and_no_secret_or_content_is_said_ever() {
    let (ours, theirs) = (key(), key());
    let content = "content-of-a-message";
    let node = Peer::open("", ring(&[&ours]));
    let wrong_label = Peer::open("other", ring(&[&ours]));
    let wrong_key = Peer::open("", ring(&[&theirs]));
    let friend = Peer::open("", ring(&[&ours, &theirs]));
    for _ in 0..20 {
        for peer in [&wrong_label, &wrong_key, &friend] {
            peer.send(node.address(), Way::Datagram, content);
            peer.send(node.address(), Way::Stream, content);
        }
    }
    let raw = UdpSocket::bind("127.0.0.1:0").expect("a port");
    raw.send_to(content.as_bytes(), node.address())
        .expect("sent");
    Caller::call(node.address()).say_last(content.as_bytes());
    wait("all is said", || {
        node.inbox().len() >= 40
            && node.dropped(Way::Datagram, Reason::Label) == 20
            && node.dropped(Way::Stream, Reason::Label) > 0
            && node.dropped(Way::Datagram, Reason::Version) == 1
            && node.dropped(Way::Stream, Reason::Oversized) == 1
    });
    node.transport.rekey(ring(&[&theirs])).expect("it has one");
    let log = lines();
    let of_label = |line: &&str| {
        line.contains("reason=\"label\"")
            && line.contains(&format!("peer={}", wrong_label.address()))
    };
    assert_eq!(log.lines().filter(of_label).count(), 1, "{log}");
    assert!(log.contains("cluster.label"), "{log}");
    for secret in [&*ours, &*theirs, &hex(&ours), &hex(&theirs), content] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
    let shown = format!("{:?} {:?}", node.transport, ring(&[&ours]));
    assert!(!shown.contains(&ours), "{shown}");
}
