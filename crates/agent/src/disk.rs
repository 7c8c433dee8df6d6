//! The store file: one embedded database (redb) that a crash at any byte leaves readable.
//!
//! A thread of its own groups what has come meanwhile into one commit, and says so once the
//! commit is synced. Whoever writes never waits: what the disk has not taken yet is the last word
//! on each key, so that it is bounded by the number of targets. Every open runs the recovery path and checks the
//! whole file. When the disk fails, checking goes on: the failure is said once, API writes are
//! refused, and the writes are tried again every second.
//! Does not know what a record means.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use base::Duration;
use health::{Batch, Key, Record, Write};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use thiserror::Error;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
/// The format of our records; a file with a higher number is left alone.
const FORMAT: u64 = 1;
/// What the database may keep in memory.
const CACHE_BYTES: usize = 4 << 20;
/// How soon a failed commit is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long the first batch waits for company before a commit.
const GROUP: Duration = Duration::from_millis(4);
/// Why the store file can't be used. The file was not replaced.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory can't be made.
    #[error("can't make the data directory {path}: {source}; choose another with --data-dir")]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("{0} is in use by another process; give each node a --data-dir of its own")]
    InUse(PathBuf),
    /// A newer version wrote it.
    #[error(
        "{path} has format {found}, this version reads up to {FORMAT}; it was left as it is. Upgrade roundsman, or start with another --data-dir"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It is damaged, or not ours.
    #[error(
        "{path} is damaged or not a store file ({why}); it was not replaced. Restore it from a backup, or move it away to start with nothing"
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What the database said.
        why: String,
    },
    /// It can't be read or written.
    #[error("can't open {path}: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The store file with its writing thread.
#[derive(Debug)]
pub struct Disk {
    inbox: Arc<Inbox>,
    state: Arc<DiskState>,
    thread: Option<JoinHandle<()>>,
}

/// What waits for the disk, and who waits for it.
#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The last word on each key.
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// The newest batch among them.
    last: Batch,
    is_closed: bool,
}

/// What others may know of the disk.
#[derive(Debug, Default)]
pub struct DiskState {
    /// The last commit failed, and none has succeeded since.
    pub is_failing: AtomicBool,
    /// How many records the file holds.
    pub records: crate::meters::Meter,
}

/// Opens `directory/store.redb`, makes it if it is not there, and reads all records.
pub fn open(directory: &Path) -> Result<(Database, Vec<Record>), OpenError> {
    std::fs::create_dir_all(directory).map_err(|source| OpenError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    let path = path_in(directory);
    // The database asserts its invariants; on damaged bytes an assertion is a finding, not a bug.
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let opened = catch_unwind(AssertUnwindSafe(|| open_checked(&path)));
    std::panic::set_hook(quiet);
    opened.unwrap_or_else(|_| {
        Err(OpenError::Corrupt {
            path,
            why: "its structure contradicts itself".into(),
        })
    })
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join("store.redb")
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_checked(path: &Path) -> Result<(Database, Vec<Record>), OpenError> {
    let mut database = builder()
        .create(path)
        .map_err(|error| explain(path, &error))?;
    if !database
        .check_integrity()
        .map_err(|error| explain(path, &error))?
    {
        tracing::warn!(path = %path.display(), "the store file was repaired");
    }
    // API-made targets may hold passwords: the file is its owner's alone.
    let owner_only = std::fs::Permissions::from_mode(0o600);
    if let Err(error) = std::fs::set_permissions(path, owner_only) {
        tracing::warn!(%error, path = %path.display(), "can't make the store file private");
    }
    let corrupt = |error: redb::Error| OpenError::Corrupt {
        path: path.to_owned(),
        why: error.to_string(),
    };
    match format_of(&database).map_err(corrupt)? {
        Some(found) if found > FORMAT => {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found,
            });
        }
        Some(_) => {}
        None => begin(&database).map_err(corrupt)?,
    }
    let records = read_all(&database).map_err(corrupt)?;
    Ok((database, records))
}

