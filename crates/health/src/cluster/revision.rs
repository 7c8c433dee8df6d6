//! The config file of all nodes: revisions that take effect when they are complete.
//!
//! A revision is a manifest (its number, and a sum over the hashes of its definitions) and one
//! entry for each definition. Entries come in any order; once those that are here add up to the
//! manifest's sum, all that changed takes effect together. Equal numbers: the greater sum wins.
//! A reload makes a new revision whatever it holds, so that a rollback works; a boot does so only
//! if the content is none of the last hundred (design.md, "Catalogue").
//! Does not know definitions, files or the store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::wire::{DecodeError, Reader, Writer};
use base::{Duration, Time, hash64};

/// How many earlier contents are remembered.
const PAST: usize = 100;
/// A revision whose rest does not come is used as it stands after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a revision is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Counts from 1.
    pub(crate) revision: u64,
    /// The sum of its entries' hashes.
    pub(crate) sum: u64,
    pub(crate) count: u64,
    /// Which node wrote it.
    pub(crate) by: Arc<str>,
    /// The sums of earlier revisions, newest last.
    pub(crate) past: VecDeque<u64>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.field_number(1, self.revision);
        w.field_number(2, self.sum);
        w.field_number(3, self.count);
        w.field_bytes(4, self.by.as_bytes());
        w.field(5, |w| {
            let past = self.past.iter();
            past.for_each(|sum| w.raw(&sum.to_le_bytes()));
        });
        w.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut manifest = Self::default();
        while let Some((tag, mut field)) = r.field()? {
            match tag {
                1 => manifest.revision = field.number()?,
                2 => manifest.sum = field.number()?,
                3 => manifest.count = field.number()?,
                4 => manifest.by = field.rest_text()?.into(),
                5 => {
                    while !field.is_empty() && manifest.past.len() < PAST {
                        let bytes = field
                            .raw(8)?
                            .try_into()
                            .expect("eight bytes were asked for");
                        manifest.past.push_back(u64::from_le_bytes(bytes));
                    }
                }
                _ => {}
            }
        }
        Ok(manifest)
    }

    /// Which of two counts.
    pub(crate) const fn rank(&self) -> (u64, u64) {
        (self.revision, self.sum)
    }

    /// The one that counts of those that were written without knowing of each other; what the
    /// others held is a part of its past, as if it had replaced them.
    pub(crate) fn of_siblings(mut all: Vec<Self>) -> Option<Self> {
        all.sort_unstable_by_key(Self::rank);
        let mut counts = all.pop()?;
        let earlier = all.iter().flat_map(|other| {
            [other.sum]
                .into_iter()
                .chain(other.past.iter().rev().copied())
        });
        for sum in earlier {
            if !counts.knows(sum) && counts.past.len() < PAST {
                counts.past.push_front(sum);
            }
        }
        Some(counts)
    }

    /// Whether this content is the present one or one of the last hundred.
    pub(crate) fn knows(&self, sum: u64) -> bool {
        self.revision > 0 && (self.sum == sum || self.past.contains(&sum))
    }

    /// The next revision, with this content.
    pub(crate) fn next(&self, revision: Option<u64>, sum: u64, count: u64, by: Arc<str>) -> Self {
        let mut past = self.past.clone();
        if self.revision > 0 {
            past.push_back(self.sum);
        }
        while past.len() > PAST {
            past.pop_front();
        }
        let revision = revision.unwrap_or(0).max(self.revision.saturating_add(1));
        Self {
            revision,
            sum,
            count,
            by,
            past,
        }
    }
}

/// What the entries of a whole content add up to.
pub(crate) fn sum_of<'a>(entries: impl Iterator<Item = &'a [u8]>) -> (u64, u64) {
    entries.fold((0, 0), |(sum, count), entry| {
        (hash64(entry).wrapping_add(sum), count + 1)
    })
}

/// The file's entries as far as they have come.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    manifest: Manifest,
    /// The hash of each entry that is here and of which the rows say otherwise, because it has not
    /// taken effect yet or can't be read; `None` for one that is gone. The hashes of all others are
    /// those of what the rows keep.
    aside: BTreeMap<Arc<str>, Option<u64>>,
    /// How many entries are here, and what their hashes add up to.
    count: u64,
    sum: u64,
    /// What came since the last revision took effect.
    changed: BTreeSet<Arc<str>>,
    /// The rank of what is in effect.
    effective: (u64, u64),
    waiting_since: Option<Time>,
}

