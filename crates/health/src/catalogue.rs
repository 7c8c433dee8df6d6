//! What to check: all definitions by name, from the config file and the API.
//!
//! One name has at most one definition from each source. The file's wins; an API definition
//! behind it is kept and shown as shadowed. Of the one that is checked only the row knows: most
//! targets are checked elsewhere, and their definitions are bytes. Does not know statuses or time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use base::{Slot, hash64};

use crate::definition::Definition;
use crate::row::Row;
use crate::rows::{Rows, make_room};
use crate::view::Source;

/// Who defines which name. What is checked is not kept here but in the rows; of a name that both
/// sources define, the API's definition is.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// Slots by the hashes of their names: open addressing, at most three quarters full.
    index: Vec<Option<NonZeroU32>>,
    count: usize,
    sources: Vec<Sources>,
    hidden: BTreeMap<Slot, Arc<Definition>>,
    free: Vec<Slot>,
}

/// Who defines a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sources {
    file: bool,
    api: bool,
}

/// A name that is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) slot: Slot,
    pub(crate) in_file: bool,
    pub(crate) in_api: bool,
}

/// What is checked under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Winner {
    pub(crate) definition: Arc<Definition>,
    pub(crate) source: Source,
    pub(crate) shadowed: bool,
}

fn home(name: &str, mask: usize) -> usize {
    let hash = hash64(name.as_bytes()) & mask as u64;
    usize::try_from(hash).expect("below the length of the index")
}

/// The name in a slot; a slot that was just given to a name has no row yet, and bears no other.
fn name_of(slot: Slot, rows: &Rows) -> &str {
    rows.get(slot).map_or("", Row::name)
}

fn winner(file: Option<&Arc<Definition>>, api: Option<&Arc<Definition>>) -> Option<Winner> {
    let (definition, source) = match (file, api) {
        (Some(file), _) => (file, Source::File),
        (None, Some(api)) => (api, Source::Api),
        (None, None) => return None,
    };
    Some(Winner {
        definition: Arc::clone(definition),
        source,
        shadowed: file.is_some() && api.is_some(),
    })
}

impl Catalogue {
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn get(&self, name: &str, rows: &Rows) -> Option<Entry> {
        let slot = self.slot_at(self.find(name, rows)?)?;
        let Sources { file, api } = self.sources[slot.index()];
        Some(Entry {
            slot,
            in_file: file,
            in_api: api,
        })
    }

    fn slot_at(&self, place: usize) -> Option<Slot> {
        self.index[place].map(|slot| Slot(slot.get() - 1))
    }

