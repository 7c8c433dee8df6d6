//! The world itself: an ordered queue of happenings over all hosts.
//!
//! Contract with a node, as the agent keeps it: `poll` is drained after every call; `tick` comes
//! at the deadline and not before; while a process stands still, whatever comes for it waits (and
//! datagrams beyond the socket's buffer are lost); each host's clock starts at its boot and
//! drifts. Start reading at [`World::step`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Debug;
use std::net::SocketAddr;

use base::{Duration, Rng, Time, Way, hash64};

use super::{Disk, DiskAfter, Fault, Host, Network, Place, Plan, Write};

/// A pure core as the world drives it.
pub trait Node {
    /// What the world's users may ask of it.
    type Call: Clone + Debug;
    /// What it says to those who check promises.
    type Word: Debug;
    /// Bytes came from another host.
    fn received(&mut self, now: Time, from: SocketAddr, way: Way, bytes: Vec<u8>);
    /// Somebody asks something of it.
    fn call(&mut self, now: Time, call: Self::Call);
    /// Everything up to this mark is on disk.
    fn persisted(&mut self, now: Time, mark: u64);
    /// The host has another address from now on.
    fn moved(&mut self, now: Time, to: SocketAddr);
    /// The deadline has come.
    fn tick(&mut self, now: Time);
    /// When [`Self::tick`] is due.
    fn deadline(&self) -> Option<Time>;
    /// What is to be done next.
    fn poll(&mut self) -> Option<Effect<Self::Word>>;
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<W> {
    /// Send bytes.
    Send(SocketAddr, Way, Vec<u8>),
    /// Write a transaction.
    Persist(u64, Vec<Write>),
    /// For those who check promises.
    Say(W),
}

/// What a process is started with.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Where.
    pub host: Host,
    /// How often it has been started before.
    pub life: u64,
    /// Its clock: just above zero.
    pub now: Time,
    /// What its wall clock says, in milliseconds; off by up to a minute from host to host.
    pub wall_ms: u64,
    /// How much of that its wall clock is ahead of the true time, in milliseconds.
    pub skew_ms: u64,
    /// How much faster its clock runs than the true time, in millionths.
    pub drift: i64,
    /// Where it can be reached.
    pub address: SocketAddr,
    /// Differs from boot to boot.
    pub seed: u64,
    /// What its disk holds.
    pub disk: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a step was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened<C> {
    /// The process started.
    Booted,
    /// The process died.
    Crashed,
    /// Bytes came, so many.
    Received(SocketAddr, Way, usize),
    /// The deadline came.
    Ticked,
    /// Somebody asked something.
    Called(C),
    /// The disk wrote up to this mark.
    Persisted(u64),
    /// The host got another address.
    Moved,
    /// Something else went wrong, or ended.
    Faulted(Fault),
}

/// One step of the world.
#[derive(Clone, Debug)]
pub struct Step<N: Node> {
    /// When, on the world's own clock.
    pub at: Time,
    /// Where; `None` for what concerns many.
    pub host: Option<Host>,
    /// What.
    pub what: Happened<N::Call>,
    /// What the node said to it.
    pub words: Vec<N::Word>,
}

#[derive(Clone, Debug)]
enum Event<C> {
    Fault(Fault),
    Mend(Vec<(Host, Host)>),
    Boot(Host),
    DiskIsFast(Host),
    Datagram(SocketAddr, SocketAddr, Vec<u8>),
    /// For one life of the host: a connection dies with the process.
    Stream(Host, u64, SocketAddr, Vec<u8>),
    Wake(Host, u64),
    Disk(Host, u64),
    Call(Host, C),
}

struct Queued<C> {
    at: Time,
    count: u64,
    event: Event<C>,
}

impl<C> PartialEq for Queued<C> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.count) == (other.at, other.count)
    }
}
impl<C> Eq for Queued<C> {}
impl<C> PartialOrd for Queued<C> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<C> Ord for Queued<C> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.count).cmp(&(other.at, other.count))
    }
}

struct Machine<N> {
    node: Option<N>,
    life: u64,
    booted: Time,
    /// How much faster its clock runs, in millionths.
    drift: i64,
    /// What its wall clock is ahead by, in milliseconds.
    skew_ms: u64,
    /// Where others reach it.
    address: SocketAddr,
    /// How often it has moved to a fresh address.
    moves: u8,
    /// Where it will be from its next start on.
    moves_to: Option<Place>,
    disk: Disk,
    /// The world's time at which it will be woken; stale wakes are ignored.
    wake: Option<Time>,
    paused_until: Time,
    waiting: u32,
}

