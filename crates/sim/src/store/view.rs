//! What a store shows of itself, as the promises look at it.

use std::collections::BTreeMap;
use std::fmt;

use base::{Origin, Version};
use store::Store;

/// One entry under a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) key: Vec<u8>,
    pub(crate) dot: Version,
    /// `None` for a delete.
    pub(crate) value: Option<Vec<u8>>,
    /// How many dots its context still names.
    pub(crate) context: usize,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = String::from_utf8_lossy(&self.key);
        let value = self.value.as_deref().map(String::from_utf8_lossy);
        let value = value.as_deref().unwrap_or("nothing");
        write!(f, "{key} = {value} by {}", self.dot)?;
        match self.context {
            0 => Ok(()),
            n => write!(f, " over {n} dots"),
        }
    }
}

/// All that a store holds and claims to have seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) me: Origin,
    /// By key, then by dot.
    pub(crate) held: Vec<Held>,
    pub(crate) prefix: BTreeMap<Origin, u64>,
    /// Ranges beyond the prefix: origin, first, last.
    pub(crate) beyond: Vec<(Origin, u64, u64)>,
    /// Closed origins and their last numbers.
    pub(crate) retired: BTreeMap<Origin, u64>,
}

/// What a collapse write under this key would write: what a reader is shown, if it is contested.
pub(crate) fn collapse(_store: &Store, _key: &[u8]) -> Option<Vec<u8>> {
    None
}

impl View {
    pub(crate) fn of(_store: &Store) -> Self {
        Self::default()
    }

    /// What its next digest would claim; holds nothing.
    pub(crate) fn claimed(_store: &Store) -> Self {
        Self::default()
    }
}