    /// Where in the index a name is, or where it would be; `None` while there is no index.
    fn find(&self, name: &str, rows: &Rows) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut place = home(name, mask);
        while let Some(slot) = self.slot_at(place) {
            if name_of(slot, rows) == name {
                break;
            }
            place = (place + 1) & mask;
        }
        Some(place)
    }

    fn enter(&mut self, name: &str, slot: Slot, rows: &Rows) {
        if (self.count + 1) * 4 > self.index.len() * 3 {
            let old = std::mem::take(&mut self.index);
            self.index = vec![None; (old.len() * 2).max(16)];
            for slot in old.into_iter().flatten() {
                let name = name_of(Slot(slot.get() - 1), rows);
                let place = self.find(name, rows).expect("there is an index");
                self.index[place] = Some(slot);
            }
        }
        let place = self.find(name, rows).expect("there is an index");
        let number = NonZeroU32::new(slot.0 + 1).expect("one more than something");
        self.index[place] = Some(number);
        self.count += 1;
    }

    /// Takes a name out, and moves back what was displaced past its place.
    fn leave(&mut self, name: &str, rows: &Rows) {
        let mut gap = self.find(name, rows).expect("it was entered");
        let mask = self.index.len() - 1;
        self.index[gap] = None;
        self.count -= 1;
        let mut place = (gap + 1) & mask;
        while let Some(slot) = self.slot_at(place) {
            let wanted = home(name_of(slot, rows), mask);
            // It may stand in the gap unless its home lies behind that.
            if (place.wrapping_sub(wanted) & mask) >= (place.wrapping_sub(gap) & mask) {
                self.index[gap] = self.index[place].take();
                gap = place;
            }
            place = (place + 1) & mask;
        }
    }

    /// Sets or takes away what `source` says of `name`; the slot, and what was and is checked. The
    /// caller places the row at once, and takes it away with the last definition.
    pub(crate) fn set(
        &mut self,
        name: &str,
        source: Source,
        definition: Option<Arc<Definition>>,
        rows: &Rows,
    ) -> (Slot, Option<Winner>, Option<Winner>) {
        let known = self.get(name, rows);
        if known.is_none() && definition.is_none() {
            return (Slot::default(), None, None);
        }
        let slot = known.map_or_else(|| self.take_slot(name, rows), |entry| entry.slot);
        let shown = || rows.get(slot).map(Row::definition);
        let Sources { file, api } = self.sources[slot.index()];
        let (mut file, mut api) = match (file, api) {
            (true, true) => (shown(), self.hidden.remove(&slot)),
            (true, false) => (shown(), None),
            (false, true) => (None, shown()),
            (false, false) => (None, None),
        };
        let before = winner(file.as_ref(), api.as_ref());
        match source {
            Source::File => file = definition,
            Source::Api => api = definition,
        }
        let after = winner(file.as_ref(), api.as_ref());
        self.sources[slot.index()] = Sources {
            file: file.is_some(),
            api: api.is_some(),
        };
        if let Some(api) = api.filter(|_| file.is_some()) {
            self.hidden.insert(slot, api);
        }
        if after.is_none() {
            self.leave(name, rows);
            self.free.push(slot);
        }
        (slot, before, after)
    }

    /// The names that `source` defines and for which `keep` is false, in order.
    pub(crate) fn names_without(
        &self,
        source: Source,
        keep: impl Fn(&str) -> bool,
        rows: &Rows,
    ) -> Vec<Arc<str>> {
        let is_defined = |sources: &Sources| match source {
            Source::File => sources.file,
            Source::Api => sources.api,
        };
        let defined = rows
            .iter()
            .filter(|(slot, _)| is_defined(&self.sources[slot.index()]));
        let gone = defined.filter(|(_, row)| !keep(row.name()));
        let mut names: Vec<Arc<str>> = gone.map(|(_, row)| row.title()).collect();
        names.sort_unstable();
        names
    }

    fn take_slot(&mut self, name: &str, rows: &Rows) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = u32::try_from(self.sources.len()).expect("fewer than four billion");
            let slot = Slot(slot);
            make_room(&mut self.sources, slot);
            self.sources.push(Sources::default());
            slot
        });
        self.enter(name, slot, rows);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::OpenRow;
    use crate::status::Status;
    use crate::testing::definition;
    use base::{Rng, Wall};
    use std::collections::BTreeSet;

    /// A catalogue with rows, as a node keeps them.
    #[derive(Default)]
    struct Kept {
        catalogue: Catalogue,
        rows: Rows,
    }

    impl Kept {
        fn set(
            &mut self,
            name: &str,
            source: Source,
            definition: Option<Arc<Definition>>,
        ) -> (Slot, Option<Winner>, Option<Winner>) {
            let set = self.catalogue.set(name, source, definition, &self.rows);
            let slot = set.0;
            if set.1.is_some() || set.2.is_some() {
                let row = set.2.as_ref().map(|winner| {
                    let origin = (winner.source, winner.shadowed);
                    let status = Status::new(Wall(0));
                    let definition = Arc::clone(&winner.definition);
                    let open = OpenRow::new(slot, definition, origin, status, None);
                    open.row().clone()
                });
                self.rows.set(slot, row);
            }
            set
        }
    }

    #[test]
    fn the_file_wins_and_the_other_is_kept_behind_it() {
        let mut kept = Kept::default();
        let (slot, before, after) = kept.set("web", Source::Api, Some(definition("web")));
        assert_eq!((before, after.map(|w| w.source)), (None, Some(Source::Api)));
        let other = Arc::new(Definition {
            confirm: 9,
            ..Definition::clone(&definition("web"))
        });
        let (_, _, after) = kept.set("web", Source::File, Some(other));
        let seen = after.map(|w| (w.source, w.shadowed, w.definition.confirm));
        assert_eq!(seen, Some((Source::File, true, 9)));
        let (same, _, after) = kept.set("web", Source::File, None);
        assert_eq!(same, slot);
        let seen = after.map(|w| (w.source, w.shadowed, w.definition));
        assert_eq!(seen, Some((Source::Api, false, definition("web"))));
    }

    #[test]
    fn what_the_api_says_behind_the_file_is_shown_once_the_file_says_nothing() {
        let mut kept = Kept::default();
        kept.set("web", Source::File, Some(definition("web")));
        let hidden = Arc::new(Definition {
            confirm: 9,
            ..Definition::clone(&definition("web"))
        });
        let (_, before, after) = kept.set("web", Source::Api, Some(Arc::clone(&hidden)));
        assert_eq!(before.map(|w| w.definition), Some(definition("web")));
        assert_eq!(after.map(|w| w.definition), Some(definition("web")));
        let (_, _, after) = kept.set("web", Source::File, None);
        assert_eq!(after.map(|w| w.definition), Some(hidden));
        let (_, before, after) = kept.set("web", Source::Api, None);
        assert!(before.is_some() && after.is_none());
        assert!(kept.catalogue.hidden.is_empty());
    }

    #[test]
    fn a_slot_is_reused_once_its_target_is_gone() {
        let mut kept = Kept::default();
        let (a, ..) = kept.set("a", Source::Api, Some(definition("a")));
        let (b, ..) = kept.set("b", Source::Api, Some(definition("b")));
        assert_ne!(a, b);
        let (_, before, after) = kept.set("a", Source::Api, None);
        assert!(before.is_some() && after.is_none());
        let (c, ..) = kept.set("c", Source::Api, Some(definition("c")));
        assert_eq!(c, a);
        assert_eq!(kept.catalogue.len(), 2);
    }

    #[test]
    fn names_are_found_whatever_came_and_went_before() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let mut kept = Kept::default();
            let mut defined = BTreeSet::new();
            for _ in 0..300 {
                let name = format!("t{}", rng.below(60));
                let is_set = rng.chance(60);
                kept.set(&name, Source::File, is_set.then(|| definition(&name)));
                if is_set {
                    defined.insert(name);
                } else {
                    defined.remove(&name);
                }
                for n in 0..60 {
                    let name = format!("t{n}");
                    let entry = kept.catalogue.get(&name, &kept.rows);
                    assert_eq!(entry.is_some(), defined.contains(&name), "seed {seed}");
                    let found = entry.map_or(&*name, |e| name_of(e.slot, &kept.rows));
                    assert_eq!(found, name, "seed {seed}");
                }
            }
            assert_eq!(kept.catalogue.len(), defined.len(), "seed {seed}");
        }
    }

    #[test]
    fn names_are_told_by_source_and_in_order() {
        let mut kept = Kept::default();
        for name in ["cat", "ant", "bee"] {
            kept.set(name, Source::File, Some(definition(name)));
        }
        kept.set("dog", Source::Api, Some(definition("dog")));
        let without = |keep: fn(&str) -> bool| {
            let names = kept.catalogue.names_without(Source::File, keep, &kept.rows);
            names.join(" ")
        };
        assert_eq!(without(|_| false), "ant bee cat");
        assert_eq!(without(|name| name == "bee"), "ant cat");
    }

    #[test]
    fn taking_away_what_is_not_there_changes_nothing() {
        let mut kept = Kept::default();
        let nothing = (Slot::default(), None, None);
        assert_eq!(kept.set("a", Source::File, None), nothing);
        assert_eq!(kept.catalogue.len(), 0);
    }
}
