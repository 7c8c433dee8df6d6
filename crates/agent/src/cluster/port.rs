//! What both ways share, and the datagrams' way: seal and gate between the node and the socket.
//!
//! Sending never waits: what the kernel does not take at once is dropped and counted. Does not know
//! threads or connections.

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use base::{Duration, Way};

use super::Arrival;
use super::gate::{Entry, Gate};
use super::packet::{Body, CONTEXT, DATAGRAM_MAX, Front, PACKET_MAX, Packet};
use super::reason::Reason;
use super::seal::Seal;
use crate::clock::Clock;
use crate::meters::Traffic;

/// How long nothing more is said about a reason after it was said.
const SILENCE: Duration = Duration::from_secs(3_600);

/// Where arrivals go; gives back what it has no room for.
pub(super) type Sink = Box<dyn Fn(Arrival) -> Result<(), Arrival> + Send + Sync>;

/// One cluster address.
pub(super) struct Port {
    /// Where it is bound.
    pub(super) address: SocketAddr,
    pub(super) seal: Seal,
    pub(super) traffic: Arc<Traffic>,
    pub(super) sink: Sink,
    socket: UdpSocket,
    gate: Mutex<Gate>,
    clock: Clock,
    /// By way and reason: the second after which it may be said again.
    silent_until: [[AtomicU64; Reason::ALL.len()]; 2],
}

impl Port {
    /// A port on `socket`, which must not block.
    pub(super) fn new(
        address: SocketAddr,
        socket: UdpSocket,
        seal: Seal,
        traffic: Arc<Traffic>,
        sink: Sink,
    ) -> Self {
        Self {
            address,
            seal,
            traffic,
            sink,
            socket,
            gate: Mutex::new(Gate::new()),
            clock: Clock::start(),
            silent_until: Default::default(),
        }
    }

    /// Counts what was dropped and says so, for each reason once an hour, without its content.
    pub(super) fn dropped(&self, way: Way, reason: Reason, peer: SocketAddr) {
        self.traffic.of(way).dropped(reason).add(1);
        let now = self.clock.now().0 / 1_000_000 + 1;
        let silent_until = &self.silent_until[usize::from(way == Way::Stream)][reason.index()];
        let before = silent_until.load(Relaxed);
        let until = now + SILENCE.as_secs();
        let is_mine = || silent_until.compare_exchange(before, until, Relaxed, Relaxed);
        if now < before || is_mine().is_err() {
            return;
        }
        let what = match way {
            Way::Datagram => "a datagram",
            Way::Stream => "a stream or a message on it",
        };
        let (reason, words) = (reason.name(), reason.words());
        if reason == Reason::Session.name() {
            tracing::debug!(%peer, reason, "{what} was dropped: {words}; counted, and not said again for an hour");
        } else {
            tracing::warn!(%peer, reason, "{what} was dropped: {words}; counted, and not said again for an hour");
        }
    }

    /// Sends one message as a datagram; what is too long or can't go at once is dropped.
    pub(super) fn send(&self, to: SocketAddr, bytes: Vec<u8>) {
        if bytes.len() > DATAGRAM_MAX {
            return self.dropped(Way::Datagram, Reason::Oversized, to);
        }
        let mut sealed = Vec::with_capacity(PACKET_MAX);
        {
            let mut gate = self.gate.lock().expect("nobody panics at the gate");
            let (front, bytes) = gate.goes(to, bytes);
            self.close(front, Body::Message(bytes), &mut sealed);
        }
        if self.emit(to, &sealed) {
            self.traffic.of(Way::Datagram).messages_out.add(1);
        }
    }

    /// Takes one datagram as it came.
    pub(super) fn receive(&self, from: SocketAddr, sealed: &mut [u8]) {
        let from = canonical(from);
        self.traffic
            .of(Way::Datagram)
            .bytes_in
            .add(sealed.len() as u64);
        if let Err(reason) = self.admit(from, sealed) {
            self.dropped(Way::Datagram, reason, from);
        }
    }

    fn admit(&self, from: SocketAddr, sealed: &mut [u8]) -> Result<(), Reason> {
        if sealed.len() > PACKET_MAX {
            return Err(Reason::Oversized);
        }
        let content = self.seal.open(CONTEXT, sealed)?;
        let packet = Packet::decode(content)?;
        let now = self.clock.now();
        let entry = {
            let mut gate = self.gate.lock().expect("nobody panics at the gate");
            gate.comes(now, from, &packet)
        };
        match entry {
            Entry::Open => {
                if let Body::Message(bytes) = packet.body {
                    self.hand_up(from, bytes.to_vec())?;
                }
            }
            Entry::Tell(front, number) => {
                let mut sealed = Vec::with_capacity(PACKET_MAX);
                self.close(front, Body::Again(number), &mut sealed);
                self.emit(from, &sealed);
                return Err(Reason::Session);
            }
            Entry::Resend(to, bytes) => self.send(to, bytes),
            Entry::Drop(reason) => return Err(reason),
            Entry::Done => {}
        }
        Ok(())
    }

    fn hand_up(&self, from: SocketAddr, bytes: Vec<u8>) -> Result<(), Reason> {
        let way = Way::Datagram;
        let arrival = Arrival { from, way, bytes };
        (self.sink)(arrival).map_err(|_| Reason::Queue)?;
        self.traffic.of(way).messages_in.add(1);
        Ok(())
    }

    fn close(&self, front: Front, body: Body<'_>, sealed: &mut Vec<u8>) {
        let packet = Packet { front, body };
        self.seal.close(CONTEXT, sealed, |out| packet.encode(out));
    }

    /// Gives a packet to the kernel; `false` when it does not take it at once.
    fn emit(&self, to: SocketAddr, sealed: &[u8]) -> bool {
        match self.socket.send_to(sealed, self.reachable(to)) {
            Ok(_) => {
                let lane = self.traffic.of(Way::Datagram);
                lane.bytes_out.add(sealed.len() as u64);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.dropped(Way::Datagram, Reason::Queue, to);
            }
            Err(_) => self.dropped(Way::Datagram, Reason::Unreachable, to),
        }
        false
    }

    /// `to` as this port's family of addresses writes it.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.address.is_ipv6() => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), to.port())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => to,
        }
    }
}

/// An address as everybody writes it, whatever family the socket has.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.address)
    }
}
