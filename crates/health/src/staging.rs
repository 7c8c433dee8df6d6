//! Persist before view: what has changed but must not be seen before the disk has it.
//!
//! Changes are collected into a batch with its writes; once the disk has the batch they become
//! visible in this order: the view, then the events, then the answers, so that whoever hears of
//! a change also finds it. Does not know why anything changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Slot, Version};

use crate::fleet::{Fleet, Owned};
use crate::input::{Answer, Batch, Diff, Event, Output, Request, Write};
use crate::row::Row;
use crate::rows::{Rows, place};
use crate::view::{Source, View};

/// A target's row as it shall be; `None` when the target is gone.
type Change = (Slot, Option<Row>);

/// What becomes visible together.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    changes: Vec<Change>,
    pub(crate) events: Vec<Event>,
    pub(crate) answers: Vec<(Request, Answer)>,
    pub(crate) loaded: Vec<(Source, Diff)>,
    pub(crate) owners: Vec<(Slot, Owned)>,
    pub(crate) fleet: Option<Arc<Fleet>>,
    pub(crate) writes: Vec<Write>,
    pub(crate) urgent: bool,
}

impl Stage {
    fn is_empty(&self) -> bool {
        let Self {
            changes,
            events,
            answers,
            loaded,
            owners,
            fleet,
            writes,
            urgent: _,
        } = self;
        changes.is_empty()
            && events.is_empty()
            && answers.is_empty()
            && loaded.is_empty()
            && owners.is_empty()
            && fleet.is_none()
            && writes.is_empty()
    }

    /// Whether somebody waits for it, so that the view must not be held back.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.answers.is_empty() || !self.loaded.is_empty()
    }

    fn append(&mut self, later: Self) {
        self.changes.extend(later.changes);
        self.events.extend(later.events);
        self.answers.extend(later.answers);
        self.loaded.extend(later.loaded);
        self.owners.extend(later.owners);
        self.fleet = later.fleet.or(self.fleet.take());
    }
}

/// Everything between a change and its being seen.
#[derive(Debug)]
pub(crate) struct Staging {
    /// Changes of the input in hand.
    pub(crate) open: Stage,
    /// Batches that the disk has not confirmed.
    at_disk: VecDeque<(Batch, Version, Stage)>,
    /// Confirmed, and waiting for the next view.
    ready: Stage,
    /// Whether there is anything in it: asked for after every input.
    is_ready: bool,
    ready_version: Version,
    last_batch: Batch,
    view: Arc<View>,
    /// Owners that the view does not show yet: the newest, and how many changes are on their way.
    ahead: BTreeMap<Slot, (Owned, u32)>,
    /// How many changes are on their way to readers, by chunk of the rows.
    unseen: BTreeMap<usize, u32>,
}

impl Staging {
    pub(crate) fn new() -> Self {
        Self {
            open: Stage::default(),
            at_disk: VecDeque::new(),
            ready: Stage::default(),
            is_ready: false,
            ready_version: Version::default(),
            last_batch: Batch(0),
            view: Arc::new(View::empty()),
            ahead: BTreeMap::new(),
            unseen: BTreeMap::new(),
        }
    }

    /// A row has been put into the node's rows, or taken out; readers see it after all that is
    /// written so far.
    pub(crate) fn change(&mut self, slot: Slot, row: Option<Row>) {
        self.open.changes.push((slot, row));
        *self.unseen.entry(place(slot).0).or_default() += 1;
    }

    /// The chunks of these changes of which readers then see everything.
    fn seen_whole(&mut self, changes: &[Change]) -> BTreeSet<usize> {
        let mut whole = BTreeSet::new();
        for (slot, _) in changes {
            let chunk = place(*slot).0;
            let unseen = self
                .unseen
                .get_mut(&chunk)
                .expect("every change was counted");
            *unseen -= 1;
            if *unseen == 0 {
                self.unseen.remove(&chunk);
                whole.insert(chunk);
            }
        }
        whole
    }

    /// Who owns a target, as this node knows; readers may not yet.
    pub(crate) fn owned(&self, slot: Slot) -> Owned {
        let ahead = self.ahead.get(&slot);
        ahead.map_or_else(|| self.view.owned(slot), |(owned, _)| *owned)
    }

