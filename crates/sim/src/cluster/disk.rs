//! A disk that takes its time, keeps the order of its transactions, and can go back in time.
//!
//! A transaction is down whole or not at all, as the store file of the agent keeps it: a torn one
//! fails its checksum at the next boot. A crash therefore leaves a prefix of what was under way.

use std::collections::{BTreeMap, VecDeque};

use base::{Duration, Rng, Time};

/// One key and its new content, or `None` to remove it.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// One host's disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    content: BTreeMap<Vec<u8>, Vec<u8>>,
    pending: VecDeque<(u64, Vec<Write>, Time)>,
    /// An older state, which a restored backup brings back.
    backup: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Writes take their time, and nothing of them is kept: for worlds where nobody comes back.
    pub forgets: bool,
    /// Added to every write while set.
    pub slowness: Duration,
}

impl Disk {
    /// Takes a transaction in; when it will be down (0.2 to 8 ms, later while the disk is slow).
    pub fn write(&mut self, now: Time, rng: &mut Rng, mark: u64, mut writes: Vec<Write>) -> Time {
        if self.forgets {
            writes = Vec::new();
        }
        let after = self.pending.back().map_or(now, |last| last.2.max(now));
        let span = Duration::from_micros(200 + rng.below(7_800)) + self.slowness;
        let due = after.max(now + span);
        self.pending.push_back((mark, writes, due));
        due
    }

    /// Writes what is due; the mark of the last transaction that is down now, if any became so.
    pub fn settle(&mut self, now: Time) -> Option<u64> {
        let mut last = None;
        while let Some((mark, writes, _)) = self.pending.pop_front_if(|(.., due)| *due <= now) {
            apply(&mut self.content, writes);
            last = Some(mark);
        }
        last
    }

    /// The process dies: a prefix of what was under way gets through, the rest is lost or torn.
    pub fn crash(&mut self, rng: &mut Rng) {
        let reached = rng.below(self.pending.len() as u64 + 1);
        for (_, writes, _) in self
            .pending
            .drain(..)
            .take(usize::try_from(reached).expect("a length"))
        {
            apply(&mut self.content, writes);
        }
    }

    /// All that is down, as a boot reads it.
    #[must_use]
    pub fn read(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.content
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// Keeps a copy of what is down now.
    pub fn back_up(&mut self) {
        self.backup.clone_from(&self.content);
    }

    /// Brings the last copy back; an empty disk when there was none.
    pub fn roll_back(&mut self) {
        self.content.clone_from(&self.backup);
        self.pending.clear();
    }

    /// An empty disk.
    pub fn wipe(&mut self) {
        self.content.clear();
        self.pending.clear();
    }

    /// Makes this disk a copy of another.
    pub fn copy_from(&mut self, other: &Self) {
        self.content.clone_from(&other.content);
        self.pending.clear();
    }
}

fn apply(content: &mut BTreeMap<Vec<u8>, Vec<u8>>, writes: Vec<Write>) {
    for (key, value) in writes {
        match value {
            Some(value) => content.insert(key, value),
            None => content.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(n: u8) -> Vec<Write> {
        vec![(vec![n], Some(vec![n]))]
    }

    #[test]
    fn transactions_come_down_in_order() {
        let mut rng = Rng::new(1);
        let mut disk = Disk::default();
        let mut last = Time(0);
        for n in 1..50 {
            let due = disk.write(Time(0), &mut rng, u64::from(n), put(n));
            assert!(due >= last);
            last = due;
        }
        assert_eq!(disk.settle(last), Some(49));
        assert_eq!(disk.read().len(), 49);
    }

    #[test]
    fn a_crash_keeps_a_prefix() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut disk = Disk::default();
            for n in 0..10 {
                disk.write(Time(0), &mut rng, u64::from(n), put(n));
            }
            disk.crash(&mut rng);
            let keys: Vec<u8> = disk.read().iter().map(|(key, _)| key[0]).collect();
            let prefix: Vec<u8> = (0..u8::try_from(keys.len()).expect("ten")).collect();
            assert_eq!(keys, prefix, "seed {seed}");
        }
    }

    #[test]
    fn a_restored_backup_is_an_older_state() {
        let mut rng = Rng::new(1);
        let mut disk = Disk::default();
        disk.write(Time(0), &mut rng, 1, put(1));
        disk.settle(Time(1_000_000));
        disk.back_up();
        disk.write(Time(0), &mut rng, 2, put(2));
        disk.settle(Time(2_000_000));
        disk.roll_back();
        assert_eq!(disk.read(), [(vec![1], vec![1])]);
    }
}
