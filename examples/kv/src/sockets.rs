//! Datagrams and streams on one cluster address, for both rooms.
//!
//! A message is one byte for the room and then the room's own bytes. Over UDP it is one datagram.
//! Over TCP it has its length in front, on a connection that is kept and used in one direction;
//! the first line of a connection names the caller's cluster address, because the port that it
//! calls from says nothing. Every queue, length and number of connections has a bound; what is
//! over it is counted and dropped, because both rooms ask again.
//! Does not know what is in a message.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::{Duration, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Bytes of one datagram at most, the room's byte included.
const DATAGRAM_MAX: usize = 1_500;
/// Bytes of one message on a stream at most, the room's byte included.
const MESSAGE_MAX: usize = 1 << 20;
/// Messages that wait for one peer's stream at most.
const WAITING_MAX: usize = 64;
/// Connections that others may have open to us, and we to others.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection may take to be made, and to say who calls.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection that carries nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// What each connection begins with; another protocol's caller is turned away.
const HELLO: [u8; 4] = *b"rkv1";

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The members' protocol.
    Membership = 1,
    /// The store's protocol.
    Store = 2,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// For whom.
    pub room: Room,
    /// The sender's cluster address.
    pub from: SocketAddr,
    /// How it came.
    pub way: Way,
    /// The room's own bytes.
    pub bytes: Vec<u8>,
}

impl Arrival {
    /// Splits the room's byte off; `None` for a room that this version does not have.
    fn new(from: SocketAddr, way: Way, message: &[u8]) -> Option<Self> {
        let (tag, bytes) = message.split_first()?;
        let room = match tag {
            1 => Room::Membership,
            2 => Room::Store,
            _ => return None,
        };
        Some(Self {
            room,
            from,
            way,
            bytes: bytes.to_vec(),
        })
    }
}

/// Counts messages that were dropped, either way, because a bound was hit or a byte was wrong.
#[derive(Clone, Debug, Default)]
struct Dropped(Arc<AtomicU64>);

impl Dropped {
    fn one(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// One cluster address: a UDP socket, a TCP listener, and a line to each peer that needs one.
#[derive(Debug)]
pub struct Sockets {
    address: SocketAddr,
    udp: Arc<UdpSocket>,
    lines: BTreeMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
    dropped: Dropped,
    /// The two that listen; they end with this.
    _ears: JoinSet<()>,
}

impl Sockets {
    /// Listens on `address`; everything that comes goes into `inbox`. A full inbox makes streams
    /// wait and drops datagrams.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn open<E>(address: SocketAddr, inbox: mpsc::Sender<E>) -> io::Result<Self>
    where
        E: From<Arrival> + Send + 'static,
    {
        let udp = Arc::new(UdpSocket::bind(address).await?);
        let tcp = TcpListener::bind(address).await?;
        // A first `try_send_to` fails unless the runtime has seen that the socket can be written.
        udp.writable().await?;
        let dropped = Dropped::default();
        let mut ears = JoinSet::new();
        ears.spawn(take_datagrams(
            Arc::clone(&udp),
            inbox.clone(),
            dropped.clone(),
        ));
        ears.spawn(take_callers(tcp, inbox, dropped.clone()));
        Ok(Self {
            address,
            udp,
            lines: BTreeMap::new(),
            dropped,
            _ears: ears,
        })
    }

    /// How many messages were dropped, either way, because a bound was hit or a byte was wrong.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.0.load(Relaxed)
    }

    /// Sends one message; never waits. What can't be sent is counted and dropped.
    pub fn send(&mut self, room: Room, to: SocketAddr, way: Way, bytes: &[u8]) {
        let message = [&[room as u8], bytes].concat();
        let is_sent = match way {
            Way::Datagram => self.udp.try_send_to(&message, to).is_ok(),
            Way::Stream => message.len() <= MESSAGE_MAX && self.queue(to, message),
        };
        if !is_sent {
            self.dropped.one();
        }
    }

    /// Gives `message` to the line to `to`, which is made if there is none.
    fn queue(&mut self, to: SocketAddr, mut message: Vec<u8>) -> bool {
        use mpsc::error::TrySendError::{Closed, Full};
        if let Some(line) = self.lines.get(&to) {
            match line.try_send(message) {
                Ok(()) => return true,
                Err(Full(_)) => return false,
                Err(Closed(back)) => message = back,
            }
        }
        self.lines.retain(|_, line| !line.is_closed());
        if self.lines.len() >= CONNECTIONS_MAX {
            return false;
        }
        let (line, waiting) = mpsc::channel(WAITING_MAX);
        line.try_send(message).expect("an empty queue has room");
        self.lines.insert(to, line);
        tokio::spawn(keep_line(self.address, to, waiting, self.dropped.clone()));
        true
    }
}

async fn take_datagrams<E: From<Arrival>>(
    udp: Arc<UdpSocket>,
    inbox: mpsc::Sender<E>,
    dropped: Dropped,
) {
    let mut buffer = [0; DATAGRAM_MAX + 1];
    while !inbox.is_closed() {
        // An error is the echo of an earlier datagram to a port where nobody listens.
        let Ok((len, from)) = udp.recv_from(&mut buffer).await else {
            continue;
        };
        let arrival = Arrival::new(from, Way::Datagram, &buffer[..len]);
        let arrival = arrival.filter(|_| len <= DATAGRAM_MAX);
        let is_taken = arrival.is_some_and(|arrival| inbox.try_send(arrival.into()).is_ok());
        if !is_taken {
            dropped.one();
        }
    }
}

async fn take_callers<E>(tcp: TcpListener, inbox: mpsc::Sender<E>, dropped: Dropped)
where
    E: From<Arrival> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while !inbox.is_closed() {
        let Ok((stream, _)) = tcp.accept().await else {
            // Most likely out of descriptors: try again when some may be free.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            dropped.one();
            continue;
        };
        let (inbox, dropped) = (inbox.clone(), dropped.clone());
        tokio::spawn(async move {
            if hear(stream, &inbox).await.is_err() {
                dropped.one();
            }
            drop(permit);
        });
    }
}

