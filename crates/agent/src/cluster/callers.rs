//! Streams from others: who calls is greeted, must show a seal at once, and is then heard in order.
//!
//! A stranger costs one descriptor and [`HELLO_MAX`] bytes for [`HELLO`] at most; there are
//! [`STRANGERS_MAX`], of one address [`STRANGERS_EACH`], and the newest takes the place of the oldest,
//! so that a flood of calls that say nothing does not keep peers out. Frames of peers share
//! [`FRAMES_MAX`]; one that has no room waits, and so does its caller. A full queue of the node makes
//! callers wait, too. Does not know what is in a message.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use base::{Duration, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::Arrival;
use super::frame::{FRAME_MAX, Frame, HELLO_MAX, Place, length};
use super::port::{Port, canonical};
use super::reason::Reason;

/// Callers that have shown no seal yet, at most.
pub const STRANGERS_MAX: usize = 64;
/// Of these, from one address.
pub const STRANGERS_EACH: usize = 16;
/// Callers that have shown one, at most.
pub const CALLERS_MAX: usize = 256;
/// Of these, those that say the same cluster address.
const CALLERS_EACH: usize = 4;
/// Bytes of frames that are being read or wait for the node, at most.
pub const FRAMES_MAX: usize = 32 << 20;
/// How long a stranger has to show a seal.
const HELLO: Duration = Duration::from_secs(2);
/// How long a frame may take, once it has begun.
const FRAME: Duration = Duration::from_secs(10);
/// A connection that carries nothing for so long is closed; callers close theirs sooner.
const IDLE: Duration = Duration::from_secs(30);
/// How long the node's queue may stay full before a caller is turned away.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const AGAIN: Duration = Duration::from_millis(5);

/// Who calls.
#[derive(Debug)]
struct Callers {
    strangers: Mutex<VecDeque<Stranger>>,
    seated: Mutex<HashMap<SocketAddr, usize>>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Stranger {
    nth: u64,
    ip: IpAddr,
    task: AbortHandle,
}

/// Takes calls for ever.
///
/// `room` has [`FRAMES_MAX`] permits, one for each byte of a frame that is held.
pub(super) async fn take_calls(port: Arc<Port>, listener: TcpListener, room: Arc<Semaphore>) {
    let callers = Arc::new(Callers {
        strangers: Mutex::default(),
        seated: Mutex::default(),
        room,
    });
    let mut nth = 0;
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Most likely out of descriptors: some may be free soon.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let peer = canonical(peer);
        nth += 1;
        if let Some(oldest) = callers.make_place(peer.ip()) {
            port.dropped(Way::Stream, Reason::Crowded, oldest);
        }
        let heard = hear(Arc::clone(&port), Arc::clone(&callers), stream, peer, nth);
        let task = tokio::spawn(heard).abort_handle();
        let ip = peer.ip();
        let stranger = Stranger { nth, ip, task };
        callers.strangers().push_back(stranger);
    }
}

impl Callers {
    fn strangers(&self) -> std::sync::MutexGuard<'_, VecDeque<Stranger>> {
        self.strangers.lock().expect("nobody panics here")
    }

    /// Makes place for a stranger from `ip`; says whose call had to end for it.
    fn make_place(&self, ip: IpAddr) -> Option<SocketAddr> {
        let mut strangers = self.strangers();
        let of_same = strangers.iter().filter(|s| s.ip == ip).count();
        let leaves = if of_same >= STRANGERS_EACH {
            strangers.iter().position(|s| s.ip == ip)
        } else {
            (strangers.len() >= STRANGERS_MAX).then_some(0)
        };
        let oldest = strangers.remove(leaves?)?;
        oldest.task.abort();
        Some(SocketAddr::new(oldest.ip, 0))
    }

    /// A call is over, or its caller no stranger any more.
    fn no_stranger(&self, nth: u64) {
        self.strangers().retain(|s| s.nth != nth);
    }

    /// A seat for a caller, if there is one.
    fn seat(self: &Arc<Self>, from: SocketAddr) -> Result<Seat, Reason> {
        let mut seated = self.seated.lock().expect("nobody panics here");
        let own = seated.get(&from).copied().unwrap_or(0);
        if own >= CALLERS_EACH || seated.values().sum::<usize>() >= CALLERS_MAX {
            return Err(Reason::Crowded);
        }
        seated.insert(from, own + 1);
        Ok(Seat {
            callers: Arc::clone(self),
            from,
        })
    }
}

