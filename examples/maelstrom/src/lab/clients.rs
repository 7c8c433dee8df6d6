//! The clients: one for each node, one operation at a time, at a common rate; and the observer.

use std::collections::BTreeMap;

use base::{Duration, Rng, Time};
use serde_json::{Value, json};

use crate::lab::history::{History, Operation, Outcome, Request};
use crate::lab::nemesis::index;
use crate::lab::plan::{Plan, Workload, unit};
use crate::message::{Code, Message};

/// Who asks.
#[derive(Debug)]
pub(crate) struct Clients {
    workload: Workload,
    spacing: Duration,
    timeout: Duration,
    watch_every: Option<Duration>,
    /// By node.
    workers: Vec<Worker>,
    watchers: Vec<Watcher>,
    next_operation: Option<Time>,
    next_element: u64,
    last_client: u64,
    last_id: u64,
}

/// The client of one node.
#[derive(Debug)]
struct Worker {
    name: String,
    waits: Option<Waits>,
}

#[derive(Debug)]
struct Waits {
    operation: usize,
    id: u64,
    until: Time,
}

/// The observer of one node.
#[derive(Debug, Default)]
struct Watcher {
    next: Time,
    /// Which read is out, since when.
    out: Option<(u64, Time)>,
}

impl Clients {
    pub(crate) fn new(plan: &Plan) -> Self {
        let workers = (1..=plan.nodes).map(|i| Worker {
            name: format!("c{i}"),
            waits: None,
        });
        Self {
            workload: plan.workload,
            spacing: Duration::from_secs_f64(1.0 / plan.rate),
            timeout: plan.timeout,
            watch_every: plan.watch_every.filter(|_| plan.workload.is_set()),
            workers: workers.collect(),
            watchers: (0..plan.nodes).map(|_| Watcher::default()).collect(),
            next_operation: None,
            next_element: 0,
            last_client: plan.nodes as u64,
            last_id: 2,
        }
    }

    /// The first operation comes now.
    pub(crate) fn start(&mut self, now: Time, rng: &mut Rng) {
        self.next_operation = Some(now + self.spacing.mul_f64(unit(rng)));
        if let Some(every) = self.watch_every {
            let all = u32::try_from(self.watchers.len()).expect("at most a thousand nodes");
            for (i, watcher) in (0..all).zip(&mut self.watchers) {
                watcher.next = now + every * i / all;
            }
        }
    }

    /// When somebody wants something; `working` if operations are started, `watching` if the observer reads.
    pub(crate) fn next(&self, working: bool, watching: bool) -> Option<Time> {
        let free = working && self.workers.iter().any(|w| w.waits.is_none());
        let operation = self.next_operation.filter(|_| free);
        let patience = self
            .workers
            .iter()
            .filter_map(|w| Some(w.waits.as_ref()?.until));
        let watch = self
            .watchers
            .iter()
            .filter(|w| w.out.is_none())
            .map(|w| w.next);
        let watch = watch.filter(|_| watching && self.watch_every.is_some());
        patience.chain(operation).chain(watch).min()
    }

    /// The next operation that is due, if a client is free for it.
    pub(crate) fn ask(
        &mut self,
        now: Time,
        rng: &mut Rng,
        history: &mut History,
    ) -> Option<Message> {
        let due = self.next_operation.filter(|at| *at <= now)?;
        let free: Vec<usize> = (0..self.workers.len())
            .filter(|i| self.workers[*i].waits.is_none())
            .collect();
        let node = *free.get(index(rng, free.len()))?;
        // As Maelstrom does: evenly from nothing to twice the spacing. A second behind is given up.
        let gap = self.spacing.mul_f64(2.0 * unit(rng));
        self.next_operation = Some((due + gap).max(now - Duration::from_secs(1)));
        let request = self.draw(rng);
        Some(self.invoke(now, node, request, false, history))
    }

