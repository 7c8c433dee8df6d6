//! Many real HTTP servers in one process: each has an address of its own and logs every request.
//!
//! One socket listens on a port of all addresses; what an address answers can be changed at any
//! time. The log is the only witness of when something was checked. Does not know who asks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How one target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 200.
    Well,
    /// 503.
    Ill,
    /// Takes the request and says nothing.
    Silent,
    /// Cuts the connection.
    Reset,
}

/// All servers; they end with the process.
#[derive(Clone)]
pub(crate) struct Targets {
    first: Ipv4Addr,
    port: u16,
    state: Arc<Mutex<Vec<One>>>,
}

#[derive(Clone)]
struct One {
    mood: Mood,
    /// When, and by which node.
    asked: Vec<(Instant, char)>,
}

/// The longest time that a target went without a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) target: usize,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Gap {
    pub(crate) fn length(&self) -> Duration {
        self.until - self.from
    }
}

impl Targets {
    /// `count` servers from the address `first` on, in this thread's network.
    pub(crate) fn start(first: Ipv4Addr, count: usize) -> Self {
        let one = One {
            mood: Mood::Well,
            asked: Vec::new(),
        };
        let state = Arc::new(Mutex::new(vec![one; count]));
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
                accept(listener, first, shared).await;
            });
        });
        let port = told.recv().expect("the servers start");
        Self { first, port, state }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn url(&self, nth: usize) -> String {
        let nth = u32::try_from(nth).expect("few");
        let address = Ipv4Addr::from_bits(self.first.to_bits() + nth);
        format!("http://{address}:{}/health", self.port)
    }

    pub(crate) fn set(&self, nth: usize, mood: Mood) {
        self.lock()[nth].mood = mood;
    }

    /// The longest gap of each target in this span, the longest of all first. Both ends count as
    /// requests: what is missing at the edges is seen as far as it lies within.
    pub(crate) fn gaps(
        &self,
        from: Instant,
        until: Instant,
        of: impl Fn(usize) -> bool,
    ) -> Vec<Gap> {
        let all = self.lock();
        let mut gaps: Vec<Gap> = all
            .iter()
            .enumerate()
            .filter(|(target, _)| of(*target))
            .map(|(target, one)| {
                let within = one.asked.iter().map(|(at, _)| *at);
                let within = within.filter(|at| (from..until).contains(at));
                let (mut longest, mut last) = ((from, from), from);
                for at in within.chain([until]) {
                    if at - last > longest.1 - longest.0 {
                        longest = (last, at);
                    }
                    last = at;
                }
                let (from, until) = longest;
                Gap {
                    target,
                    from,
                    until,
                }
            })
            .collect();
        gaps.sort_by_key(|gap| std::cmp::Reverse(gap.length()));
        gaps
    }

    /// When, relative to `zero`, and by whom a target was asked around a gap.
    pub(crate) fn around(&self, gap: &Gap, zero: Instant) -> String {
        let near = Duration::from_secs(3);
        let all = self.lock();
        let near = all[gap.target]
            .asked
            .iter()
            .filter(|(at, _)| *at + near > gap.from && *at < gap.until + near);
        let said: Vec<String> = near
            .map(|(at, by)| format!("{:.2} n{by}", (*at - zero).as_secs_f64()))
            .collect();
        said.join(", ")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<One>> {
        self.state.lock().expect("nobody panics with it")
    }
}

/// The number of the node that asks: its config has it say so.
fn asker(request: &[u8]) -> char {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let by = text
        .split_once("x-by: n")
        .and_then(|(_, by)| by.chars().next());
    by.unwrap_or('?')
}

async fn accept(listener: TcpListener, first: Ipv4Addr, state: Arc<Mutex<Vec<One>>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, first, Arc::clone(&state)))),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, first: Ipv4Addr, state: Arc<Mutex<Vec<One>>>) {
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else {
        return;
    };
    let Some(nth) = local.ip().to_bits().checked_sub(first.to_bits()) else {
        return;
    };
    let mut buffer = [0; 2_048];
    let Ok(len @ 1..) = stream.read(&mut buffer).await else {
        return;
    };
    let by = asker(&buffer[..len]);
    let mood = {
        let mut state = state.lock().expect("nobody panics with it");
        let Some(one) = state.get_mut(nth as usize) else {
            return;
        };
        one.asked.push((Instant::now(), by));
        one.mood
    };
    let reply: &[u8] = match mood {
        Mood::Well => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        Mood::Ill => b"HTTP/1.1 503 Ill\r\nContent-Length: 3\r\nConnection: close\r\n\r\nill",
        Mood::Silent => {
            tokio::time::sleep(Duration::from_secs(10)).await;
            return;
        }
        Mood::Reset => {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
    };
    let _ = stream.write_all(reply).await;
}
