//! What was seen of all nodes so far: checks, passes, transitions, requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Duration, Slot, Ticket, Time};
use health::{Answer, Definition};

use crate::cluster::Host;

/// How many starts of a target are looked back at.
pub(super) const STARTS: usize = 12;

/// One target as somebody shows it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) definition: Arc<Definition>,
    /// Since when somebody alive shows it like this.
    pub(super) since: Time,
    /// When the last check began, whoever made it.
    pub(super) checked: Option<Time>,
    /// When it was last seen with nobody but a minority to look after it.
    pub(super) lonely: Option<Time>,
    pub(super) starts: VecDeque<Time>,
}

/// A transition that somebody wrote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) number: u32,
    pub(super) at: Time,
    pub(super) by: Host,
}

/// Something asked of the API.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) host: Host,
    pub(super) name: Arc<str>,
    pub(super) is_put: bool,
    pub(super) at: Time,
    /// Which put the node showed when it was asked.
    pub(super) saw: Option<u64>,
    pub(super) answer: Option<Answer>,
}

/// A new content of the config file.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    pub(super) host: Host,
    pub(super) life: u64,
    pub(super) at: Time,
    /// The version that the node showed.
    pub(super) saw: u64,
}

/// A probe under way: by which host in which life, of what.
pub(super) type Flight = (Host, u64, Slot, Ticket);

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) targets: BTreeMap<Arc<str>, Watched>,
    /// A host's last start of a target, and since when it knows the target as it is.
    pub(super) own: BTreeMap<(Host, Arc<str>), (Option<Time>, Time)>,
    /// What each host takes each target as.
    taken: BTreeMap<(Host, Arc<str>), Arc<Definition>>,
    /// When a host began to check a target last, and any target.
    pub(super) began: BTreeMap<(Host, Arc<str>), Time>,
    pub(super) began_any: BTreeMap<Host, Time>,
    pub(super) flights: BTreeMap<Flight, (Arc<str>, Time)>,
    /// When the last check of a target that passed began.
    pub(super) passed: BTreeMap<Arc<str>, Time>,
    pub(super) written: BTreeMap<Arc<str>, Vec<Written>>,
    /// Transitions that were seen already: number and moment by target.
    pub(super) seen: BTreeSet<(Arc<str>, u32, i64)>,
    pub(super) ops: BTreeMap<u64, Op>,
    pub(super) reloads: Vec<Reload>,
    /// Targets that were defined nowhere for a time, or not on one node that had them: who owned
    /// them there took their status away.
    pub(super) gone: BTreeSet<Arc<str>>,
    /// Versions of the file that a later one took the place of, for certain.
    pub(super) outdated: BTreeSet<u64>,
    /// Since when each host's process runs.
    pub(super) runs_since: Vec<Option<Time>>,
    /// When each host's process last ran.
    pub(super) ran_last: Vec<Time>,
    /// Who has said farewell, and when it was started again.
    pub(super) left: BTreeMap<Host, Option<Time>>,
    /// Since when a target is shown differently by two nodes.
    pub(super) differs: BTreeMap<Arc<str>, Time>,
    /// Since when some status has siblings.
    pub(super) siblings: Option<Time>,
    /// When each host's view was last looked at.
    pub(super) viewed: BTreeMap<Host, Time>,
}

/// The mark on a definition that tells a put or a version of the file.
pub(super) fn label_of(definition: &Definition) -> Option<u64> {
    let (_, value) = definition.labels.iter().find(|(key, _)| &**key == "n")?;
    value.parse().ok()
}

/// Within this, a node that began to run knows all targets.
const KNOWN: Duration = Duration::from_secs(5);
/// Within this, all know of a node that is back.
const REJOINS: Duration = Duration::from_secs(3);

/// Stands for the file as it was at first.
pub(super) const FIRST: u64 = u64::MAX;

