//! The entries: by key, and by origin in the order of their numbers.
//!
//! Forty-eight bytes an entry beside its key and value, four to eight of an index by hash, and
//! whatever contexts there are (for seconds after a hand-over). What readers keep too lies in
//! memory once, behind a counted pointer. Entries of one key form a chain; live entries of one
//! origin form a list in the order of their numbers, so that what a peer lacks is found from its
//! end. Does not know when an entry is superseded.

use std::sync::Arc;

use base::hash64;

/// No entry.
const NONE: u32 = u32::MAX;
const DELETED: u16 = 1 << 15;

/// Where an entry lies, while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(u32);

/// A key, then its value.
#[derive(Clone, Debug)]
enum Content {
    /// Only the table has it.
    Own(Box<[u8]>),
    /// A reader has been given it, too.
    Shared(Arc<[u8]>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    seq: u64,
    content: Content,
    key_len: u16,
    origin: u16,
    /// The next entry under the same key, or the next free place.
    next: u32,
    older: u32,
    newer: u32,
}

/// One origin's live entries: first, last, and where the last one was put in.
#[derive(Clone, Copy, Debug)]
struct List {
    newest: u32,
    hint: u32,
    len: u32,
}

/// All entries.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    entries: Vec<Vec<Entry>>,
    count: u32,
    free: u32,
    live: usize,
    /// Open addressing over the first entry of each key.
    index: Vec<u32>,
    keys: usize,
    lists: Vec<List>,
}

