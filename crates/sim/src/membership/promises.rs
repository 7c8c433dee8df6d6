//! What must hold after every step of a cluster, whatever happens.
//!
//! The run shows every step to a [`Watch`], which keeps the truth (who runs, what each member
//! ever said of itself) beside each node's table, and names the first promise that broke. Every
//! intermediate transition is looked at: an illegal one that a later one hides is still found.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use ::membership::{Incarnation, Member, State};
use base::{Duration, NodeId, Time};

use super::node::{Call, PACKET_SIZE, Peer, Word};
use super::truth::{Skies, Truth};
use crate::cluster::{Happened, Host, Plan, Step, World};

/// One promise of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// In one node's table a member only moves forward: to a higher incarnation, or at the same
    /// one from alive to suspect to dead to left. Nobody calls itself suspect or dead.
    LegalTransitions,
    /// No incarnation is seen that its subject did not claim, none of a new life is behind an
    /// older life's, and what is said of a living member is what it said itself.
    OnlyTheSubjectRaises,
    /// Every change of a table is said.
    EveryChangeIsSaid,
    /// A member that runs, does not stand still and has good links to a majority is not declared
    /// dead by another that is not cut off, even one that stands still at times or has bad links;
    /// and one that has said farewell is not dead but left.
    NoFalseDeath,
    /// Nobody accuses running members more than a few times a minute: who hears badly doubts
    /// itself first.
    DoubtsItself,
    /// A dead process is not held alive for long by anybody who can reach the others.
    DeathIsNoticed,
    /// When nothing is wrong any more, every running node finds exactly the running ones alive,
    /// as they describe themselves. While links lose datagrams: nobody holds one of them for gone.
    HealsCompletely,
    /// Who has left stays so, and is not alive or dead in anybody's table once all have talked.
    LeftStaysLeft,
    /// No table holds two living members of one name.
    OneNameOneMember,
    /// Datagrams keep to their size, streams and tables to a bound.
    Bounded,
    /// When there is nothing to do, the node waits.
    Rest,
}

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// When, in the world's time.
    pub at: Time,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken at {}: {}", self.promise, self.at, self.what)
    }
}

/// How long things must have been good before a declared death counts as false: longer than any
/// suspicion that began while they were bad.
const SETTLED: Duration = Duration::from_secs(20);
/// How often a node may accuse members that run, within a minute.
const ACCUSATIONS: usize = 15;
/// How long a dead process may be held alive by a node that can reach the others.
const NOTICED: Duration = Duration::from_secs(30);
/// How long the cluster may take to be whole again.
const HEALED: Duration = Duration::from_secs(10);
/// The bytes of one stream message at most, at the sizes of these worlds.
const STREAM_SIZE: usize = 64 * 1024;
/// Deadlines in a row at one instant that are no rest.
const RESTLESS: u32 = 50;

/// One node's table as its words make it.
#[derive(Debug)]
struct Table {
    of: NodeId,
    members: BTreeMap<NodeId, Member>,
    /// Since when a member has been known at its incarnation.
    learned: BTreeMap<NodeId, Time>,
    /// When it accused members that ran, within the last minute.
    accused: VecDeque<Time>,
}

/// All that has been seen so far.
#[derive(Debug)]
pub(super) struct Watch {
    broken: Option<Broken>,
    now: Time,
    truth: Truth,
    skies: Skies,
    tables: BTreeMap<Host, Table>,
    /// Each declared death, once.
    deaths: BTreeSet<(NodeId, Incarnation)>,
    calm_from: Time,
    /// Whether datagrams are lost even when it is calm.
    rains: bool,
    /// When the cluster must be whole, unless something happens before.
    whole_by: Time,
    /// Whether something was said since the last look at the whole.
    news: bool,
    ticks: (Option<Host>, Time, u32),
}