/// Takes messages from one caller until it hangs up; an error when its bytes make no sense.
async fn hear<E: From<Arrival>>(mut stream: TcpStream, inbox: &mpsc::Sender<E>) -> io::Result<()> {
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let from = timeout(CONNECT, hear_hello(&mut stream)).await??;
    if from.ip() != stream.peer_addr()?.ip() {
        return Err(nonsense());
    }
    loop {
        let Ok(Ok(len)) = timeout(IDLE + CONNECT, stream.read_u32()).await else {
            return Ok(());
        };
        let len = usize::try_from(len).map_err(|_| nonsense())?;
        if len > MESSAGE_MAX {
            return Err(nonsense());
        }
        // Grows with what really comes: a length alone costs nothing.
        let mut message = Vec::new();
        let mut part = (&mut stream).take(len as u64);
        timeout(IDLE, part.read_to_end(&mut message)).await??;
        let arrival = Arrival::new(from, Way::Stream, &message);
        let arrival = arrival.filter(|_| message.len() == len);
        let event = arrival.ok_or_else(nonsense)?.into();
        if inbox.send(event).await.is_err() {
            return Ok(());
        }
    }
}

async fn hear_hello(stream: &mut TcpStream) -> io::Result<SocketAddr> {
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let mut hello = [0; HELLO.len()];
    stream.read_exact(&mut hello).await?;
    if hello != HELLO {
        return Err(nonsense());
    }
    let mut name = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut name).await?;
    let name = std::str::from_utf8(&name).map_err(|_| nonsense())?;
    name.parse().map_err(|_| nonsense())
}

/// Carries messages to one peer until nothing waits for long, or the connection fails.
async fn keep_line(
    me: SocketAddr,
    to: SocketAddr,
    mut waiting: mpsc::Receiver<Vec<u8>>,
    dropped: Dropped,
) {
    if let Ok(Ok(stream)) = timeout(CONNECT, call(me, to)).await {
        let (mut reading, mut writing) = stream.into_split();
        loop {
            let message = tokio::select! {
                message = timeout(IDLE, waiting.recv()) => message,
                // The peer never writes here: whatever is read is its end.
                _ = reading.read_u8() => break,
            };
            let Ok(Some(message)) = message else { break };
            let sent = timeout(IDLE, write(&mut writing, &message)).await;
            if !matches!(sent, Ok(Ok(()))) {
                dropped.one();
                break;
            }
        }
    }
    waiting.close();
    while waiting.recv().await.is_some() {
        dropped.one();
    }
}

