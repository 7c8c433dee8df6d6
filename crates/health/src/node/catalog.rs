//! Definitions among others: the config file's revisions, and targets made through the API.
//!
//! Both are written to the store and take effect on every node when they come back from it: an
//! API target at once, a revision of the file when all of it is there. At boot the file waits
//! until the node has caught up; whoever comes first in an order of its own writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Duration, Version, hash64};

use super::{Mutation, Node};
use crate::cluster::{
    Kind, Manifest, Notice, StatusEntry, definition_key, kind_of, manifest_key, status_key, sum_of,
    unable_key,
};
use crate::definition::{self, Definition};
use crate::input::{Answer, Diff, Event, Key, Output, Request, Write};
use crate::row::Row;
use crate::status::{Status, Transition};
use crate::view::Source;

/// How much later each next node writes what all of them read at boot.
const RANK: Duration = Duration::from_millis(300);
/// Transitions of the past that are told at boot at most, the newest.
const PAST_MAX: usize = 8_192;
/// How long entries may be missing before whoever has the file writes them again.
const MEND: Duration = Duration::from_secs(2);

/// What stood under names of the file when it was in effect; `None` for a name that it had not.
type Aside = BTreeMap<Arc<str>, Option<Vec<u8>>>;

/// What this node's config file said last, or else the file that is in effect: whoever has that of
/// the revision that won completes it where entries of another were written over it.
#[derive(Debug)]
pub(super) struct HeldFile {
    /// The sum of its entries' hashes.
    sum: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// All of it: not all of it has been in effect yet.
    Whole(Vec<Arc<Definition>>),
    /// It was in effect, so the store has it, but for what others have written since.
    Stored(Aside),
}

impl HeldFile {
    const fn new(sum: u64, definitions: Vec<Arc<Definition>>) -> Self {
        Self {
            sum,
            content: Content::Whole(definitions),
        }
    }

    /// The file, if it was written and has not been in effect yet.
    fn not_in_effect(self) -> Option<Vec<Arc<Definition>>> {
        match self.content {
            Content::Whole(definitions) => Some(definitions),
            Content::Stored(_) => None,
        }
    }

    /// A revision with this sum has taken effect whole, so the store keeps it. An own file that has
    /// lost to it is kept: what this node wrote of it may still be on its way to the disk.
    fn in_effect(file: Option<Self>, sum: u64) -> Self {
        match file {
            Some(lost) if lost.sum != sum && matches!(lost.content, Content::Whole(_)) => lost,
            Some(_) | None => Self {
                sum,
                content: Content::Stored(Aside::new()),
            },
        }
    }

    /// An entry has changed in the store; `row` is what was in effect before.
    fn is_written_over(&mut self, name: &Arc<str>, row: Option<&Row>) {
        if let Content::Stored(aside) = &mut self.content {
            let was = || row.map(|row| definition::encode(&row.definition()));
            aside.entry(Arc::clone(name)).or_insert_with(was);
        }
    }
}

impl Node {
    /// Takes in what the disk held of the cluster's definitions; what an earlier version wrote
    /// for a node alone goes into the store.
    pub(super) fn restore_together(&mut self, definitions: Vec<Arc<Definition>>) {
        let now = self.now;
        self.tell_the_past_together();
        let joined = self.joined.as_mut().expect("it was just made");
        let keys: Vec<Vec<u8>> = joined
            .cluster
            .store
            .iter()
            .map(|(key, _)| key.into_owned())
            .collect();
        let mut api = Vec::new();
        for key in keys {
            match kind_of(&key) {
                Some(Kind::Definition(Source::Api, name)) => {
                    api.extend(self.stored_definition(Source::Api, &name));
                }
                Some(Kind::Definition(Source::File, name)) => {
                    self.definition_stored(Source::File, &name, &key);
                }
                Some(Kind::Manifest) => self.manifest_stored(&key),
                Some(Kind::Unable(node, target)) => {
                    self.unable_stored(&node, &target, &key);
                    self.able_again(&node, &target);
                }
                Some(Kind::Gone(node)) => self.gone_stored(node, &key),
                Some(Kind::Origins(node)) => self.lives_stored(node, &key),
                Some(Kind::Status(_)) | None => {}
            }
        }
        for definition in definitions {
            let name = &definition.name;
            let key = Key::Definition(Arc::clone(name));
            self.staging.open.writes.push(Write::Remove(key));
            if self.stored_definition(Source::Api, name).is_none() {
                let joined = self.joined.as_mut().expect("it was just made");
                let content = definition::encode(&definition);
                let key = definition_key(Source::Api, name);
                joined.cluster.write(now, key, Some(content));
            }
        }
        self.bring_statuses();
        self.set_all(Source::Api, &api);
        self.settle_the_file();
    }

