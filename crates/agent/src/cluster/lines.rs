//! Streams to others: one connection to each peer that has something to be sent, kept for a while.
//!
//! [`Lines::queue`] never waits. What waits is bounded for each peer ([`WAITING_MAX`] messages,
//! [`LINE_BYTES`]) and in all ([`BYTES`]); what goes beyond, and all that waits for a peer that can't
//! be reached, is dropped and counted: the protocols ask again. Does not know what is in a message.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base::{Duration, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::frame::{Frame, GREETING, MESSAGE_MAX, Place};
use super::port::Port;
use super::reason::Reason;

/// Peers that there can be a line to at once.
const LINES_MAX: usize = 256;
/// Messages that wait for one peer at most.
const WAITING_MAX: usize = 64;
/// Bytes that wait for one peer at most.
const LINE_BYTES: usize = 4 << 20;
/// Bytes that wait for all peers at most.
const BYTES: usize = 32 << 20;
/// How long a connection may take to be made, its greeting included.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a peer may take to accept one frame.
const FRAME: Duration = Duration::from_secs(10);
/// How long a connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(10);

/// A message that waits, and the room that it takes.
#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    _room: [OwnedSemaphorePermit; 2],
}

#[derive(Debug)]
struct Line {
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Mutex<HashMap<SocketAddr, Line>>,
    room: Arc<Semaphore>,
    runtime: Handle,
}

impl Lines {
    /// No line yet; connections will live on `runtime`.
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            lines: Mutex::new(HashMap::new()),
            room: Arc::new(Semaphore::new(BYTES)),
            runtime,
        }
    }

    /// Bytes that have not been given to the kernel yet, nor dropped.
    pub(super) fn waiting(&self) -> usize {
        BYTES - self.room.available_permits()
    }

    /// Queues one message for `to`; drops and counts it where there is no room.
    pub(super) fn queue(&self, port: &Arc<Port>, to: SocketAddr, bytes: Vec<u8>) {
        let queued = if bytes.len() > MESSAGE_MAX {
            Err(Reason::Oversized)
        } else {
            self.try_queue(port, to, bytes)
        };
        if let Err(reason) = queued {
            port.dropped(Way::Stream, reason, to);
        }
    }

    fn try_queue(
        &self,
        port: &Arc<Port>,
        to: SocketAddr,
        mut bytes: Vec<u8>,
    ) -> Result<(), Reason> {
        let need = u32::try_from(bytes.len()).expect("at most a MiB");
        let take = |room: &Arc<Semaphore>| Arc::clone(room).try_acquire_many_owned(need);
        let mut lines = self.lines.lock().expect("nobody panics here");
        // A line may end while it is looked at; the next one is new.
        for _ in 0..2 {
            let line = self.line(&mut lines, port, to)?;
            let own = take(&line.room).map_err(|_| Reason::Queue)?;
            let shared = take(&self.room).map_err(|_| Reason::Queue)?;
            let message = Waiting {
                bytes,
                _room: [own, shared],
            };
            match line.waiting.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(Reason::Queue),
                Err(TrySendError::Closed(back)) => bytes = back.bytes,
            }
        }
        Err(Reason::Unreachable)
    }

    /// The line to `to`; a new one where there is none, or it has ended.
    fn line<'a>(
        &self,
        lines: &'a mut HashMap<SocketAddr, Line>,
        port: &Arc<Port>,
        to: SocketAddr,
    ) -> Result<&'a Line, Reason> {
        if lines.get(&to).is_none_or(|line| line.waiting.is_closed()) {
            lines.retain(|_, line| !line.waiting.is_closed());
            if lines.len() >= LINES_MAX {
                return Err(Reason::Crowded);
            }
            let (waiting, receiver) = mpsc::channel(WAITING_MAX);
            let room = Arc::new(Semaphore::new(LINE_BYTES));
            lines.insert(to, Line { waiting, room });
            self.runtime.spawn(keep(Arc::clone(port), to, receiver));
        }
        Ok(&lines[&to])
    }
}

/// Carries messages to one peer until nothing waits for long, or the connection fails.
async fn keep(port: Arc<Port>, to: SocketAddr, mut waiting: mpsc::Receiver<Waiting>) {
    let end = match timeout(CONNECT, call(&port, to)).await {
        Ok(Ok((stream, place))) => carry(&port, stream, place, &mut waiting).await,
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err(Reason::Unreachable),
    };
    waiting.close();
    let reason = end.err().unwrap_or(Reason::Unreachable);
    while waiting.recv().await.is_some() {
        port.dropped(Way::Stream, reason, to);
    }
}

/// Connects and says who calls.
async fn call(port: &Port, to: SocketAddr) -> Result<(TcpStream, Place), Reason> {
    let unreachable = |_: io::Error| Reason::Unreachable;
    let mut stream = connect(port, to).await.map_err(unreachable)?;
    let mut greeting = [0; GREETING];
    stream
        .read_exact(&mut greeting)
        .await
        .map_err(unreachable)?;
    let mut place = Place::greeted(&greeting)?;
    let hello = closed(port, &mut place, &Frame::Hello(port.address));
    stream.write_all(&hello).await.map_err(unreachable)?;
    count(port, hello.len());
    Ok((stream, place))
}

/// Connects from the port's own address, where it has one of its own.
async fn connect(port: &Port, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    let me = port.address.ip();
    if me.is_ipv4() == to.is_ipv4() && !me.is_unspecified() {
        socket.bind(SocketAddr::new(me, 0))?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn carry(
    port: &Port,
    stream: TcpStream,
    mut place: Place,
    waiting: &mut mpsc::Receiver<Waiting>,
) -> Result<(), Reason> {
    let to = stream.peer_addr().map_err(|_| Reason::Unreachable)?;
    let (mut reading, mut writing) = stream.into_split();
    loop {
        let next = tokio::select! {
            next = timeout(IDLE, waiting.recv()) => next,
            // The peer says nothing after its greeting: whatever is read is its end.
            _ = reading.read_u8() => return Err(Reason::Unreachable),
        };
        let message = match next {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(_) => {
                // What was queued in this moment still goes.
                waiting.close();
                continue;
            }
        };
        let Waiting { bytes, _room } = message;
        let frame = closed(port, &mut place, &Frame::Message(&bytes));
        drop(bytes);
        let failed = match timeout(FRAME, writing.write_all(&frame)).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some(Reason::Unreachable),
            Err(_) => Some(Reason::Slow),
        };
        if let Some(reason) = failed {
            port.dropped(Way::Stream, reason, to);
            return Err(reason);
        }
        count(port, frame.len());
        port.traffic.of(Way::Stream).messages_out.add(1);
    }
}

/// A sealed frame with its length in front; written at once, so that a short one is one packet.
fn closed(port: &Port, place: &mut Place, frame: &Frame<'_>) -> Vec<u8> {
    let mut out = vec![0; 4];
    port.seal
        .close(&place.step(), &mut out, |out| frame.encode(out));
    let len = u32::try_from(out.len() - 4).expect("at most a MiB and a seal");
    out[..4].copy_from_slice(&len.to_be_bytes());
    out
}

fn count(port: &Port, bytes: usize) {
    port.traffic.of(Way::Stream).bytes_out.add(bytes as u64);
}
