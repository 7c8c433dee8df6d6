//! Messages between nodes: sealed datagrams and streams on one cluster address.
//!
//! Start reading at [`Transport`]: it opens the sockets on a thread of its own, hands every message
//! that comes to a sink, and gives out [`Sender`]s that never wait. A datagram passes
//! `cluster/port.rs` (its seal in `seal.rs` and `keyring.rs`, then `packet.rs`, then `gate.rs`, which
//! lets each in at most once); a stream is `lines.rs` towards others and `callers.rs` from them.
//! Every queue, table, length and number of connections has a bound; what goes beyond is dropped,
//! counted by [`Reason`] and said once an hour. `docs/wire.md` has the bytes and what is promised.
//! Does not know what a message says.

mod address;
mod callers;
mod entropy;
mod frame;
mod gate;
mod keyring;
mod lines;
mod packet;
mod port;
mod reason;
mod seal;
mod window;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use base::{Duration, Way};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

pub use address::{Address, FOUND_MAX, resolve};
pub use callers::{CALLERS_MAX, FRAMES_MAX, STRANGERS_EACH, STRANGERS_MAX};
pub use frame::{Frame, MESSAGE_EXTRA, MESSAGE_MAX, Place, length};
pub use keyring::{KEYS_MAX, Keyring, KeyringError, fresh_key};
pub use packet::{Body, DATAGRAM_EXTRA, DATAGRAM_MAX, Front, PACKET_MAX, Packet};
pub use reason::Reason;
pub use seal::{Seal, VERSION};

use self::lines::Lines;
use self::port::Port;
use crate::meters::Traffic;

/// What the kernel is asked to keep of datagrams that came and are not read yet, in bytes.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How often another free port is tried when any will do.
const PORTS_TRIED: usize = 16;

/// What a transport is opened with.
#[derive(Debug)]
pub struct Settings {
    /// The cluster address, for UDP and TCP alike; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The cluster's label; nodes with another are not heard.
    pub label: Box<str>,
    /// The cluster's keys; without any only a loopback address is served.
    pub keyring: Keyring,
    /// What goes over the port is counted here.
    pub traffic: Arc<Traffic>,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The sender: where a datagram came from, or the cluster address that a caller says it has.
    pub from: SocketAddr,
    /// How it came.
    pub way: Way,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Why a transport can't be opened or take other keys. Nothing has changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Without a key only loopback is served.
    #[error(
        "{0} can be reached from outside, but there is no cluster key; make one with `roundsman keygen` for cluster.key_file, or use a loopback address"
    )]
    Open(SocketAddr),
    /// The address can't be bound.
    #[error("can't listen on {address} for the cluster: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The machine gives no thread or no timer.
    #[error("can't start the cluster's thread: {0}")]
    Thread(io::Error),
}

/// Bytes that streams hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Of frames that are being read or wait for the node; at most [`FRAMES_MAX`].
    pub incoming: usize,
    /// Of messages that wait to be sent.
    pub outgoing: usize,
}

/// One cluster address with its sockets. Nothing comes in any more once this is dropped; the address
/// is free once its [`Sender`]s are, too.
#[derive(Debug)]
pub struct Transport {
    sender: Sender,
    frames: Arc<Semaphore>,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Transport {
    /// Binds the address and begins to listen, on a thread of its own.
    ///
    /// `sink` gets every message that comes. It is called on that thread and must not wait; what it
    /// has no room for it gives back: a datagram is dropped then, a stream waits.
    ///
    /// # Errors
    /// When the address can't be bound, or may not be without a key.
    pub fn open(
        settings: Settings,
        sink: impl Fn(Arrival) -> Result<(), Arrival> + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let address = settings.listen;
        check(address, &settings.keyring)?;
        let bound = bind(address).map_err(|source| OpenError::Bind { address, source })?;
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(OpenError::Thread)?;
        let lines = Arc::new(Lines::new(runtime.handle().clone()));
        let port = Arc::new(Port::new(
            bound.address,
            bound.sending,
            Seal::new(&settings.label, settings.keyring),
            settings.traffic,
            Box::new(sink),
        ));
        let frames = Arc::new(Semaphore::new(FRAMES_MAX));
        let (stop, stopped) = oneshot::channel();
        let ears = Ears {
            port: Arc::clone(&port),
            datagrams: bound.datagrams,
            calls: bound.calls,
            frames: Arc::clone(&frames),
        };
        let thread = std::thread::Builder::new()
            .name("cluster".into())
            .spawn(move || ears.listen(&runtime, stopped))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            sender: Sender { port, lines },
            frames,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.sender.port.address
    }

    /// One that sends; it may be cloned and used anywhere.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// What streams hold now.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog {
            incoming: FRAMES_MAX - self.frames.available_permits(),
            outgoing: self.sender.lines.waiting(),
        }
    }

    /// Takes other keys, for everything that goes and comes from now on.
    ///
    /// # Errors
    /// [`OpenError::Open`] when there is none among them and the address is no loopback address.
    pub fn rekey(&self, keyring: Keyring) -> Result<(), OpenError> {
        check(self.address(), &keyring)?;
        self.sender.port.seal.rekey(keyring);
        Ok(())
    }

    /// Closes it once what waits for streams is on its way, or after `patience`.
    pub fn close(self, patience: Duration) {
        let end = std::time::Instant::now() + patience;
        while self.backlog().outgoing > 0 && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends within one turn of its loop; if it has panicked, that was said already.
            let _ = thread.join();
        }
    }
}

