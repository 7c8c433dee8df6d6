//! The node's part in a cluster: what it keeps beside the rooms, and what their effects do here.
//!
//! Start reading at `Node::turn_together`, which ends every input, and `Node::carry`, where each
//! effect is one line. Ownership is in `ownership.rs`, verdicts that need others in `confirm.rs`,
//! definitions in `catalog.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Slot, Time, Version, Way};

use super::blind::Blind;
use super::catalog::HeldFile;
use super::favours::Favours;
use super::inquire::Inquiries;
use super::leavers::Leavers;
use super::origins::Told;
use super::ownership::Unable;
use super::story::Untold;
use super::{Mutation, Node, Role};
use crate::cluster::{Cluster, ClusterError, Effect, Kind, Known, Notice, Streak, kind_of};
use crate::definition::Definition;
use crate::fleet::{Fleet, Promised, Seat};
use crate::input::{Answer, Batch, Key, Output, Request, Write};
use crate::status::Status;
use crate::view::Source;

/// How often slow things are looked at.
const BEAT: Duration = Duration::from_secs(1);
/// How often readers see another state of the cluster.
const FLEET_EVERY: Duration = Duration::from_millis(200);
/// A write that no peer confirms is answered after this all the same: the own disk has it.
const ACK_PATIENCE: Duration = Duration::from_secs(2);

/// What a node among others keeps beside its rooms.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) cluster: Cluster,
    /// Own statuses that the disk does not have yet.
    pub(super) ahead: BTreeMap<Slot, Status>,
    /// Verdicts that somebody else has written already; what they wrote is not on this disk yet, and
    /// so not shown.
    pub(super) awaited: BTreeSet<Slot>,
    /// Targets that were this node's, until when they are checked.
    pub(super) leavers: Leavers,
    /// Members under suspicion.
    pub(super) suspects: BTreeSet<Arc<str>>,
    /// Opinions that were asked for, and those under way.
    pub(super) favours: Favours,
    /// Whether it sees anything at all.
    pub(super) blind: Blind,
    /// What owners said of verdicts in the making.
    pub(super) streaks: BTreeMap<Arc<str>, (Time, Streak)>,
    /// How often running the owner was outvoted.
    pub(super) outvoted: BTreeMap<Slot, u8>,
    /// Who can't probe which target.
    pub(super) unable: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Targets given to the next in order, until when.
    pub(super) yielded: BTreeMap<Arc<str>, (Time, Unable)>,
    /// What the config file says by name, until it is this node's turn to write it.
    pub(super) to_load: Option<(Time, Vec<Arc<Definition>>)>,
    /// What the config file said last, or the file in effect.
    pub(super) file: Option<HeldFile>,
    /// When this node writes entries that the present revision lacks, unless what is here adds up
    /// to something else by then.
    pub(super) mend_at: Option<(Time, u64)>,
    /// What this node has told the others of its lives.
    pub(super) told: Told,
    /// Nodes that are gone for good, until all that they wrote under is closed.
    pub(super) gone: BTreeSet<NodeId>,
    /// Questions for the accounts of other owners.
    pub(super) inquiries: Inquiries,
    /// Requests that wait for a second disk.
    acks: BTreeMap<Version, (Time, Request, Answer)>,
    /// Statuses without a definition, since when.
    pub(super) orphans: BTreeMap<Arc<str>, Time>,
    /// The store's marks of the batches that the disk has not confirmed.
    at_disk: VecDeque<(Batch, store::Mark)>,
    mark: Option<store::Mark>,
    leaving: Option<Time>,
    /// The revision of the file that was announced last; what still trickles in of it is no news.
    pub(super) announced: Option<Notice>,
    has_left: bool,
    is_fleet_old: bool,
    /// The parts of the fleet that are not made anew each time, and whether they must be.
    are_seats_old: bool,
    seats: Arc<[Seat]>,
    promised: BTreeMap<(u16, Duration), Promised>,
    /// Who is to be remembered over a restart has changed.
    is_memory_old: bool,
    /// How much the store had seen when readers were last told.
    growths: u64,
    /// What readers were told then that it had seen, and how much that was.
    shown: (u64, Arc<store::Vector>),
    fleet_at: Time,
    beat_at: Time,
    remembered: Vec<u8>,
    last_turn: Time,
    /// What people have not been told yet.
    pub(super) untold: Untold,
}

