//! A transport with an inbox, a caller by hand, and waiting.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Way;
use roundsman_agent::cluster::{
    Arrival, Frame, Keyring, Place, Reason, Seal, Settings, Transport, fresh_key,
};
use roundsman_agent::meters::Traffic;

/// A fresh key as text.
pub(crate) fn key() -> String {
    fresh_key().expose().to_owned()
}

/// The ring of these keys.
pub(crate) fn ring(keys: &[&str]) -> Keyring {
    Keyring::parse(&keys.join("\n")).expect("keys")
}

/// A transport and all that came to it.
pub(crate) struct Peer {
    pub(crate) transport: Transport,
    pub(crate) traffic: Arc<Traffic>,
    inbox: Arc<Mutex<Vec<Arrival>>>,
    /// Whether the inbox has no room.
    pub(crate) is_full: Arc<AtomicBool>,
}

impl Peer {
    /// On a free port of loopback.
    pub(crate) fn open(label: &str, ring: Keyring) -> Self {
        Self::at("127.0.0.1:0", label, ring)
    }

    pub(crate) fn at(listen: &str, label: &str, keyring: Keyring) -> Self {
        crate::logs::capture();
        let traffic = Arc::new(Traffic::default());
        let inbox: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let is_full: Arc<AtomicBool> = Arc::default();
        let settings = Settings {
            listen: listen.parse().expect("an address"),
            label: label.into(),
            keyring,
            traffic: Arc::clone(&traffic),
        };
        let (room, letters) = (Arc::clone(&is_full), Arc::clone(&inbox));
        let transport = Transport::open(settings, move |arrival| {
            if room.load(Relaxed) {
                return Err(arrival);
            }
            letters.lock().expect("whole").push(arrival);
            Ok(())
        });
        Self {
            transport: transport.expect("it opens"),
            traffic,
            inbox,
            is_full,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.transport.address()
    }

    pub(crate) fn send(&self, to: SocketAddr, way: Way, text: &str) {
        self.transport.sender().send(to, way, text.into());
    }

    /// Everything that came so far.
    pub(crate) fn inbox(&self) -> Vec<Arrival> {
        self.inbox.lock().expect("whole").clone()
    }

    /// The texts that came so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |a: Arrival| String::from_utf8(a.bytes).expect("text");
        self.inbox().into_iter().map(text).collect()
    }

    pub(crate) fn wait_for(&self, texts: &[&str]) {
        wait(&format!("{texts:?}"), || self.texts() == texts);
    }

    pub(crate) fn dropped(&self, way: Way, reason: Reason) -> u64 {
        self.traffic.of(way).dropped(reason).get()
    }

    /// All that was dropped of `way`, by reason, where there is any.
    pub(crate) fn drops(&self, way: Way) -> Vec<(Reason, u64)> {
        Reason::ALL
            .into_iter()
            .map(|reason| (reason, self.dropped(way, reason)))
            .filter(|&(_, n)| n > 0)
            .collect()
    }

    pub(crate) fn dropped_in_all(&self, way: Way) -> u64 {
        self.drops(way).iter().map(|(_, n)| n).sum()
    }
}

/// Waits until `holds`.
pub(crate) fn wait(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Somebody on a connection who has a key, or had one, and does what they like.
pub(crate) struct Caller {
    pub(crate) stream: TcpStream,
    pub(crate) place: Place,
}

impl Caller {
    /// Calls and hears the greeting.
    pub(crate) fn call(to: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(to).expect("it listens");
        let mut greeting = [0; 17];
        stream.read_exact(&mut greeting).expect("a greeting");
        let place = Place::greeted(&greeting).expect("of our version");
        Self { stream, place }
    }

    /// The bytes of the next frame on this connection.
    pub(crate) fn frame(&mut self, seal: &Seal, frame: &Frame<'_>) -> Vec<u8> {
        let mut out = vec![0; 4];
        seal.close(&self.place.step(), &mut out, |out| frame.encode(out));
        let len = u32::try_from(out.len() - 4).expect("short");
        out[..4].copy_from_slice(&len.to_be_bytes());
        out
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        // The other side may have hung up by now.
        let _ = self.stream.write_all(bytes);
    }

    /// Says these bytes and nothing more, and waits until the other side hangs up.
    pub(crate) fn say_last(mut self, bytes: &[u8]) {
        self.say(bytes);
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let _ = self.stream.read_to_end(&mut Vec::new());
    }
}