    fn draw(&mut self, rng: &mut Rng) -> Request {
        let reads = rng.chance(50);
        match self.workload {
            Workload::Echo => {
                let word = rng.below(128);
                Request::Echo(json!(format!("please say {word}")))
            }
            Workload::UniqueIds => Request::Generate,
            Workload::Broadcast | Workload::GSet | Workload::GCounter | Workload::PnCounter
                if reads =>
            {
                Request::Read
            }
            Workload::Broadcast | Workload::GSet => {
                self.next_element += 1;
                Request::Insert(self.next_element - 1)
            }
            Workload::GCounter => Request::Count(small(rng, 5)),
            Workload::PnCounter => Request::Count(small(rng, 10) - 5),
        }
    }

    /// The last question to a node.
    pub(crate) fn final_read(&mut self, now: Time, node: usize, history: &mut History) -> Message {
        self.invoke(now, node, Request::Read, true, history)
    }

    fn invoke(
        &mut self,
        now: Time,
        node: usize,
        request: Request,
        is_final: bool,
        history: &mut History,
    ) -> Message {
        self.last_id += 1;
        let id = self.last_id;
        let body = match &request {
            Request::Echo(value) => json!({"type": "echo", "echo": value}),
            Request::Generate => json!({"type": "generate"}),
            Request::Insert(element) if self.workload == Workload::Broadcast => {
                json!({"type": "broadcast", "message": element})
            }
            Request::Insert(element) => json!({"type": "add", "element": element}),
            Request::Count(delta) => json!({"type": "add", "delta": delta}),
            Request::Read => json!({"type": "read"}),
        };
        let worker = &mut self.workers[node];
        let mut message = Message::new(&worker.name, &format!("n{node}"), body);
        message.body.insert("msg_id".to_owned(), json!(id));
        worker.waits = Some(Waits {
            operation: history.operations.len(),
            id,
            until: now + self.timeout,
        });
        history.operations.push(Operation {
            node,
            request,
            is_final,
            invoked: now,
            completed: now,
            outcome: Outcome::Open("no answer".to_owned()),
        });
        message
    }

    /// A node told a client, or the observer, something.
    pub(crate) fn told(
        &mut self,
        now: Time,
        node: usize,
        message: &Message,
        history: &mut History,
    ) {
        let id = message.body.get("in_reply_to").and_then(Value::as_u64);
        if message.dest.starts_with('w') {
            return self.seen(node, id, message, history);
        }
        let worker = &mut self.workers[node];
        if worker.name != message.dest {
            return; // Too late: that client has given up.
        }
        let Some(waits) = worker.waits.take_if(|waits| Some(waits.id) == id) else {
            let text = format!("n{node} answered what {} had not asked", message.dest);
            return history.misdeed(text);
        };
        let operation = &mut history.operations[waits.operation];
        operation.completed = now;
        operation.outcome = outcome(&operation.request, self.workload, message);
        if let (Request::Insert(element), Some(_)) = (&operation.request, operation.answer()) {
            history.watched.acknowledged(*element, now);
        }
    }

    /// Whoever waited too long asks no more under this name.
    pub(crate) fn lose_patience(&mut self, now: Time, history: &mut History) {
        for worker in &mut self.workers {
            if let Some(waits) = worker.waits.take_if(|waits| waits.until <= now) {
                history.operations[waits.operation].completed = now;
                self.last_client += 1;
                worker.name = format!("c{}", self.last_client);
            }
        }
    }

    /// Nobody waits any longer.
    pub(crate) fn give_up(&mut self, now: Time, history: &mut History) {
        for worker in &mut self.workers {
            if let Some(waits) = &mut worker.waits {
                waits.until = now;
            }
        }
        self.lose_patience(now, history);
    }

    pub(crate) fn are_idle(&self) -> bool {
        self.workers.iter().all(|w| w.waits.is_none())
    }

    /// The next read of the observer that is due.
    pub(crate) fn watch(&mut self, now: Time, watching: bool) -> Option<Message> {
        let every = self.watch_every.filter(|_| watching)?;
        let due = |w: &Watcher| w.out.is_none() && w.next <= now;
        let node = self.watchers.iter().position(due)?;
        self.last_id += 1;
        let watcher = &mut self.watchers[node];
        watcher.out = Some((self.last_id, now));
        watcher.next = now + every;
        let body = json!({"type": "read", "msg_id": self.last_id});
        Some(Message::new(&format!("w{node}"), &format!("n{node}"), body))
    }