fn explain(path: &Path, error: &redb::DatabaseError) -> OpenError {
    let path = path.to_owned();
    let why = error.to_string();
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path),
        redb::DatabaseError::UpgradeRequired(found) => OpenError::Newer {
            path,
            found: u64::from(*found),
        },
        redb::DatabaseError::Storage(redb::StorageError::Io(io))
            if io.kind() != std::io::ErrorKind::InvalidData =>
        {
            OpenError::Unreadable { path, why }
        }
        _ => OpenError::Corrupt { path, why },
    }
}

fn format_of(database: &Database) -> Result<Option<u64>, redb::Error> {
    let read = database.begin_read()?;
    match read.open_table(ABOUT) {
        Ok(about) => Ok(about.get("format")?.map(|format| format.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn begin(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write.open_table(ABOUT)?.insert("format", FORMAT)?;
    write.open_table(RECORDS)?;
    write.commit()?;
    Ok(())
}

fn read_all(database: &Database) -> Result<Vec<Record>, redb::Error> {
    let table = database.begin_read()?.open_table(RECORDS)?;
    let mut records = Vec::with_capacity(usize::try_from(table.len()?).unwrap_or(0));
    for row in table.iter()? {
        let (key, value) = row?;
        if let Some(key) = key_of(key.value()) {
            records.push(Record {
                key,
                value: value.value().to_vec(),
            });
        }
    }
    Ok(records)
}

fn bytes_of(key: &Key) -> Vec<u8> {
    let (kind, rest) = match key {
        Key::Origin => (b'o', &[][..]),
        Key::Status(name) => (b's', name.as_bytes()),
        Key::Definition(name) => (b'd', name.as_bytes()),
        Key::Members => (b'm', &[][..]),
        Key::Store(key) => (b'r', &key[..]),
    };
    [&[kind], rest].concat()
}

/// The key of these bytes; `None` for a kind of a newer version.
fn key_of(bytes: &[u8]) -> Option<Key> {
    let (kind, rest) = bytes.split_first()?;
    let name = || std::str::from_utf8(rest).ok().map(Arc::from);
    match kind {
        b'o' => Some(Key::Origin),
        b's' => name().map(Key::Status),
        b'd' => name().map(Key::Definition),
        b'm' => Some(Key::Members),
        b'r' => Some(Key::Store(rest.to_vec())),
        _ => None,
    }
}

impl Disk {
    /// Starts the writing thread; `synced` is told of the newest batch that is down, in order.
    ///
    /// `directory` is where `database` was opened: after a failure it is opened anew.
    pub fn start(
        directory: &Path,
        database: Database,
        synced: impl Fn(Batch) + Send + 'static,
    ) -> Self {
        let inbox = Arc::new(Inbox::default());
        let state = Arc::new(DiskState::default());
        let writer = Writer {
            path: path_in(directory),
            database: Some(database),
            inbox: Arc::clone(&inbox),
            state: Arc::clone(&state),
            pending: BTreeMap::new(),
            failed_at: None,
        };
        let thread = std::thread::Builder::new()
            .name("disk".into())
            .spawn(move || writer.run(&synced))
            .expect("a thread can be started at boot");
        Self {
            inbox,
            state,
            thread: Some(thread),
        }
    }

    /// Hands a batch over; never waits.
    pub fn write(&self, batch: Batch, writes: Vec<Write>) {
        let mut waiting = self.inbox.lock();
        waiting.last = batch;
        for write in writes {
            match write {
                Write::Set(key, value) => waiting.writes.insert(bytes_of(&key), Some(value)),
                Write::Remove(key) => waiting.writes.insert(bytes_of(&key), None),
            };
        }
        self.inbox.arrived.notify_one();
    }

    /// What others may know of the disk.
    #[must_use]
    pub fn state(&self) -> &DiskState {
        &self.state
    }

    /// A write has taken far too long: it counts as failed until one succeeds.
    pub(crate) fn hangs(&self) {
        if !self.state.is_failing.swap(true, Relaxed) {
            tracing::error!(
                "the store file can't be written: the disk does not answer; checking goes on, API writes are refused, a restart would forget what came since"
            );
        }
    }
}

impl Drop for Disk {
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
        self.waiting
            .lock()
            .expect("nobody panics while holding the inbox")
    }

    /// Waits until there is more than `seen`, the inbox is closed, or `most` has passed.
    fn wait(&self, seen: Batch, most: Duration) {
        let nothing_new = |waiting: &mut Waiting| waiting.last == seen && !waiting.is_closed;
        let waited = self
            .arrived
            .wait_timeout_while(self.lock(), most, nothing_new);
        drop(waited.expect("nobody panics while holding the inbox"));
    }
}

struct Writer {
    path: PathBuf,
    /// None after a failure: a database that could not write must be opened anew.
    database: Option<Database>,
    inbox: Arc<Inbox>,
    state: Arc<DiskState>,
    /// What the next commit writes; more than one batch's after a failure.
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// When the last commit failed, if it did.
    failed_at: Option<Instant>,
}

impl Writer {
    fn run(mut self, synced: &impl Fn(Batch)) {
        self.count();
        let mut seen = Batch(0);
        loop {
            self.inbox.wait(seen, RETRY);
            std::thread::sleep(GROUP);
            let before = seen;
            let is_closed = self.take(&mut seen);
            if seen == before && self.pending.is_empty() && !is_closed {
                continue;
            }
            self.commit();
            // A failing disk must not hide an outage: readers go on, and API writes are refused.
            synced(seen);
            if is_closed {
                return;
            }
        }
    }

    /// Takes what waits; `true` when nothing more will come.
    fn take(&mut self, seen: &mut Batch) -> bool {
        let mut waiting = self.inbox.lock();
        *seen = waiting.last;
        self.pending.append(&mut waiting.writes);
        waiting.is_closed
    }

    fn commit(&mut self) {
        let is_too_soon = self.failed_at.is_some_and(|at| at.elapsed() < RETRY);
        if self.pending.is_empty() || is_too_soon {
            return;
        }
        // The database asserts its invariants: on a disk that lies an assertion is a finding.
        let tried = catch_unwind(AssertUnwindSafe(|| self.try_commit()));
        let tried = tried.unwrap_or_else(|_| Err(redb::Error::Corrupted("it panicked".into())));
        self.failed_at = tried.is_err().then(Instant::now);
        match tried {
            Ok(()) => {
                self.pending.clear();
                if self.state.is_failing.swap(false, Relaxed) {
                    tracing::info!("the store file can be written again");
                }
                self.count();
            }
            Err(error) => {
                if !self.state.is_failing.swap(true, Relaxed) {
                    tracing::error!(%error, "the store file can't be written; checking goes on, API writes are refused, a restart would forget what came since");
                }
            }
        }
    }

    fn try_commit(&mut self) -> Result<(), redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => builder().open(&self.path)?,
        };
        let write = database.begin_write()?;
        {
            let mut table = write.open_table(RECORDS)?;
            for (key, value) in &self.pending {
                match value {
                    Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(key.as_slice())?),
                }
            }
        }
        write.commit()?;
        self.database = Some(database);
        Ok(())
    }

    fn count(&self) {
        let Some(database) = &self.database else {
            return;
        };
        let count = || -> Result<u64, redb::Error> {
            Ok(database.begin_read()?.open_table(RECORDS)?.len()?)
        };
        if let Ok(records) = count() {
            self.state.records.set(records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Write {
        Write::Set(Key::Status(name.into()), value.as_bytes().to_vec())
    }

    fn write_and_close(directory: &Path, batches: Vec<Vec<Write>>) {
        let (database, _) = open(directory).unwrap();
        let disk = Disk::start(directory, database, |_| {});
        for (n, writes) in (1..).zip(batches) {
            disk.write(Batch(n), writes);
        }
    }

    fn read(directory: &Path) -> Vec<(Key, String)> {
        let records = open(directory).unwrap().1;
        records
            .into_iter()
            .map(|r| (r.key, String::from_utf8(r.value).unwrap()))
            .collect()
    }

    #[test]
    fn what_was_written_is_there_after_a_restart_and_the_last_word_counts() {
        let directory = tempfile::tempdir().unwrap();
        let gone = Write::Remove(Key::Status("b".into()));
        write_and_close(
            directory.path(),
            vec![
                vec![set("a", "1"), set("b", "1")],
                vec![set("a", "2"), gone],
            ],
        );
        assert_eq!(
            read(directory.path()),
            [(Key::Status("a".into()), "2".to_owned())]
        );
    }

    #[test]
    fn every_batch_is_said_to_be_synced_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let (database, _) = open(directory.path()).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let disk = Disk::start(directory.path(), database, move |batch| {
            tell.send(batch).unwrap()
        });
        (1..=50).for_each(|n| disk.write(Batch(n), vec![set("a", "x")]));
        let state = Arc::clone(&disk.state);
        drop(disk);
        let heard: Vec<Batch> = told.into_iter().collect();
        assert!(heard.is_sorted());
        assert_eq!(heard.last(), Some(&Batch(50)));
        assert_eq!(state.records.get(), 1);
    }

    #[test]
    fn whoever_writes_never_waits_even_if_nobody_hears_that_it_is_synced() {
        let directory = tempfile::tempdir().unwrap();
        let (database, _) = open(directory.path()).unwrap();
        let (tell, told) = std::sync::mpsc::sync_channel(0);
        let disk = Disk::start(directory.path(), database, move |batch| {
            let _ = tell.send(batch);
        });
        // With a bounded queue to the disk this stood still: each side waited for the other.
        for n in 1..=20_000 {
            disk.write(Batch(n), vec![set(&format!("t{}", n % 10), "x")]);
        }
        while told.recv().unwrap() < Batch(20_000) {}
        drop(told);
        drop(disk);
        assert_eq!(read(directory.path()).len(), 10);
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        std::fs::write(&path, b"not a database, but dear to somebody").unwrap();
        assert!(matches!(
            open(directory.path()),
            Err(OpenError::Corrupt { .. })
        ));
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"not a database, but dear to somebody"
        );
    }

    #[test]
    fn a_file_of_a_newer_format_is_refused_and_keeps_its_records() {
        let directory = tempfile::tempdir().unwrap();
        write_and_close(directory.path(), vec![vec![set("a", "1")]]);
        let path = directory.path().join("store.redb");
        let set_format = |format: u64| {
            let database = Database::create(&path).unwrap();
            let write = database.begin_write().unwrap();
            write
                .open_table(ABOUT)
                .unwrap()
                .insert("format", format)
                .unwrap();
            write.commit().unwrap();
        };
        set_format(FORMAT + 1);
        let error = open(directory.path()).unwrap_err();
        assert!(
            matches!(error, OpenError::Newer { found: 2, .. }),
            "{error}"
        );
        set_format(FORMAT);
        assert_eq!(read(directory.path()).len(), 1);
    }

    #[test]
    fn a_file_cut_short_or_scribbled_over_is_refused_or_read_right_but_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let records = (0..300)
            .map(|i| set(&format!("t{i}"), "some value"))
            .collect();
        write_and_close(directory.path(), vec![records]);
        let path = directory.path().join("store.redb");
        let whole = std::fs::read(&path).unwrap();
        let mut rng = base::Rng::new(5);
        for _ in 0..30 {
            let mut bytes = whole.clone();
            if rng.chance(30) {
                bytes.truncate(usize::try_from(1 + rng.below(whole.len() as u64 - 1)).unwrap());
            } else {
                let from = usize::try_from(rng.below(whole.len() as u64 - 600)).unwrap();
                bytes[from..from + 600].fill(0xa5);
            }
            std::fs::write(&path, &bytes).unwrap();
            match open(directory.path()) {
                Ok((_, records)) => assert_eq!(
                    records.len(),
                    300,
                    "a damaged file must not lose records silently"
                ),
                Err(error) => assert!(error.to_string().contains("store.redb"), "{error}"),
            }
            assert!(std::fs::metadata(&path).unwrap().len() > 0);
        }
    }

    #[test]
    fn a_second_process_is_told_that_the_file_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let _first = open(directory.path()).unwrap();
        assert!(matches!(open(directory.path()), Err(OpenError::InUse(_))));
    }
}
