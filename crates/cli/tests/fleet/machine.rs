//! How late this machine itself is: what a promise of the product is exceeded by because nothing
//! ran is not the product's.
//!
//! Two witnesses. A thread that only sleeps writes down when it overslept: the whole machine stood
//! still. And the kernel counts, for each thread of each node and of this process, how long it could
//! have run and was not let: with other programs on two cores that is most of it. Only what was
//! measured is allowed for, and it is printed. Does not know the product.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long it sleeps.
const NAP: Duration = Duration::from_millis(5);
/// Less is not worth a line.
const LATE: Duration = Duration::from_millis(10);
/// How often the kernel's counts are read.
const EVERY: Duration = Duration::from_millis(100);

/// From when to when, which process, how long.
type Wait = (Instant, Instant, u32, Duration);

/// The watch; it ends when this is dropped.
pub(crate) struct Machine {
    lates: Arc<Mutex<Vec<(Instant, Duration)>>>,
    waits: Arc<Mutex<Vec<Wait>>>,
    /// The processes whose threads are watched.
    processes: Arc<Mutex<Vec<u32>>>,
    is_over: Arc<AtomicBool>,
}

impl Machine {
    pub(crate) fn watch() -> Self {
        let machine = Self {
            lates: Arc::default(),
            waits: Arc::default(),
            processes: Arc::default(),
            is_over: Arc::default(),
        };
        let (log, over) = (Arc::clone(&machine.lates), Arc::clone(&machine.is_over));
        std::thread::spawn(move || {
            while !over.load(Relaxed) {
                let slept = Instant::now();
                std::thread::sleep(NAP);
                let late = slept.elapsed().saturating_sub(NAP);
                if late >= LATE {
                    log.lock().expect("nobody panics").push((slept, late));
                }
            }
        });
        let (log, over) = (Arc::clone(&machine.waits), Arc::clone(&machine.is_over));
        let processes = Arc::clone(&machine.processes);
        std::thread::spawn(move || count_waits(&log, &processes, &over));
        machine
    }

    /// These processes are watched from now on, and this one.
    pub(crate) fn processes(&self, mut ids: Vec<u32>) {
        ids.push(std::process::id());
        *self.processes.lock().expect("nobody panics") = ids;
    }

    /// For how long what was watched could not run in this span: the machine's own pauses, or the
    /// waits of this process and of the node that waited longest, added up; whichever is more.
    pub(crate) fn stood_still(&self, from: Instant, until: Instant) -> Duration {
        let lates = self.lates.lock().expect("nobody panics");
        let within = |(at, late): &&(Instant, Duration)| *at + *late >= from && *at <= until;
        let slept: Duration = lates.iter().filter(within).map(|(_, late)| *late).sum();
        let mut each: BTreeMap<u32, Duration> = BTreeMap::new();
        for (begins, ends, process, span) in &*self.waits.lock().expect("nobody panics") {
            if *ends >= from && *begins <= until {
                *each.entry(*process).or_default() += *span;
            }
        }
        let mine = each.remove(&std::process::id()).unwrap_or_default();
        let theirs = each.into_values().max().unwrap_or_default();
        slept.max(mine + theirs)
    }

    /// The longest time that nothing ran.
    pub(crate) fn worst(&self) -> Duration {
        let lates = self.lates.lock().expect("nobody panics");
        lates
            .iter()
            .map(|(_, late)| *late)
            .max()
            .unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}

/// Writes down, for each process, by how much its most hindered thread was hindered.
fn count_waits(log: &Mutex<Vec<Wait>>, processes: &Mutex<Vec<u32>>, over: &AtomicBool) {
    let mut before: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    let mut last = Instant::now();
    while !over.load(Relaxed) {
        std::thread::sleep(EVERY);
        let ids = processes.lock().expect("nobody panics").clone();
        let now = Instant::now();
        for id in ids {
            let mut most = 0;
            for (thread, waited) in threads(id) {
                let earlier = before.insert((id, thread), waited).unwrap_or(waited);
                most = most.max(waited.saturating_sub(earlier));
            }
            let span = Duration::from_nanos(most);
            if span >= LATE {
                let wait = (last, now, id, span);
                log.lock().expect("nobody panics").push(wait);
            }
        }
        last = now;
    }
}

/// The threads of a process, and for how many nanoseconds each could have run and did not.
fn threads(process: u32) -> Vec<(u32, u64)> {
    let Ok(folder) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let waited = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let thread = entry.file_name().to_str()?.parse().ok()?;
        let counts = std::fs::read_to_string(entry.path().join("schedstat")).ok()?;
        let waited = counts.split(' ').nth(1)?.parse().ok()?;
        Some((thread, waited))
    };
    folder.filter_map(waited).collect()
}