/// Sends messages from a [`Transport`]'s address; cheap to clone, and never waits.
#[derive(Clone, Debug)]
pub struct Sender {
    port: Arc<Port>,
    lines: Arc<Lines>,
}

impl Sender {
    /// Sends one message of at most [`DATAGRAM_MAX`] or [`MESSAGE_MAX`] bytes; what can't be sent
    /// or queued at once is dropped and counted.
    pub fn send(&self, to: SocketAddr, way: Way, bytes: Vec<u8>) {
        match way {
            Way::Datagram => self.port.send(to, bytes),
            Way::Stream => self.lines.queue(&self.port, to, bytes),
        }
    }
}

/// Without a key only loopback is served.
fn check(address: SocketAddr, keyring: &Keyring) -> Result<(), OpenError> {
    if keyring.is_plain() && !address.ip().to_canonical().is_loopback() {
        return Err(OpenError::Open(address));
    }
    Ok(())
}

/// What listens.
struct Ears {
    port: Arc<Port>,
    datagrams: UdpSocket,
    calls: TcpListener,
    frames: Arc<Semaphore>,
}

impl Ears {
    /// Listens until `stopped`; connections end with `runtime`.
    fn listen(self, runtime: &Runtime, stopped: oneshot::Receiver<()>) {
        runtime.block_on(async {
            let datagrams = tokio::net::UdpSocket::from_std(self.datagrams);
            let calls = tokio::net::TcpListener::from_std(self.calls);
            let (Ok(datagrams), Ok(calls)) = (datagrams, calls) else {
                unreachable!("both were set not to block, on a runtime with sockets");
            };
            tokio::select! {
                () = take_datagrams(&self.port, datagrams) => {}
                () = callers::take_calls(Arc::clone(&self.port), calls, self.frames) => {}
                _ = stopped => {}
            }
        });
    }
}

async fn take_datagrams(port: &Port, socket: tokio::net::UdpSocket) {
    // One byte more than there may be shows that there was more.
    let mut buffer = vec![0; PACKET_MAX + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, from)) => port.receive(from, &mut buffer[..len]),
            Err(error) => {
                tracing::debug!(%error, "the cluster's datagrams");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// The sockets of one address; none of them blocks.
struct Bound {
    address: SocketAddr,
    datagrams: UdpSocket,
    /// The same socket as `datagrams`.
    sending: UdpSocket,
    calls: TcpListener,
}

fn bind(address: SocketAddr) -> io::Result<Bound> {
    let mut tried = 1;
    loop {
        match bind_both(address) {
            // The free port that UDP was given may be taken for TCP.
            Err(_) if address.port() == 0 && tried < PORTS_TRIED => tried += 1,
            end => return end,
        }
    }
}

fn bind_both(address: SocketAddr) -> io::Result<Bound> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    // As much as the machine allows; less loses datagrams in a burst and nothing else.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let datagrams = UdpSocket::from(socket);
    let address = datagrams.local_addr()?;
    let calls = TcpListener::bind(address)?;
    calls.set_nonblocking(true)?;
    Ok(Bound {
        address,
        sending: datagrams.try_clone()?,
        datagrams,
        calls,
    })
}