impl Watch {
    pub(super) fn new(plan: &Plan) -> Self {
        let calm_from = plan.calm_from;
        Self {
            broken: None,
            now: Time::ZERO,
            truth: Truth::default(),
            skies: Skies::new(plan.hosts),
            tables: BTreeMap::new(),
            deaths: BTreeSet::new(),
            calm_from,
            rains: plan.link.loss > 0,
            whole_by: calm_from + HEALED,
            news: true,
            ticks: (None, Time::ZERO, 0),
        }
    }

    /// Looks at a step; the first promise that broke, if one did.
    pub(super) fn after(&mut self, world: &World<Peer>, step: &Step<Peer>) -> Option<Broken> {
        self.now = step.at;
        self.news |= !step.words.is_empty();
        self.follow_the_world(world, step);
        if let Some(host) = step.host {
            for word in &step.words {
                self.hear(host, word);
            }
            self.look_at(world, host);
        }
        self.rest(step);
        self.deaths_are_noticed();
        self.whole_again();
        self.broken.take()
    }

    /// Looks at everything once more at the end of the world; with what broke, whether the
    /// cluster had the time to be whole.
    pub(super) fn at_the_end(&mut self, end: Time) -> (Option<Broken>, bool) {
        self.now = end;
        self.news = true;
        self.deaths_are_noticed();
        self.whole_again();
        (self.broken.take(), end >= self.whole_by)
    }

    /// What people may still change: joins and calls put the moment of wholeness off.
    pub(super) fn disturbed(&mut self) {
        self.whole_by = self.now.max(self.calm_from) + HEALED;
        self.news = true;
    }

    fn follow_the_world(&mut self, world: &World<Peer>, step: &Step<Peer>) {
        match &step.what {
            Happened::Booted => {
                self.skies.whole_from(step.host, step.at);
                self.disturbed();
            }
            Happened::Crashed => self.gone(world),
            Happened::Moved => {
                self.skies.moved(step.host, step.at);
                self.disturbed();
            }
            Happened::Faulted(fault) => {
                self.skies.fault(step.at, fault);
                self.gone(world);
            }
            Happened::Called(Call::Join(_)) => {}
            Happened::Called(_) => self.disturbed(),
            Happened::Received(..) | Happened::Ticked | Happened::Persisted(_) => {}
        }
    }

    /// Ends the lives whose processes run no more.
    fn gone(&mut self, world: &World<Peer>) {
        let gone: Vec<Host> = self.tables.keys().copied().collect();
        for host in gone.into_iter().filter(|&h| world.node(h).is_none()) {
            let table = self.tables.remove(&host).expect("just listed");
            self.truth.ended(table.of, self.now);
            self.disturbed();
        }
    }

    fn hear(&mut self, host: Host, word: &Word) {
        match word {
            Word::Began(me) => self.begin(host, me),
            Word::Changed(member) => self.changed(host, member),
            Word::Forgotten(id) => {
                let table = self.tables.get_mut(&host).expect("speaks, so it began");
                table.members.remove(id);
                table.learned.remove(id);
            }
            Word::Accused(whom, by, _) => self.accused(host, *whom, *by),
            Word::Refused(_) | Word::MassLoss(..) => {}
            Word::Left => self.farewell(host),
        }
    }

    fn farewell(&mut self, host: Host) {
        let table = &self.tables[&host];
        let mut known = table.members.values();
        let company = known.any(|m| m.id != table.of && m.state == State::Alive);
        self.truth.said_farewell(table.of, company);
    }

    fn begin(&mut self, host: Host, me: &Member) {
        if let Some(before) = self.truth.began(host, me, self.now) {
            self.fails(Promise::OnlyTheSubjectRaises, || {
                format!(
                    "{} starts a new life at {:?}, its last was at {before:?}",
                    me.name, me.incarnation
                )
            });
        }
        let table = Table {
            of: me.id,
            members: BTreeMap::from([(me.id, me.clone())]),
            learned: BTreeMap::new(),
            accused: VecDeque::new(),
        };
        self.tables.insert(host, table);
    }

