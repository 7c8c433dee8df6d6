//! The immutable read model that API, page and command line see.
//!
//! A view is a list of chunks behind counted pointers; a change replaces only the touched
//! chunks and swaps the whole. Readers hold a view as long as they like and take no lock.
//! Hot figures (latency, last check) are not in it: they change with every outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Slot, Time, Version};

use crate::fleet::{Fleet, Freshness, Owned, stale_after};
use crate::row::{OpenRow, Row};
use crate::rows::{Rows, place};
use crate::status::State;

/// Where a definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The config file.
    File,
    /// A write through the API.
    Api,
}

impl Source {
    /// The source's name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// How many targets are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Up.
    pub up: usize,
    /// Down.
    pub down: usize,
    /// Unknown.
    pub unknown: usize,
    /// Paused.
    pub paused: usize,
}

impl Counts {
    /// How many are in `state`.
    #[must_use]
    pub const fn of(&self, state: State) -> usize {
        match state {
            State::Up => self.up,
            State::Down => self.down,
            State::Unknown => self.unknown,
            State::Paused => self.paused,
        }
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.up + self.down + self.unknown + self.paused
    }

    /// Counts one target in `state`.
    pub const fn add(&mut self, state: State) {
        *self.of_mut(state) += 1;
    }

    /// Takes one target in `state` out.
    pub const fn remove(&mut self, state: State) {
        *self.of_mut(state) -= 1;
    }

    const fn of_mut(&mut self, state: State) -> &mut usize {
        match state {
            State::Up => &mut self.up,
            State::Down => &mut self.down,
            State::Unknown => &mut self.unknown,
            State::Paused => &mut self.paused,
        }
    }
}

/// How many targets' owners share a counted pointer.
const CHUNK: usize = 64;

/// Everything that can be asked about all targets, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The last write that this view reflects.
    pub version: Version,
    rows: Rows,
    by_name: Arc<[Slot]>,
    counts: Counts,
    /// Empty on a node alone.
    owners: Vec<Arc<[Owned; CHUNK]>>,
    fleet: Option<Arc<Fleet>>,
}

