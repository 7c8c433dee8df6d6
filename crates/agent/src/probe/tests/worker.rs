//! Workers: every job comes back once, whatever becomes of it.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use base::{Slot, Ticket, Time};
use health::{Check, Finding, Http, Probe, Reason};

use super::servers::{answer, get, nobody, ok, prepared};
use crate::probe::{Finished, Job, Shared, Workers};

/// Runs `jobs` on workers of their own and waits for as many outcomes.
pub(super) struct Crew {
    pub(super) shared: Arc<Shared>,
    pub(super) workers: Workers,
    finished: mpsc::Receiver<Vec<Finished>>,
}

impl Crew {
    pub(super) fn of(count: usize) -> Self {
        let shared = Arc::new(Shared::new());
        let (sender, finished) = mpsc::channel();
        let sink = move |batch| drop(sender.send(batch));
        let workers = Workers::start(count, &shared, Instant::now(), 100, sink).unwrap();
        Self {
            shared,
            workers,
            finished,
        }
    }

    pub(super) fn job(&self, slot: u32, http: Http) -> Job {
        let prepared = prepared(Probe::Http(Box::new(http)), &self.shared).unwrap();
        Job {
            check: Check {
                slot: Slot(slot),
                ticket: Ticket(slot),
                due: Time::ZERO,
            },
            timeout: Duration::from_secs(5),
            prepared: Arc::new(prepared),
        }
    }

    pub(super) fn run(&self, jobs: Vec<Job>) -> Vec<Finished> {
        let expected = jobs.len();
        self.workers.submit(jobs);
        let mut all = Vec::new();
        while all.len() < expected {
            all.extend(self.finished.recv_timeout(Duration::from_secs(20)).unwrap());
        }
        all
    }
}

#[test]
fn every_job_comes_back_once_with_its_own_ticket() {
    let crew = Crew::of(3);
    let (good, bad) = (answer(ok("hi")), nobody());
    let jobs = (0..300).map(|n| crew.job(n, get(if n % 2 == 0 { good } else { bad })));
    let finished = crew.run(jobs.collect());
    let slots: BTreeSet<Slot> = finished.iter().map(|f| f.check.slot).collect();
    assert_eq!(slots.len(), 300);
    for one in finished {
        assert_eq!(one.check.ticket.0, one.check.slot.0);
        assert!(one.local && one.started <= one.finished);
        let expected = if one.check.slot.0 % 2 == 0 {
            Finding::Passed
        } else {
            Finding::Failed(Reason::Refused)
        };
        assert_eq!(one.outcome.finding, expected, "{one:?}");
    }
}

#[test]
fn dropping_the_workers_does_not_wait_for_probes() {
    let crew = Crew::of(2);
    let silent = super::servers::serve(|stream| {
        std::thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    let mut job = crew.job(1, get(silent));
    job.timeout = Duration::from_secs(25);
    crew.workers.submit(vec![job]);
    drop(crew.workers);
    assert!(
        crew.finished.recv().is_err(),
        "no outcome, and nobody left to send one"
    );
}

#[test]
fn a_loop_that_stood_still_says_so_and_gives_the_time_back() {
    // The sink runs on the worker's thread: blocking there is a stall of the loop.
    let shared = Arc::new(Shared::new());
    let (sender, finished) = mpsc::channel();
    let sink = move |batch: Vec<Finished>| {
        if batch.iter().any(|f| f.check.slot == Slot(0)) {
            std::thread::sleep(Duration::from_millis(600));
        }
        let _ = sender.send(batch);
    };
    let workers = Workers::start(1, &shared, Instant::now(), 100, sink).unwrap();
    let crew = Crew {
        shared,
        workers,
        finished,
    };
    let slow = super::servers::serve(|mut stream| {
        super::servers::hear(&mut stream);
        std::thread::sleep(Duration::from_millis(700));
        let _ = std::io::Write::write_all(&mut stream, ok("hi").as_bytes());
    });
    let mut job = crew.job(1, get(slow));
    job.timeout = Duration::from_millis(400);
    let finished = crew.run(vec![crew.job(0, get(answer(ok("hi")))), job]);
    let late = finished.iter().find(|f| f.check.slot == Slot(1)).unwrap();
    assert_eq!(late.outcome.finding, Finding::Passed, "{late:?}");
    assert!(late.late >= Duration::from_millis(400), "{late:?}");
}
