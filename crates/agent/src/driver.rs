//! The one loop: one queue in, one node, everything out.
//!
//! A plain thread. Whatever happens (a probe came back, the API asks, the disk has synced) is a
//! [`Message`] in one bounded queue; the driver gives it to the node, and does what the node
//! wants: starts probes, writes, swaps the view. It wakes at most every [`TICK`] for the
//! schedule, so that checks start in small groups.
//! Does not know how a probe is made or why a check is due.

mod measure;
mod reload;
mod shortage;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};

use std::net::SocketAddr;
use std::sync::OnceLock;

use base::{Duration, Slot, Time, Way};
use health::{
    Answer, Batch, Definition, Diff, Doubt, Dropped, Finding, Input, Node, Outcome, Output, Probed,
    Request, Source,
};
use tokio::sync::oneshot;

pub(crate) use self::reload::Fixed;
pub(crate) use self::shortage::Room;
use self::shortage::Shortage;
use crate::cluster::{Arrival, Transport};
use crate::config::{Config, Fault};
use crate::disk::Disk;
use crate::front::{Ask, Asks, Front, Told};
use crate::probe::{self, Finished, Guard, Job, Prepared, Shared, Trust, Workers};
use crate::story;

/// How often the driver wakes for the schedule at most: later costs punctuality, sooner CPU.
pub(crate) const TICK: Duration = Duration::from_millis(4);
/// How many messages may wait.
pub(crate) const QUEUE: usize = 8_192;
/// How many messages are taken before the schedule is looked at again.
const BATCH: usize = 256;
const WALL_CLOCK_EVERY: Duration = Duration::from_secs(1);
/// A disk that has confirmed nothing for so long is failing, even if it never says so.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// Everything that can happen to the node.
#[derive(Debug)]
pub(crate) enum Message {
    /// Probes came back.
    Finished(Vec<Finished>),
    /// The disk has this batch and all before it.
    Persisted(Batch),
    /// API or page ask.
    Ask(Ask),
    /// Bytes came from another node.
    Arrived(Arrival),
    /// Other nodes may be found here.
    Found(Vec<SocketAddr>),
    /// The first SIGTERM of a node among others: hand over, then end.
    Leave,
    /// SIGHUP.
    Reload,
    /// The config file was read again.
    Reloaded(Result<Box<Config>, Vec<Fault>>),
    /// SIGTERM.
    Stop,
}

/// The API's end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Queue(pub(crate) SyncSender<Message>);

impl Asks for Queue {
    fn ask(&self, ask: Ask) -> bool {
        self.0.try_send(Message::Ask(ask)).is_ok()
    }
}

/// A target that is checked here.
struct Defined {
    definition: Arc<Definition>,
    source: Source,
    /// What a worker needs; or why it can't be probed.
    prepared: Result<Arc<Prepared>, Arc<str>>,
}

/// The loop's state.
pub(crate) struct Driver {
    node: Node,
    front: Arc<Front>,
    queue: SyncSender<Message>,
    workers: Workers,
    shared: Arc<Shared>,
    /// Where targets made through the API may lead.
    guard: Arc<Guard>,
    disk: Disk,
    /// The way to other nodes; none for a node alone.
    cluster: Option<Transport>,
    /// Why the loop ended, where it was neither asked to nor broken.
    ending: Arc<OnceLock<Ending>>,
    /// What is checked here, by slot: in a cluster a part of all.
    defined: HashMap<Slot, Defined>,
    is_leaving: bool,
    jobs: Vec<Job>,
    /// Checks that can't be made come back at once.
    unable: Vec<Finished>,
    in_hand: Option<Finished>,
    waiting: BTreeMap<Request, Reply>,
    last_request: Request,
    config_path: Option<PathBuf>,
    fixed: Fixed,
    shortage: Shortage,
    reloading: Vec<oneshot::Sender<Result<Diff, Vec<Fault>>>>,
    is_reloading: bool,
    /// Somebody asked while the file was being read: what was read may be older than that.
    read_again: bool,
    /// The node's own target when there is no config file.
    own: Vec<Arc<Definition>>,
    wall_at: Time,
    last_batch: Batch,
    synced: Batch,
    /// Since when the oldest write that is not confirmed has been waiting.
    unsynced_since: Option<Time>,
    /// What the node had dropped when it was counted last.
    dropped: Dropped,
}

#[derive(Debug)]
enum Reply {
    Put(oneshot::Sender<Result<Answer, Vec<String>>>),
    Other(oneshot::Sender<Answer>),
    Account(oneshot::Sender<Told>),
}

/// Why the driver ended by itself.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It left the cluster.
    Left,
    /// Another live node has its name.
    Refused {
        /// The name.
        name: Arc<str>,
        /// Where the other node is.
        at: SocketAddr,
    },
}