/// Datagrams that a socket's buffer holds while its process stands still.
const SOCKET_BUFFER: u32 = 256;
/// What a true wall clock says at the start, in milliseconds.
pub const EPOCH_MS: u64 = 1_700_000_000_000;

/// All hosts, the network between them and what is to come.
pub struct World<N: Node> {
    /// The network; settings may be changed between steps.
    pub network: Network,
    plan: Plan,
    rng: Rng,
    now: Time,
    queue: BinaryHeap<Reverse<Queued<N::Call>>>,
    count: u64,
    machines: Vec<Machine<N>>,
    book: BTreeMap<SocketAddr, Host>,
    make: Box<dyn FnMut(Boot) -> N>,
}

impl<N: Node> World<N> {
    /// A world in which every host of the plan boots at once; `make` makes their nodes.
    pub fn new(plan: Plan, make: impl FnMut(Boot) -> N + 'static) -> Self {
        let mut world = Self::empty(plan, make);
        for host in (0..world.plan.hosts).map(Host) {
            world.boot_at(Time::ZERO, host);
        }
        world
    }

    /// The same, but nothing boots before [`Self::boot_at`] says so.
    pub fn empty(plan: Plan, make: impl FnMut(Boot) -> N + 'static) -> Self {
        let mut world = Self {
            network: Network::new(plan.seed ^ 0x11e7, plan.link.clone()),
            rng: Rng::new(plan.seed ^ 0x3041d),
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            count: 0,
            machines: Vec::new(),
            book: BTreeMap::new(),
            make: Box::new(make),
            plan,
        };
        for (at, fault) in world.plan.faults.clone() {
            world.push(at, Event::Fault(fault));
        }
        for host in (0..world.plan.hosts).map(Host) {
            world.book.insert(host.address(0), host);
            let machine = Machine {
                node: None,
                life: 0,
                booted: Time::ZERO,
                drift: i64::try_from(world.rng.below(400)).expect("small") - 200,
                skew_ms: world.rng.below(60_000),
                address: host.address(0),
                moves: 0,
                moves_to: None,
                disk: Disk::default(),
                wake: None,
                paused_until: Time::ZERO,
                waiting: 0,
            };
            world.machines.push(machine);
        }
        world
    }

    /// The world's own clock.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The plan that this world follows.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A running node.
    #[must_use]
    pub fn node(&self, host: Host) -> Option<&N> {
        self.machines.get(host.index())?.node.as_ref()
    }

