//! What a store shows of itself, as the promises look at it.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use base::{Origin, Time, Version};
use store::{Config, ConfigError, Input, Output, Record, Store, Vector};

/// One entry under a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// Under which key.
    pub key: Vec<u8>,
    /// Which write.
    pub dot: Version,
    /// `None` for a delete.
    pub value: Option<Vec<u8>>,
    /// How many dots its context still names.
    pub context: usize,
    /// The write that it only copies, and how often it was moved.
    pub copy_of: Option<(Version, u64)>,
}

impl Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = String::from_utf8_lossy(&self.key);
        let value = self.value.as_deref().map(String::from_utf8_lossy);
        let value = value.as_deref().unwrap_or("nothing");
        write!(f, "{key} = {value} by {}", self.dot)?;
        if self.context > 0 {
            write!(f, " over {} dots", self.context)?;
        }
        match self.copy_of {
            None => Ok(()),
            Some((dot, times)) => write!(f, ", a copy of {dot}, moved {times} times"),
        }
    }
}

/// All that a store holds and claims to have seen.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The last write of this life.
    pub last: Option<Version>,
    /// By key, then by dot.
    pub held: Vec<Held>,
    /// Everything up to these numbers.
    pub prefix: BTreeMap<Origin, u64>,
    /// Ranges beyond the prefix: origin, first, last.
    pub beyond: Vec<(Origin, u64, u64)>,
    /// Closed origins and their last numbers.
    pub retired: BTreeMap<Origin, u64>,
}

impl Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.last.map(|last| last.to_string()).unwrap_or_default();
        write!(f, "writes {last}; holds {:?}; has seen", self.held)?;
        for (origin, seq) in &self.prefix {
            write!(f, " {origin}-{seq}")?;
        }
        for (origin, first, last) in &self.beyond {
            write!(f, " {origin}-{first}..{last}")?;
        }
        for (origin, seq) in &self.retired {
            write!(f, " closed {origin}-{seq}")?;
        }
        Ok(())
    }
}

/// A store as the world drives it and the promises look at it.
pub trait Core: Debug + Sized + 'static {
    /// Whether it forgets deletes and closes origins; if not, that isn't asked of it.
    const COLLECTS: bool = true;
    /// A copy as the disk held it.
    ///
    /// # Errors
    /// When a setting is out of its bounds, or a record can't be read.
    fn new(config: Config, records: Vec<Record>) -> Result<Self, ConfigError>;
    /// Takes in what happened.
    fn handle(&mut self, now: Time, input: Input);
    /// What is to be done next.
    fn poll(&mut self) -> Option<Output>;
    /// When a tick is due.
    fn deadline(&self) -> Option<Time>;
    /// The settings.
    fn config(&self) -> &Config;
    /// All that it holds.
    fn view(&self) -> View;
    /// What its next digest would claim; holds nothing.
    fn claimed(&self) -> View;
    /// Whether it knows nobody to talk to.
    fn is_alone(&self) -> bool;
}

impl Core for Store {
    fn new(config: Config, records: Vec<Record>) -> Result<Self, ConfigError> {
        Self::new(config, records)
    }

    fn handle(&mut self, now: Time, input: Input) {
        Self::handle(self, now, input);
    }

    fn poll(&mut self) -> Option<Output> {
        Self::poll(self)
    }

    fn deadline(&self) -> Option<Time> {
        Self::deadline(self)
    }

    fn config(&self) -> &Config {
        Self::config(self)
    }

    fn view(&self) -> View {
        let mut view = View::over(&self.vector());
        view.last = self.version();
        view.held = self
            .iter()
            .map(|(key, held)| Held {
                key: key.to_vec(),
                dot: held.version,
                value: held.value.map(<[u8]>::to_vec),
                context: held.context,
                copy_of: held.copy_of,
            })
            .collect();
        view.held.sort();
        view
    }

    fn claimed(&self) -> View {
        View::over(&self.claimed())
    }

    fn is_alone(&self) -> bool {
        Self::is_alone(self)
    }
}

impl View {
    fn over(vector: &Vector) -> Self {
        let mut view = Self::default();
        for (origin, all) in &vector.retired {
            view.retired.insert(*origin, all.prefix());
        }
        for (origin, seen) in &vector.seen {
            view.prefix.insert(*origin, seen.prefix());
        }
        for (origin, seen) in vector.seen.iter().chain(&vector.retired) {
            let beyond = seen.beyond().iter();
            view.beyond
                .extend(beyond.map(|&(first, last)| (*origin, first, last)));
        }
        view
    }

    /// What a collapse write under this key would write, if it is contested: what a reader is
    /// shown, the put with the greatest dot, or nothing if all are deletes.
    #[must_use]
    pub fn collapse(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let siblings = || self.held.iter().filter(|held| held.key == key);
        (siblings().count() > 1)
            .then(|| siblings().filter_map(|held| held.value.clone()).next_back())
    }
}
