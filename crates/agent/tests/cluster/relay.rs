//! Somebody on the way between two nodes, who may record, hold back and change what passes.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Stands between two nodes that take it for each other.
pub(crate) struct Relay {
    socket: UdpSocket,
    ends: [SocketAddr; 2],
}

impl Relay {
    pub(crate) fn between(one: SocketAddr, other: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let patience = Some(Duration::from_secs(30));
        socket.set_read_timeout(patience).expect("a timeout");
        Self {
            socket,
            ends: [one, other],
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// Takes the next datagram; it goes no further.
    pub(crate) fn hold(&self) -> (SocketAddr, Vec<u8>) {
        let mut buffer = [0; 2_048];
        let (len, from) = self.socket.recv_from(&mut buffer).expect("a datagram");
        (from, buffer[..len].to_vec())
    }

    /// Passes the next datagram on; what it was.
    pub(crate) fn pass(&self) -> Vec<u8> {
        let (from, bytes) = self.hold();
        let [one, other] = self.ends;
        self.give(if from == one { other } else { one }, &bytes);
        bytes
    }

    pub(crate) fn give(&self, to: SocketAddr, bytes: &[u8]) {
        self.socket.send_to(bytes, to).expect("sent");
    }
}