    fn changed(&mut self, host: Host, member: &Member) {
        let of = self.tables[&host].of;
        if member.id == of {
            self.truth.claimed(member);
        }
        self.legal(host, of, member);
        self.claimed_by_its_subject(host, member);
        if member.state == State::Dead {
            self.death_is_true(host, member);
        }
        let now = self.now;
        let table = self.tables.get_mut(&host).expect("speaks, so it began");
        let before = table.members.insert(member.id, member.clone());
        if before.is_none_or(|before| before.incarnation != member.incarnation) {
            table.learned.insert(member.id, now);
        }
        self.one_name(host, member);
    }

    fn accused(&mut self, host: Host, whom: NodeId, by: NodeId) {
        let runs = self.truth.life(whom).is_some_and(|life| life.runs);
        let now = self.now;
        let table = self.tables.get_mut(&host).expect("speaks, so it began");
        if !runs || by != table.of {
            return;
        }
        let minute = Duration::from_secs(60);
        while table
            .accused
            .pop_front_if(|at| now.since(*at) > minute)
            .is_some()
        {}
        table.accused.push_back(now);
        let count = table.accused.len();
        if count > ACCUSATIONS {
            self.fails(Promise::DoubtsItself, || {
                format!(
                    "host {} accuses running members {count} times in a minute",
                    host.0
                )
            });
        }
    }

    fn legal(&mut self, host: Host, of: NodeId, member: &Member) {
        let ghost = matches!(member.state, State::Suspect | State::Dead);
        if member.id == of && ghost {
            self.fails(Promise::LegalTransitions, || {
                format!("host {} calls itself {:?}", host.0, member.state)
            });
        }
        let Some(before) = self.tables[&host].members.get(&member.id) else {
            return;
        };
        let rank = |m: &Member| (m.incarnation, m.state);
        if rank(member) < rank(before) {
            let before = before.clone();
            self.fails(Promise::LegalTransitions, || {
                format!("at host {}: {} → {}", host.0, brief(&before), brief(member))
            });
        }
    }

    fn claimed_by_its_subject(&mut self, host: Host, member: &Member) {
        if let Some(why) = self.truth.contradicts(member) {
            self.fails(Promise::OnlyTheSubjectRaises, || {
                format!("host {} says {}: {why}", host.0, brief(member))
            });
        }
    }

    fn death_is_true(&mut self, host: Host, member: &Member) {
        if !self.deaths.insert((member.id, member.incarnation)) {
            return;
        }
        let victim = |host| self.skies.are_good_for(host, self.now, SETTLED);
        let accuser = |host| self.skies.are_whole_for(host, self.now, SETTLED);
        let Some(life) = self.truth.life(member.id) else {
            return;
        };
        let current = member.incarnation >= life.first;
        let there = life.runs || life.farewell_to_others;
        if there && current && accuser(host) && victim(life.host) {
            let state = if life.runs { "runs" } else { "has left" };
            let by = host.0;
            self.fails(Promise::NoFalseDeath, || {
                format!("host {by} declares {}, who {state}", brief(member))
            });
        }
    }

    fn one_name(&mut self, host: Host, member: &Member) {
        let living = |m: &Member| matches!(m.state, State::Alive | State::Suspect);
        if !living(member) {
            return;
        }
        let mut all = self.tables[&host].members.values();
        let other = all.find(|m| m.id != member.id && m.name == member.name && living(m));
        if let Some(other) = other.cloned() {
            self.fails(Promise::OneNameOneMember, || {
                let (one, two) = (brief(&other), brief(member));
                format!("host {} holds both {one} and {two}", host.0)
            });
        }
    }

    /// What the node has inside is what it said.
    fn look_at(&mut self, world: &World<Peer>, host: Host) {
        let (Some(peer), Some(table)) = (world.node(host), self.tables.get(&host)) else {
            return;
        };
        let Some(core) = peer.core() else {
            return;
        };
        let differs = core
            .members()
            .find(|&m| table.members.get(&m.id) != Some(m));
        let differs = differs.map(|m| (m.clone(), table.members.get(&m.id).cloned()));
        let (has, said) = (core.members().count(), table.members.len());
        let lives = self.truth.lives();
        let [datagram, stream] = peer.largest();
        if let Some((inside, said)) = differs {
            self.fails(Promise::EveryChangeIsSaid, || {
                format!("host {} believes {inside:?} and said {said:?}", host.0)
            });
        }
        if has != said {
            self.fails(Promise::EveryChangeIsSaid, || {
                format!("host {} has {has} members and said {said}", host.0)
            });
        }
        if datagram > PACKET_SIZE || stream > STREAM_SIZE || has > lives {
            self.fails(Promise::Bounded, || {
                format!(
                    "host {}: {datagram} bytes at once, {stream} in a stream, {has} of {lives} lives",
                    host.0
                )
            });
        }
    }