    /// A target is owned so from now on; readers see it after all that is written so far.
    pub(crate) fn own(&mut self, slot: Slot, owned: Owned) {
        self.open.owners.push((slot, owned));
        let ahead = self.ahead.entry(slot).or_insert((owned, 0));
        *ahead = (owned, ahead.1 + 1);
    }

    /// Closes what is open: gives its writes to the disk, or passes it on if there are none.
    pub(crate) fn seal(&mut self, version: Version) -> Option<Output> {
        if self.open.is_empty() {
            return None;
        }
        let mut stage = std::mem::take(&mut self.open);
        if stage.writes.is_empty() {
            match self.at_disk.back_mut() {
                Some((_, _, last)) => last.append(stage),
                None => self.pass(version, stage),
            }
            return None;
        }
        self.last_batch.0 += 1;
        let (batch, writes, urgent) = (
            self.last_batch,
            std::mem::take(&mut stage.writes),
            stage.urgent,
        );
        self.at_disk.push_back((batch, version, stage));
        Some(Output::Persist {
            batch,
            writes,
            urgent,
        })
    }

    /// The disk has `batch` and all before it.
    pub(crate) fn persisted(&mut self, batch: Batch) {
        while let Some((_, version, stage)) =
            self.at_disk.pop_front_if(|(first, ..)| *first <= batch)
        {
            self.pass(version, stage);
        }
    }

    fn pass(&mut self, version: Version, stage: Stage) {
        self.ready_version = version;
        self.ready.append(stage);
        self.is_ready = !self.ready.is_empty();
    }

    /// Whether anything waits for the next view.
    pub(crate) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether somebody waits for the next view.
    pub(crate) fn is_awaited(&self) -> bool {
        self.ready.is_awaited()
    }

    /// Makes what is ready visible; `rows` are the node's.
    pub(crate) fn show(&mut self, rows: &Rows, outputs: &mut VecDeque<Output>) {
        let ready = std::mem::take(&mut self.ready);
        self.is_ready = false;
        let is_other = !ready.changes.is_empty()
            || !ready.owners.is_empty()
            || ready.fleet.is_some()
            || self.view.version != self.ready_version;
        if is_other {
            let whole = self.seen_whole(&ready.changes);
            let version = self.ready_version;
            let view = self.view.settled(version, ready.changes, rows, &whole);
            for (slot, _) in &ready.owners {
                let waiting = self.ahead.get_mut(slot).map(|(_, waiting)| waiting);
                let waiting = waiting.expect("every change was counted");
                *waiting -= 1;
                if *waiting == 0 {
                    self.ahead.remove(slot);
                }
            }
            let view = view.with_owners(ready.owners);
            self.view = Arc::new(match ready.fleet {
                Some(fleet) => view.with_fleet(fleet),
                None => view,
            });
            outputs.push_back(Output::View(Arc::clone(&self.view)));
        }
        outputs.extend(ready.events.into_iter().map(Output::Event));
        outputs.extend(
            ready
                .loaded
                .into_iter()
                .map(|(source, diff)| Output::Loaded(source, Box::new(diff))),
        );
        outputs.extend(
            ready
                .answers
                .into_iter()
                .map(|(request, answer)| Output::Answer(request, answer)),
        );
    }