/// What takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effective {
    pub(crate) manifest: Manifest,
    pub(crate) changed: BTreeSet<Arc<str>>,
    pub(crate) complete: bool,
}

impl Catalog {
    /// The newest manifest that was heard of.
    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// An entry has come, changed or gone; `row` is the hash of what its row keeps of the file.
    pub(crate) fn entry(
        &mut self,
        now: Time,
        name: &Arc<str>,
        content: Option<&[u8]>,
        row: Option<u64>,
    ) {
        let old = self.hash(name, row);
        let new = content.map(hash64);
        self.aside.insert(Arc::clone(name), new);
        self.sum = self.sum.wrapping_sub(old.unwrap_or(0));
        self.sum = self.sum.wrapping_add(new.unwrap_or(0));
        self.count = self.count + u64::from(new.is_some()) - u64::from(old.is_some());
        self.changed.insert(Arc::clone(name));
        self.waiting_since = Some(now);
    }

    /// An entry has taken effect; `row` is the hash of what its row keeps of the file now.
    pub(crate) fn settle(&mut self, name: &str, row: Option<u64>) {
        if self.aside.get(name) == Some(&row) {
            self.aside.remove(name);
        }
    }

    /// A manifest has come.
    pub(crate) fn hear(&mut self, now: Time, manifest: Manifest) {
        if manifest.rank() >= self.manifest.rank() {
            self.manifest = manifest;
            self.waiting_since = Some(now);
        }
    }

    /// Whether the newest revision is here whole, and has taken effect.
    pub(crate) fn is_in_effect(&self) -> bool {
        let is_all = self.manifest.rank() == self.effective && self.changed.is_empty();
        is_all && self.is_complete()
    }

    /// What takes effect now, if anything.
    pub(crate) fn take(&mut self, now: Time) -> Option<Effective> {
        let is_news = self.manifest.rank() != self.effective || !self.changed.is_empty();
        if !is_news || self.manifest.revision == 0 {
            return None;
        }
        let complete = self.is_complete();
        let since = self.waiting_since.get_or_insert(now);
        if !complete && now.since(*since) < PATIENCE {
            return None;
        }
        self.waiting_since = None;
        self.effective = self.manifest.rank();
        Some(Effective {
            manifest: self.manifest.clone(),
            changed: std::mem::take(&mut self.changed),
            complete,
        })
    }

    /// Whether the entries that are here are the manifest's.
    pub(crate) fn is_complete(&self) -> bool {
        self.sum == self.manifest.sum && self.count == self.manifest.count
    }

