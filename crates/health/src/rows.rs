//! Rows by slot, in chunks behind counted pointers.
//!
//! The node's rows and those of a view are two of these: a change copies one chunk, and once
//! readers may see all that is in a chunk of the node's, the view takes the chunk itself, so that
//! both together take the memory of one. Does not know when that is.

use std::sync::Arc;

use base::Slot;

use crate::row::Row;

/// How many rows share a counted pointer.
pub(crate) const CHUNK: usize = 32;

type Chunk = Arc<[Option<Row>; CHUNK]>;

/// Rows by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    chunks: Vec<Chunk>,
}

/// The chunk of a slot, and the place in it.
pub(crate) const fn place(slot: Slot) -> (usize, usize) {
    (slot.index() / CHUNK, slot.index() % CHUNK)
}

/// Room for a slot, and an eighth more: what has one place per target grows with the targets, but
/// not to twice of what is needed.
pub(crate) fn make_room<T>(places: &mut Vec<T>, slot: Slot) {
    let needed = slot.index() + 1;
    if needed > places.capacity() {
        let room = needed + (needed / 8).max(64);
        places.reserve_exact(room - places.len());
    }
}

impl Rows {
    /// The row in a slot.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Row> {
        let (chunk, at) = place(slot);
        self.chunks.get(chunk)?[at].as_ref()
    }

    /// How many slots there is room for.
    pub(crate) const fn room(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Puts a row into a slot, or takes it out; what was there before.
    pub(crate) fn set(&mut self, slot: Slot, row: Option<Row>) -> Option<Row> {
        let (chunk, at) = place(slot);
        self.make_room(chunk);
        std::mem::replace(&mut Arc::make_mut(&mut self.chunks[chunk])[at], row)
    }

    /// Takes another's chunk as it is.
    pub(crate) fn take_chunk(&mut self, chunk: usize, from: &Self) {
        self.make_room(chunk);
        self.chunks[chunk] = Arc::clone(&from.chunks[chunk]);
    }

    fn make_room(&mut self, chunk: usize) {
        while self.chunks.len() <= chunk {
            self.chunks.push(Arc::new([const { None }; CHUNK]));
        }
    }

    /// Every row with its slot, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Row)> {
        let places = self.chunks.iter().flat_map(|chunk| chunk.iter());
        let slots = (0..).map(Slot).zip(places);
        slots.filter_map(|(slot, row)| Some((slot, row.as_ref()?)))
    }

    /// How many chunks lie in memory once for both.
    #[cfg(test)]
    pub(crate) fn shared_with(&self, other: &Self) -> usize {
        let both = self.chunks.iter().zip(&other.chunks);
        both.filter(|(mine, theirs)| Arc::ptr_eq(mine, theirs))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::OpenRow;
    use crate::status::Status;
    use crate::testing::definition;
    use crate::view::Source;
    use base::Wall;

    fn row(slot: u32, name: &str) -> Option<Row> {
        let (origin, status) = ((Source::File, false), Status::new(Wall(0)));
        let row = OpenRow::new(Slot(slot), definition(name), origin, status, None);
        Some(row.row().clone())
    }

    #[test]
    fn a_row_is_where_it_was_put_until_it_is_taken_out() {
        let mut rows = Rows::default();
        assert_eq!(rows.get(Slot(99)), None);
        assert_eq!(rows.set(Slot(99), row(99, "b")), None);
        assert_eq!(rows.set(Slot(0), row(0, "a")), None);
        let names = |rows: &Rows| {
            let all = rows.iter().map(|(slot, row)| (slot.0, row.title()));
            all.collect::<Vec<_>>()
        };
        assert_eq!(names(&rows), [(0, "a".into()), (99, "b".into())]);
        assert_eq!(rows.set(Slot(99), None), row(99, "b"));
        assert_eq!(names(&rows), [(0, "a".into())]);
    }

    #[test]
    fn a_chunk_that_was_taken_is_shared_until_one_side_changes_it() {
        let (mut mine, mut theirs) = (Rows::default(), Rows::default());
        mine.set(Slot(0), row(0, "a"));
        mine.set(Slot(40), row(40, "b"));
        theirs.take_chunk(1, &mine);
        assert_eq!(
            (theirs.get(Slot(40)), theirs.get(Slot(0))),
            (mine.get(Slot(40)), None)
        );
        assert_eq!(theirs.shared_with(&mine), 1);
        mine.set(Slot(40), row(40, "c"));
        assert_eq!(theirs.get(Slot(40)).map(Row::name), Some("b"));
        assert_eq!(theirs.shared_with(&mine), 0);
    }
}
