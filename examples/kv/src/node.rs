//! One node: a loop that feeds both rooms and does what they want.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use base::{Duration, NodeId, Origin, Time, Way};
use clap::Args;
use membership::{Incarnation, Member, Membership, Meta, State};
use store::{KEY_MAX, Mark, Store, VALUE_MAX};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::client::{self, Held, MemberRow, Reply, Request, Sibling};
use crate::writes::Writes;
use crate::{Arrival, Clock, Disk, Room, Sockets};

/// What waits for the loop at most; more makes streams and clients wait, and drops datagrams.
const INBOX: usize = 1_024;
/// A farewell takes so long at most.
const FAREWELL: Duration = Duration::from_secs(5);
/// For so long the store waits for a dead member before it forgets traces that it may need.
const FRONTIER: Duration = Duration::from_mins(10);
/// The store's messages begin with the sender's id: an address may pass to another node.
const ID_BYTES: usize = 8;

/// How a node is started; the options of `kv run`.
#[derive(Args, Clone, Debug)]
pub struct Setup {
    /// What people call it; unique among the living
    #[arg(long)]
    pub name: String,
    /// Its cluster address, UDP and TCP; loopback only, because nothing is sealed
    #[arg(long)]
    pub listen: SocketAddr,
    /// Cluster addresses of others
    #[arg(long, value_delimiter = ',')]
    pub join: Vec<SocketAddr>,
    /// The directory of its file; without, it forgets all when it ends
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Where it takes clients
    #[arg(long)]
    pub client: Option<SocketAddr>,
}

/// What can happen to a node.
#[derive(Debug)]
pub enum Event {
    /// A message came from another node.
    Arrived(Arrival),
    /// A client asks.
    Asked(Request, oneshot::Sender<Reply>),
    /// Say farewell and end.
    Leave,
}

impl From<Arrival> for Event {
    fn from(arrival: Arrival) -> Self {
        Self::Arrived(arrival)
    }
}

/// One node.
#[derive(Debug)]
pub struct Node {
    clock: Clock,
    me: NodeId,
    membership: Membership,
    store: Store,
    sockets: Sockets,
    disk: Option<Disk>,
    inbox: mpsc::Receiver<Event>,
    writes: Writes,
    /// Since when each dead member is.
    dead: BTreeMap<NodeId, Time>,
    /// What the store was last told: the living, and the frontier.
    peers: (Vec<NodeId>, Vec<NodeId>),
    leaves_at: Option<Time>,
}

impl Node {
    /// Opens file and ports; the sender takes [`Event`]s for the loop.
    ///
    /// # Errors
    /// When the file or a port can't be used, or a setting is out of its bounds.
    pub async fn start(setup: Setup) -> Result<(Self, mpsc::Sender<Event>)> {
        let address = setup.listen;
        if !address.ip().is_loopback() {
            bail!("--listen is {address}; nothing is sealed, so it must be in 127.0.0.0/8 or ::1");
        }
        let (disk, me, records) = match &setup.data {
            Some(directory) => {
                let (disk, me, records) = Disk::open(directory)?;
                (Some(disk), me, records)
            }
            None => (None, NodeId(Clock::entropy()), Vec::new()),
        };
        let membership = Membership::new(membership_config(me, &setup))?;
        let origin = Origin(Clock::entropy());
        let store_config = store::Config::lan(me, origin, Clock::entropy());
        let store = Store::new(store_config, records)?;
        let (sender, inbox) = mpsc::channel(INBOX);
        let cant_listen = |at| move || format!("can't listen on {at}");
        let sockets = Sockets::open(address, sender.clone()).await;
        let sockets = sockets.with_context(cant_listen(address))?;
        if let Some(at) = setup.client {
            let listener = TcpListener::bind(at).await.with_context(cant_listen(at))?;
            tokio::spawn(client::serve(listener, sender.clone()));
        }
        let mut node = Self {
            clock: Clock::start(),
            me,
            membership,
            store,
            sockets,
            disk,
            inbox,
            writes: Writes::default(),
            dead: BTreeMap::new(),
            peers: (Vec::new(), Vec::new()),
            leaves_at: None,
        };
        let join = membership::Input::Join(setup.join);
        node.membership.handle(node.clock.now(), join);
        Ok((node, sender))
    }

