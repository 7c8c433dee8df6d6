//! A target server: every 127.x.y.z address is a target, and each can be set to misbehave.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How one address answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Up,
    Status503,
    Silent,
    Reset,
}

/// A running target server; ends with the test process.
#[derive(Clone)]
pub(crate) struct Targets {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    modes: BTreeMap<Ipv4Addr, Mode>,
    asked: Vec<(Instant, Ipv4Addr)>,
}

impl Targets {
    /// Listens on a free port of all addresses.
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (tell, told) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
                socket
                    .bind("0.0.0.0:0".parse().expect("an address"))
                    .expect("a free port");
                let listener = socket.listen(4_096).expect("listening");
                tell.send(listener.local_addr().expect("bound").port())
                    .expect("the test waits");
                accept(listener, shared).await;
            });
        });
        Self {
            port: told.recv().expect("the server starts"),
            state,
        }
    }

    /// The address of target `i`.
    pub(crate) fn address(i: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x7f01_0001 + i)
    }

    pub(crate) fn url(&self, i: u32) -> String {
        format!("http://{}:{}/health", Self::address(i), self.port)
    }

    pub(crate) fn set(&self, i: u32, mode: Mode) {
        self.state
            .lock()
            .expect("no panic")
            .modes
            .insert(Self::address(i), mode);
    }

    /// The most requests within any second since `from`.
    pub(crate) fn busiest_second(&self, from: Instant) -> usize {
        let state = self.state.lock().expect("no panic");
        let at: Vec<Instant> = state
            .asked
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| *at >= from)
            .collect();
        let mut first = 0;
        (0..at.len())
            .map(|last| {
                while at[last] - at[first] > Duration::from_secs(1) {
                    first += 1;
                }
                last + 1 - first
            })
            .max()
            .unwrap_or(0)
    }

    /// How many different targets were asked since `from`.
    pub(crate) fn asked_since(&self, from: Instant) -> usize {
        let state = self.state.lock().expect("no panic");
        let mut who: Vec<Ipv4Addr> = state
            .asked
            .iter()
            .filter(|(at, _)| *at >= from)
            .map(|(_, a)| *a)
            .collect();
        who.sort_unstable();
        who.dedup();
        who.len()
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, Arc::clone(&state)))),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else {
        return;
    };
    let mut buffer = [0; 2_048];
    if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
        return;
    }
    let mode = {
        let mut state = state.lock().expect("no panic");
        state.asked.push((Instant::now(), *local.ip()));
        state.modes.get(local.ip()).copied().unwrap_or(Mode::Up)
    };
    let reply: &[u8] = match mode {
        Mode::Up => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        Mode::Status503 => {
            b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndown"
        }
        Mode::Silent => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return;
        }
        Mode::Reset => {
            let _ = socket_reset(&stream);
            return;
        }
    };
    let _ = stream.write_all(reply).await;
}

fn socket_reset(stream: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
