//! The entries: by key, and by origin in the order of their numbers.
//!
//! Forty-eight bytes an entry beside its key and value, four to eight of an index by hash, and
//! whatever contexts there are (for seconds after a hand-over). What readers keep too lies in
//! memory once, behind a counted pointer, and without its key where the value repeats that. Entries of one key form a chain; live entries of one
//! origin form a list in the order of their numbers, so that what a peer lacks is found from its
//! end. Does not know when an entry is superseded.

use std::borrow::Cow;
use std::sync::Arc;

use base::{hash64, hash64_of};

/// No entry.
const NONE: u32 = u32::MAX;
const DELETED: u16 = 1 << 15;
/// In how many places of a value its key is looked for.
const LOOK: usize = 16;

/// Where an entry lies, while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(u32);

/// A key and its value.
#[derive(Clone, Debug)]
enum Content {
    /// The key, then the value; only the table has them.
    Own(Box<[u8]>),
    /// The same; a reader has been given them, too.
    Shared(Arc<[u8]>),
    /// The value, which a reader has been given, too; the first byte of the key, and where in the
    /// value its other bytes are.
    Inside(Arc<[u8]>, u8, u16),
}

/// A key as it lies in memory: in one piece or in two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTable<'a> {
    head: &'a [u8],
    tail: &'a [u8],
}

impl<'a> InTable<'a> {
    pub(crate) const fn len(self) -> usize {
        self.head.len() + self.tail.len()
    }

    pub(crate) fn whole(self) -> Cow<'a, [u8]> {
        match self.tail {
            [] => self.head.into(),
            tail => [self.head, tail].concat().into(),
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

/// Entries are kept in blocks, so that growing copies little.
const BLOCK: u32 = 1 << 12;
/// The last block grows by so many entries, so that a small table leaves little slack.
const GROWTH: usize = 1 << 9;

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

    pub(crate) fn key(&self, at: At) -> InTable<'_> {
        let entry = self.entry(at.0);
        let len = usize::from(entry.key_len & !DELETED);
        let (head, tail): (&[u8], &[u8]) = match &entry.content {
            Content::Own(bytes) => (&bytes[..len], &[]),
            Content::Shared(bytes) => (&bytes[..len], &[]),
            Content::Inside(value, first, from) => {
                let from = usize::from(*from);
                (std::slice::from_ref(first), &value[from..from + len - 1])
            }
        };
        InTable { head, tail }
    }

    /// The value; `None` for a delete.
    pub(crate) fn value(&self, at: At) -> Option<&[u8]> {
        let entry = self.entry(at.0);
        let key_len = usize::from(entry.key_len & !DELETED);
        (entry.key_len & DELETED == 0).then(|| match &entry.content {
            Content::Own(bytes) => &bytes[key_len..],
            Content::Shared(bytes) => &bytes[key_len..],
            Content::Inside(value, ..) => value,
        })
    }

    /// An entry's value, to be kept by a reader as well, and where in the bytes it begins; nothing
    /// for a delete.
    pub(crate) fn share(&mut self, at: At) -> (Arc<[u8]>, usize) {
        let entry = self.entry_mut(at.0);
        let key_len = usize::from(entry.key_len & !DELETED);
        if let Content::Own(bytes) = &entry.content {
            let (key, value) = bytes.split_at(key_len);
            entry.content = match key.split_first().zip(find_within(value, &key[1..])) {
                Some(((&first, _), from)) => Content::Inside(value.into(), first, from),
                None => Content::Shared(bytes[..].into()),
            };
        }
        match &entry.content {
            Content::Shared(bytes) => (Arc::clone(bytes), key_len),
            Content::Inside(value, ..) => (Arc::clone(value), 0),
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
        let place = self.find_entry(at.0);
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
            self.entries.push(Vec::new());
        }
        let last = self.entries.last_mut().expect("a block was just made");
        if last.len() == last.capacity() {
            last.reserve_exact(GROWTH);
        }
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
            if at == NONE || self.is_under(at, key) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn is_under(&self, at: u32, key: &[u8]) -> bool {
        let entry = self.entry(at);
        usize::from(entry.key_len & !DELETED) == key.len()
            && match &entry.content {
                Content::Own(bytes) => bytes[..key.len()] == *key,
                Content::Shared(bytes) => bytes[..key.len()] == *key,
                Content::Inside(..) => {
                    let InTable { head, tail } = self.key(At(at));
                    key.strip_prefix(head) == Some(tail)
                }
            }
    }

    /// Where in the index the first entry under the key of this one is.
    fn find_entry(&self, at: u32) -> usize {
        match self.key(At(at)) {
            InTable { head, tail: [] } => self.find(head),
            key => self.find(&key.whole()),
        }
    }

    fn home_of(&self, at: u32, mask: usize) -> usize {
        let InTable { head, tail } = self.key(At(at));
        within(hash64_of([head, tail]), mask)
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.index);
        self.index = vec![NONE; old.len() * 2];
        for at in old.into_iter().filter(|&at| at != NONE) {
            let mask = self.index.len() - 1;
            let mut place = self.home_of(at, mask);
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
            let wanted = self.home_of(at, mask);
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
    within(hash64(key), mask)
}

fn within(hash: u64, mask: usize) -> usize {
    usize::try_from(hash & mask as u64).expect("below the length of the index")
}

/// Where in a value the rest of its key is: looked for near its beginning only.
fn find_within(value: &[u8], rest: &[u8]) -> Option<u16> {
    if rest.is_empty() || rest.len() > value.len() {
        return None;
    }
    let mut places = value.windows(rest.len()).take(LOOK);
    places
        .position(|place| place == rest)
        .and_then(|at| u16::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base::Rng;

    use super::*;

    #[test]
    fn what_is_shared_is_what_is_held_and_lies_in_memory_once() {
        let values: [(&[u8], &[u8], usize); 4] = [
            (b"key", b"value", 3),
            // The value repeats all of the key but its first byte, or seems to.
            (b"fname", b"..name and more", 0),
            (b"sname", b"0123456789012345name", 5),
            (b"f", b"", 1),
        ];
        for (key, value, from) in values {
            let mut table = Table::new();
            let at = table.insert(0, 1, key, Some(value));
            let other = table.insert(0, 2, b"other", None);
            let (shared, begins) = table.share(at);
            assert_eq!((&shared[begins..], begins), (value, from));
            assert!(Arc::ptr_eq(&shared, &table.share(at).0));
            assert_eq!(
                (&*table.key(at).whole(), table.key(at).len()),
                (key, key.len())
            );
            assert_eq!(table.value(at), Some(value));
            assert_eq!(table.under(key).collect::<Vec<_>>(), [at]);
            for n in 0..99 {
                table.insert(1, n + 1, format!("k{n}").as_bytes(), None);
            }
            assert_eq!(
                table.under(key).collect::<Vec<_>>(),
                [at],
                "the index has grown"
            );
            table.share(other);
            assert_eq!(
                (&*table.key(other).whole(), table.value(other)),
                (&b"other"[..], None)
            );
            // Who holds it keeps it; the table does not.
            table.remove(at);
            assert_eq!((&shared[begins..], Arc::strong_count(&shared)), (value, 1));
            assert_eq!(table.under(key).count(), 0);
        }
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
                    let value = rng.chance(70).then(|| match rng.chance(50) {
                        true => vec![7; rng.below(9) as usize],
                        false => [b".", &key[1..], b"!"].concat(),
                    });
                    let at = table.insert(origin, seq, &key, value.as_deref());
                    if rng.chance(50) {
                        table.share(at);
                    }
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
