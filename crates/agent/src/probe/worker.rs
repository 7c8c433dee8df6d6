//! Threads that run probes: one per core, one short task per check, outcomes in batches.
//!
//! A long-lived task per target would cost 4 KiB each; a task per check costs nothing measurable.
//! Each thread also watches itself: a heartbeat that comes late shows how long the loop stood
//! still, and a check that timed out meanwhile gets that time back, once.
//! Start reading at [`Workers::start`], then `Worker::check`.
//! Does not know schedules or what an outcome leads to.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, thread};

use base::{Slot, Time};
use health::{Check, Doubt, Finding, Outcome};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout_at};

use super::idle::Idle;
use super::trace::{Fault, Trace};
use super::{Prepared, Run, Shared};

/// A loop that stands still is noticed this soon.
const HEARTBEAT: Duration = Duration::from_millis(20);
/// Later than this a heartbeat counts as a stall.
const TOLERANCE: Duration = Duration::from_millis(5);
/// So many outcomes are passed on at once.
const BATCH: usize = 64;
/// An outcome waits at most this long for others. Three nodes that share what one checked took an
/// eighth more CPU with 4 ms, a twelfth with 12 (`cargo xtask bench probes --checkers
/// roundsman,three`): each wakes its driver for fewer outcomes.
const FLUSH_AFTER: Duration = Duration::from_millis(12);

/// A probe to run now.
#[derive(Clone, Debug)]
pub struct Job {
    /// Comes back with the outcome.
    pub check: Check,
    /// From when a worker takes it up.
    pub timeout: Duration,
    /// What to ask.
    pub prepared: Arc<Prepared>,
}

/// A probe that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// As in the job.
    pub check: Check,
    /// When it began.
    pub started: Time,
    /// When its outcome was known.
    pub finished: Time,
    /// What it found.
    pub outcome: Outcome,
    /// How long the worker's loop stood still meanwhile.
    pub late: Duration,
    /// As in the job.
    pub timeout: Duration,
    /// The address that was asked is this machine's own.
    pub local: bool,
}

enum Order {
    Run(Vec<Job>),
    Forget(Slot),
}

/// The worker threads. Dropping them ends all probes under way, without outcomes.
#[derive(Debug)]
pub struct Workers {
    orders: Vec<UnboundedSender<Order>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads, at least one. `sink` gets outcomes in batches, on a worker's
    /// thread: it must not block. Times count from `clock_start`; at most `idle_max` connections
    /// of all workers together are kept.
    pub fn start(
        count: usize,
        shared: &Arc<Shared>,
        clock_start: Instant,
        idle_max: usize,
        sink: impl Fn(Vec<Finished>) + Send + Clone + 'static,
    ) -> io::Result<Self> {
        let idle_each = idle_max / count.max(1);
        let mut workers = Self {
            orders: Vec::new(),
            threads: Vec::new(),
        };
        for number in 0..count.max(1) {
            let (sender, orders) = unbounded_channel();
            let shared = Arc::clone(shared);
            let sink = sink.clone();
            // Built here so that a failure is the caller's, run there because it is not Send.
            let mut builder = Builder::new_current_thread();
            builder.enable_all();
            let (ready, is_ready) = std::sync::mpsc::channel();
            let body = move || match builder.build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(Worker::new(shared, clock_start, idle_each, sink).run(orders));
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            };
            let thread = thread::Builder::new()
                .name(format!("probe-{number}"))
                .spawn(body)?;
            workers.orders.push(sender);
            workers.threads.push(thread);
            is_ready.recv().map_err(io::Error::other)??;
        }
        Ok(workers)
    }

    /// Runs `jobs`. A slot always runs on the same worker, where its kept connection is.
    ///
    /// The queue has no bound of its own: the caller bounds what is in flight.
    pub fn submit(&self, jobs: Vec<Job>) {
        if let [only] = self.orders.as_slice() {
            self.order(only, Order::Run(jobs));
            return;
        }
        let mut parts: Vec<Vec<Job>> = self.orders.iter().map(|_| Vec::new()).collect();
        for job in jobs {
            parts[self.worker_of(job.check.slot)].push(job);
        }
        for (sender, part) in self.orders.iter().zip(parts) {
            if !part.is_empty() {
                self.order(sender, Order::Run(part));
            }
        }
    }

    /// Closes the connection kept for `slot`.
    pub fn forget(&self, slot: Slot) {
        self.order(&self.orders[self.worker_of(slot)], Order::Forget(slot));
    }

    fn worker_of(&self, slot: Slot) -> usize {
        slot.index() % self.orders.len()
    }

    fn order(&self, sender: &UnboundedSender<Order>, order: Order) {
        assert!(
            sender.send(order).is_ok(),
            "a probe worker has ended before it was dropped"
        );
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.orders.clear();
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// One thread's state, shared by its tasks.
struct Worker<S> {
    shared: Arc<Shared>,
    clock_start: Instant,
    sink: S,
    idle: Idle,
    done: RefCell<Vec<Finished>>,
    in_flight: Cell<usize>,
    pulse: Pulse,
}

impl<S: Fn(Vec<Finished>) + 'static> Worker<S> {
    fn new(shared: Arc<Shared>, clock_start: Instant, idle_max: usize, sink: S) -> Rc<Self> {
        Rc::new(Self {
            shared,
            clock_start,
            sink,
            idle: Idle::new(idle_max),
            done: RefCell::default(),
            in_flight: Cell::new(0),
            pulse: Pulse::new(),
        })
    }

    /// Takes orders until the last sender is gone.
    async fn run(self: Rc<Self>, mut orders: UnboundedReceiver<Order>) {
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Run(jobs)) => {
                        if self.in_flight.get() == 0 {
                            beat.reset();
                            self.pulse.restart();
                        }
                        self.begin(jobs);
                    }
                    Some(Order::Forget(slot)) => self.idle.forget(slot),
                    None => return,
                },
                _ = beat.tick(), if self.in_flight.get() > 0 => self.pulse.beat(),
            }
        }
    }

    fn begin(self: &Rc<Self>, jobs: Vec<Job>) {
        self.in_flight.set(self.in_flight.get() + jobs.len());
        for job in jobs {
            tokio::task::spawn_local(Rc::clone(self).check(job));
        }
    }

    async fn check(self: Rc<Self>, job: Job) {
        let mut pending = Pending {
            worker: &self,
            job: &job,
            trace: Trace::start(),
            started: Instant::now(),
            stalled_before: self.pulse.stalled(),
            is_finished: false,
        };
        let run = Run {
            prepared: &job.prepared,
            shared: &self.shared,
            trace: &pending.trace,
            idle: Some((&self.idle, job.check.slot, &job.prepared)),
        };
        let found = self.within(&pending, job.timeout, run.finish()).await;
        let outcome = pending.trace.outcome(found);
        pending.finish(outcome);
    }

    /// Waits for `probe` until its time is over. What the loop itself lost is given back once.
    async fn within(
        &self,
        pending: &Pending<'_, S>,
        timeout: Duration,
        probe: impl Future<Output = Result<(), Fault>>,
    ) -> Result<(), Fault> {
        let mut probe = pin!(probe);
        let mut deadline = pending.started + timeout;
        let mut is_extended = false;
        loop {
            if let Ok(found) = timeout_at(deadline.into(), &mut probe).await {
                return found;
            }
            let late = pending.late();
            if is_extended || late < TOLERANCE {
                return Err(pending.trace.timed_out(timeout));
            }
            is_extended = true;
            deadline = Instant::now() + late.min(timeout);
        }
    }

    /// Collects an outcome; passes all on when there are many, or shortly after the first.
    ///
    /// Every batch wakes the driver: passing on whenever the worker is idle made three times as
    /// many batches at 5,000 checks per second and saved nobody anything.
    fn collect(self: &Rc<Self>, finished: Finished) {
        self.in_flight.set(self.in_flight.get() - 1);
        let count = {
            let mut done = self.done.borrow_mut();
            if done.capacity() == 0 {
                done.reserve_exact(BATCH);
            }
            done.push(finished);
            done.len()
        };
        if count >= BATCH {
            self.flush();
        } else if count == 1 {
            let worker = Rc::clone(self);
            tokio::task::spawn_local(async move {
                sleep(FLUSH_AFTER).await;
                worker.flush();
            });
        }
    }

    fn flush(&self) {
        let done = self.done.take();
        if !done.is_empty() {
            (self.sink)(done);
        }
    }

    fn at(&self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.clock_start)
    }
}