/// How long a node that leaves goes on for others to take over.
const DRAIN: Duration = Duration::from_secs(10);

/// What a driver is made of.
pub(crate) struct Parts {
    /// The node, nothing given to it yet.
    pub(crate) node: Node,
    /// What readers see.
    pub(crate) front: Arc<Front>,
    /// The driver's own queue.
    pub(crate) queue: SyncSender<Message>,
    /// Where probes run.
    pub(crate) workers: Workers,
    /// What probes share.
    pub(crate) shared: Arc<Shared>,
    /// Where writes go.
    pub(crate) disk: Disk,
    /// The way to other nodes.
    pub(crate) cluster: Option<Transport>,
    /// Filled when the loop ends by itself.
    pub(crate) ending: Arc<OnceLock<Ending>>,
    /// Where the config was read, for reloads.
    pub(crate) config_path: Option<PathBuf>,
    /// The cluster's settings as they were read.
    pub(crate) fixed: Fixed,
    /// How many checks may run at once, and why.
    pub(crate) room: Room,
}

impl Driver {
    /// A driver that has given its node what the disk held and what the config says.
    #[must_use]
    pub(crate) fn new(
        parts: Parts,
        records: Vec<health::Record>,
        targets: Vec<Arc<Definition>>,
    ) -> Self {
        let Parts {
            node,
            front,
            queue,
            workers,
            shared,
            disk,
            cluster,
            ending,
            config_path,
            fixed,
            room,
        } = parts;
        let own = if config_path.is_none() {
            targets.clone()
        } else {
            Vec::new()
        };
        let guard = guard(&front);
        let mut driver = Self {
            guard,
            node,
            front,
            queue,
            workers,
            shared,
            disk,
            cluster,
            ending,
            defined: HashMap::new(),
            is_leaving: false,
            jobs: Vec::new(),
            unable: Vec::new(),
            in_hand: None,
            waiting: BTreeMap::new(),
            last_request: Request(0),
            config_path,
            fixed,
            shortage: Shortage::new(room),
            reloading: Vec::new(),
            is_reloading: false,
            read_again: false,
            own,
            wall_at: Time::ZERO,
            last_batch: Batch(0),
            synced: Batch(0),
            unsynced_since: None,
            dropped: Dropped::default(),
        };
        driver.tell_wall_clock();
        driver.give(Input::Restored(records));
        let unreadable = driver.node.tally().unreadable;
        driver.front.meters.store_unreadable.set(unreadable);
        if unreadable > 0 {
            tracing::warn!(
                records = unreadable,
                "the store file holds records that this version can't read; they are left out"
            );
        }
        driver.give(Input::Load(Source::File, targets));
        driver
    }

    /// Runs until [`Message::Stop`]; on the way out writes what still waits.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        self.front.ready.store(self.cluster.is_none(), Relaxed);
        let mut stopping = false;
        while !stopping {
            let first = messages.recv_timeout(self.until_wake());
            stopping = match first {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            let mut taken = 1;
            while taken < BATCH && !stopping {
                let Ok(message) = messages.try_recv() else {
                    break;
                };
                stopping = self.take(message);
                taken += 1;
            }
            // What waited when the driver looked; at the bound it is that much or more.
            self.front.meters.queue_driver.set(taken as u64 - 1);
            self.turn();
            stopping |= self.ending.get().is_some();
        }
        self.wind_up(messages);
    }

    fn until_wake(&self) -> Duration {
        let now = self.front.clock.now();
        let wake = self
            .node
            .deadline()
            .map_or(self.wall_at, |due| due.min(self.wall_at));
        // Never sooner than a tick from now: what is due by then starts together.
        wake.since(now).max(TICK)
    }

    /// Everything that is due by the clock.
    fn turn(&mut self) {
        if self.front.clock.now() >= self.wall_at {
            self.tell_wall_clock();
        }
        self.give(Input::Tick);
        while !self.unable.is_empty() {
            let finished = std::mem::take(&mut self.unable);
            self.finished(finished);
        }
        if !self.jobs.is_empty() {
            self.workers.submit(std::mem::take(&mut self.jobs));
        }
        self.mind_the_disk();
        self.measure();
    }

    fn tell_wall_clock(&mut self) {
        let wall = self.front.clock.wall();
        self.wall_at = self.front.clock.now() + WALL_CLOCK_EVERY;
        self.give(Input::WallClock(wall));
    }