impl Ledger {
    pub(super) fn new(hosts: u32) -> Self {
        Self {
            runs_since: vec![None; hosts as usize],
            ran_last: vec![Time::ZERO; hosts as usize],
            ..Self::default()
        }
    }

    /// How many of these hosts count as members: not those that have left, nor those that have
    /// come back just now.
    pub(super) fn members(&self, hosts: u32, now: Time) -> usize {
        hosts as usize - (self.left.len() - self.returned(now).count())
    }

    /// Who has left and been back for so long that it counts again.
    pub(super) fn returned(&self, now: Time) -> impl Iterator<Item = Host> {
        let is_back = move |back: Option<Time>| back.is_some_and(|back| back + REJOINS <= now);
        let left = self.left.iter();
        left.filter(move |(_, back)| is_back(**back))
            .map(|(host, _)| *host)
    }

    /// Since when somebody has been running all the time.
    pub(super) fn somebody_since(&self) -> Option<Time> {
        self.runs_since.iter().flatten().min().copied()
    }

    /// Targets that a host does not show any more, though it has been running for as long as it takes
    /// to know them.
    pub(super) fn missed(&mut self, now: Time, host: Host, is_missing: impl Fn(&str) -> bool) {
        let is_old = |since: Time| since + KNOWN < now;
        if self.runs_since[host.index()].is_some_and(is_old) {
            let old = self.targets.iter().filter(|(_, w)| is_old(w.since));
            let missing = old.filter(|(name, _)| is_missing(name));
            let missing: Vec<Arc<str>> = missing.map(|(name, _)| Arc::clone(name)).collect();
            for name in missing {
                // Whatever was written of it went with it.
                self.written.remove(&name);
                self.gone.insert(name);
            }
        }
    }

    /// A definition as somebody alive shows it.
    pub(super) fn shown(&mut self, now: Time, definition: &Arc<Definition>) {
        if definition.paused {
            return;
        }
        let watched = self.targets.get_mut(&definition.name);
        let Some(watched) = watched else {
            let watched = Watched {
                definition: Arc::clone(definition),
                since: now,
                checked: None,
                lonely: None,
                starts: VecDeque::new(),
            };
            self.targets.insert(Arc::clone(&definition.name), watched);
            return;
        };
        if !is_same_check(&watched.definition, definition) {
            watched.since = now;
            watched.starts.clear();
        }
        watched.definition = Arc::clone(definition);
    }

    /// A host's node takes a target as this; `is_young`: it has heard of no status of it.
    pub(super) fn defined(
        &mut self,
        now: Time,
        host: Host,
        definition: &Arc<Definition>,
        is_young: bool,
    ) {
        let known = self.targets.get(&definition.name);
        let is_new = is_young
            || known.is_none_or(|known| {
                !is_same_check(&known.definition, definition)
                    || known.since + Duration::from_secs(4) > now
            });
        let place = (host, Arc::clone(&definition.name));
        // A host that stood still learns late that a target is asked otherwise.
        let last = self.taken.insert(place.clone(), Arc::clone(definition));
        let is_new = is_new || last.is_some_and(|last| !is_same_check(&last, definition));
        self.began.insert(place.clone(), now);
        self.began_any.insert(host, now);
        let own = self.own.entry(place);
        let own = own.or_insert((None, Time::ZERO));
        own.0 = None;
        if is_new {
            own.1 = now;
        }
    }

    /// A check of this target begins; when the one before did, whoever made it.
    pub(super) fn started(&mut self, now: Time, name: &Arc<str>) -> Option<Time> {
        let watched = self.targets.get_mut(name)?;
        watched.starts.push_back(now);
        if watched.starts.len() > STARTS + 1 {
            watched.starts.pop_front();
        }
        watched.checked.replace(now)
    }
}

/// Whether two definitions ask alike.
pub(super) fn is_same_check(a: &Definition, b: &Definition) -> bool {
    (a.interval, a.timeout, a.rule, a.confirm) == (b.interval, b.timeout, b.rule, b.confirm)
}
