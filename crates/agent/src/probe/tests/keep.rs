//! Kept connections: used again, and replaced without a failure when the server ends them.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use health::{Finding, Http, Phase};

use super::servers::{get, hear, ok, serve};
use super::worker::Crew;
use crate::probe::Finished;

/// A server that answers `most` requests per connection and counts connections.
fn patient(most: usize, extra: &'static str) -> (Http, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let address = serve(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        for _ in 0..most {
            if hear(&mut stream).is_empty() {
                return;
            }
            let _ = stream.write_all(ok("hi").as_bytes());
            let _ = stream.write_all(extra.as_bytes());
        }
        // Takes one more request and closes without a word, as a server does that is just going.
        hear(&mut stream);
    });
    let mut http = get(address);
    http.keep_alive = true;
    (http, connections)
}

fn rounds(crew: &Crew, http: &Http, count: usize) -> Vec<Finished> {
    let job = crew.job(1, http.clone());
    (0..count)
        .flat_map(|_| crew.run(vec![job.clone()]))
        .collect()
}

#[test]
fn a_kept_connection_serves_check_after_check() {
    let crew = Crew::of(2);
    let (http, connections) = patient(100, "");
    let finished = rounds(&crew, &http, 10);
    assert!(
        finished
            .iter()
            .all(|f| f.outcome.finding == Finding::Passed),
        "{finished:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(
        finished[9].outcome.phases.get(Phase::Connect),
        std::time::Duration::ZERO
    );
}

#[test]
fn a_kept_connection_that_the_server_ends_is_replaced_without_a_failure() {
    let crew = Crew::of(1);
    let (http, connections) = patient(3, "");
    let finished = rounds(&crew, &http, 10);
    assert!(
        finished
            .iter()
            .all(|f| f.outcome.finding == Finding::Passed),
        "{finished:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 4);
}

#[test]
fn a_connection_that_says_too_much_is_not_used_again() {
    let crew = Crew::of(1);
    let (http, connections) = patient(100, "and another thing");
    let finished = rounds(&crew, &http, 3);
    assert!(
        finished
            .iter()
            .all(|f| f.outcome.finding == Finding::Passed),
        "{finished:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[test]
fn a_changed_target_and_a_forgotten_slot_begin_anew() {
    let crew = Crew::of(1);
    let (http, connections) = patient(100, "");
    rounds(&crew, &http, 2);
    rounds(&crew, &http, 2);
    assert_eq!(connections.load(Ordering::SeqCst), 2, "prepared anew");
    let job = crew.job(1, http);
    crew.run(vec![job.clone()]);
    crew.workers.forget(base::Slot(1));
    crew.run(vec![job]);
    assert_eq!(connections.load(Ordering::SeqCst), 4);
}