    /// Gives the transitions that the disk still knows to whoever reads events. Their numbers are
    /// this life's: nobody holds a place among them, and none of an earlier life is taken for one.
    fn tell_the_past_together(&mut self) {
        let joined = self.joined.as_ref().expect("it was just made");
        let keys = joined.cluster.store.iter().map(|(key, _)| kind_of(&key));
        let names = keys.filter_map(|kind| match kind {
            Some(Kind::Status(name)) => Some(name),
            _ => None,
        });
        let mut past = BTreeMap::new();
        let mut take = |name: &Arc<str>, status: &Status| {
            for transition in &status.recent {
                let place = (transition.at, Arc::clone(name), transition.number);
                let detail = status.detail.clone();
                let detail = detail.filter(|_| transition.number == status.transition);
                past.insert(place, (*transition, detail));
            }
            while past.len() > PAST_MAX {
                past.pop_first();
            }
        };
        for name in names {
            if let Some(entry) = self.held_status(&name).0 {
                take(&name, &entry.status);
            }
        }
        for (name, (status, _)) in &self.orphans {
            take(name, status);
        }
        let origin = self.config.fresh_origin;
        self.version = Version { origin, seq: 0 };
        let events = past
            .into_iter()
            .map(|((_, target, _), (transition, detail))| {
                self.version.seq += 1;
                let seq = self.version.seq;
                let transition = Transition { seq, ..transition };
                Event {
                    target,
                    transition,
                    detail,
                }
            });
        let past = Output::Past(Version { origin, seq: 0 }, events.collect());
        self.outputs.push_back(past);
    }

    /// Statuses that a node alone wrote.
    fn bring_statuses(&mut self) {
        let now = self.now;
        for (name, (status, _)) in std::mem::take(&mut self.orphans) {
            let key = Key::Status(Arc::clone(&name));
            self.staging.open.writes.push(Write::Remove(key));
            if self.held_status(&name).0.is_none() {
                let joined = self.joined.as_mut().expect("only a joined node comes here");
                let by = Arc::clone(&joined.cluster.name);
                let votes = None;
                let entry = StatusEntry {
                    status,
                    by,
                    votes,
                    is_chosen: false,
                };
                joined
                    .cluster
                    .write(now, status_key(&name), Some(entry.encode()));
            }
        }
    }