/// The seat of one caller; free again when this is gone.
#[derive(Debug)]
struct Seat {
    callers: Arc<Callers>,
    from: SocketAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seated = self.callers.seated.lock().expect("nobody panics here");
        if let Some(own) = seated.get_mut(&self.from) {
            *own -= 1;
            if *own == 0 {
                seated.remove(&self.from);
            }
        }
    }
}

/// Hears one caller until it hangs up or makes no sense.
async fn hear(
    port: Arc<Port>,
    callers: Arc<Callers>,
    mut stream: TcpStream,
    peer: SocketAddr,
    nth: u64,
) {
    let met = timeout(HELLO, meet(&port, &mut stream, peer)).await;
    callers.no_stranger(nth);
    let end = match met {
        Ok(Ok((from, place))) => messages(&port, &callers, &mut stream, from, place).await,
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err(Reason::Slow),
    };
    if let Err(reason) = end {
        port.dropped(Way::Stream, reason, peer);
    }
}

/// Greets a stranger and takes its hello: the caller's cluster address.
async fn meet(
    port: &Port,
    stream: &mut TcpStream,
    peer: SocketAddr,
) -> Result<(SocketAddr, Place), Reason> {
    let mut place = Place::fresh();
    stream
        .write_all(&place.greeting())
        .await
        .map_err(|_| Reason::Truncated)?;
    let frame = read_frame(port, stream, HELLO_MAX, None).await?;
    let (mut sealed, _) = frame.ok_or(Reason::Truncated)?;
    let content = port.seal.open(&place.step(), &mut sealed)?;
    let Frame::Hello(from) = Frame::decode(content)? else {
        return Err(Reason::Malformed);
    };
    let mut from = canonical(from);
    if from.ip().is_unspecified() {
        // It listens on every address; the one that it calls from is one of them.
        from.set_ip(peer.ip());
    }
    Ok((from, place))
}

/// Hands up what `from` says, in order.
async fn messages(
    port: &Port,
    callers: &Arc<Callers>,
    stream: &mut TcpStream,
    from: SocketAddr,
    mut place: Place,
) -> Result<(), Reason> {
    let _seat = callers.seat(from)?;
    let room = Some(&callers.room);
    while let Some((mut sealed, _room)) = read_frame(port, stream, FRAME_MAX, room).await? {
        let content = port.seal.open(&place.step(), &mut sealed)?;
        let Frame::Message(bytes) = Frame::decode(content)? else {
            return Err(Reason::Malformed);
        };
        let arrival = Arrival {
            from,
            way: Way::Stream,
            bytes: bytes.to_vec(),
        };
        drop(sealed);
        hand_up(port, arrival).await?;
        port.traffic.of(Way::Stream).messages_in.add(1);
    }
    Ok(())
}