impl Joined {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            ahead: BTreeMap::new(),
            awaited: BTreeSet::new(),
            leavers: Leavers::default(),
            suspects: BTreeSet::new(),
            favours: Favours::default(),
            blind: Blind::default(),
            streaks: BTreeMap::new(),
            outvoted: BTreeMap::new(),
            unable: BTreeMap::new(),
            yielded: BTreeMap::new(),
            to_load: None,
            file: None,
            mend_at: None,
            told: Told::default(),
            gone: BTreeSet::new(),
            inquiries: Inquiries::default(),
            acks: BTreeMap::new(),
            orphans: BTreeMap::new(),
            at_disk: VecDeque::new(),
            mark: None,
            leaving: None,
            announced: None,
            has_left: false,
            is_fleet_old: true,
            are_seats_old: true,
            seats: Arc::default(),
            promised: BTreeMap::new(),
            is_memory_old: true,
            growths: 0,
            shown: (u64::MAX, Arc::default()),
            fleet_at: Time::ZERO,
            beat_at: Time::ZERO,
            remembered: Vec::new(),
            last_turn: Time::ZERO,
            untold: Untold::default(),
        }
    }

    /// When the node must be given a tick.
    pub(super) fn deadline(&self) -> Option<Time> {
        let leaver = self.leavers.deadline();
        let fleet = self.is_fleet_old.then_some(self.fleet_at);
        let favour = self.favours.deadline();
        let own = [leaver, fleet, favour, Some(self.beat_at)];
        let rooms = [
            self.cluster.deadline(),
            self.cluster.catalog.deadline(),
            self.to_load.as_ref().map(|(at, _)| *at),
            self.inquiries.deadline(),
        ];
        own.into_iter().chain(rooms).flatten().min()
    }

    /// The names of all entries of the file, as the store holds them. O(n) in all that it holds.
    pub(super) fn names_in_file(&self) -> impl Iterator<Item = Arc<str>> {
        let of_file = |key: &[u8]| match kind_of(key) {
            Some(Kind::Definition(Source::File, name)) => Some(name),
            _ => None,
        };
        let held = self.cluster.store.iter();
        let live = held.filter(|(_, held)| held.value.is_some());
        live.filter_map(move |(key, _)| of_file(&key))
    }

    /// A member's place in the list of names.
    pub(super) fn place(&mut self, name: &Arc<str>) -> u16 {
        self.cluster.shares.place(name)
    }

    /// What is in this node's rows, or will be with the view that this goes into: writes that
    /// have come and are not on disk are not yet.
    fn seen(&mut self, mutation: Option<Mutation>) -> Arc<store::Vector> {
        let store = &self.cluster.store;
        let vector = match mutation {
            Some(Mutation::SeenBeforeShown) => store.vector(),
            Some(Mutation::TokenSkipsGaps) => {
                let mut vector = store.claimed();
                for (_, seen) in &mut vector.seen {
                    *seen = store::Seen::up_to(seen.last());
                }
                vector
            }
            _ if self.shown.0 == store.growths() => return Arc::clone(&self.shown.1),
            _ => store.claimed(),
        };
        self.shown = (store.growths(), Arc::new(vector));
        Arc::clone(&self.shown.1)
    }

    fn fleet(&mut self, mutation: Option<Mutation>) -> Fleet {
        let mut news = Vec::new();
        if std::mem::take(&mut self.are_seats_old) {
            self.seats = self.cluster.seats().into();
            self.promised.clear();
            let held = self.cluster.marks.held();
            news.extend(held.map(|(place, held)| (*place, held.clone())));
        }
        let fresh = self.cluster.marks.fresh();
        news.extend(fresh.map(|(place, held)| (place, held.clone())));
        for ((owner, interval), held) in news {
            let name = self.cluster.name_of(owner);
            let place = self.place(&name);
            let promise = Promised {
                at: held.at,
                epoch: held.epoch,
                except: held.except,
            };
            // Of two lives of one name the newer word counts.
            let known = self.promised.get(&(place, interval));
            if known.is_none_or(|known| known.at <= promise.at) {
                self.promised.insert((place, interval), promise);
            }
        }
        Fleet {
            me: Arc::clone(&self.cluster.name),
            members: Arc::clone(&self.seats),
            is_ready: self.cluster.is_ready(),
            accusations: self.cluster.accusations.iter().cloned().collect(),
            names: Arc::clone(self.cluster.shares.names()),
            promised: self
                .promised
                .iter()
                .map(|(of, p)| (*of, p.clone()))
                .collect(),
            spacing: self.cluster.spacing(),
            seen: self.seen(mutation),
            version: self.cluster.store.version().unwrap_or_default(),
        }
    }
}