/// Entries are kept in blocks, so that growing never copies and leaves little slack.
const BLOCK: u32 = 1 << 9;

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            count: 0,
            free: NONE,
            live: 0,
            index: vec![NONE; 16],
            keys: 0,
            lists: Vec::new(),
        }
    }

    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn key(&self, at: At) -> &[u8] {
        let entry = self.entry(at.0);
        &entry.content.bytes()[..usize::from(entry.key_len & !DELETED)]
    }

    /// The value; `None` for a delete.
    pub(crate) fn value(&self, at: At) -> Option<&[u8]> {
        let entry = self.entry(at.0);
        let key_len = usize::from(entry.key_len & !DELETED);
        (entry.key_len & DELETED == 0).then(|| &entry.content.bytes()[key_len..])
    }

    /// An entry's key and, right after it, its value, to be kept by a reader as well.
    pub(crate) fn share(&mut self, at: At) -> Arc<[u8]> {
        let content = &mut self.entry_mut(at.0).content;
        if let Content::Own(bytes) = content {
            *content = Content::Shared(std::mem::take(bytes).into());
        }
        match content {
            Content::Shared(bytes) => Arc::clone(bytes),
            Content::Own(_) => unreachable!("it was just shared"),
        }
    }

    /// Origin and number.
    pub(crate) fn dot(&self, at: At) -> (u16, u64) {
        let entry = self.entry(at.0);
        (entry.origin, entry.seq)
    }

    /// The entries under a key.
    pub(crate) fn under(&self, key: &[u8]) -> impl Iterator<Item = At> {
        let mut at = self.index[self.find(key)];
        std::iter::from_fn(move || {
            let here = (at != NONE).then_some(At(at))?;
            at = self.entry(here.0).next;
            Some(here)
        })
    }

    /// Whether `at` still holds this write.
    pub(crate) fn is(&self, at: At, origin: u16, seq: u64) -> bool {
        let entry = self.entry(at.0);
        entry.key_len != 0 && entry.origin == origin && entry.seq == seq
    }

    /// Live entries of an origin, newest first.
    pub(crate) fn of_origin(&self, origin: u16) -> impl Iterator<Item = At> {
        let mut at = self
            .lists
            .get(usize::from(origin))
            .map_or(NONE, |l| l.newest);
        std::iter::from_fn(move || {
            let here = (at != NONE).then_some(At(at))?;
            at = self.entry(here.0).older;
            Some(here)
        })
    }

    /// How many live entries an origin has.
    pub(crate) fn count_of(&self, origin: u16) -> usize {
        self.lists
            .get(usize::from(origin))
            .map_or(0, |l| l.len as usize)
    }

    /// All entries, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = At> {
        (0..self.count)
            .filter(|&at| self.entry(at).key_len != 0)
            .map(At)
    }

    /// Puts an entry in; its dot must not be there yet.
    pub(crate) fn insert(&mut self, origin: u16, seq: u64, key: &[u8], value: Option<&[u8]>) -> At {
        if (self.keys + 1) * 4 > self.index.len() * 3 {
            self.grow();
        }
        let flag = if value.is_none() { DELETED } else { 0 };
        let key_len = u16::try_from(key.len()).expect("keys are at most 1,024 bytes") | flag;
        let bytes = [key, value.unwrap_or_default()].concat().into_boxed_slice();
        let place = self.find(key);
        let next = self.index[place];
        let at = self.take_room(Entry {
            seq,
            content: Content::Own(bytes),
            key_len,
            origin,
            next,
            older: NONE,
            newer: NONE,
        });
        self.keys += usize::from(next == NONE);
        self.index[place] = at;
        self.live += 1;
        self.link(at);
        At(at)
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, at: At) {
        self.unlink(at.0);
        let place = self.find(self.key(at));
        let next = self.entry(at.0).next;
        if self.index[place] == at.0 {
            self.index[place] = next;
            if next == NONE {
                self.keys -= 1;
                self.close_gap(place);
            }
        } else {
            let mut before = self.index[place];
            while self.entry(before).next != at.0 {
                before = self.entry(before).next;
            }
            self.entry_mut(before).next = next;
        }
        let free = self.free;
        let entry = self.entry_mut(at.0);
        entry.content = Content::Own(Box::default());
        entry.key_len = 0;
        entry.next = free;
        self.free = at.0;
        self.live -= 1;
    }

    fn entry(&self, at: u32) -> &Entry {
        &self.entries[(at / BLOCK) as usize][(at % BLOCK) as usize]
    }

    fn entry_mut(&mut self, at: u32) -> &mut Entry {
        &mut self.entries[(at / BLOCK) as usize][(at % BLOCK) as usize]
    }

    fn take_room(&mut self, entry: Entry) -> u32 {
        if self.free != NONE {
            let at = self.free;
            self.free = self.entry(at).next;
            *self.entry_mut(at) = entry;
            return at;
        }
        let at = self.count;
        assert!(at < NONE, "four billion entries");
        if at.is_multiple_of(BLOCK) {
            self.entries.push(Vec::with_capacity(BLOCK as usize));
        }
        let last = self.entries.last_mut().expect("a block was just made");
        last.push(entry);
        self.count += 1;
        at
    }

    /// Where the first entry of `key` is in the index, or where it would be.
    fn find(&self, key: &[u8]) -> usize {
        let mask = self.index.len() - 1;
        let mut place = home(key, mask);
        loop {
            let at = self.index[place];
            if at == NONE || self.key(At(at)) == key {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.index);
        self.index = vec![NONE; old.len() * 2];
        for at in old.into_iter().filter(|&at| at != NONE) {
            let mask = self.index.len() - 1;
            let mut place = home(self.key(At(at)), mask);
            while self.index[place] != NONE {
                place = (place + 1) & mask;
            }
            self.index[place] = at;
        }
    }

    /// Moves back what was displaced past an empty place (Knuth, volume 3, algorithm R).
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.index.len() - 1;
        let mut place = gap;
        loop {
            place = (place + 1) & mask;
            let at = self.index[place];
            if at == NONE {
                return;
            }
            let wanted = home(self.key(At(at)), mask);
            // Stays if its home lies cyclically in (gap, place].
            let stays = (place.wrapping_sub(wanted) & mask) < (place.wrapping_sub(gap) & mask);
            if !stays {
                self.index[gap] = at;
                self.index[place] = NONE;
                gap = place;
            }
        }
    }

    /// Puts an entry into its origin's list, looking from where the last one was put in.
    fn link(&mut self, at: u32) {
        let Entry { origin, seq, .. } = *self.entry(at);
        let origin = usize::from(origin);
        let empty = List {
            newest: NONE,
            hint: NONE,
            len: 0,
        };
        if self.lists.len() <= origin {
            self.lists.resize(origin + 1, empty);
        }
        let list = self.lists[origin];
        let newest = list.newest;
        // `before` is the newest entry that is older than this one.
        let mut before = if list.hint != NONE { list.hint } else { newest };
        if newest != NONE && self.entry(newest).seq < seq {
            before = newest;
        }
        while before != NONE && self.entry(before).seq > seq {
            before = self.entry(before).older;
        }
        if before != NONE {
            loop {
                let after = self.entry(before).newer;
                if after == NONE || self.entry(after).seq > seq {
                    break;
                }
                before = after;
            }
        }
        let after = match before {
            NONE => self.oldest(origin),
            _ => self.entry(before).newer,
        };
        self.entry_mut(at).older = before;
        self.entry_mut(at).newer = after;
        if before != NONE {
            self.entry_mut(before).newer = at;
        }
        match after {
            NONE => self.lists[origin].newest = at,
            _ => self.entry_mut(after).older = at,
        }
        self.lists[origin].hint = at;
        self.lists[origin].len += 1;
    }

    /// Only asked for when everything in the list is newer: found by walking, or at once when the
    /// list is empty.
    fn oldest(&self, origin: usize) -> u32 {
        let list = self.lists[origin];
        let mut at = if list.hint != NONE {
            list.hint
        } else {
            list.newest
        };
        while at != NONE && self.entry(at).older != NONE {
            at = self.entry(at).older;
        }
        at
    }

    fn unlink(&mut self, at: u32) {
        let Entry {
            origin,
            older,
            newer,
            ..
        } = *self.entry(at);
        if older != NONE {
            self.entry_mut(older).newer = newer;
        }
        if newer != NONE {
            self.entry_mut(newer).older = older;
        }
        let list = &mut self.lists[usize::from(origin)];
        if list.newest == at {
            list.newest = older;
        }
        if list.hint == at {
            list.hint = if older != NONE { older } else { newer };
        }
        list.len -= 1;
    }
}

