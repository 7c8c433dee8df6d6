//! The anchor: what a loop can reach that does nothing but check.
//!
//! Connect, GET, read once, close by a reset; each target once per interval, evenly spread, one
//! epoll instance, no timeouts, no verdicts. Runs until it is ended. One system call less per
//! check than shared/bench/floor.c: both directions are registered at once.
#![expect(clippy::print_stderr, reason = "a tool for people")]

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use roundsman_bench::wire::address;
use socket2::{Domain, Socket, Type};

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

/// A bare checking loop.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many targets
    #[arg(long, default_value_t = 10_000)]
    targets: u32,
    /// Time between two checks of one
    #[arg(long, default_value_t = 1_000)]
    interval_ms: u64,
    /// Where they listen
    #[arg(long, default_value_t = 18_080)]
    port: u16,
}

struct Check {
    stream: TcpStream,
    has_asked: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let step =
        Duration::from_millis(arguments.interval_ms).as_nanos() / u128::from(arguments.targets);
    let step = Duration::from_nanos(u64::try_from(step)?);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(512);
    let mut checks: Vec<Option<Check>> = Vec::new();
    let (mut next, mut due, mut failed) = (0, Instant::now(), 0_u64);
    loop {
        let now = Instant::now();
        while due <= now {
            match begin(&poll, SocketAddr::from((address(next), arguments.port))) {
                Ok((at, check)) => {
                    if checks.len() <= at {
                        checks.resize_with(at + 1, || None);
                    }
                    checks[at] = Some(check);
                }
                Err(_) => failed += 1,
            }
            next = (next + 1) % arguments.targets;
            due += step;
            if next == 0 && failed > 0 {
                eprintln!("floor: {failed} checks failed so far");
            }
        }
        match poll.poll(&mut events, Some(due.saturating_duration_since(now))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Some(place) = checks.get_mut(event.token().0) else {
                continue;
            };
            if let Some(passed) = place.as_mut().and_then(advance) {
                failed += u64::from(!passed);
                *place = None;
            }
        }
    }
}

fn begin(poll: &Poll, target: SocketAddr) -> Result<(usize, Check)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&target.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            return Err(error.into());
        }
        _ => {}
    }
    let mut stream = TcpStream::from_std(socket.into());
    let at = usize::try_from(stream.as_raw_fd())?;
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, Token(at), both)?;
    let check = Check {
        stream,
        has_asked: false,
    };
    Ok((at, check))
}

/// The check's end, and whether it passed; `None` while it goes on.
fn advance(check: &mut Check) -> Option<bool> {
    if !check.has_asked {
        if !matches!(check.stream.take_error(), Ok(None)) {
            return Some(false);
        }
        check.has_asked = true;
        return match check.stream.write(REQUEST) {
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(false),
        };
    }
    let mut buffer = [0; 2_048];
    match check.stream.read(&mut buffer) {
        Ok(read) => Some(buffer[..read].starts_with(b"HTTP/1.1 200")),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(_) => Some(false),
    }
}