impl View {
    /// A view of no targets.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            version: Version::default(),
            rows: Rows::default(),
            by_name: Arc::new([]),
            counts: Counts::default(),
            owners: Vec::new(),
            fleet: None,
        }
    }

    /// A view of these rows, each in the slot that it names.
    #[must_use]
    pub fn of(version: Version, rows: Vec<OpenRow>) -> Self {
        Self::empty().with(
            version,
            rows.into_iter()
                .map(|row| (row.slot, Some(row.row().clone()))),
        )
    }

    /// The target of this name. O(log n).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Row> {
        let at = self
            .by_name
            .binary_search_by(|&slot| self.at(slot).name().cmp(name))
            .ok()?;
        Some(self.at(self.by_name[at]))
    }

    /// All targets by name, those after `after` only if given.
    pub fn rows(&self, after: Option<&str>) -> impl Iterator<Item = &Row> {
        let from = after.map_or(0, |after| {
            self.by_name
                .partition_point(|&slot| self.at(slot).name() <= after)
        });
        self.by_name[from..].iter().map(|&slot| self.at(slot))
    }

    /// The cluster; `None` on a node alone.
    #[must_use]
    pub const fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.fleet.as_ref()
    }

    /// A target's owner and its standbys, best first; empty on a node alone.
    pub fn owners(&self, slot: Slot) -> impl Iterator<Item = &Arc<str>> {
        let fleet = self.fleet.as_ref();
        let three = self.owned(slot).three;
        three.into_iter().filter_map(move |at| fleet?.name(at))
    }

    /// How fresh what this view says of a target is; `None` on a node alone, which knows itself.
    #[must_use]
    pub fn freshness(&self, row: &Row, now: Time) -> Option<Freshness> {
        let fleet = self.fleet.as_ref()?;
        let owned = self.owned(row.slot);
        let (interval, timeout) = row.pace();
        let is_owned = fleet
            .name(owned.three[0])
            .is_some_and(|name| fleet.lives(name));
        if row.state() == State::Paused {
            return Some(Freshness {
                checked: None,
                is_stale: false,
                is_owned,
            });
        }
        // A target that has no status yet has not been checked, whatever its owner promises.
        let is_known = row.transition() > 0;
        let promised = fleet.promise(owned, row.name(), interval);
        let checked = promised.filter(|_| is_known).map(|promised| promised.at);
        let most = stale_after(interval, timeout) + fleet.spacing;
        let is_fresh = checked.is_some_and(|checked| now.since(checked) <= most);
        Some(Freshness {
            checked,
            is_stale: !is_fresh,
            is_owned,
        })
    }

    pub(crate) fn owned(&self, slot: Slot) -> Owned {
        let chunk = self.owners.get(slot.index() / CHUNK);
        chunk.map_or_else(Owned::default, |chunk| chunk[slot.index() % CHUNK])
    }

    /// This view with other owners. Touched chunks are copied once.
    pub(crate) fn with_owners(mut self, changes: impl IntoIterator<Item = (Slot, Owned)>) -> Self {
        for (slot, owned) in changes {
            let (chunk, at) = (slot.index() / CHUNK, slot.index() % CHUNK);
            while self.owners.len() <= chunk {
                self.owners.push(Arc::new([Owned::default(); CHUNK]));
            }
            Arc::make_mut(&mut self.owners[chunk])[at] = owned;
        }
        self
    }

    /// This view of another state of the cluster.
    pub(crate) fn with_fleet(mut self, fleet: Arc<Fleet>) -> Self {
        self.fleet = Some(fleet);
        self
    }

    /// How many targets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many targets are in each state.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn at(&self, slot: Slot) -> &Row {
        self.row(slot)
            .expect("the list by name holds only slots with a row")
    }

    pub(crate) fn row(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot)
    }

    /// This view with `changes` made; `None` takes a row out. Touched chunks are copied once.
    pub(crate) fn with(
        &self,
        version: Version,
        changes: impl IntoIterator<Item = (Slot, Option<Row>)>,
    ) -> Self {
        self.settled(version, changes, &Rows::default(), &BTreeSet::new())
    }

    /// The same, where these chunks of the node's rows hold nothing else that is new: they are
    /// taken as they are.
    pub(crate) fn settled(
        &self,
        version: Version,
        changes: impl IntoIterator<Item = (Slot, Option<Row>)>,
        rows: &Rows,
        chunks: &BTreeSet<usize>,
    ) -> Self {
        let mut next = self.clone();
        next.version = version;
        let mut renamed = Vec::new();
        // Of several changes of one slot the last counts.
        let changes: BTreeMap<Slot, Option<Row>> = changes.into_iter().collect();
        for (slot, row) in changes {
            let old = self.row(slot);
            if let Some(old) = old {
                next.counts.remove(old.state());
            }
            if let Some(new) = row.as_ref() {
                next.counts.add(new.state());
            }
            if old.map(Row::name) != row.as_ref().map(Row::name) {
                renamed.push(slot);
            }
            if !chunks.contains(&place(slot).0) {
                next.rows.set(slot, row);
            }
        }
        for &chunk in chunks {
            next.rows.take_chunk(chunk, rows);
        }
        if !renamed.is_empty() {
            next.by_name = next.merged(renamed);
        }
        next
    }

    /// How many chunks lie in memory once for this view and the node's rows.
    #[cfg(test)]
    pub(crate) fn shared_with(&self, rows: &Rows) -> usize {
        self.rows.shared_with(rows)
    }

    /// The list by name, with `renamed` slots where they belong now. O(n + r log r).
    fn merged(&self, mut renamed: Vec<Slot>) -> Arc<[Slot]> {
        renamed.sort_unstable();
        renamed.dedup();
        let is_kept = |slot: &Slot| renamed.binary_search(slot).is_err();
        let mut kept = self.by_name.iter().copied().filter(is_kept).peekable();
        let mut fresh: Vec<Slot> = renamed
            .iter()
            .copied()
            .filter(|&s| self.row(s).is_some())
            .collect();
        fresh.sort_unstable_by(|&a, &b| self.at(a).name().cmp(self.at(b).name()));
        let mut merged = Vec::with_capacity(self.by_name.len() + fresh.len());
        for slot in fresh {
            let name = self.at(slot).name();
            while let Some(earlier) = kept.next_if(|&other| self.at(other).name() < name) {
                merged.push(earlier);
            }
            merged.push(slot);
        }
        merged.extend(kept);
        merged.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use crate::testing::definition;
    use base::Wall;

    fn row(slot: u32, name: &str, state: State) -> (Slot, Option<Row>) {
        let status = Status {
            state,
            ..Status::new(Wall(0))
        };
        let origin = (Source::File, false);
        let row = OpenRow::new(Slot(slot), definition(name), origin, status, None);
        (Slot(slot), Some(row.row().clone()))
    }

    fn names<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a str> {
        rows.map(|row| row.name()).collect()
    }

    #[test]
    fn rows_come_by_name_and_continue_after_a_name() {
        let view = View::empty().with(
            Version::default(),
            [
                row(0, "cat", State::Up),
                row(70, "ant", State::Down),
                row(3, "bee", State::Up),
            ],
        );
        assert_eq!(names(view.rows(None)), ["ant", "bee", "cat"]);
        assert_eq!(names(view.rows(Some("ant"))), ["bee", "cat"]);
        assert_eq!(names(view.rows(Some("b"))), ["bee", "cat"]);
        assert_eq!(names(view.rows(Some("zoo"))), [""; 0]);
        assert_eq!(view.get("bee").map(|r| r.slot), Some(Slot(3)));
        assert_eq!(view.get("dog"), None);
    }

    #[test]
    fn a_change_copies_only_the_touched_chunk_and_leaves_the_old_view_as_it_was() {
        let old = View::empty().with(
            Version::default(),
            [row(0, "a", State::Up), row(64, "b", State::Up)],
        );
        let new = old.with(Version::default(), [row(64, "b", State::Down)]);
        // Three chunks, of which one is empty and one was touched.
        assert_eq!(new.shared_with(&old.rows), 2);
        assert!(Arc::ptr_eq(&old.by_name, &new.by_name));
        assert_eq!(old.get("b").map(|r| r.state()), Some(State::Up));
        assert_eq!(new.get("b").map(|r| r.state()), Some(State::Down));
    }

    #[test]
    fn a_settled_chunk_is_the_nodes_own_and_counts_and_names_follow_it() {
        let mut rows = Rows::default();
        let old = View::empty().with(Version::default(), [row(0, "a", State::Up)]);
        rows.set(Slot(0), row(0, "b", State::Down).1);
        rows.set(Slot(40), row(40, "c", State::Up).1);
        let changes = [
            row(0, "a", State::Paused),
            row(0, "b", State::Down),
            row(40, "c", State::Up),
        ];
        let chunks = BTreeSet::from([0, 1]);
        let new = old.settled(Version::default(), changes, &rows, &chunks);
        assert_eq!((new.shared_with(&rows), new.rows == rows), (2, true));
        assert_eq!(names(new.rows(None)), ["b", "c"]);
        let counts = new.counts();
        assert_eq!((counts.up, counts.down, counts.total()), (1, 1, 2));
        assert_eq!((old.counts().up, names(old.rows(None))), (1, vec!["a"]));
    }

    #[test]
    fn counts_follow_every_change() {
        let view = View::empty().with(
            Version::default(),
            [row(0, "a", State::Up), row(1, "b", State::Up)],
        );
        assert_eq!(
            view.counts(),
            Counts {
                up: 2,
                ..Counts::default()
            }
        );
        let view = view.with(
            Version::default(),
            [row(0, "a", State::Down), (Slot(1), None)],
        );
        assert_eq!(
            view.counts(),
            Counts {
                down: 1,
                ..Counts::default()
            }
        );
        assert_eq!(view.len(), 1);
        assert_eq!(view.counts().total(), 1);
    }
}