    /// What readers see.
    pub(crate) const fn view(&self) -> &Arc<View> {
        &self.view
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Key;
    use crate::row::OpenRow;
    use crate::status::Status;
    use crate::testing::definition;
    use base::{Origin, Wall};

    const REQUEST: Request = Request(1);

    fn version(seq: u64) -> Version {
        Version {
            origin: Origin(1),
            seq,
        }
    }

    fn answer(staging: &mut Staging, n: u64) {
        staging
            .open
            .answers
            .push((Request(n), Answer::Deleted(version(n))));
    }

    fn shown(staging: &mut Staging) -> Vec<Output> {
        let mut outputs = VecDeque::new();
        staging.show(&Rows::default(), &mut outputs);
        outputs.into()
    }

    #[test]
    fn nothing_that_was_written_is_seen_before_the_disk_has_it() {
        let mut staging = Staging::new();
        staging
            .open
            .writes
            .push(Write::Remove(Key::Status("web".into())));
        answer(&mut staging, 1);
        assert!(matches!(
            staging.seal(version(1)),
            Some(Output::Persist {
                batch: Batch(1),
                ..
            })
        ));
        assert!(!staging.is_ready());
        staging.persisted(Batch(1));
        assert!(staging.is_awaited());
        let outputs = shown(&mut staging);
        assert!(matches!(outputs[0], Output::View(_)));
        assert_eq!(
            outputs[1],
            Output::Answer(REQUEST, Answer::Deleted(version(1)))
        );
    }

    #[test]
    fn the_node_knows_owners_before_readers_do_and_the_newest_of_several_changes() {
        let owned = |epoch| Owned {
            epoch,
            ..Owned::default()
        };
        let mut staging = Staging::new();
        for epoch in [1, 2, 1] {
            staging.open.writes.push(Write::Remove(Key::Origin));
            staging.own(Slot(3), owned(epoch));
            staging.seal(version(1));
        }
        assert_eq!(
            (
                staging.owned(Slot(3)).epoch,
                staging.view.owned(Slot(3)).epoch
            ),
            (1, 0)
        );
        staging.persisted(Batch(2));
        shown(&mut staging);
        assert_eq!(
            (
                staging.owned(Slot(3)).epoch,
                staging.view.owned(Slot(3)).epoch
            ),
            (1, 2)
        );
        staging.persisted(Batch(3));
        shown(&mut staging);
        assert_eq!(
            (
                staging.owned(Slot(3)).epoch,
                staging.view.owned(Slot(3)).epoch
            ),
            (1, 1)
        );
        assert!(staging.ahead.is_empty());
    }

    #[test]
    fn readers_take_a_chunk_of_the_nodes_once_nothing_in_it_is_unseen() {
        let (mut staging, mut rows) = (Staging::new(), Rows::default());
        let mut change = |staging: &mut Staging, slot, name| {
            let (origin, status) = ((Source::File, false), Status::new(Wall(0)));
            let row = OpenRow::new(slot, definition(name), origin, status, None);
            rows.set(slot, Some(row.row().clone()));
            staging.change(slot, Some(row.row().clone()));
            staging.open.writes.push(Write::Remove(Key::Origin));
            staging.seal(version(1));
            rows.clone()
        };
        change(&mut staging, Slot(0), "a");
        change(&mut staging, Slot(40), "b");
        let second = change(&mut staging, Slot(1), "c");
        staging.persisted(Batch(2));
        let mut outputs = VecDeque::new();
        staging.show(&second, &mut outputs);
        // "c" is not on disk, and lies in one chunk with "a".
        let names = |staging: &Staging| {
            let rows = staging.view().rows(None).map(|row| row.title());
            rows.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&staging), "a b");
        assert_eq!(staging.view().shared_with(&second), 1);
        staging.persisted(Batch(3));
        staging.show(&second, &mut outputs);
        assert_eq!(names(&staging), "a b c");
        assert_eq!(staging.view().shared_with(&second), 2);
        assert!(staging.unseen.is_empty());
    }

    #[test]
    fn what_needs_no_write_waits_for_the_writes_before_it() {
        let mut staging = Staging::new();
        staging.open.writes.push(Write::Remove(Key::Origin));
        assert!(staging.seal(version(1)).is_some());
        answer(&mut staging, 2);
        assert!(staging.seal(version(1)).is_none());
        assert!(!staging.is_ready());
        staging.persisted(Batch(1));
        assert!(staging.is_ready());
    }

    #[test]
    fn one_word_from_the_disk_confirms_all_earlier_batches() {
        let mut staging = Staging::new();
        for seq in 1..=3 {
            staging.open.writes.push(Write::Remove(Key::Origin));
            answer(&mut staging, seq);
            staging.seal(version(seq));
        }
        staging.persisted(Batch(2));
        assert_eq!(shown(&mut staging).len(), 3, "a view and two answers");
        assert_eq!(staging.view().version, version(2));
        staging.persisted(Batch(3));
        assert_eq!(staging.at_disk.len(), 0);
    }
}
