//! What to check: all definitions by name, from the config file and the API.
//!
//! One name has at most one definition from each source. The file's wins; an API definition
//! behind it is kept and shown as shadowed. Does not know statuses or time.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Slot;

use crate::definition::Definition;
use crate::view::Source;

/// All definitions.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    entries: BTreeMap<Arc<str>, Entry>,
    free: Vec<Slot>,
    slots: u32,
}

/// The definitions of one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) slot: Slot,
    pub(crate) file: Option<Arc<Definition>>,
    pub(crate) api: Option<Arc<Definition>>,
}

/// What is checked under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Winner {
    pub(crate) definition: Arc<Definition>,
    pub(crate) source: Source,
    pub(crate) shadowed: bool,
}

impl Entry {
    /// What is checked; `None` when no source defines the name any more.
    pub(crate) fn winner(&self) -> Option<Winner> {
        let (definition, source) = match (&self.file, &self.api) {
            (Some(file), _) => (file, Source::File),
            (None, Some(api)) => (api, Source::Api),
            (None, None) => return None,
        };
        let shadowed = self.file.is_some() && self.api.is_some();
        Some(Winner {
            definition: Arc::clone(definition),
            source,
            shadowed,
        })
    }

    fn of(&mut self, source: Source) -> &mut Option<Arc<Definition>> {
        match source {
            Source::File => &mut self.file,
            Source::Api => &mut self.api,
        }
    }
}

impl Catalogue {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Sets or takes away what `source` says of `name`; the slot, and what was and is checked.
    pub(crate) fn set(
        &mut self,
        name: &Arc<str>,
        source: Source,
        definition: Option<Arc<Definition>>,
    ) -> (Slot, Option<Winner>, Option<Winner>) {
        if !self.entries.contains_key(name) {
            if definition.is_none() {
                return (Slot::default(), None, None);
            }
            let slot = self.take_slot();
            self.entries.insert(
                Arc::clone(name),
                Entry {
                    slot,
                    file: None,
                    api: None,
                },
            );
        }
        let entry = self.entries.get_mut(name).expect("just made sure");
        let before = entry.winner();
        *entry.of(source) = definition;
        let (slot, after) = (entry.slot, entry.winner());
        if after.is_none() {
            self.entries.remove(name);
            self.free.push(slot);
        }
        (slot, before, after)
    }

    /// The names that `source` defines and for which `keep` is false.
    pub(crate) fn names_without(
        &self,
        source: Source,
        keep: impl Fn(&str) -> bool,
    ) -> Vec<Arc<str>> {
        let defined = |entry: &Entry| match source {
            Source::File => entry.file.is_some(),
            Source::Api => entry.api.is_some(),
        };
        self.entries
            .iter()
            .filter(|(name, e)| defined(e) && !keep(name))
            .map(|(name, _)| Arc::clone(name))
            .collect()
    }

    fn take_slot(&mut self) -> Slot {
        self.free.pop().unwrap_or_else(|| {
            let slot = Slot(self.slots);
            self.slots += 1;
            slot
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::definition;

    #[test]
    fn the_file_wins_and_the_other_is_kept_behind_it() {
        let mut catalogue = Catalogue::default();
        let name: Arc<str> = "web".into();
        let (slot, before, after) = catalogue.set(&name, Source::Api, Some(definition("web")));
        assert_eq!((before, after.map(|w| w.source)), (None, Some(Source::Api)));
        let (_, _, after) = catalogue.set(&name, Source::File, Some(definition("web")));
        assert_eq!(
            after.map(|w| (w.source, w.shadowed)),
            Some((Source::File, true))
        );
        let (same, _, after) = catalogue.set(&name, Source::File, None);
        assert_eq!(same, slot);
        assert_eq!(
            after.map(|w| (w.source, w.shadowed)),
            Some((Source::Api, false))
        );
    }

    #[test]
    fn a_slot_is_reused_once_its_target_is_gone() {
        let mut catalogue = Catalogue::default();
        let (a, ..) = catalogue.set(&"a".into(), Source::Api, Some(definition("a")));
        let (b, ..) = catalogue.set(&"b".into(), Source::Api, Some(definition("b")));
        assert_ne!(a, b);
        let (_, before, after) = catalogue.set(&"a".into(), Source::Api, None);
        assert!(before.is_some() && after.is_none());
        let (c, ..) = catalogue.set(&"c".into(), Source::Api, Some(definition("c")));
        assert_eq!(c, a);
        assert_eq!(catalogue.len(), 2);
    }

    #[test]
    fn taking_away_what_is_not_there_changes_nothing() {
        let mut catalogue = Catalogue::default();
        assert_eq!(
            catalogue.set(&"a".into(), Source::File, None),
            (Slot::default(), None, None)
        );
        assert_eq!(catalogue.len(), 0);
    }
}
