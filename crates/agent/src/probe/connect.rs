//! A connection to a target: opened, secured, written to and read from.
//!
//! Sockets are set up before they connect: closed by reset they leave nothing behind, and without
//! quick ACK the last packet of the handshake rides on the request. Reading borrows one buffer
//! per thread, so that ten thousand waiting checks hold none. Start reading at [`connect`].
//! Does not know what is said over a connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use health::{Close, Phase, Reason};
use socket2::{Domain, Protocol, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use super::Run;
use super::tls::{self, Secure, Shaken};
use super::trace::Fault;

const SCRATCH: usize = 32 << 10;

thread_local! {
    /// What is read lies here only until the reader has looked at it.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: Host,
    pub(super) port: u16,
}

/// A host as written: an address, or a name to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Ip(IpAddr),
    Name(Box<str>),
}

/// A connection, secured or not.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens a connection to `endpoint`. `talk`: small writes will follow each other.
pub(super) async fn connect(
    run: &Run<'_>,
    endpoint: &Endpoint,
    secure: Option<&Secure>,
    talk: bool,
) -> Result<Socket, Fault> {
    let ip = match &endpoint.host {
        Host::Ip(ip) => *ip,
        Host::Name(name) => {
            run.enter(Phase::Resolve);
            Box::pin(run.shared.resolvers.resolve(name, run.prepared.family)).await?
        }
    };
    let address = SocketAddr::new(ip, endpoint.port);
    if let Some(range) = run
        .prepared
        .guard
        .as_ref()
        .and_then(|guard| guard.denies(ip))
    {
        let detail = format!("{address} is {range}; api.allow_targets opens ranges");
        return Err(Fault::new(Reason::Denied, detail));
    }
    let no_delay = talk || secure.is_some();
    match secure {
        None => Ok(Socket::Plain(open(run, address, no_delay).await?)),
        Some(secure) => Box::pin(secured(run, address, secure)).await,
    }
}

/// Connects and shakes hands; once more, in full, if a resumed session tells of the past.
async fn secured(run: &Run<'_>, address: SocketAddr, secure: &Secure) -> Result<Socket, Fault> {
    loop {
        let stream = open(run, address, true).await?;
        match tls::handshake(run, stream, secure, address).await? {
            Shaken::Stream(stream) => return Ok(Socket::Tls(stream)),
            // Its tickets are forgotten: the next handshake is full, and never stale.
            Shaken::Stale => {}
        }
    }
}

async fn open(run: &Run<'_>, address: SocketAddr, no_delay: bool) -> Result<TcpStream, Fault> {
    run.enter(Phase::Connect);
    run.trace.connecting(address);
    let fault = |error: io::Error| Fault::io(&error, Phase::Connect, Some(address));
    let socket = socket(address, run.prepared.close, no_delay).map_err(fault)?;
    match socket.connect(address).await {
        Ok(stream) => {
            if let Ok(local) = stream.local_addr() {
                run.trace.connected_from(local.ip());
            }
            Ok(stream)
        }
        Err(error) => {
            if error.kind() == io::ErrorKind::ConnectionRefused
                && let Some(local) = source_towards(address)
            {
                run.trace.connected_from(local);
            }
            Err(fault(error))
        }
    }
}

/// The address from which this machine would speak to `address`; no packet is sent.
fn source_towards(address: SocketAddr) -> Option<IpAddr> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None).ok()?;
    socket.connect(&address.into()).ok()?;
    Some(socket.local_addr().ok()?.as_socket()?.ip())
}

fn socket(address: SocketAddr, close: Close, no_delay: bool) -> io::Result<TcpSocket> {
    let kind = Type::STREAM.nonblocking();
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    if close == Close::Reset {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if no_delay {
        socket.set_tcp_nodelay(true)?;
    } else {
        #[cfg(target_os = "linux")]
        socket.set_tcp_quickack(false)?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

impl Socket {
    /// Writes everything.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Waits for bytes and shows them to `take`: at least one, or none if the peer closed.
    pub(super) async fn receive<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        poll_fn(|cx| {
            BUFFER.with_borrow_mut(|room| {
                let mut buffer = ReadBuf::new(room);
                match ready!(self.poll_read(cx, &mut buffer)) {
                    Ok(()) => Poll::Ready(Ok(take(buffer.filled()))),
                    // Many servers close TLS without saying so: the same as closing.
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                        Poll::Ready(Ok(take(&[])))
                    }
                    Err(e) => Poll::Ready(Err(e)),
                }
            })
        })
        .await
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }

    /// Whether the peer has neither closed nor said anything that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut room = [0; 1];
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read(&mut cx, &mut ReadBuf::new(&mut room))
            .is_pending()
    }

    /// Closes; a TLS peer that is not reset is told so, as far as that works at once.
    pub(super) fn close(mut self, close: Close) {
        if let (Self::Tls(stream), Close::Fin) = (&mut self, close) {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(stream).poll_shutdown(&mut cx);
        }
    }
}

/// What an error while talking says about the target.
pub(super) fn talk_fault(error: &io::Error, phase: Phase) -> Fault {
    match tls::tls_error(error) {
        Some(tls) => tls::tls_fault(tls).0,
        None => Fault::io(error, phase, None),
    }
}