    /// All running nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (Host, &N)> {
        (0..)
            .map(Host)
            .zip(&self.machines)
            .filter_map(|(host, machine)| Some((host, machine.node.as_ref()?)))
    }

    /// Whether a process runs and does not stand still.
    #[must_use]
    pub fn is_running(&self, host: Host) -> bool {
        self.machines
            .get(host.index())
            .is_some_and(|m| m.node.is_some() && m.paused_until <= self.now)
    }

    /// How often a host's process has been started.
    #[must_use]
    pub fn life(&self, host: Host) -> u64 {
        self.machines[host.index()].life
    }

    /// A host's disk; what is still under way is not on it.
    #[must_use]
    pub fn disk(&self, host: Host) -> &Disk {
        &self.machines[host.index()].disk
    }

    /// Where a host is now.
    #[must_use]
    pub fn address(&self, host: Host) -> SocketAddr {
        self.machines[host.index()].address
    }

    /// Who has an address now.
    #[must_use]
    pub fn host(&self, address: SocketAddr) -> Option<Host> {
        self.book.get(&address).copied()
    }

    /// A moment on a host's own clock, as the world's.
    #[must_use]
    pub fn world_time(&self, host: Host, local: Time) -> Time {
        self.machines[host.index()].world_time(local)
    }

    /// A host's own clock now.
    #[must_use]
    pub fn local_time(&self, host: Host) -> Time {
        self.machines[host.index()].local_time(self.now)
    }

    /// Starts a host's process at a moment, if it doesn't run then.
    pub fn boot_at(&mut self, at: Time, host: Host) {
        self.push(at, Event::Boot(host));
    }

    /// From now on no disk keeps anything: for worlds so large that nobody shall come back.
    pub fn forget_disks(&mut self) {
        for machine in &mut self.machines {
            machine.disk.forgets = true;
        }
    }

    /// Asks something of a node at a moment; nothing when it doesn't run then.
    pub fn call_at(&mut self, at: Time, host: Host, call: N::Call) {
        self.push(at, Event::Call(host, call));
    }

    /// Lets a fault happen at a moment.
    pub fn fault_at(&mut self, at: Time, fault: Fault) {
        self.push(at, Event::Fault(fault));
    }

    /// Lets the next thing happen; `None` at the plan's end.
    pub fn step(&mut self) -> Option<Step<N>> {
        loop {
            let Reverse(next) = self.queue.pop()?;
            if next.at > self.plan.end {
                self.now = self.plan.end;
                return None;
            }
            self.now = next.at;
            if let Some(step) = self.happen(next.event) {
                return Some(step);
            }
        }
    }

    fn push(&mut self, at: Time, event: Event<N::Call>) {
        self.count += 1;
        let count = self.count;
        self.queue.push(Reverse(Queued { at, count, event }));
    }

    fn happen(&mut self, event: Event<N::Call>) -> Option<Step<N>> {
        let event = self.unless_paused(event)?;
        match event {
            Event::Fault(fault) => Some(self.fault(fault)),
            Event::Mend(links) => {
                for (from, to) in links {
                    self.network.mend(from, to);
                }
                None
            }
            Event::Boot(host) => self.boot(host),
            Event::DiskIsFast(host) => {
                self.machines[host.index()].disk.slowness = Duration::ZERO;
                None
            }
            Event::Datagram(to, from, bytes) => {
                let host = self.host(to)?;
                self.receive(host, from, Way::Datagram, bytes)
            }
            Event::Stream(host, life, from, bytes) => {
                if self.life(host) != life {
                    return None;
                }
                self.receive(host, from, Way::Stream, bytes)
            }
            Event::Wake(host, life) => self.wake(host, life),
            Event::Disk(host, life) => self.settle(host, life),
            Event::Call(host, call) => {
                let said = Happened::Called(call.clone());
                self.give(host, said, |node, now| node.call(now, call))
            }
        }
    }

    /// Puts what is for a process that stands still back into the queue.
    fn unless_paused(&mut self, event: Event<N::Call>) -> Option<Event<N::Call>> {
        let host = match &event {
            Event::Datagram(to, ..) => self.book.get(to).copied(),
            Event::Stream(host, ..)
            | Event::Wake(host, _)
            | Event::Disk(host, _)
            | Event::Call(host, _) => Some(*host),
            Event::Fault(_) | Event::Mend(_) | Event::Boot(_) | Event::DiskIsFast(_) => None,
        };
        let Some(machine) = host.and_then(|host| self.machines.get_mut(host.index())) else {
            return Some(event);
        };
        if machine.paused_until <= self.now {
            machine.waiting = 0;
            return Some(event);
        }
        if matches!(event, Event::Datagram(..)) {
            machine.waiting += 1;
            if machine.waiting > SOCKET_BUFFER {
                return None;
            }
        }
        let until = machine.paused_until;
        self.push(until, event);
        None
    }

    fn receive(
        &mut self,
        host: Host,
        from: SocketAddr,
        way: Way,
        bytes: Vec<u8>,
    ) -> Option<Step<N>> {
        let said = Happened::Received(from, way, bytes.len());
        self.give(host, said, |node, now| {
            node.received(now, from, way, bytes);
        })
    }

    fn wake(&mut self, host: Host, life: u64) -> Option<Step<N>> {
        let now = self.now;
        let machine = &mut self.machines[host.index()];
        if machine.life != life || machine.wake.is_none_or(|at| at > now) {
            return None;
        }
        machine.wake = None;
        let local = machine.local_time(now);
        match machine.node.as_ref()?.deadline() {
            Some(due) if due <= local => self.give(host, Happened::Ticked, |node, now| {
                node.tick(now);
            }),
            _ => {
                self.schedule(host);
                None
            }
        }
    }

    fn settle(&mut self, host: Host, life: u64) -> Option<Step<N>> {
        let now = self.now;
        let machine = &mut self.machines[host.index()];
        if machine.life != life {
            return None;
        }
        let mark = machine.disk.settle(now)?;
        self.give(host, Happened::Persisted(mark), |node, now| {
            node.persisted(now, mark);
        })
    }

    /// One call into a node, then everything that it wants done.
    fn give(
        &mut self,
        host: Host,
        what: Happened<N::Call>,
        call: impl FnOnce(&mut N, Time),
    ) -> Option<Step<N>> {
        let machine = &mut self.machines[host.index()];
        let local = machine.local_time(self.now);
        call(machine.node.as_mut()?, local);
        let words = self.drain(host);
        Some(Step {
            at: self.now,
            host: Some(host),
            what,
            words,
        })
    }

    fn drain(&mut self, host: Host) -> Vec<N::Word> {
        let mut words = Vec::new();
        while let Some(effect) = self.machines[host.index()].node.as_mut().and_then(N::poll) {
            match effect {
                Effect::Send(to, way, bytes) => self.send(host, to, way, bytes),
                Effect::Persist(mark, writes) => {
                    let machine = &mut self.machines[host.index()];
                    let life = machine.life;
                    let due = machine.disk.write(self.now, &mut self.rng, mark, writes);
                    self.push(due, Event::Disk(host, life));
                }
                Effect::Say(word) => words.push(word),
            }
        }
        self.schedule(host);
        words
    }

    fn send(&mut self, host: Host, to: SocketAddr, way: Way, bytes: Vec<u8>) {
        let from = self.address(host);
        let Some(peer) = self.host(to) else {
            return;
        };
        let life = self.life(peer);
        for arrival in self.network.send(self.now, host, peer, way, bytes) {
            let event = match way {
                Way::Datagram => Event::Datagram(to, from, arrival.bytes),
                Way::Stream => Event::Stream(peer, life, from, arrival.bytes),
            };
            self.push(arrival.at, event);
        }
    }

    /// Sees to it that the host is woken at its deadline.
    fn schedule(&mut self, host: Host) {
        let machine = &mut self.machines[host.index()];
        let Some(due) = machine.node.as_ref().and_then(N::deadline) else {
            return;
        };
        let at = machine.world_time(due).max(self.now);
        if machine.wake.is_none_or(|earlier| at < earlier) {
            machine.wake = Some(at);
            let life = machine.life;
            self.push(at, Event::Wake(host, life));
        }
    }

    fn boot(&mut self, host: Host) -> Option<Step<N>> {
        let seed = hash64(&self.rng.word().to_le_bytes());
        let now = self.now;
        if self.machines.get(host.index())?.node.is_some() {
            return None;
        }
        if let Some(place) = self.machines[host.index()].moves_to.take() {
            self.resettle(host, place);
        }
        let address = self.address(host);
        let machine = &mut self.machines[host.index()];
        machine.booted = now;
        machine.life += 1;
        machine.wake = None;
        machine.paused_until = Time::ZERO;
        let boot = Boot {
            host,
            life: machine.life - 1,
            now: machine.local_time(now),
            wall_ms: EPOCH_MS + machine.skew_ms + now.0 / 1_000,
            skew_ms: machine.skew_ms,
            drift: machine.drift,
            address,
            seed,
            disk: machine.disk.read(),
        };
        machine.node = Some((self.make)(boot));
        let words = self.drain(host);
        Some(Step {
            at: now,
            host: Some(host),
            what: Happened::Booted,
            words,
        })
    }

    fn fault(&mut self, fault: Fault) -> Step<N> {
        let mut host = None;
        let mut what = Happened::Faulted(fault.clone());
        match fault {
            Fault::Weather(link) => self.network.default = link,
            Fault::Rough(from, to, link) => self.network.set(from, to, Some(link)),
            Fault::Partition(these, span) => {
                let others: Vec<Host> = self.hosts().filter(|h| !these.contains(h)).collect();
                self.cut(&these, &others, span);
                self.cut(&others, &these, span);
            }
            Fault::OneWay(from, to, span) => self.cut(&from, &to, span),
            Fault::Pause(paused, span) => {
                let until = self.now + span;
                let machine = &mut self.machines[paused.index()];
                machine.paused_until = machine.paused_until.max(until);
                host = Some(paused);
            }
            Fault::Crash(dead, span, disk) => {
                self.crash(dead, disk);
                self.boot_at(self.now + span, dead);
                (host, what) = (Some(dead), Happened::Crashed);
            }
            Fault::CrashAll(span) => {
                for dead in self.hosts() {
                    self.crash(dead, DiskAfter::Kept);
                    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
                    let back = self.now + Duration::from_micros(self.rng.below(micros.max(1)));
                    self.boot_at(back, dead);
                }
            }
            Fault::SlowDisk(slow, by, span) => {
                self.machines[slow.index()].disk.slowness = by;
                self.push(self.now + span, Event::DiskIsFast(slow));
            }
            Fault::BackUp(kept) => self.machines[kept.index()].disk.back_up(),
            Fault::Move(moved) => return self.relocate(moved),
            Fault::Resettle(moved, place) => {
                self.machines[moved.index()].moves_to = Some(place);
            }
            Fault::Heal => {
                self.network.heal();
                // What was written to connections over the old links is lost with them.
                self.queue
                    .retain(|queued| !matches!(queued.0.event, Event::Stream(..)));
            }
        }
        Step {
            at: self.now,
            host,
            what,
            words: Vec::new(),
        }
    }

    fn hosts(&self) -> impl Iterator<Item = Host> + use<N> {
        (0..self.plan.hosts).map(Host)
    }

    fn cut(&mut self, from: &[Host], to: &[Host], span: Duration) {
        let pairs = from.iter().flat_map(|&a| to.iter().map(move |&b| (a, b)));
        let links: Vec<(Host, Host)> = pairs.filter(|(a, b)| a != b).collect();
        for &(a, b) in &links {
            self.network.cut(a, b);
        }
        self.push(self.now + span, Event::Mend(links));
    }

    fn crash(&mut self, host: Host, after: DiskAfter) {
        let copied = match after {
            DiskAfter::CopyOf(other) => Some(self.machines[other.index()].disk.clone()),
            _ => None,
        };
        let machine = &mut self.machines[host.index()];
        machine.node = None;
        machine.paused_until = Time::ZERO;
        machine.disk.crash(&mut self.rng);
        match (after, copied) {
            (DiskAfter::CopyOf(_), Some(other)) => machine.disk.copy_from(&other),
            (DiskAfter::Wiped, _) => machine.disk.wipe(),
            (DiskAfter::RolledBack, _) => machine.disk.roll_back(),
            _ => {}
        }
    }

    /// Two hosts change addresses, or the one gets a fresh one.
    fn resettle(&mut self, host: Host, place: Place) {
        match place {
            Place::Of(other) if other != host && self.machines[other.index()].node.is_none() => {
                let (mine, theirs) = (self.address(host), self.address(other));
                for (host, address) in [(host, theirs), (other, mine)] {
                    self.machines[host.index()].address = address;
                    self.book.insert(address, host);
                }
            }
            Place::Of(_) | Place::Fresh => drop(self.refresh(host)),
        }
    }

    /// Gives a host an address where nobody was before.
    fn refresh(&mut self, host: Host) -> SocketAddr {
        self.book.remove(&self.address(host));
        let machine = &mut self.machines[host.index()];
        machine.moves += 1;
        machine.address = host.address(machine.moves);
        self.book.insert(machine.address, host);
        machine.address
    }

    fn relocate(&mut self, host: Host) -> Step<N> {
        let address = self.refresh(host);
        let given = self.give(host, Happened::Moved, |node, now| {
            node.moved(now, address);
        });
        given.unwrap_or(Step {
            at: self.now,
            host: Some(host),
            what: Happened::Moved,
            words: Vec::new(),
        })
    }
}

impl<N> Machine<N> {
    /// The host's own clock: microseconds since its boot, by its own count.
    fn local_time(&self, now: Time) -> Time {
        Time(scaled(
            now.0.saturating_sub(self.booted.0),
            1_000_000 + self.drift,
            1_000_000,
        ))
    }

    /// The first moment of the world at which the host's clock has reached `local`.
    fn world_time(&self, local: Time) -> Time {
        let span = scaled(local.0, 1_000_000, 1_000_000 + self.drift);
        let mut at = Time(self.booted.0.saturating_add(span));
        while self.local_time(at) < local && at.0 < u64::MAX {
            at.0 += 1;
        }
        at
    }
}

fn scaled(n: u64, by: i64, of: i64) -> u64 {
    let wide = u128::from(n) * u128::from(by.unsigned_abs()) / u128::from(of.unsigned_abs());
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
