//! The node as API and page see it: what they may read without asking, and what they may ask.
//!
//! Reading takes no lock and sends no message. Asking goes through the driver's one queue and
//! comes back through a one-shot channel. Does not know HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use base::{Duration, Time};
use health::{Account, Answer, Definition, Diff, Missing, Row, View};
use ipnet::IpNet;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::Fault;
use crate::events::Events;
use crate::figures::Figures;
use crate::meters::Meters;
use crate::secret::Secret;

/// Everything that API and page hold of the node.
#[derive(Debug)]
pub struct Front {
    /// What everyone sees.
    pub view: ArcSwap<View>,
    /// What changes with every outcome.
    pub figures: Figures,
    /// What the node counts about itself.
    pub meters: Meters,
    /// The last changes of state.
    pub events: Events,
    /// Monotonic and wall time.
    pub clock: Clock,
    /// Who this node is.
    pub identity: Identity,
    /// The part of the config that the API needs; changes with a reload.
    pub settings: ArcSwap<Settings>,
    /// The first beat of checks has begun.
    pub ready: AtomicBool,
    /// The process is about to end: streams should.
    pub stopping: tokio::sync::watch::Sender<bool>,
    asks: Box<dyn Asks>,
}

/// Who this node is; fixed until it ends.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Unique in the cluster.
    pub name: Arc<str>,
    /// The cluster's label; empty without one.
    pub label: Box<str>,
    /// Where it stands.
    pub zone: Arc<str>,
    /// How large its share is.
    pub weight: u32,
    /// Where its API listens.
    pub address: SocketAddr,
    /// Milliseconds since the epoch at boot.
    pub incarnation: i64,
}

/// The part of the config that the API needs.
#[derive(Debug, Default)]
pub struct Settings {
    /// What a writer must show; without one every write is refused.
    pub token: Option<Secret>,
    /// Ranges that API-made targets may lie in although they are denied by default.
    pub allow_targets: Vec<IpNet>,
    /// Whether `/metrics` has series for each target.
    pub metrics_per_target: bool,
}

/// A question or a wish that only the driver can answer.
#[derive(Debug)]
pub enum Ask {
    /// Define a target through the API.
    Put(Definition, oneshot::Sender<Result<Answer, Vec<String>>>),
    /// Take an API-made target away.
    Delete(Arc<str>, oneshot::Sender<Answer>),
    /// Give all targets to others.
    Drain(oneshot::Sender<Answer>),
    /// Hand over, say farewell and end.
    Leave(oneshot::Sender<Answer>),
    /// Take a dead member out for good.
    Forget(Arc<str>, oneshot::Sender<Answer>),
    /// What the owner of a target knows of it.
    Account(Arc<str>, oneshot::Sender<Told>),
    /// Read the config file again.
    Reload(oneshot::Sender<Result<Diff, Vec<Fault>>>),
}

/// What the owner of a target knows of it, or why that can't be said.
pub type Told = Result<Box<Account>, Missing>;

/// Puts an [`Ask`] into the driver's queue; `false` when it is full or gone.
pub trait Asks: Send + Sync + std::fmt::Debug {
    /// Puts it, without waiting.
    fn ask(&self, ask: Ask) -> bool;
}

/// Why an [`Ask`] had no answer. Nothing was changed, or nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The queue is full.
    #[error("the node's queue is full; try again")]
    Busy,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// The disk does not take writes.
    #[error("the store file can't be written (disk full?); nothing is promised until it can")]
    Disk,
    /// The answer did not come in time: the write may or may not be done.
    #[error("no answer within 5 s; the disk may be slow, and the write may still happen")]
    Late,
}

impl Front {
    /// A front of an empty node whose driver takes `asks`.
    pub fn new(clock: Clock, identity: Identity, settings: Settings, asks: Box<dyn Asks>) -> Self {
        Self {
            view: ArcSwap::from_pointee(View::empty()),
            figures: Figures::default(),
            meters: Meters::default(),
            events: Events::default(),
            clock,
            identity,
            settings: ArcSwap::from_pointee(settings),
            ready: AtomicBool::new(false),
            stopping: tokio::sync::watch::channel(false).0,
            asks,
        }
    }

    /// Whether the node has begun to check.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Defines a target; answered once it is on disk.
    pub async fn put(
        &self,
        definition: Definition,
    ) -> Result<Result<Answer, Vec<String>>, Unanswered> {
        self.ask(|reply| Ask::Put(definition, reply)).await
    }

    /// Takes an API-made target away; answered once the disk knows.
    pub async fn delete(&self, name: &str) -> Result<Answer, Unanswered> {
        self.ask(|reply| Ask::Delete(name.into(), reply)).await
    }

    /// Gives all targets to others.
    pub async fn drain(&self) -> Result<Answer, Unanswered> {
        self.ask(Ask::Drain).await
    }

    /// Hands over, says farewell and ends.
    pub async fn leave(&self) -> Result<Answer, Unanswered> {
        self.ask(Ask::Leave).await
    }

    /// Takes a dead member out for good.
    pub async fn forget(&self, name: &str) -> Result<Answer, Unanswered> {
        self.ask(|reply| Ask::Forget(name.into(), reply)).await
    }

    /// What the owner of a target knows of it; within half a second wherever the owner is, as long
    /// as this node's own queue moves.
    pub async fn account(&self, name: &str) -> Result<Told, Unanswered> {
        self.ask(|reply| Ask::Account(name.into(), reply)).await
    }

    /// Reads the config file again; the old one stays in force on any fault.
    pub async fn reload(&self) -> Result<Result<Diff, Vec<Fault>>, Unanswered> {
        self.ask(Ask::Reload).await
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        if !self.asks.ask(make(reply)) {
            return Err(if *self.stopping.borrow() {
                Unanswered::Stopping
            } else {
                Unanswered::Busy
            });
        }
        match tokio::time::timeout(Duration::from_secs(5), answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) if self.meters.store_failing.get() > 0 => Err(Unanswered::Disk),
            Ok(Err(_)) => Err(Unanswered::Stopping),
            Err(_) => Err(Unanswered::Late),
        }
    }

    /// How long ago `row` was checked so that the outcome could tell; `None` if not yet.
    #[must_use]
    pub fn age(&self, row: &Row, now: Time) -> Option<Duration> {
        self.checked_at(row, now).map(|at| now.since(at))
    }

    /// When `row` was last checked so that the outcome could tell: by this node, or as its owner
    /// promises.
    #[must_use]
    pub fn checked_at(&self, row: &Row, now: Time) -> Option<Time> {
        if self.is_checked_here(row) {
            return self.figures.checked_at(row.slot);
        }
        self.view.load().freshness(row, now)?.checked
    }

    /// Whether this node is `row`'s owner: only then its figures are the target's.
    #[must_use]
    pub fn is_checked_here(&self, row: &Row) -> bool {
        let view = self.view.load();
        view.fleet().is_none() || view.owners(row.slot).next() == Some(&self.identity.name)
    }

    /// Whether `row`'s last conclusive check is older than it should be: 1.5 intervals and a
    /// timeout, or none at all. A paused target is never stale.
    #[must_use]
    pub fn is_stale(&self, row: &Row, now: Time) -> bool {
        if !self.is_checked_here(row) {
            let freshness = self.view.load().freshness(row, now);
            return freshness.is_none_or(|freshness| freshness.is_stale);
        }
        let (interval, timeout) = row.pace();
        let allowed = interval + interval / 2 + timeout;
        row.state() != health::State::Paused && self.age(row, now).is_none_or(|age| age > allowed)
    }
}