    fn rest(&mut self, step: &Step<Peer>) {
        if step.what != Happened::Ticked {
            return;
        }
        let (host, at, count) = self.ticks;
        let again = (host, at) == (step.host, step.at);
        self.ticks = (step.host, step.at, if again { count + 1 } else { 0 });
        if self.ticks.2 > RESTLESS {
            self.fails(Promise::Rest, || {
                format!("{host:?} is due again and again at once")
            });
        }
    }

    fn deaths_are_noticed(&mut self) {
        for (id, life) in self.truth.ended_before(self.now, NOTICED) {
            for (host, table) in &self.tables {
                let Some(member) = table.members.get(&id) else {
                    continue;
                };
                let living = matches!(member.state, State::Alive | State::Suspect);
                let known = table.learned.get(&id).copied().unwrap_or_default();
                let long = self.now.since(known) > NOTICED
                    && self.skies.are_good_for(*host, self.now, NOTICED);
                if living && long {
                    let what = format!(
                        "host {} still holds {}, whose process ended at {}",
                        host.0,
                        brief(member),
                        life.since
                    );
                    self.fails(Promise::DeathIsNoticed, || what);
                    return;
                }
            }
        }
    }

    fn whole_again(&mut self) {
        if self.now < self.whole_by || !self.news {
            return;
        }
        self.news = false;
        if let Some((promise, what)) = self.not_whole() {
            self.fails(promise, || what);
        }
    }

    fn not_whole(&self) -> Option<(Promise, String)> {
        for (host, table) in &self.tables {
            for other in self.tables.values() {
                let own = &other.members[&other.of];
                let seen = table.members.get(&other.of);
                let there = seen.is_some_and(|m| matches!(m.state, State::Alive | State::Suspect));
                if seen != Some(own) && !(self.rains && there) {
                    let seen = seen.map_or_else(|| "nothing".to_owned(), brief);
                    let what = format!("host {} sees {seen}, who is {}", host.0, brief(own));
                    return Some((Promise::HealsCompletely, what));
                }
            }
            for member in table.members.values() {
                let left = self.left_anywhere(member.id);
                let gone = self.truth.life(member.id).is_some_and(|life| {
                    let noticed = if left { HEALED } else { NOTICED };
                    !life.runs && self.now.since(life.since) > noticed
                });
                if !gone {
                    continue;
                }
                if matches!(member.state, State::Alive | State::Suspect) {
                    let what = format!("host {} sees {}, who is gone", host.0, brief(member));
                    let promise = [Promise::HealsCompletely, Promise::LeftStaysLeft];
                    return Some((promise[usize::from(left)], what));
                }
                if left && member.state != State::Left {
                    let what = format!("host {} sees {}, who has left", host.0, brief(member));
                    return Some((Promise::LeftStaysLeft, what));
                }
            }
        }
        None
    }

    fn left_anywhere(&self, id: NodeId) -> bool {
        let mut seen = self.tables.values().filter_map(|t| t.members.get(&id));
        seen.any(|m| m.state == State::Left)
    }

    fn fails(&mut self, promise: Promise, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(Broken {
                promise,
                at: self.now,
                what: what(),
            });
        }
    }
}

/// A member in one short line.
pub(super) fn brief(member: &Member) -> String {
    format!(
        "{} ({:.6}) {:?} at {}",
        member.name,
        member.id.to_string(),
        member.state,
        member.incarnation.0 % 100_000_000
    )
}