    /// When [`Self::take`] should be asked again.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let waits = !self.changed.is_empty() || self.manifest.rank() != self.effective;
        self.waiting_since
            .filter(|_| waits && self.manifest.revision > 0)
            .map(|since| since + PATIENCE)
    }

    /// The hash of an entry that is here; `row` is the hash of what its row keeps of the file.
    pub(crate) fn hash(&self, name: &str, row: Option<u64>) -> Option<u64> {
        self.aside.get(name).copied().unwrap_or(row)
    }

    /// How many entries are here.
    #[cfg(test)]
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// What the entries that are here add up to: another number when one has come.
    pub(crate) const fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(revision: u64, entries: &[&str]) -> Manifest {
        let (sum, count) = sum_of(entries.iter().map(|e| e.as_bytes()));
        Manifest::default().next(Some(revision), sum, count, "n1".into())
    }

    fn give(catalog: &mut Catalog, name: &str, content: &str) {
        catalog.entry(Time(0), &name.into(), Some(content.as_bytes()), None);
    }

    /// Broken once: a node that lost its disk brought back a file that had lost to another.
    #[test]
    fn what_lost_to_a_revision_of_the_same_time_is_a_part_of_its_past() {
        let first = manifest(1, &["A1"]);
        let next = |base: &Manifest, content: &str| {
            let (sum, count) = sum_of([content.as_bytes()].into_iter());
            base.next(None, sum, count, "n1".into())
        };
        let mine = next(&next(&first, "B1"), "B2");
        let theirs = next(&first, "C1");
        let counts = Manifest::of_siblings(vec![mine.clone(), theirs]).expect("two were given");
        assert_eq!(counts.rank(), mine.rank());
        let held = |content: &str| hash64(content.as_bytes());
        for content in ["A1", "B1", "B2", "C1"] {
            assert!(counts.knows(held(content)), "{content}");
        }
        assert_eq!(counts.past.len(), 3);
        assert_eq!(counts.past.back(), Some(&held("B1")), "the newest is last");
        assert_eq!(Manifest::of_siblings(vec![]), None);
        // However many there were, a hundred are remembered.
        let many = (0..300_u64).map(|n| next(&manifest(n, &["D"]), &n.to_string()));
        let counts = Manifest::of_siblings(many.collect()).expect("many were given");
        assert_eq!(counts.past.len(), PAST);
    }

    #[test]
    fn what_is_in_effect_is_kept_by_the_rows_alone_and_counts_all_the_same() {
        let hash = |content: &str| Some(hash64(content.as_bytes()));
        let mut catalog = Catalog::default();
        give(&mut catalog, "a", "A1");
        give(&mut catalog, "b", "B1");
        catalog.hear(Time(0), manifest(1, &["A1", "B1"]));
        assert!(catalog.take(Time(1)).unwrap().complete);
        catalog.settle("a", hash("A1"));
        // This one can't be read: its row says otherwise.
        catalog.settle("b", None);
        assert_eq!(catalog.aside.len(), 1);
        assert_eq!(catalog.hash("a", hash("A1")), hash("A1"));
        assert_eq!(catalog.hash("b", None), hash("B1"));
        assert!(catalog.is_in_effect());
        catalog.entry(Time(2), &"a".into(), Some(b"A2"), hash("A1"));
        catalog.entry(Time(2), &"b".into(), None, None);
        assert_eq!(catalog.hash("a", hash("A1")), hash("A2"));
        assert_eq!(catalog.hash("b", None), None);
        catalog.hear(Time(2), manifest(2, &["A2"]));
        assert!(catalog.take(Time(2)).unwrap().complete);
        catalog.settle("a", hash("A2"));
        catalog.settle("b", None);
        assert!(catalog.aside.is_empty() && catalog.is_complete());
    }

    #[test]
    fn a_revision_takes_effect_when_all_of_it_is_there_and_not_before() {
        let mut catalog = Catalog::default();
        give(&mut catalog, "a", "A1");
        catalog.hear(Time(0), manifest(1, &["A1", "B1"]));
        assert_eq!(catalog.take(Time(1)), None);
        give(&mut catalog, "b", "B1");
        let effective = catalog.take(Time(2)).unwrap();
        assert!(effective.complete && effective.changed.len() == 2);
        assert_eq!(catalog.take(Time(3)), None);
        // The next one comes in another order: first the entry that goes.
        catalog.entry(Time(4), &"b".into(), None, None);
        assert_eq!(catalog.take(Time(4)), None, "still revision 1, incomplete");
        catalog.hear(Time(5), manifest(2, &["A1"]));
        let effective = catalog.take(Time(5)).unwrap();
        assert_eq!(effective.changed, BTreeSet::from(["b".into()]));
    }

    #[test]
    fn what_never_becomes_complete_is_used_as_it_stands_and_says_so() {
        let mut catalog = Catalog::default();
        give(&mut catalog, "a", "A1");
        catalog.hear(Time(0), manifest(1, &["A1", "B1"]));
        let due = catalog.deadline().unwrap();
        assert_eq!(catalog.take(Time(due.0 - 1)), None);
        assert!(!catalog.take(due).unwrap().complete);
    }

    #[test]
    fn of_two_revisions_with_one_number_all_nodes_take_the_same() {
        let (a, b) = (manifest(3, &["A"]), manifest(3, &["B"]));
        let (mut one, mut other) = (Catalog::default(), Catalog::default());
        one.hear(Time(0), a.clone());
        one.hear(Time(0), b.clone());
        other.hear(Time(0), b);
        other.hear(Time(0), a);
        assert_eq!(one.manifest(), other.manifest());
    }

    #[test]
    fn a_manifest_knows_its_past_and_comes_back_from_bytes() {
        let mut manifest = Manifest::default();
        assert!(!manifest.knows(0));
        for sum in 1..=150 {
            manifest = manifest.next(None, sum, 1, "n".into());
        }
        assert_eq!(manifest.revision, 150);
        assert!(manifest.knows(150) && manifest.knows(50) && !manifest.knows(49));
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }
}
