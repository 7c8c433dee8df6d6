//! A disk that takes its time, keeps the order, and survives the process.
//!
//! Batches are atomic. An urgent batch pulls all earlier ones with it. A crash loses what had
//! not reached the disk, except for a prefix that was just being written.

use std::collections::{BTreeMap, VecDeque};

use base::wire::Reader;
use base::{Duration, Rng, Time};
use health::{Batch, Key, Record, Write};

/// What is on the disk, and what is on its way there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    records: BTreeMap<Key, Vec<u8>>,
    pending: VecDeque<(Batch, Vec<Write>, Time)>,
    /// Added to every write while set.
    pub(crate) slowness: Duration,
}

impl Disk {
    /// Takes a batch in; when it will be down.
    pub(crate) fn write(
        &mut self,
        now: Time,
        rng: &mut Rng,
        batch: Batch,
        writes: Vec<Write>,
        urgent: bool,
    ) -> Time {
        let gather_ms = if urgent { 8 } else { 900 };
        let micros = rng.below(gather_ms * 1_000) + 200 + rng.below(4_000);
        let mut due = now + Duration::from_micros(micros) + self.slowness;
        if !urgent {
            due = due.max(self.pending.back().map_or(due, |last| last.2));
        }
        for earlier in &mut self.pending {
            earlier.2 = earlier.2.min(due);
        }
        self.pending.push_back((batch, writes, due));
        due
    }

    /// Writes what is due; the last batch that is down now, if any became so.
    pub(crate) fn settle(&mut self, now: Time) -> Option<Batch> {
        let mut last = None;
        while let Some((batch, writes, _)) = self.pending.pop_front_if(|(.., due)| *due <= now) {
            self.apply(writes);
            last = Some(batch);
        }
        last
    }

    /// The process dies: `reached` of the pending batches get through, the rest is lost.
    pub(crate) fn crash(&mut self, reached: usize) {
        for (_, writes, _) in self.pending.drain(..).take(reached).collect::<Vec<_>>() {
            self.apply(writes);
        }
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many batches are on their way.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What a boot finds.
    pub(crate) fn records(&self) -> Vec<Record> {
        let record = |(key, value): (&Key, &Vec<u8>)| Record {
            key: key.clone(),
            value: value.clone(),
        };
        self.records.iter().map(record).collect()
    }

    /// The highest sequence number that is down.
    pub(crate) fn seq(&self) -> u64 {
        let Some(bytes) = self.records.get(&Key::Origin) else {
            return 0;
        };
        let mut reader = Reader::new(bytes);
        while let Ok(Some((tag, mut field))) = reader.field() {
            if tag == 2 {
                return field.number().unwrap_or(0);
            }
        }
        0
    }

    fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Set(key, value) => drop(self.records.insert(key, value)),
                Write::Remove(key) => drop(self.records.remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str) -> Vec<Write> {
        vec![Write::Set(Key::Status(name.into()), vec![])]
    }

    #[test]
    fn an_urgent_batch_takes_earlier_ones_with_it_and_a_crash_keeps_a_prefix() {
        let (mut disk, mut rng) = (Disk::default(), Rng::new(1));
        disk.write(Time(0), &mut rng, Batch(1), status("a"), false);
        let due = disk.write(Time(0), &mut rng, Batch(2), status("b"), true);
        assert_eq!(disk.settle(due), Some(Batch(2)));
        disk.write(due, &mut rng, Batch(3), status("c"), false);
        disk.write(due, &mut rng, Batch(4), status("d"), false);
        disk.crash(1);
        assert_eq!(disk.records().len(), 3);
        assert!(disk.is_idle());
    }
}
