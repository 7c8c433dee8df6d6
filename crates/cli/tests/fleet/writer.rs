//! Makes and deletes targets through any node's API during the faults, and remembers what was
//! acknowledged.
//!
//! Each name is made once and deleted at most once, so that there is one right answer for it, or,
//! where an answer never came, two. Does not know what is done to the nodes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Rng;

use crate::fleet::Fleet;
use crate::node::Door;

/// How often something is written.
const EVERY: Duration = Duration::from_millis(250);

/// What became of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its making was not answered, or refused in doubt.
    Asked,
    /// Its making was acknowledged.
    Made,
    /// Its deletion was not answered.
    Doubtful,
    /// Its deletion was acknowledged.
    Deleted,
}

/// Who writes.
pub(crate) struct Writer {
    fates: Arc<Mutex<BTreeMap<String, Fate>>>,
    is_over: Arc<AtomicBool>,
    rests: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What was written, once all is calm.
pub(crate) struct Written {
    fates: BTreeMap<String, Fate>,
}

impl Writer {
    pub(crate) fn over(fleet: &Fleet, seed: u64) -> Self {
        let fates = Arc::new(Mutex::new(BTreeMap::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let rests = Arc::new(AtomicBool::new(false));
        let doors: Vec<Door> = fleet.nodes.iter().map(|node| node.door.clone()).collect();
        let count = fleet.targets.count();
        let urls: Vec<String> = (count / 2..count).map(|n| fleet.targets.url(n)).collect();
        let (log, over) = (Arc::clone(&fates), Arc::clone(&is_over));
        let pause = Arc::clone(&rests);
        let thread = std::thread::spawn(move || {
            let mut rng = Rng::new(seed);
            for nth in 0.. {
                std::thread::sleep(EVERY);
                if over.load(Relaxed) {
                    return;
                }
                let open: Vec<&Door> = doors.iter().filter(|d| d.is_open.load(Relaxed)).collect();
                if open.is_empty() || pause.load(Relaxed) {
                    continue;
                }
                let door = open[below(&mut rng, open.len())];
                write(&mut rng, door, nth, &urls, || {
                    log.lock().expect("nobody panics with it")
                });
            }
        });
        Self {
            fates,
            is_over,
            rests,
            thread,
        }
    }

    /// Writes nothing for now, or goes on.
    pub(crate) fn rest(&self, rests: bool) {
        self.rests.store(rests, Relaxed);
    }

    /// Ends it.
    pub(crate) fn end(self) -> Written {
        self.is_over.store(true, Relaxed);
        self.thread.join().expect("it only writes");
        let fates = self.fates.lock().expect("nobody panics with it").clone();
        Written { fates }
    }
}

fn below(rng: &mut Rng, n: usize) -> usize {
    usize::try_from(rng.below(n as u64)).expect("an index")
}

fn write<'a>(
    rng: &mut Rng,
    door: &Door,
    nth: usize,
    urls: &[String],
    log: impl Fn() -> MutexGuard<'a, BTreeMap<String, Fate>>,
) {
    let made: Vec<String> = log()
        .iter()
        .filter(|(_, fate)| **fate == Fate::Made)
        .map(|(name, _)| name.clone())
        .collect();
    if !made.is_empty() && rng.chance(40) {
        let name = &made[below(rng, made.len())];
        log().insert(name.clone(), Fate::Doubtful);
        match door.delete(name) {
            Some(204) => log().insert(name.clone(), Fate::Deleted),
            // It has not heard of it yet: nothing was done.
            Some(404) => log().insert(name.clone(), Fate::Made),
            _ => None,
        };
        return;
    }
    let name = format!("made-{nth}");
    let url = &urls[nth % urls.len()];
    log().insert(name.clone(), Fate::Asked);
    let body =
        format!("{{\"http\":\"{url}\",\"interval\":\"1s\",\"labels\":{{\"nth\":\"{nth}\"}}}}");
    if let Some((201, _)) = door.put(&name, &body) {
        log().insert(name, Fate::Made);
    }
}

impl Written {
    /// How much was acknowledged: made, deleted.
    pub(crate) fn acknowledged(&self) -> (usize, usize) {
        let count = |of: &[Fate]| self.fates.values().filter(|f| of.contains(f)).count();
        let made = count(&[Fate::Made, Fate::Doubtful, Fate::Deleted]);
        (made, count(&[Fate::Deleted]))
    }

    /// Whatever a node answers against it: made and not there, deleted and there.
    pub(crate) fn against(&self, door: &Door) -> Vec<String> {
        let list = door.targets("").expect("it is calm, so it answers");
        let labels: BTreeMap<&str, &str> = list
            .iter()
            .filter_map(|t| {
                Some((
                    t["name"].as_str()?,
                    t["labels"]["nth"].as_str().unwrap_or(""),
                ))
            })
            .collect();
        let mut wrong = Vec::new();
        for (name, fate) in &self.fates {
            let label = labels.get(name.as_str());
            let is_whole = label.is_some_and(|nth| *name == format!("made-{nth}"));
            let is_right = match fate {
                Fate::Asked | Fate::Doubtful => label.is_none() || is_whole,
                Fate::Made => is_whole,
                Fate::Deleted => label.is_none(),
            };
            if !is_right {
                wrong.push(format!("{}: {name}, {fate:?}, is {label:?}", door.name));
            }
        }
        wrong
    }
}