    /// What this node could not probe before its restart it may be able to now.
    fn able_again(&mut self, node: &Arc<str>, target: &Arc<str>) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if *node == joined.cluster.name {
            joined.cluster.write(now, unable_key(node, target), None);
        }
    }

    /// The config file was read.
    pub(super) fn load_together(&mut self, mut definitions: Vec<Arc<Definition>>) {
        let is_boot = std::mem::take(&mut self.is_booting);
        self.say_loaded(&definitions);
        definitions.sort_by(|a, b| a.name.cmp(&b.name));
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if is_boot {
            // Not before this node knows what the others have.
            joined.to_load = Some((base::Time(u64::MAX), definitions));
            self.file_may_be_due();
        } else {
            joined.to_load = None;
            self.write_revision(definitions);
            self.try_all_again();
        }
    }

    fn say_loaded(&mut self, definitions: &[Arc<Definition>]) {
        let mut diff = Diff::default();
        let mut names = BTreeSet::new();
        for definition in definitions {
            let name = &definition.name;
            names.insert(Arc::clone(name));
            // Of a name that both define, the file's definition is the one that is shown.
            let entry = self.known(name).filter(|entry| entry.in_file);
            match entry.map(|entry| self.row(entry.slot).definition()) {
                None => diff.added.push(Arc::clone(name)),
                Some(old) if old == *definition => diff.unchanged += 1,
                Some(_) => diff.changed.push(Arc::clone(name)),
            }
        }
        let keep = |name: &str| names.contains(name);
        let source = Source::File;
        diff.removed = self.catalogue.names_without(source, keep, &self.rows);
        self.staging.open.urgent = true;
        self.staging.open.loaded.push((Source::File, diff));
    }

    /// This node has caught up: the file's turn comes, later the further back it stands.
    pub(super) fn file_may_be_due(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if !joined.cluster.is_ready() {
            return;
        }
        let rank = joined.cluster.rank();
        if let Some((at, _)) = &mut joined.to_load {
            *at = now + RANK * rank;
        }
    }

    /// Writes the file if its turn has come, applies a revision that is complete, and mends one
    /// that this node could complete.
    pub(super) fn settle_the_file(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.to_load.as_ref().is_some_and(|(at, _)| *at <= now) {
            let (_, definitions) = joined.to_load.take().expect("it is there");
            self.load_at_boot(definitions);
        }
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if let Some(effective) = joined.cluster.catalog.take(now) {
            let manifest = effective.manifest;
            let notice = Notice::Revision {
                revision: manifest.revision,
                by: Arc::clone(&manifest.by),
                complete: effective.complete,
            };
            if joined.announced.as_ref() != Some(&notice) {
                joined.announced = Some(notice.clone());
                self.outputs.push_back(Output::Notice(Box::new(notice)));
            }
            self.apply_file(effective.changed.into_iter().collect());
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            let file = joined.file.take();
            joined.file = match effective.complete {
                true => Some(HeldFile::in_effect(file, manifest.sum)),
                false => file,
            };
        }
        self.mend_the_file();
    }

    fn load_at_boot(&mut self, definitions: Vec<Arc<Definition>>) {
        let encoded: Vec<Vec<u8>> = definitions.iter().map(|d| definition::encode(d)).collect();
        let (sum, _) = sum_of(encoded.iter().map(Vec::as_slice));
        self.manifest_stored(&manifest_key());
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let manifest = joined.cluster.catalog.manifest().clone();
        let overrules = self.config.mutation == Some(Mutation::BootOverrules);
        if definitions.is_empty() && !overrules {
            // A node without targets of its own takes the cluster's; a reload may empty them.
            return;
        }
        if manifest.knows(sum) && !overrules {
            if manifest.sum == sum {
                let file = HeldFile::new(sum, definitions);
                joined.file = Some(match joined.cluster.catalog.is_in_effect() {
                    true => HeldFile::in_effect(Some(file), sum),
                    false => file,
                });
            } else {
                let revision = manifest.revision;
                let notice = Notice::Adopted { revision };
                self.outputs.push_back(Output::Notice(Box::new(notice)));
            }
            return;
        }
        self.write_revision(definitions);
    }

    /// Makes this content the next revision.
    fn write_revision(&mut self, definitions: Vec<Arc<Definition>>) {
        let now = self.now;
        let encoded: Vec<Vec<u8>> = definitions.iter().map(|d| definition::encode(d)).collect();
        let (sum, count) = sum_of(encoded.iter().map(Vec::as_slice));
        // One that came a moment ago may still be on its way to the disk: this write supersedes
        // it, and must not have its number.
        self.manifest_stored(&manifest_key());
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let by = Arc::clone(&joined.cluster.name);
        let next = joined.cluster.catalog.manifest().next(None, sum, count, by);
        // First what tells the others that it is being written: a long file takes a while to
        // reach them, and each would write it, too.
        joined
            .cluster
            .write(now, manifest_key(), Some(next.encode()));
        // The next one comes after this one, on disk or not.
        joined.cluster.catalog.hear(now, next);
        let mut unseen = BTreeSet::new();
        if let Some(written) = joined.file.take().and_then(HeldFile::not_in_effect) {
            unseen.extend(written.iter().map(|d| Arc::clone(&d.name)));
            // What that one took out may not be gone yet.
            unseen.extend(joined.names_in_file());
        }
        self.write_entries(&definitions, &encoded, unseen);
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        joined.file = Some(HeldFile::new(sum, definitions));
    }

    /// Writes what is not so already. What stands under the `unseen` names is not known here: this
    /// node wrote them a moment ago.
    fn write_entries(
        &mut self,
        definitions: &[Arc<Definition>],
        encoded: &[Vec<u8>],
        unseen: BTreeSet<Arc<str>>,
    ) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let mut gone: BTreeSet<Arc<str>> = joined.names_in_file().collect();
        gone.extend(unseen.iter().cloned());
        for (definition, content) in definitions.iter().zip(encoded) {
            let name = &definition.name;
            gone.remove(name);
            let here = self.entry_hash(name);
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            if here != Some(hash64(content)) || unseen.contains(name) {
                let key = definition_key(Source::File, name);
                joined.cluster.write(now, key, Some(content.clone()));
            }
        }
        for name in gone {
            self.take_out_of_file(&name);
        }
    }

    /// The status goes when this takes effect, by the hand of whoever owns the target: another file
    /// may win.
    fn take_out_of_file(&mut self, name: &str) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let key = definition_key(Source::File, name);
        joined.cluster.write(now, key, None);
    }

    /// Writes again what others have written over since this node's file was in effect.
    fn write_back(&mut self, aside: Aside) {
        let now = self.now;
        for (name, was) in aside {
            let here = self.entry_hash(&name);
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            match was {
                Some(content) if here != Some(hash64(&content)) => {
                    let key = definition_key(Source::File, &name);
                    joined.cluster.write(now, key, Some(content));
                }
                None if here.is_some() => self.take_out_of_file(&name),
                Some(_) | None => {}
            }
        }
    }

    /// Two nodes loaded different files at once: whoever has the winner's completes it.
    fn mend_the_file(&mut self) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let catalog = &joined.cluster.catalog;
        let sum = catalog.manifest().sum;
        let has_it = joined.file.as_ref().is_some_and(|mine| mine.sum == sum);
        if catalog.is_complete() || catalog.manifest().revision == 0 || !has_it {
            joined.mend_at = None;
            return;
        }
        // While entries come, nothing is missing yet.
        let here = catalog.sum();
        let rank = joined.cluster.rank();
        let patience = now + MEND + RANK * rank;
        let (due, before) = *joined.mend_at.get_or_insert((patience, here));
        if here != before {
            joined.mend_at = Some((patience, here));
            return;
        }
        if now < due {
            return;
        }
        joined.mend_at = None;
        let file = joined.file.as_ref().expect("it was looked at above");
        match file.content.clone() {
            Content::Whole(definitions) => {
                let encoded = definitions.iter().map(|d| definition::encode(d));
                let encoded = encoded.collect::<Vec<_>>();
                self.write_entries(&definitions, &encoded, BTreeSet::new());
            }
            Content::Stored(aside) => self.write_back(aside),
        }
    }

    /// A definition has come, changed or gone in the store.
    pub(super) fn definition_stored(&mut self, source: Source, name: &Arc<str>, key: &[u8]) {
        let now = self.now;
        match source {
            Source::File => {
                let entry = self.known(name).filter(|entry| entry.in_file);
                let row = entry.map(|entry| self.row(entry.slot).clone());
                let joined = self.joined.as_mut().expect("its store spoke");
                if let Some(file) = &mut joined.file {
                    file.is_written_over(name, row.as_ref());
                }
                let row = row.and_then(|row| row.packed().map(hash64));
                let cluster = &mut joined.cluster;
                let content = cluster.store.get(key);
                cluster.catalog.entry(now, name, content, row);
            }
            Source::Api => self.apply(Source::Api, name),
        }
    }

    /// The hash of what a row keeps of the file.
    fn row_hash(&self, name: &str) -> Option<u64> {
        let entry = self.known(name).filter(|entry| entry.in_file)?;
        self.row(entry.slot).packed().map(hash64)
    }

    /// The hash of the file's entry for a name, as it is here.
    fn entry_hash(&self, name: &str) -> Option<u64> {
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        joined.cluster.catalog.hash(name, self.row_hash(name))
    }

    pub(super) fn manifest_stored(&mut self, key: &[u8]) {
        let now = self.now;
        let joined = self.joined.as_mut().expect("its store spoke");
        let held = joined.cluster.store.entries(key);
        let manifests = held
            .iter()
            .filter_map(|held| Manifest::decode(held.value?).ok());
        if let Some(manifest) = Manifest::of_siblings(manifests.collect()) {
            joined.cluster.catalog.hear(now, manifest);
        }
    }

    fn apply_file(&mut self, names: Vec<Arc<str>>) {
        // In the order of the beat, so that the node walks through its memory as through time.
        let mut definitions = Vec::new();
        for name in &names {
            match self.stored_definition(Source::File, name) {
                Some(definition) => definitions.push(definition),
                None => drop(self.set(name, Source::File, None)),
            }
        }
        self.set_all(Source::File, &definitions);
        for name in &names {
            let row = self.row_hash(name);
            let joined = self.joined.as_mut().expect("only a joined node comes here");
            joined.cluster.catalog.settle(name, row);
        }
        self.adopt_orphans();
    }

    fn apply(&mut self, source: Source, name: &Arc<str>) {
        match self.stored_definition(source, name) {
            Some(definition) => drop(self.set_all(source, &[definition])),
            None => drop(self.set(name, source, None)),
        }
        self.adopt_orphans();
    }

    fn adopt_orphans(&mut self) {
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        if joined.orphans.is_empty() {
            return;
        }
        let names: Vec<Arc<str>> = joined.orphans.keys().cloned().collect();
        for name in names {
            if self.known(&name).is_some() {
                let joined = self.joined.as_mut().expect("only a joined node comes here");
                joined.orphans.remove(&name);
            }
        }
    }

    pub(super) fn stored_definition(
        &mut self,
        source: Source,
        name: &Arc<str>,
    ) -> Option<Arc<Definition>> {
        let joined = self.joined.as_ref().expect("only a joined node comes here");
        let content = joined.cluster.store.get(&definition_key(source, name))?;
        match definition::decode(content) {
            Ok(definition) if definition.name == *name && definition.check().is_ok() => {
                Some(Arc::new(definition))
            }
            _ => {
                self.tally.unreadable += 1;
                None
            }
        }
    }

    pub(super) fn put_together(&mut self, request: Request, definition: &Definition) {
        let now = self.now;
        let entry = self.known(&definition.name);
        let is_new = entry.is_none_or(|entry| !entry.in_api);
        if is_new && self.catalogue.len() >= self.config.targets_max as usize {
            return self.answer(request, Answer::Full);
        }
        let key = definition_key(Source::Api, &definition.name);
        let content = definition::encode(definition);
        let joined = self.joined.as_mut().expect("only a joined node comes here");
        let version = joined.cluster.write(now, key, Some(content));
        let answer = if is_new {
            Answer::Created(version)
        } else {
            Answer::Replaced(version)
        };
        self.answer_when_safe(version, request, answer);
    }

    pub(super) fn delete_together(&mut self, request: Request, name: &Arc<str>) {
        let now = self.now;
        match self.known(name).map(|entry| (entry.in_api, entry.in_file)) {
            None => self.answer(request, Answer::NotFound),
            Some((false, _)) => self.answer(request, Answer::FromFile),
            Some((true, in_file)) => {
                let has_status = !in_file && self.held_status(name).0.is_some();
                let joined = self.joined.as_mut().expect("only a joined node comes here");
                let key = definition_key(Source::Api, name);
                let version = joined.cluster.write(now, key, None);
                if has_status {
                    joined.cluster.write(now, status_key(name), None);
                }
                self.answer_when_safe(version, request, Answer::Deleted(version));
            }
        }
    }
}