    fn seen(&mut self, node: usize, id: Option<u64>, message: &Message, history: &mut History) {
        let watcher = &mut self.watchers[node];
        let Some((_, invoked)) = watcher.out.take_if(|(out, _)| Some(*out) == id) else {
            return;
        };
        if let Some(value) = message.body.get(read_field(self.workload)) {
            history.watched.read(invoked, value);
        }
    }
}

fn small(rng: &mut Rng, below: u64) -> i64 {
    i64::try_from(rng.below(below)).expect("a small number")
}

const fn read_field(workload: Workload) -> &'static str {
    if matches!(workload, Workload::Broadcast) {
        "messages"
    } else {
        "value"
    }
}

fn outcome(request: &Request, workload: Workload, message: &Message) -> Outcome {
    if message.kind() == "error" {
        let code = message.body.get("code").and_then(Value::as_i64);
        let code = Code(code.unwrap_or(Code::CRASH.0));
        let text = message.text("text").unwrap_or_default().to_owned();
        return if code.is_definite() {
            Outcome::Refused(code, text)
        } else {
            Outcome::Open(format!("error {}: {text}", code.0))
        };
    }
    let (kind, field) = match request {
        Request::Echo(_) => ("echo_ok", Some("echo")),
        Request::Generate => ("generate_ok", Some("id")),
        Request::Insert(_) if workload == Workload::Broadcast => ("broadcast_ok", None),
        Request::Insert(_) | Request::Count(_) => ("add_ok", None),
        Request::Read => ("read_ok", Some(read_field(workload))),
    };
    if message.kind() != kind {
        return Outcome::Open(format!("answered {:?}, not {kind:?}", message.kind()));
    }
    match field.map(|name| message.body.get(name)) {
        None => Outcome::Done(Value::Null),
        Some(Some(value)) => Outcome::Done(value.clone()),
        Some(None) => Outcome::Open(format!("{kind} without its value")),
    }
}

/// Neighbours in a square of about equal sides, which is what Maelstrom offers by default.
pub(crate) fn grid(names: &[String]) -> BTreeMap<String, Vec<String>> {
    let side = (1..=names.len())
        .find(|s| s * s >= names.len())
        .unwrap_or(1);
    let near = |i: usize| {
        let (row, column) = (i / side, i % side);
        let up = (row > 0).then(|| i.wrapping_sub(side));
        let left = (column > 0).then(|| i.wrapping_sub(1));
        let right = (column + 1 < side).then_some(i + 1);
        [up, left, right, Some(i + side)]
    };
    let neighbours = |i| {
        let all = near(i).into_iter().flatten();
        all.filter_map(|j| names.get(j).cloned()).collect()
    };
    (0..names.len())
        .map(|i| (names[i].clone(), neighbours(i)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_of_25_has_corners_of_two_and_middles_of_four() {
        let names: Vec<String> = (0..25).map(|i| format!("n{i}")).collect();
        let grid = grid(&names);
        assert_eq!(grid["n0"], ["n1", "n5"]);
        assert_eq!(grid["n12"], ["n7", "n11", "n13", "n17"]);
        assert_eq!(grid["n24"], ["n19", "n23"]);
        for (name, near) in &grid {
            assert!(near.iter().all(|other| grid[other].contains(name)));
        }
    }

    #[test]
    fn an_error_that_says_it_did_not_happen_is_no_open_question() {
        let error = |code| {
            Message::new(
                "n0",
                "c1",
                json!({"type": "error", "code": code, "text": "no"}),
            )
        };
        let of = |code| outcome(&Request::Count(1), Workload::PnCounter, &error(code));
        assert_eq!(of(11), Outcome::Refused(Code(11), "no".to_owned()));
        assert_eq!(of(13), Outcome::Open("error 13: no".to_owned()));
    }

    #[test]
    fn an_answer_of_the_wrong_type_or_without_its_value_is_no_success() {
        for body in [json!({"type": "add_ok"}), json!({"type": "read_ok"})] {
            let answer = Message::new("n0", "c1", body);
            let got = outcome(&Request::Read, Workload::GSet, &answer);
            assert!(matches!(got, Outcome::Open(_)), "{got:?}");
        }
    }
}