    /// Runs until the node has left.
    ///
    /// # Errors
    /// When another live node has our name.
    pub async fn run(mut self) -> Result<()> {
        loop {
            let now = self.clock.now();
            if self.drain(now)? {
                return Ok(());
            }
            let due = self.deadline(now);
            tokio::select! {
                Some(event) = self.inbox.recv() => self.take(event),
                mark = synced(self.disk.as_mut()) => self.persisted(self.clock.now(), mark),
                () = self.clock.sleep_until(due) => {}
            }
            self.tick();
        }
    }

    fn take(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Arrived(arrival) => self.arrived(now, arrival),
            Event::Asked(request, reply) => self.asked(now, request, reply),
            Event::Leave => {
                self.leaves_at = Some(now + FAREWELL);
                self.membership.handle(now, membership::Input::Leave);
            }
        }
    }

    fn arrived(&mut self, now: Time, arrival: Arrival) {
        let Arrival {
            from, way, bytes, ..
        } = arrival;
        match arrival.room {
            Room::Membership => {
                let input = membership::Input::Received(from, way, bytes);
                self.membership.handle(now, input);
            }
            Room::Store => {
                // A stranger's words wait until membership knows it; it will say them again.
                let Some((id, bytes)) = bytes.split_first_chunk::<ID_BYTES>() else {
                    return;
                };
                let id = NodeId(u64::from_be_bytes(*id));
                if id != self.me && self.membership.member(id).is_some() {
                    let input = store::Input::Received(id, way, bytes.to_vec());
                    self.store.handle(now, input);
                }
            }
        }
    }

    fn persisted(&mut self, now: Time, mark: Mark) {
        self.writes.synced = mark;
        self.store.handle(now, store::Input::Persisted(mark));
    }

    fn asked(&mut self, now: Time, request: Request, reply: oneshot::Sender<Reply>) {
        let answer = match request {
            Request::Put(key, value) => {
                let input = store::Input::Put(key.into_bytes(), value.into_bytes());
                return self.write(now, input, reply);
            }
            Request::Delete(key) => {
                let input = store::Input::Delete(key.into_bytes());
                return self.write(now, input, reply);
            }
            Request::Get(key) => {
                Reply::Held(held(&self.store, key.as_bytes()).into_iter().collect())
            }
            Request::List => Reply::Held(all(&self.store)),
            Request::Members => Reply::Members(self.membership.members().map(row).collect()),
        };
        // A client that is gone needs no answer.
        let _ = reply.send(answer);
    }

    fn write(&mut self, now: Time, input: store::Input, reply: oneshot::Sender<Reply>) {
        if !self.writes.have_room() {
            let why = "too many writes wait for the disk or a peer; try again";
            let _ = reply.send(Reply::Refused(why.into()));
            return;
        }
        let before = self.store.version();
        self.store.handle(now, input);
        match self.store.version().filter(|&now| Some(now) != before) {
            Some(version) => self.writes.add(now, version, reply),
            None => {
                let why = format!("a key has 1 to {KEY_MAX} bytes, a value up to {VALUE_MAX}");
                let _ = reply.send(Reply::Refused(why));
            }
        }
    }

    /// Gives each room its tick if it is due.
    fn tick(&mut self) {
        let now = self.clock.now();
        let is_due = |deadline: Option<Time>| deadline.is_some_and(|due| due <= now);
        if is_due(self.membership.deadline()) {
            self.membership.handle(now, membership::Input::Tick);
        }
        if is_due(self.store.deadline()) {
            self.store.handle(now, store::Input::Tick);
        }
    }

    /// When the loop must go on though nothing has come; `now` is what it last looked at.
    fn deadline(&self, now: Time) -> Option<Time> {
        let frontier = self.dead.values().map(|&since| since + FRONTIER);
        [
            self.membership.deadline(),
            self.store.deadline(),
            self.writes.deadline(now),
            self.leaves_at,
        ]
        .into_iter()
        .flatten()
        .chain(frontier.filter(|&due| due > now))
        .min()
    }

    /// Does what both rooms want; true when the node has left.
    fn drain(&mut self, now: Time) -> Result<bool> {
        while let Some(output) = self.membership.poll() {
            use membership::Output::{Accused, Changed, Forgotten, Left, MassLoss, Refused, Send};
            match output {
                Send(to, way, bytes) => self.sockets.send(Room::Membership, to, way, &bytes),
                Changed(member) => {
                    tracing::info!(name = %member.name, address = %member.address, state = ?member.state, "member");
                }
                Forgotten(id) => tracing::info!(%id, "forgotten"),
                Accused { member, by, .. } => tracing::info!(%member, %by, "does not answer"),
                MassLoss { lost, of } => tracing::warn!(lost, of, "rather a broken network"),
                Left => return Ok(true),
                Refused { name, holder, at } => {
                    bail!(
                        "the name {name} is taken by node {holder} at {at}; choose another --name"
                    );
                }
            }
        }
        self.tell_peers(now);
        while let Some(output) = self.store.poll() {
            use store::Output::{Changed, Confirmed, Persist, Renamed, Send};
            match output {
                Send(to, way, bytes) => self.send(to, way, &bytes),
                Persist(mark, records) => {
                    self.writes.given = mark;
                    match &self.disk {
                        Some(disk) => disk.write(mark, records),
                        None => self.persisted(now, mark),
                    }
                }
                Changed(key) => tracing::debug!(key = %String::from_utf8_lossy(&key), "changed"),
                Confirmed(version) => {
                    // Alone, the store calls confirmed what is on its own disk.
                    let disks = if self.peers.0.is_empty() { 1 } else { 2 };
                    self.writes.confirmed(version, disks);
                }
                Renamed(origin, why) => tracing::info!(%origin, why, "writes under a new origin"),
            }
        }
        self.writes.look(now, self.peers.0.is_empty());
        Ok(self.leaves_at.is_some_and(|end| end <= now))
    }

    fn send(&mut self, to: NodeId, way: Way, bytes: &[u8]) {
        if let Some(address) = self.membership.member(to).map(|member| member.address) {
            let message = [&self.me.0.to_be_bytes(), bytes].concat();
            self.sockets.send(Room::Store, address, way, &message);
        }
    }

    /// Tells the store whom membership knows, whenever that has changed.
    fn tell_peers(&mut self, now: Time) {
        let (mut live, mut frontier) = (Vec::new(), Vec::new());
        let mut dead = BTreeMap::new();
        for member in self
            .membership
            .members()
            .filter(|member| member.id != self.me)
        {
            match member.state {
                State::Alive | State::Suspect => {
                    live.push(member.id);
                    frontier.push(member.id);
                }
                State::Dead => {
                    let since = *self.dead.get(&member.id).unwrap_or(&now);
                    dead.insert(member.id, since);
                    if now.since(since) < FRONTIER {
                        frontier.push(member.id);
                    }
                }
                State::Left => {}
            }
        }
        self.dead = dead;
        if self.peers != (live.clone(), frontier.clone()) {
            self.peers = (live.clone(), frontier.clone());
            self.store
                .handle(now, store::Input::Peers { live, frontier });
        }
    }
}