/// A check under way. If its task panics the outcome says so: nobody waits for ever.
struct Pending<'a, S: Fn(Vec<Finished>) + 'static> {
    worker: &'a Rc<Worker<S>>,
    job: &'a Job,
    trace: Trace,
    started: Instant,
    stalled_before: Duration,
    is_finished: bool,
}

impl<S: Fn(Vec<Finished>) + 'static> Pending<'_, S> {
    fn late(&self) -> Duration {
        self.worker
            .pulse
            .stalled()
            .saturating_sub(self.stalled_before)
    }

    fn finish(&mut self, outcome: Outcome) {
        self.is_finished = true;
        self.worker.collect(Finished {
            check: self.job.check,
            started: self.worker.at(self.started),
            finished: self.worker.at(Instant::now()),
            outcome,
            late: self.late(),
            timeout: self.job.timeout,
            local: self.trace.is_local(),
        });
    }
}

impl<S: Fn(Vec<Finished>) + 'static> Drop for Pending<'_, S> {
    fn drop(&mut self) {
        if !self.is_finished && thread::panicking() {
            let mut outcome = Outcome::new(Finding::Inconclusive(Doubt::Unable));
            outcome.detail = Some("the probe panicked; please report this".into());
            self.finish(outcome);
        }
    }
}

/// How long the loop has stood still in all, seen from when its heartbeat comes.
struct Pulse {
    last: Cell<Instant>,
    stalled: Cell<Duration>,
}

impl Pulse {
    fn new() -> Self {
        Self {
            last: Cell::new(Instant::now()),
            stalled: Cell::default(),
        }
    }

    /// The heartbeat begins again after a time without checks.
    fn restart(&self) {
        self.last.set(Instant::now());
    }

    fn beat(&self) {
        let now = Instant::now();
        self.stalled
            .set(self.stalled.get() + gap(self.last.replace(now), now));
    }

    /// All stalls so far, with one that no heartbeat has noticed yet.
    fn stalled(&self) -> Duration {
        self.stalled.get() + gap(self.last.get(), Instant::now())
    }
}

/// How much later than due a heartbeat at `now` is.
fn gap(last: Instant, now: Instant) -> Duration {
    let over = now.duration_since(last).saturating_sub(HEARTBEAT);
    if over >= TOLERANCE {
        over
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_slightly_late_is_no_stall_and_a_long_gap_is() {
        let start = Instant::now();
        let after = |ms| gap(start, start + Duration::from_millis(ms));
        assert_eq!(after(20), Duration::ZERO);
        assert_eq!(after(24), Duration::ZERO);
        assert_eq!(after(25), Duration::from_millis(5));
        assert_eq!(after(30_020), Duration::from_secs(30));
    }
}