/// One sealed frame and the share of `room` that it takes; `None` when the caller has hung up or
/// says nothing.
async fn read_frame(
    port: &Port,
    stream: &mut TcpStream,
    limit: usize,
    room: Option<&Arc<Semaphore>>,
) -> Result<Option<(Vec<u8>, Option<OwnedSemaphorePermit>)>, Reason> {
    let mut front = [0; 4];
    match timeout(IDLE, stream.read(&mut front[..1])).await {
        Ok(Ok(1)) => {}
        Ok(Ok(_) | Err(_)) | Err(_) => return Ok(None),
    }
    let read = async {
        let cut = |_| Reason::Truncated;
        stream.read_exact(&mut front[1..]).await.map_err(cut)?;
        let len = length(front, limit)?;
        let mut taken = None;
        if let Some(room) = room {
            let need = u32::try_from(len).expect("a MiB and a seal at most");
            let share = Arc::clone(room).acquire_many_owned(need).await;
            taken = Some(share.expect("it is never closed"));
        }
        let mut sealed = vec![0; len];
        stream.read_exact(&mut sealed).await.map_err(cut)?;
        Ok((sealed, taken))
    };
    let frame = timeout(FRAME, read).await.map_err(|_| Reason::Slow)??;
    let bytes = frame.0.len() as u64 + 4;
    port.traffic.of(Way::Stream).bytes_in.add(bytes);
    Ok(Some(frame))
}

/// Hands one message to the node, as soon as it has room.
async fn hand_up(port: &Port, mut arrival: Arrival) -> Result<(), Reason> {
    let end = Instant::now() + PATIENCE;
    while let Err(back) = (port.sink)(arrival) {
        if Instant::now() >= end {
            return Err(Reason::Queue);
        }
        arrival = back;
        sleep(AGAIN).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers() -> Arc<Callers> {
        Arc::new(Callers {
            strangers: Mutex::default(),
            seated: Mutex::default(),
            room: Arc::new(Semaphore::new(FRAMES_MAX)),
        })
    }

    fn ip(host: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, host])
    }

    /// A stranger whose task never ends by itself.
    fn arrives(callers: &Callers, nth: u64, host: u8) -> Option<SocketAddr> {
        let out = callers.make_place(ip(host));
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        callers.strangers().push_back(Stranger {
            nth,
            ip: ip(host),
            task,
        });
        out
    }

    #[tokio::test]
    async fn a_flood_of_one_address_pushes_out_its_own_calls_and_no_others() {
        let callers = callers();
        assert_eq!(arrives(&callers, 0, 1), None);
        for nth in 1..200 {
            let out = arrives(&callers, nth, 2);
            let expected = (nth > STRANGERS_EACH as u64).then(|| SocketAddr::new(ip(2), 0));
            assert_eq!(out, expected, "{nth}");
        }
        let strangers = callers.strangers();
        assert_eq!(strangers.len(), STRANGERS_EACH + 1);
        assert_eq!(strangers[0].ip, ip(1));
    }

    #[tokio::test]
    async fn a_flood_of_many_addresses_pushes_out_the_oldest() {
        let callers = callers();
        for nth in 0..200 {
            let host = u8::try_from(nth).unwrap();
            arrives(&callers, nth, host);
            assert!(callers.strangers().len() <= STRANGERS_MAX);
        }
        assert_eq!(callers.strangers()[0].nth, 136);
        callers.no_stranger(136);
        assert_eq!(callers.strangers().len(), STRANGERS_MAX - 1);
    }

    #[test]
    fn seats_are_bounded_for_each_and_in_all_and_become_free_again() {
        let callers = callers();
        let from = |n: usize| {
            let port = u16::try_from(n + 1).unwrap();
            SocketAddr::new(ip(1), port)
        };
        let mut seats = Vec::new();
        for nth in 0..CALLERS_EACH {
            seats.push(callers.seat(from(0)).unwrap_or_else(|_| panic!("{nth}")));
        }
        assert_eq!(callers.seat(from(0)).unwrap_err(), Reason::Crowded);
        for nth in 1..=CALLERS_MAX - CALLERS_EACH {
            seats.push(callers.seat(from(nth)).unwrap());
        }
        assert_eq!(callers.seat(from(9_999)).unwrap_err(), Reason::Crowded);
        drop(seats);
        assert!(callers.seat(from(0)).is_ok());
        assert!(callers.seated.lock().unwrap().is_empty());
    }
}
