//! Asks every node all the time, whatever happens to it: who is called down that is well?
//!
//! One thread a node, so that a node that stands still keeps nobody from being asked. Does not
//! know what is done to the nodes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, is_ill};
use crate::node::Door;

/// How often a node is asked.
const EVERY: Duration = Duration::from_millis(300);

/// Targets that have fallen ill in the run.
pub(crate) type Fallen = Arc<Mutex<BTreeSet<usize>>>;

/// The watch over all nodes.
pub(crate) struct Watch {
    alarms: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<u64>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn over(fleet: &Fleet, fallen: &Fallen) -> Self {
        let mut watch = Self {
            alarms: Arc::default(),
            answers: Arc::default(),
            is_over: Arc::default(),
            threads: Vec::new(),
        };
        let zero = Instant::now();
        for node in &fleet.nodes {
            let door = node.door.clone();
            let (alarms, answers) = (Arc::clone(&watch.alarms), Arc::clone(&watch.answers));
            let is_over = Arc::clone(&watch.is_over);
            let fallen = Arc::clone(fallen);
            watch.threads.push(std::thread::spawn(move || {
                while !is_over.load(Relaxed) {
                    std::thread::sleep(EVERY);
                    if !door.is_open.load(Relaxed) {
                        continue;
                    }
                    let Some(found) = false_alarms(&door, &fallen) else {
                        continue;
                    };
                    *answers.lock().expect("nobody panics") += 1;
                    let at = zero.elapsed().as_secs_f64();
                    let said = found.into_iter().map(|name| format!("at {at:.1} s {name}"));
                    alarms.lock().expect("nobody panics").extend(said);
                }
            }));
        }
        watch
    }

    /// Ends it: every false answer, and how many were asked for.
    pub(crate) fn end(mut self) -> (Vec<String>, u64) {
        self.is_over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("it only asks");
        }
        let alarms = std::mem::take(&mut *self.alarms.lock().expect("nobody panics"));
        let answers = *self.answers.lock().expect("nobody panics");
        (alarms, answers)
    }
}

/// Targets of the config file that are well and that a node calls down or, confirmed or not,
/// unknown. Without an answer: nothing.
fn false_alarms(door: &Door, fallen: &Fallen) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for state in ["down", "unknown"] {
        for target in door.targets(&format!("&state={state}"))? {
            let name = target["name"].as_str().expect("a name");
            let number = name.strip_prefix('t').and_then(|n| n.parse().ok());
            // What has never been checked is no alarm.
            let is_new = state == "unknown" && target["transition"] == 0;
            let may_be = |nth| is_ill(nth) || fallen.lock().expect("nobody panics").contains(&nth);
            if number.is_some_and(|nth: usize| !may_be(nth)) && !is_new {
                let (reason, votes) = (&target["reason"], &target["votes"]);
                found.push(format!(
                    "{} calls {name} {state}: {reason} {votes}",
                    door.name
                ));
            }
        }
    }
    Some(found)
}