impl Node {
    /// Enters the cluster with what the disk knows of it; `false` on a node alone.
    pub(super) fn enter(&mut self, known: Option<Known>, mut records: Vec<store::Record>) -> bool {
        let Some(config) = &self.config.cluster else {
            return false;
        };
        let known = known.unwrap_or_else(|| Known::nobody(config.fresh_id));
        let (known, copied) = known.at_home(&config.name, config.address, config.fresh_id);
        if let Some(home) = copied {
            let (name, address) = (home.name, home.address);
            let notice = Notice::CopiedDisk { name, address };
            self.outputs.push_back(Output::Notice(Box::new(notice)));
        }
        let mut cluster = loop {
            match Cluster::new(config, known.clone(), records.clone()) {
                Ok(cluster) => break cluster,
                Err(ClusterError::Store(store::ConfigError::Record { key, .. })) => {
                    self.tally.unreadable += 1;
                    let before = records.len();
                    records.retain(|record| record.key != key);
                    assert!(
                        records.len() < before,
                        "a record that can't be read is among them"
                    );
                }
                Err(error) => unreachable!("the config was checked: {error}"),
            }
        };
        cluster.mutation = self.config.mutation;
        self.joined = Some(Box::new(Joined::new(cluster)));
        true
    }

    pub(super) fn received(&mut self, from: SocketAddr, way: Way, bytes: &[u8]) {
        let now = self.now;
        if let Some(joined) = &mut self.joined {
            joined.cluster.received(now, from, way, bytes);
        }
    }

    pub(super) fn persisted(&mut self, batch: Batch) {
        self.staging.persisted(batch);
        let now = self.now;
        let Some(joined) = &mut self.joined else {
            return;
        };
        let mut mark = None;
        while let Some((_, last)) = joined.at_disk.pop_front_if(|(first, _)| *first <= batch) {
            mark = Some(last);
        }
        if let Some(mark) = mark {
            joined.cluster.persisted(now, mark);
        }
    }

    /// Ends every input: what the rooms want is done, and what is due.
    pub(super) fn turn_together(&mut self) {
        let now = self.now;
        let Some(joined) = &mut self.joined else {
            return;
        };
        let away = now.since(std::mem::replace(&mut joined.last_turn, now));
        if joined.cluster.deadline().is_none_or(|due| due <= now) {
            joined.cluster.tick(now);
        }
        self.carry_all();
        self.after_a_pause(away);
        self.rule();
        self.do_favours();
        self.ask_again();
        self.let_leavers_go();
        self.settle_the_file();
        let joined = self.joined.as_mut().expect("it was there above");
        if now >= joined.beat_at {
            joined.beat_at = now + BEAT;
            self.slow_things();
        }
        self.carry_all();
        self.pass_empty_marks();
        let joined = self.joined.as_mut().expect("it was there above");
        while let Some((to, way, bytes)) = joined.cluster.send() {
            self.outputs.push_back(Output::Send(to, way, bytes));
        }
    }

