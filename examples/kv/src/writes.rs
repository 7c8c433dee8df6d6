//! Clients that wait for their writes to be safe.

use base::{Duration, Time, Version};
use store::Mark;
use tokio::sync::oneshot;

use crate::Reply;

/// Writes that wait at most; more are refused.
const WAITING_MAX: usize = 1_024;
/// A write that no peer has confirmed for so long is answered as being on one disk; one that is on
/// no disk after twice as long is refused.
const CONFIRM: Duration = Duration::from_secs(2);

/// The writes that are not safe yet.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    waiting: Vec<Waiting>,
    /// The newest mark that the store gave out.
    pub(crate) given: Mark,
    /// The newest mark that is on disk.
    pub(crate) synced: Mark,
}

#[derive(Debug)]
struct Waiting {
    version: Version,
    /// The newest mark when its records had been given out.
    mark: Option<Mark>,
    since: Time,
    reply: oneshot::Sender<Reply>,
}

impl Writes {
    /// Whether one more may wait.
    pub(crate) fn have_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// `reply` is owed for this write.
    pub(crate) fn add(&mut self, now: Time, version: Version, reply: oneshot::Sender<Reply>) {
        self.waiting.push(Waiting {
            version,
            mark: None,
            since: now,
            reply,
        });
    }

    /// This write is on so many disks.
    pub(crate) fn confirmed(&mut self, version: Version, disks: u8) {
        let is_safe = |waiting: &mut Waiting| waiting.version == version;
        for waiting in self.waiting.extract_if(.., is_safe) {
            waiting.answer(disks);
        }
    }

    /// Answers those for whom no more is to be expected. Call when the store has been drained, so
    /// that the records of every write are with the disk.
    pub(crate) fn look(&mut self, now: Time, is_alone: bool) {
        for waiting in &mut self.waiting {
            waiting.mark.get_or_insert(self.given);
        }
        let synced = self.synced;
        let is_over = |waiting: &mut Waiting| {
            let waits = now.since(waiting.since);
            let is_synced = waiting.mark <= Some(synced);
            is_synced && (is_alone || waits >= CONFIRM) || waits >= CONFIRM * 2
        };
        for waiting in self.waiting.extract_if(.., is_over) {
            if waiting.mark <= Some(synced) {
                waiting.answer(1);
            } else {
                let why = "the disk does not take it; whether it stays is not known";
                let _ = waiting.reply.send(Reply::Refused(why.into()));
            }
        }
    }

    /// When [`Self::look`] is due, if `now` it was done.
    pub(crate) fn deadline(&self, now: Time) -> Option<Time> {
        let sinces = self.waiting.iter().map(|waiting| waiting.since);
        sinces
            .flat_map(|since| [since + CONFIRM, since + CONFIRM * 2])
            .filter(|&due| due > now)
            .min()
    }
}

impl Waiting {
    fn answer(self, disks: u8) {
        let version = self.version.to_string();
        // A client that is gone needs no answer.
        let _ = self.reply.send(Reply::Written { version, disks });
    }
}

#[cfg(test)]
mod tests {
    use base::Origin;

    use super::*;

    fn version(seq: u64) -> Version {
        let origin = Origin(1);
        Version { origin, seq }
    }

    /// One write, number 5, whose records the store gave out with mark 3.
    fn one() -> (Writes, oneshot::Receiver<Reply>) {
        let mut writes = Writes::default();
        let (reply, answer) = oneshot::channel();
        writes.add(Time::ZERO, version(5), reply);
        writes.given = Mark(3);
        writes.look(Time::ZERO, false);
        writes.given = Mark(4);
        (writes, answer)
    }

    fn disks(answer: &mut oneshot::Receiver<Reply>) -> Option<u8> {
        match answer.try_recv().ok()? {
            Reply::Written { disks, .. } => Some(disks),
            _ => Some(0),
        }
    }

    #[test]
    fn a_write_is_answered_when_a_peer_confirms_it_and_no_other() {
        let (mut writes, mut answer) = one();
        writes.confirmed(version(4), 2);
        writes.confirmed(version(6), 2);
        assert_eq!(disks(&mut answer), None);
        writes.confirmed(version(5), 2);
        assert_eq!(disks(&mut answer), Some(2));
    }

    #[test]
    fn a_node_that_is_alone_answers_when_its_own_disk_has_the_write() {
        let (mut writes, mut answer) = one();
        writes.synced = Mark(2);
        writes.look(Time(1), true);
        assert_eq!(disks(&mut answer), None);
        writes.synced = Mark(3);
        writes.look(Time(2), true);
        assert_eq!(disks(&mut answer), Some(1));
    }

    #[test]
    fn silence_of_the_peers_or_the_disk_is_said_after_a_while() {
        let (mut writes, mut answer) = one();
        let due = writes.deadline(Time::ZERO).unwrap();
        writes.look(due, false);
        assert_eq!(disks(&mut answer), None, "it is on no disk");
        let due = writes.deadline(due).unwrap();
        writes.look(due, false);
        assert_eq!(disks(&mut answer), Some(0), "refused");
        assert_eq!(writes.deadline(due), None);

        let (mut writes, mut answer) = one();
        writes.synced = Mark(3);
        writes.look(writes.deadline(Time::ZERO).unwrap(), false);
        assert_eq!(disks(&mut answer), Some(1));
    }
}
