//! How late this machine itself is: a thread that only sleeps, and writes down when it overslept.
//!
//! What a promise of the product is exceeded by, because nothing at all ran, is not the product's.
//! Only what was measured is allowed for, and it is printed. Does not know the product.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long it sleeps.
const NAP: Duration = Duration::from_millis(5);
/// Less is not worth a line.
const LATE: Duration = Duration::from_millis(10);

/// The watch; it ends when this is dropped.
pub(crate) struct Machine {
    lates: Arc<Mutex<Vec<(Instant, Duration)>>>,
    is_over: Arc<AtomicBool>,
}

impl Machine {
    pub(crate) fn watch() -> Self {
        let lates = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (log, over) = (Arc::clone(&lates), Arc::clone(&is_over));
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
        Self { lates, is_over }
    }

    /// For how long nothing ran in this span, all of it added up.
    pub(crate) fn stood_still(&self, from: Instant, until: Instant) -> Duration {
        let lates = self.lates.lock().expect("nobody panics");
        let within = |(at, late): &&(Instant, Duration)| *at + *late >= from && *at <= until;
        lates.iter().filter(within).map(|(_, late)| *late).sum()
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