    /// A mark of the store that brings no writes is down as soon as those before it are.
    fn pass_empty_marks(&mut self) {
        let now = self.now;
        while self.staging.open.writes.is_empty() {
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            let Some(mark) = joined.mark.take() else {
                return;
            };
            match joined.at_disk.back_mut() {
                Some((_, last)) => *last = mark,
                None => joined.cluster.persisted(now, mark),
            }
            self.carry_all();
        }
    }

    fn carry_all(&mut self) {
        while let Some(effect) = self.joined.as_mut().and_then(|j| j.cluster.poll()) {
            self.carry(effect);
        }
    }

    fn carry(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(mark, records) => self.persist(mark, records),
            Effect::Owners(change) => {
                self.seats_are_old();
                self.owners_changed(&change);
            }
            Effect::Stored(key) => self.stored(&key),
            Effect::Confirmed(version) => self.confirmed(version),
            Effect::Ask(from, ask) => self.asked(from, ask),
            Effect::Streak(streak) => self.hear_streak(streak),
            Effect::Inquire(from, inquire) => self.inquired(from, &inquire),
            Effect::Tell(from, tell) => self.told(from, &tell),
            Effect::Seated(name) => self.seated(&name),
            Effect::Suspect(name, is_suspect) => self.suspect(&name, is_suspect),
            Effect::Members => {
                self.seats_are_old();
                self.fleet_is_old();
                self.joined.as_mut().expect("it spoke").is_memory_old = true;
            }
            Effect::Marks => self.fleet_is_old(),
            Effect::Ready => self.ready(),
            Effect::Forgotten(id, name) => self.forgotten(id, &name),
            Effect::Refused(name, at) => self.outputs.push_back(Output::Refused { name, at }),
            Effect::Left => {
                self.joined.as_mut().expect("it spoke").has_left = true;
                self.outputs.push_back(Output::Left);
            }
            Effect::Notice(notice) => self.outputs.push_back(Output::Notice(Box::new(notice))),
        }
    }

    fn seats_are_old(&mut self) {
        self.joined.as_mut().expect("it spoke").are_seats_old = true;
    }

    pub(super) fn fleet_is_old(&mut self) {
        if let Some(joined) = &mut self.joined {
            joined.is_fleet_old = true;
        }
    }

    fn persist(&mut self, mark: store::Mark, records: Vec<store::Record>) {
        let joined = self.joined.as_mut().expect("its store spoke");
        joined.mark = Some(mark);
        let open = &mut self.staging.open;
        open.urgent = true;
        for store::Record { key, content } in records {
            let key = Key::Store(key);
            open.writes.push(match content {
                Some(content) => Write::Set(key, content),
                None => Write::Remove(key),
            });
        }
    }

    fn stored(&mut self, key: &[u8]) {
        self.fleet_is_old();
        match kind_of(key) {
            Some(Kind::Definition(source, name)) => self.definition_stored(source, &name, key),
            Some(Kind::Status(name)) => self.adopt_status(&name),
            Some(Kind::Manifest) => self.manifest_stored(key),
            Some(Kind::Unable(node, target)) => self.unable_stored(&node, &target, key),
            Some(Kind::Origins(node)) => self.lives_stored(node, key),
            Some(Kind::Gone(node)) => self.gone_stored(node, key),
            None => {}
        }
    }

    /// A request is answered once this write is on a second disk.
    pub(super) fn answer_when_safe(&mut self, version: Version, request: Request, answer: Answer) {
        let until = self.now + ACK_PATIENCE;
        let joined = self.joined.as_mut().expect("only a joined node waits");
        joined.acks.insert(version, (until, request, answer));
    }

    fn confirmed(&mut self, version: Version) {
        let joined = self.joined.as_mut().expect("its store spoke");
        if let Some((_, request, answer)) = joined.acks.remove(&version) {
            self.answer(request, answer);
        }
    }

    /// Closes what is open: writes, the cluster as readers see it, the view.
    pub(super) fn seal_together(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        // Also writes that change nothing, because later ones came first, are waited for.
        let growths = joined.cluster.store.growths();
        joined.is_fleet_old |= std::mem::replace(&mut joined.growths, growths) != growths;
        if joined.is_fleet_old && (now >= joined.fleet_at || self.staging.open.is_awaited()) {
            joined.is_fleet_old = false;
            joined.fleet_at = now + FLEET_EVERY;
            self.staging.open.fleet = Some(Arc::new(joined.fleet(self.config.mutation)));
        }
        let version = joined.cluster.store.version().unwrap_or_default();
        if let Some(persist) = self.staging.seal(version) {
            if let (Output::Persist { batch, .. }, Some(mark)) = (&persist, joined.mark.take()) {
                joined.at_disk.push_back((*batch, mark));
            }
            self.outputs.push_back(persist);
        }
    }

    /// Once a second.
    fn slow_things(&mut self) {
        let now = self.now;
        self.leave_the_hanging_behind();
        self.tell_of_its_lives();
        self.promise();
        self.tell_the_second();
        self.yield_no_longer();
        self.forget_old_streaks();
        self.look();
        self.sweep_statuses();
        self.close_the_gone();
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let late: Vec<Version> = joined
            .acks
            .iter()
            .filter(|(_, (until, ..))| *until <= now)
            .map(|(version, _)| *version)
            .collect();
        if std::mem::take(&mut joined.is_memory_old) {
            let remembered = joined.cluster.remembered();
            if remembered != joined.remembered {
                joined.remembered.clone_from(&remembered);
                let write = Write::Set(Key::Members, remembered);
                self.staging.open.writes.push(write);
            }
        }
        for version in late {
            self.confirmed(version);
        }
        self.go_when_nothing_is_left();
    }

    pub(super) fn join(&mut self, addresses: Vec<SocketAddr>) {
        let now = self.now;
        if let Some(joined) = &mut self.joined {
            joined.cluster.join(now, addresses);
        }
    }

    pub(super) fn drain_away(&mut self, request: Request) {
        let now = self.now;
        let Some(joined) = &mut self.joined else {
            return self.answer(request, Answer::NoCluster);
        };
        joined.cluster.drain_away(now);
        self.answer(request, Answer::Accepted);
    }

    pub(super) fn forget(&mut self, request: Request, name: &str) {
        let now = self.now;
        let Some(joined) = &mut self.joined else {
            return self.answer(request, Answer::NoCluster);
        };
        let ids = joined.cluster.forget(now, name);
        let answer = if ids.is_empty() {
            Answer::NotFound
        } else {
            Answer::Accepted
        };
        for id in ids {
            self.give_up(id);
        }
        self.enable_the_gone(name);
        self.answer(request, answer);
    }

    pub(super) fn leave(&mut self, within: Duration) {
        let now = self.now;
        let Some(joined) = &mut self.joined else {
            self.outputs.push_back(Output::Left);
            return;
        };
        joined.leaving.get_or_insert(now + within);
        joined.cluster.drain_away(now);
        joined.beat_at = now + Duration::from_millis(100);
    }

    /// A node that leaves says farewell once others have its targets, or its time is over.
    fn go_when_nothing_is_left(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let Some(until) = joined.leaving else {
            return;
        };
        joined.beat_at = now + Duration::from_millis(100);
        let is_held =
            |(_, hot): (Slot, &super::Hot)| matches!(hot.role, Role::Owner | Role::Leaver);
        let is_alone = joined.cluster.membership.living() <= 1;
        if is_alone || now >= until || !self.hot.iter().any(is_held) {
            joined.leaving = None;
            joined.cluster.leave(now);
        }
    }
}