/// What the store holds under `key`; nothing if only a delete is left.
fn held(store: &Store, key: &[u8]) -> Option<Held> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let siblings: Vec<Sibling> = store
        .entries(key)
        .into_iter()
        .filter_map(|entry| {
            let value = text(entry.value?);
            let version = entry.version.to_string();
            Some(Sibling { value, version })
        })
        .collect();
    let key = text(key);
    (!siblings.is_empty()).then_some(Held { key, siblings })
}

/// Everything that the store holds, in the order of the keys.
fn all(store: &Store) -> Vec<Held> {
    let keys: BTreeSet<_> = store.iter().map(|(key, _)| key).collect();
    keys.into_iter()
        .filter_map(|key| held(store, &key))
        .collect()
}

fn row(member: &Member) -> MemberRow {
    MemberRow {
        name: member.name.to_string(),
        address: member.address,
        state: format!("{:?}", member.state).to_lowercase(),
    }
}

async fn synced(disk: Option<&mut Disk>) -> Mark {
    match disk {
        Some(disk) => disk.synced().await,
        None => std::future::pending().await,
    }
}

fn membership_config(me: NodeId, setup: &Setup) -> membership::Config {
    let me = Member {
        id: me,
        name: setup.name.as_str().into(),
        address: setup.listen,
        state: State::Alive,
        incarnation: Incarnation(Clock::wall_ms()),
        meta: Meta {
            weight: 1,
            wire: (1, 1),
            ..Meta::default()
        },
    };
    membership::Config::lan(me, Clock::entropy())
}