/// Connects from our own address, so that the peer can compare it with the hello.
async fn call(me: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.bind(SocketAddr::new(me.ip(), 0))?;
    let mut stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    let name = me.to_string();
    let len = u8::try_from(name.len()).expect("an address as text is under 60 bytes");
    let hello = [&HELLO[..], &[len], name.as_bytes()].concat();
    stream.write_all(&hello).await?;
    Ok(stream)
}

async fn write(writing: &mut (impl AsyncWriteExt + Unpin), message: &[u8]) -> io::Result<()> {
    let len = u32::try_from(message.len()).expect("bounded by MESSAGE_MAX");
    // One write, so that a short message is one packet.
    let framed = [&len.to_be_bytes()[..], message].concat();
    writing.write_all(&framed).await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pair() -> (Sockets, Sockets, mpsc::Receiver<Arrival>) {
        let free = || {
            let any = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            any.local_addr().expect("it is bound")
        };
        let (inbox, _) = mpsc::channel::<Arrival>(1);
        let alice = Sockets::open(free(), inbox).await.expect("it was free");
        let (inbox, outbox) = mpsc::channel(16);
        let bob = Sockets::open(free(), inbox).await.expect("it was free");
        (alice, bob, outbox)
    }

    #[tokio::test]
    async fn both_ways_carry_whole_messages_and_name_the_senders_cluster_address() {
        let (mut alice, bob, mut came) = pair().await;
        for (way, room) in [
            (Way::Datagram, Room::Membership),
            (Way::Stream, Room::Store),
        ] {
            alice.send(room, bob.address, way, b"hello");
            let expected = Arrival {
                room,
                from: alice.address,
                way,
                bytes: b"hello".to_vec(),
            };
            assert_eq!(came.recv().await, Some(expected));
        }
    }

    #[tokio::test]
    async fn a_long_message_arrives_whole_and_in_order() {
        let (mut alice, bob, mut came) = pair().await;
        let long = vec![7; MESSAGE_MAX - 1];
        alice.send(Room::Store, bob.address, Way::Stream, &long);
        alice.send(Room::Store, bob.address, Way::Stream, b"short");
        assert_eq!(came.recv().await.unwrap().bytes.len(), long.len());
        assert_eq!(came.recv().await.unwrap().bytes, b"short");
        alice.send(
            Room::Store,
            bob.address,
            Way::Stream,
            &[long, vec![7]].concat(),
        );
        assert_eq!(alice.dropped(), 1, "one byte too long");
    }

    #[tokio::test]
    async fn a_caller_that_talks_nonsense_is_hung_up_on_and_counted() {
        let (_alice, bob, mut came) = pair().await;
        let name = b"127.0.0.1:9";
        let hello = [&HELLO[..], &[11], name].concat();
        let too_long = [&hello[..], &u32::MAX.to_be_bytes()].concat();
        let elsewhere = [&HELLO[..], &[11], b"127.0.0.2:9"].concat();
        let unknown_room = [&hello[..], &[0, 0, 0, 1, 9]].concat();
        for (nth, bytes) in [
            &b"GET / HTTP/1.1\r\n"[..],
            &too_long,
            &elsewhere,
            &unknown_room,
        ]
        .into_iter()
        .enumerate()
        {
            let mut caller = TcpStream::connect(bob.address).await.unwrap();
            caller.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            let _ = caller.read_to_end(&mut answer).await;
            assert!(answer.is_empty());
            while bob.dropped() < nth as u64 + 1 {
                tokio::task::yield_now().await;
            }
        }
        assert!(came.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_peer_that_comes_back_is_called_again() {
        let (mut alice, bob, came) = pair().await;
        let address = bob.address;
        alice.send(Room::Store, address, Way::Stream, b"to the first");
        drop((bob, came));
        let (inbox, mut came) = mpsc::channel::<Arrival>(16);
        // The first one's listeners end when the runtime next looks at them.
        let _bob = loop {
            match Sockets::open(address, inbox.clone()).await {
                Ok(bob) => break bob,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        // What went into the old connection is lost; the room would ask again.
        while came.try_recv().is_err() {
            alice.send(Room::Store, address, Way::Stream, b"to the second");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