fn home(key: &[u8], mask: usize) -> usize {
    usize::try_from(hash64(key) & mask as u64).expect("below the length of the index")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base::Rng;

    use super::*;

    #[test]
    fn what_is_shared_is_what_is_held_and_lies_in_memory_once() {
        let mut table = Table::new();
        let at = table.insert(0, 1, b"key", Some(b"value"));
        let other = table.insert(0, 2, b"other", None);
        let shared = table.share(at);
        assert_eq!(&*shared, b"keyvalue");
        assert!(Arc::ptr_eq(&shared, &table.share(at)));
        assert_eq!(
            (table.key(at), table.value(at)),
            (&b"key"[..], Some(&b"value"[..]))
        );
        assert_eq!(&*table.share(other), b"other");
        assert_eq!(table.value(other), None);
        // Who holds it keeps it; the table does not.
        table.remove(at);
        assert_eq!(
            (&*shared, Arc::strong_count(&shared)),
            (&b"keyvalue"[..], 1)
        );
        assert_eq!(table.under(b"key").count(), 0);
    }

    #[test]
    fn an_entry_takes_forty_eight_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }

    /// Key, value and place by dot.
    type Plain = BTreeMap<(u16, u64), (Vec<u8>, Option<Vec<u8>>, At)>;

    #[test]
    fn it_holds_what_a_plain_map_holds() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut table = Table::new();
            let mut plain = Plain::new();
            for _ in 0..400 {
                let origin = u16::try_from(rng.below(3)).expect("small");
                let seq = rng.below(200) + 1;
                if let Some((_, _, at)) = plain.remove(&(origin, seq)) {
                    table.remove(at);
                } else {
                    let key = format!("k{}", rng.below(40)).into_bytes();
                    let value = rng.chance(70).then(|| vec![7; rng.below(9) as usize]);
                    let at = table.insert(origin, seq, &key, value.as_deref());
                    plain.insert((origin, seq), (key, value, at));
                }
            }
            assert_eq!(table.len(), plain.len(), "seed {seed}");
            assert_eq!(table.iter().count(), plain.len(), "seed {seed}");
            for (dot, (key, value, at)) in &plain {
                assert_eq!(table.dot(*at), *dot);
                assert_eq!(table.value(*at), value.as_deref());
                assert!(table.under(key).any(|found| found == *at), "seed {seed}");
            }
            for origin in 0..3 {
                let listed: Vec<u64> = table.of_origin(origin).map(|at| table.dot(at).1).collect();
                let expected: Vec<u64> = plain
                    .keys()
                    .rev()
                    .filter(|dot| dot.0 == origin)
                    .map(|dot| dot.1)
                    .collect();
                assert_eq!(listed, expected, "seed {seed}");
                assert_eq!(table.count_of(origin), expected.len());
            }
        }
    }
}
