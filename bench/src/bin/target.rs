//! A cheap HTTP server for measuring checkers: one epoll loop on one core.
//!
//! It listens on 0.0.0.0, so every 127.x.y.z is a target of its own. Each request is logged in
//! memory with a monotonic time; datagrams at the control port change single targets
//! ("1 127.1.0.9"), write the log to a file ("dump PATH") or ask for counts ("seen").
#![expect(clippy::print_stderr, reason = "a tool for people")]

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use roundsman_bench::wire::{Mode, Record, now_ns};
use rustls::server::NoServerSessionStorage;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use socket2::{Domain, SockRef, Socket, Type};

const LISTENER: Token = Token(usize::MAX - 1);
const CONTROL: Token = Token(usize::MAX - 2);

const KEPT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok";
const CLOSED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nok";
const DOWN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\ndown";

/// A cheap HTTP server; every 127.x.y.z is a target.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the targets listen
    #[arg(long, default_value_t = 18_080)]
    port: u16,
    /// Where datagrams change them
    #[arg(long, default_value_t = 18_081)]
    control: u16,
    /// Speak TLS 1.3; the authority's certificate is written here
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Every TLS handshake is a full one
    #[arg(long)]
    no_resumption: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let tls = arguments
        .tls
        .as_deref()
        .map(|path| tls_config(path, arguments.no_resumption))
        .transpose()?;
    let mut server = Server::new(&arguments, tls)?;
    eprintln!(
        "target: port {}, control {}",
        arguments.port, arguments.control
    );
    server.run()
}

/// A connection to one target.
struct Connection {
    stream: TcpStream,
    address: u32,
    tls: Option<Box<ServerConnection>>,
    has_shaken: bool,
    request: Vec<u8>,
}

/// What becomes of a connection after it was served.
#[derive(PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Reset,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    control: UdpSocket,
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    /// By the lower three bytes of the address.
    modes: Vec<Mode>,
    log: Vec<Record>,
    tls: Option<Arc<ServerConfig>>,
    accepts: u64,
    requests: u64,
    full: u64,
    resumed: u64,
}

