//! One crash-safe file (redb), written by a thread of its own.
//!
//! Whoever writes never waits: what the disk has not taken yet is the last word on each key, so it
//! is bounded by the number of keys. The thread groups what came meanwhile into one commit and
//! then says up to which mark all is synced.
//! Does not know what a record means.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use base::NodeId;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use store::{Mark, Record};
use tokio::sync::watch;

use crate::Clock;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// The file with its writing thread.
#[derive(Debug)]
pub struct Disk {
    inbox: Arc<Inbox>,
    synced: watch::Receiver<Mark>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    mark: Mark,
    is_closed: bool,
}

impl Disk {
    /// Opens or makes `directory/kv.redb`; returns who this node is, drawn when the file was made,
    /// and all records.
    ///
    /// # Errors
    /// When the file can't be read, is damaged, or another process has it open.
    pub fn open(directory: &Path) -> Result<(Self, NodeId, Vec<Record>)> {
        let path = directory.join("kv.redb");
        let explain = || format!("{} (each node needs a --data of its own)", path.display());
        std::fs::create_dir_all(directory).with_context(explain)?;
        let database = Database::create(&path).with_context(explain)?;
        let (me, records) = read(&database).with_context(explain)?;
        let inbox = Arc::new(Inbox::default());
        let (say, synced) = watch::channel(Mark::default());
        let inside = Arc::clone(&inbox);
        let thread = std::thread::spawn(move || inside.write_all(&database, &say));
        let disk = Self {
            inbox,
            synced,
            thread: Some(thread),
        };
        Ok((disk, me, records))
    }

    /// Hands records over; never waits.
    pub fn write(&self, mark: Mark, records: Vec<Record>) {
        let mut waiting = self.inbox.lock();
        waiting.mark = mark;
        let writes = records
            .into_iter()
            .map(|record| (record.key, record.content));
        waiting.writes.extend(writes);
        self.inbox.arrived.notify_one();
    }

    /// Waits until more is synced, then says up to which mark; for ever once the disk has failed.
    pub async fn synced(&mut self) -> Mark {
        if self.synced.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.synced.borrow_and_update()
    }
}

impl Drop for Disk {
    /// What was handed over is written before the process ends.
    fn drop(&mut self) {
        self.inbox.lock().is_closed = true;
        self.inbox.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        let locked = self.waiting.lock();
        locked.expect("nobody panics while holding the inbox")
    }

    /// Commits what has come, until the inbox is closed and empty.
    fn write_all(&self, database: &Database, synced: &watch::Sender<Mark>) {
        let mut done = Mark::default();
        loop {
            let nothing_new = |waiting: &mut Waiting| waiting.mark == done && !waiting.is_closed;
            let waited = self.arrived.wait_while(self.lock(), nothing_new);
            let mut waiting = waited.expect("nobody panics while holding the inbox");
            if waiting.mark == done {
                return;
            }
            done = waiting.mark;
            let writes = std::mem::take(&mut waiting.writes);
            drop(waiting);
            // A mark without writes has nothing to wait for: all before it is synced.
            if !writes.is_empty()
                && let Err(error) = commit(database, writes)
            {
                // Nothing is confirmed from here on; a real product would try again and say so
                // to its callers (crates/agent/src/disk.rs does).
                tracing::error!(%error, "the disk has failed: restart this node when it is mended");
                return;
            }
            synced.send_replace(done);
        }
    }
}

fn commit(
    database: &Database,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut records = transaction.open_table(RECORDS)?;
    for (key, content) in writes {
        match content {
            Some(content) => records.insert(&key[..], &content[..])?,
            None => records.remove(&key[..])?,
        };
    }
    drop(records);
    Ok(transaction.commit()?)
}

/// The node's id, which is drawn if there is none, and all records.
fn read(database: &Database) -> Result<(NodeId, Vec<Record>), redb::Error> {
    let transaction = database.begin_write()?;
    let mut about = transaction.open_table(ABOUT)?;
    let kept = about.get("node")?.map(|id| id.value());
    let me = kept.unwrap_or_else(Clock::entropy);
    about.insert("node", me)?;
    drop(about);
    transaction.open_table(RECORDS)?;
    transaction.commit()?;
    let mut records = Vec::new();
    for row in database.begin_read()?.open_table(RECORDS)?.iter()? {
        let (key, content) = row?;
        records.push(Record {
            key: key.value().to_vec(),
            content: Some(content.value().to_vec()),
        });
    }
    Ok((NodeId(me), records))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &[u8], content: Option<&[u8]>) -> Record {
        Record {
            key: key.to_vec(),
            content: content.map(<[u8]>::to_vec),
        }
    }

    #[tokio::test]
    async fn what_was_synced_is_read_again_by_the_same_node() {
        let folder = tempfile::tempdir().unwrap();
        let (mut disk, me, records) = Disk::open(folder.path()).unwrap();
        assert_eq!(records, []);
        disk.write(
            Mark(1),
            vec![record(b"a", Some(b"1")), record(b"b", Some(b"2"))],
        );
        disk.write(Mark(2), vec![record(b"a", None)]);
        while disk.synced().await < Mark(2) {}
        drop(disk);
        let (_disk, again, records) = Disk::open(folder.path()).unwrap();
        assert_eq!(again, me);
        assert_eq!(records, [record(b"b", Some(b"2"))]);
    }

    #[test]
    fn a_directory_that_is_in_use_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let _disk = Disk::open(folder.path()).unwrap();
        let said = Disk::open(folder.path())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(said.contains("kv.redb"), "{said}");
    }
}