    /// Takes one message; `true` when it is the last.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Finished(finished) => self.finished(finished),
            Message::Persisted(batch) => {
                self.persisted(batch);
            }
            Message::Ask(ask) => self.ask(ask),
            Message::Arrived(Arrival { from, way, bytes }) => {
                self.give(Input::Received(from, way, bytes));
            }
            Message::Found(addresses) => self.give(Input::Join(addresses)),
            Message::Leave => self.leave(),
            Message::Reload => self.reload(),
            Message::Reloaded(outcome) => self.reloaded(outcome),
            Message::Stop => return true,
        }
        false
    }

    fn persisted(&mut self, batch: Batch) {
        self.synced = self.synced.max(batch);
        let waits = self.synced < self.last_batch;
        self.unsynced_since = waits.then(|| self.front.clock.now());
        self.give(Input::Persisted(batch));
    }

    /// A disk that hangs must hide an outage as little as one that fails: readers go on.
    fn mind_the_disk(&mut self) {
        let now = self.front.clock.now();
        if self
            .unsynced_since
            .is_some_and(|since| now.since(since) > DISK_PATIENCE)
        {
            self.disk.hangs();
            self.persisted(self.last_batch);
        }
    }

    fn finished(&mut self, batch: Vec<Finished>) {
        for finished in batch {
            self.front
                .meters
                .lag
                .observe(finished.started.since(finished.check.due));
            let input = Input::Probed(Probed {
                slot: finished.check.slot,
                ticket: finished.check.ticket,
                finding: finished.outcome.finding,
                late: finished.late,
                timeout: finished.timeout,
                local: finished.local,
                detail: finished.outcome.detail.clone(),
            });
            self.in_hand = Some(finished);
            self.give(input);
        }
        self.in_hand = None;
    }

    fn give(&mut self, input: Input) {
        self.node.handle(self.front.clock.now(), input);
        while let Some(output) = self.node.poll() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Probe(check) => self.probe(check),
            Output::Judged(slot, finding) => self.judged(slot, finding),
            Output::Persist {
                batch,
                writes,
                urgent: _,
            } => {
                self.last_batch = batch;
                self.unsynced_since
                    .get_or_insert_with(|| self.front.clock.now());
                self.disk.write(batch, writes);
            }
            Output::View(view) => {
                if let Some(fleet) = view.fleet().filter(|_| !self.is_leaving) {
                    self.front.ready.store(fleet.is_ready, Relaxed);
                }
                self.front.view.store(view);
            }
            Output::Send(to, way, bytes) => self.send(to, way, bytes),
            Output::Notice(notice) => story::say(&notice),
            Output::Refused { name, at } => {
                let _ = self.ending.set(Ending::Refused { name, at });
            }
            Output::Left => {
                let _ = self.ending.set(Ending::Left);
            }
            Output::Event(event) => {
                self.front.meters.transitions_to(event.transition.to).add(1);
                story::transition(&event);
                self.front.events.push(event);
            }
            Output::Past(version, events) => {
                self.front
                    .events
                    .restore(version.origin, version.seq, events)
            }
            Output::Define(slot, definition, source) => self.define(slot, definition, source),
            Output::Undefine(slot) => {
                self.defined.remove(&slot);
                self.front.figures.forget(slot);
                self.workers.forget(slot);
            }
            Output::Answer(request, answer) => self.reply(request, answer),
            Output::Inquired(inquiry, slot) => {
                let findings = self.front.figures.findings(slot);
                self.give(Input::Tell(inquiry, Box::new(findings)));
            }
            Output::Told(request, told) => {
                if let Some(Reply::Account(reply)) = self.waiting.remove(&request) {
                    let _ = reply.send(told);
                }
            }
            Output::Loaded(_, diff) => self.loaded(*diff),
        }
    }

    fn send(&self, to: SocketAddr, way: Way, bytes: Vec<u8>) {
        // Closed already when the node ends.
        if let Some(transport) = &self.cluster {
            transport.sender().send(to, way, bytes);
        }
    }

    /// Hands everything over, then ends; a node alone ends at once.
    fn leave(&mut self) {
        self.is_leaving = true;
        self.front.ready.store(false, Relaxed);
        self.give(Input::Leave(DRAIN));
    }

    fn probe(&mut self, check: health::Check) {
        let Defined {
            definition,
            prepared,
            ..
        } = self
            .defined
            .get(&check.slot)
            .expect("the node defines a slot before it checks it");
        match prepared {
            Ok(prepared) => {
                self.jobs.push(Job {
                    check,
                    timeout: definition.timeout,
                    prepared: Arc::clone(prepared),
                });
            }
            Err(why) => {
                let now = self.front.clock.now();
                let mut outcome = Outcome::new(Finding::Inconclusive(Doubt::Unable));
                outcome.detail = Some(Arc::clone(why));
                let (late, timeout) = (Duration::ZERO, definition.timeout);
                self.unable.push(Finished {
                    check,
                    started: now,
                    finished: now,
                    outcome,
                    late,
                    timeout,
                    local: true,
                });
            }
        }
    }

    fn judged(&self, slot: Slot, finding: Finding) {
        self.front.meters.judged(finding);
        let finished = self
            .in_hand
            .as_ref()
            .expect("a judgement follows its outcome");
        let (at, outcome) = (finished.finished, &finished.outcome);
        let wall = self.front.clock.wall_at(at);
        self.front.figures.record(slot, at, wall, finding, outcome);
    }

    fn define(&mut self, slot: Slot, definition: Arc<Definition>, source: Source) {
        let is_same =
            |old: &Arc<Definition>| old.name == definition.name && old.probe == definition.probe;
        let known = self.defined.get(&slot);
        let same_target = known.is_some_and(|known| is_same(&known.definition));
        if !same_target {
            self.front.figures.clear(slot);
        }
        self.workers.forget(slot);
        let defined = Defined {
            prepared: self.prepare(&definition, source),
            definition,
            source,
        };
        self.defined.insert(slot, defined);
    }

    fn prepare(&self, definition: &Definition, source: Source) -> Result<Arc<Prepared>, Arc<str>> {
        let trust = match source {
            Source::File => Trust::File,
            Source::Api => Trust::Api(Arc::clone(&self.guard)),
        };
        probe::prepare(definition, trust, &self.shared)
            .map(Arc::new)
            .map_err(|error| {
                tracing::warn!(name = &*definition.name, %error, "can't probe");
                error.to_string().into()
            })
    }

    fn ask(&mut self, ask: Ask) {
        // A reply that is dropped reads as "nothing is promised"; and nothing is done either.
        let is_write = matches!(ask, Ask::Put(..) | Ask::Delete(..));
        if is_write && self.disk.state().is_failing.load(Relaxed) {
            return;
        }
        match ask {
            Ask::Put(definition, reply) => self.put(definition, reply),
            Ask::Delete(name, reply) => {
                let request = self.wait_for(Reply::Other(reply));
                self.give(Input::Delete(request, name));
            }
            Ask::Drain(reply) => {
                let request = self.wait_for(Reply::Other(reply));
                self.give(Input::Drain(request));
            }
            Ask::Forget(name, reply) => {
                let request = self.wait_for(Reply::Other(reply));
                self.give(Input::Forget(request, name));
            }
            Ask::Leave(reply) => {
                let answer = match self.cluster {
                    Some(_) => Answer::Accepted,
                    None => Answer::NoCluster,
                };
                let _ = reply.send(answer);
                if self.cluster.is_some() {
                    self.leave();
                }
            }
            Ask::Account(name, reply) => {
                let request = self.wait_for(Reply::Account(reply));
                self.give(Input::Inquire(request, name));
            }
            Ask::Reload(reply) => {
                self.reloading.push(reply);
                self.reload();
            }
        }
    }

    fn put(&mut self, definition: Definition, reply: oneshot::Sender<Result<Answer, Vec<String>>>) {
        if let Err(why) = self.prepare(&definition, Source::Api) {
            let _ = reply.send(Err(vec![why.to_string()]));
            return;
        }
        let request = self.wait_for(Reply::Put(reply));
        self.give(Input::Put(request, Arc::new(definition)));
    }

    fn wait_for(&mut self, reply: Reply) -> Request {
        self.last_request.0 += 1;
        self.waiting.insert(self.last_request, reply);
        self.last_request
    }

    fn reply(&mut self, request: Request, answer: Answer) {
        // A reply that is dropped reads as "nothing is promised".
        let is_failing = self.disk.state().is_failing.load(Relaxed);
        self.front.meters.store_failing.set(u64::from(is_failing));
        if is_failing {
            self.waiting.remove(&request);
            return;
        }
        match self.waiting.remove(&request) {
            Some(Reply::Put(reply)) => drop(reply.send(Ok(answer))),
            Some(Reply::Other(reply)) => drop(reply.send(answer)),
            Some(Reply::Account(_)) | None => {}
        }
    }

    /// Writes what still waits, for at most a second.
    fn wind_up(mut self, messages: &Receiver<Message>) {
        self.give(Input::Stop);
        if let Some(transport) = self.cluster.take() {
            // The farewell may still be on its way.
            transport.close(Duration::from_millis(300));
        }
        let end = self.front.clock.now() + Duration::from_secs(1);
        while self.synced < self.last_batch {
            match messages.recv_timeout(end.since(self.front.clock.now())) {
                Ok(Message::Persisted(batch)) => {
                    self.synced = batch;
                    self.give(Input::Persisted(batch));
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

fn guard(front: &Front) -> Arc<Guard> {
    Arc::new(Guard {
        allow: front.settings.load().allow_targets.clone(),
    })
}