impl Server {
    fn new(arguments: &Arguments, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.port));
        socket
            .bind(&any.into())
            .with_context(|| format!("port {}", arguments.port))?;
        socket.listen(65_535)?;
        let mut listener = TcpListener::from_std(socket.into());
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.control));
        let mut control = UdpSocket::bind(local)
            .with_context(|| format!("control port {}", arguments.control))?;
        let poll = Poll::new()?;
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        registry.register(&mut control, CONTROL, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            control,
            connections: Vec::new(),
            modes: vec![Mode::Up; 1 << 24],
            log: Vec::with_capacity(1 << 20),
            tls,
            accepts: 0,
            requests: 0,
            full: 0,
            resumed: 0,
        })
    }

    fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            match self.poll.poll(&mut events, Some(Duration::from_secs(1))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    CONTROL => self.command(),
                    Token(at) => self.serve(at),
                }
            }
        }
    }

    fn accept(&mut self) {
        // Edge-triggered: until there is nobody left, or no descriptor.
        while let Ok((mut stream, _)) = self.listener.accept() {
            self.accepts += 1;
            let Ok(SocketAddr::V4(local)) = stream.local_addr() else {
                continue;
            };
            let address = u32::from(*local.ip());
            if self.mode(address) == Mode::Reset {
                self.note(address);
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                continue;
            }
            let at = usize::try_from(stream.as_raw_fd()).expect("descriptors are not negative");
            let registry = self.poll.registry();
            if registry
                .register(&mut stream, Token(at), Interest::READABLE)
                .is_err()
            {
                continue;
            }
            let tls = self.tls.as_ref().map(|config| {
                let new = ServerConnection::new(Arc::clone(config));
                Box::new(new.expect("the config was taken once"))
            });
            if self.connections.len() <= at {
                self.connections.resize_with(at + 1, || None);
            }
            self.connections[at] = Some(Connection {
                stream,
                address,
                tls,
                has_shaken: false,
                request: Vec::new(),
            });
        }
    }

    fn serve(&mut self, at: usize) {
        let Some(mut connection) = self.connections.get_mut(at).and_then(Option::take) else {
            return;
        };
        match self.answer(&mut connection) {
            Then::Keep => self.connections[at] = Some(connection),
            Then::Close => {}
            Then::Reset => {
                let _ = SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO));
            }
        }
    }

    /// Reads what is there and answers every complete request.
    fn answer(&mut self, connection: &mut Connection) -> Then {
        let mut buffer = [0; 2_048];
        loop {
            let read = match connection.read(&mut buffer) {
                Ok(0) => return Then::Close,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Then::Keep,
                Err(_) => return Then::Close,
            };
            if let Some(kind) = connection.handshake() {
                match kind {
                    HandshakeKind::Resumed => self.resumed += 1,
                    _ => self.full += 1,
                }
            }
            connection.request.extend_from_slice(&buffer[..read]);
            while let Some(end) = find(&connection.request, b"\r\n\r\n") {
                let closes = has_close(&connection.request[..end]);
                connection.request.drain(..end + 4);
                let then = self.answer_one(connection, closes);
                if then != Then::Keep {
                    return then;
                }
            }
            if connection.request.len() > 16_384 {
                return Then::Close;
            }
            // A short read on an edge: the next bytes bring the next event.
            if connection.tls.is_none() && read < buffer.len() {
                return Then::Keep;
            }
        }
    }

    fn answer_one(&mut self, connection: &mut Connection, closes: bool) -> Then {
        self.requests += 1;
        self.note(connection.address);
        let (answer, then) = match self.mode(connection.address) {
            Mode::Silent => return Then::Keep,
            Mode::Reset => return Then::Reset,
            Mode::Unavailable => (DOWN, Then::Close),
            Mode::Up if closes => (CLOSED, Then::Close),
            Mode::Up => (KEPT, Then::Keep),
        };
        match connection.write(answer, then == Then::Close) {
            Ok(()) => then,
            Err(_) => Then::Close,
        }
    }

    fn command(&mut self) {
        let mut buffer = [0; 1_024];
        while let Ok((read, from)) = self.control.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let answer = match text.split_once(' ') {
                Some(("dump", path)) => self.dump(path),
                Some((mode, address)) => self.set(mode, address),
                None => Some(format!(
                    "{} {} {} {}",
                    self.accepts, self.requests, self.full, self.resumed
                )),
            };
            let answer = answer.unwrap_or_else(|| "what?".to_owned());
            let _ = self.control.send_to(answer.as_bytes(), from);
        }
    }

    fn dump(&mut self, path: &str) -> Option<String> {
        let bytes: Vec<u8> = self.log.iter().flat_map(|r| r.to_bytes()).collect();
        let count = self.log.len();
        self.log.clear();
        fs::write(path, bytes).ok().map(|()| count.to_string())
    }

    fn set(&mut self, mode: &str, address: &str) -> Option<String> {
        let mode = Mode::of(mode.parse().ok()?)?;
        let address: Ipv4Addr = address.parse().ok()?;
        self.modes[place(u32::from(address))] = mode;
        Some(now_ns().to_string())
    }

    fn mode(&self, address: u32) -> Mode {
        self.modes[place(address)]
    }

    fn note(&mut self, address: u32) {
        let mode = self.mode(address).code();
        self.log.push(Record {
            ns: now_ns(),
            address,
            mode,
        });
    }
}

impl Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            let read = tls.read_tls(&mut self.stream)?;
            let processed = tls.process_new_packets();
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            if processed.is_err() || read == 0 {
                return Ok(0);
            }
        }
    }

    /// How the handshake went, once.
    fn handshake(&mut self) -> Option<HandshakeKind> {
        let tls = self.tls.as_ref().filter(|_| !self.has_shaken)?;
        self.has_shaken = true;
        tls.handshake_kind()
    }

    /// Answers fit into an empty socket buffer: a client that lets it fill is dropped.
    fn write(&mut self, answer: &[u8], last: bool) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return self.stream.write_all(answer);
        };
        tls.writer().write_all(answer)?;
        if last {
            tls.send_close_notify();
        }
        while tls.wants_write() {
            tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}

const fn place(address: u32) -> usize {
    (address & 0x00ff_ffff) as usize
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Whether the client wants the connection closed.
fn has_close(head: &[u8]) -> bool {
    let head = head.to_ascii_lowercase();
    let is_old = find(&head, b" http/1.0\r\n").is_some();
    (is_old && find(&head, b"\r\nconnection: keep-alive").is_none())
        || find(&head, b"\r\nconnection: close").is_some()
}

/// A leaf for `bench.test` under an authority that is written to `path`.
fn tls_config(path: &std::path::Path, no_resumption: bool) -> Result<Arc<ServerConfig>> {
    let authority_key = rcgen::KeyPair::generate()?;
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key)?;
    fs::write(path, certificate.pem()).with_context(|| path.display().to_string())?;
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate()?;
    let leaf = rcgen::CertificateParams::new(vec!["bench.test".to_owned()])?;
    let leaf = leaf.signed_by(&key, &issuer)?;
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der())
        .map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    if no_resumption {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    }
    Ok(Arc::new(config))
}
