//! Nodes that err on purpose are caught by the rule they break, and by no other.
//!
//! The node here is not ours: the simplest that can work, written for these tests. Every 300 ms it
//! sends all it has to everybody. So the harness is proven without the cores.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, Time};
use maelstrom::world::{Participant, run};
use maelstrom::{Check, Input, Lab, Latency, Message, Plan, Shape, Workload, check};
use serde_json::{Value, json};

const EVERY: Duration = Duration::from_millis(300);

/// What a node does wrong. All but the first are done by node 0 or 1 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Echoes in capitals.
    Shouts,
    /// Gives out ids that count from one, as every node does.
    CountsIds,
    /// Acknowledges an element and drops it.
    Drops,
    /// Drops one element after ten seconds, everywhere it can.
    Forgets,
    /// Shows an element that nobody inserted.
    Invents,
    /// Shows an element twice.
    Repeats,
    /// Never tells the others.
    Keeps,
    /// Reads one too many.
    OffByOne,
    /// Counts an add twice.
    CountsTwice,
    /// Does not answer every tenth request.
    Silent,
    /// Says it can't, and does it all the same.
    Lies,
    /// Sends in the name of another.
    Impersonates,
    /// Answers twice.
    Stutters,
    /// Writes to somebody who does not exist.
    Strays,
}

#[derive(Debug)]
struct Flooder {
    workload: Workload,
    flaw: Flaw,
    me: String,
    others: Vec<String>,
    elements: BTreeSet<u64>,
    /// By node: what was added there.
    sums: BTreeMap<String, i64>,
    requests: u64,
    next: Option<Time>,
    out: Vec<Message>,
}

impl Flooder {
    fn new(workload: Workload, flaw: Flaw) -> Self {
        Self {
            workload,
            flaw,
            me: String::new(),
            others: Vec::new(),
            elements: BTreeSet::new(),
            sums: BTreeMap::new(),
            requests: 0,
            next: None,
            out: Vec::new(),
        }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw && (self.me == "n0" || flaw == Flaw::CountsIds)
    }

    fn flood(&mut self, now: Time) {
        self.next = Some(now + EVERY);
        if self.is(Flaw::Keeps) {
            return;
        }
        let body = json!({"type": "flood", "elements": self.elements, "sums": self.sums});
        for other in &self.others {
            self.out.push(Message::new(&self.me, other, body.clone()));
        }
        if self.is(Flaw::Impersonates) {
            self.out.push(Message::new("n1", "n2", body.clone()));
        }
        if self.is(Flaw::Strays) {
            self.out.push(Message::new("n0", "n99", body));
        }
    }

    fn said(&mut self, now: Time, message: &Message) {
        let body = &message.body;
        if message.kind() == "flood" {
            let elements = body["elements"].as_array().expect("of our own make");
            self.elements
                .extend(elements.iter().filter_map(Value::as_u64));
            for (node, sum) in body["sums"].as_object().expect("of our own make") {
                // With a constant delay nothing overtakes, so what came last is newest.
                if *node == message.src {
                    let sum = sum.as_i64().expect("of our own make");
                    self.sums.insert(node.clone(), sum);
                }
            }
            return;
        }
        self.requests += 1;
        if self.is(Flaw::Silent) && self.requests > 10 && self.requests.is_multiple_of(10) {
            return;
        }
        let answer = match message.kind() {
            "init" => self.init(now, message),
            "topology" => json!({"type": "topology_ok"}),
            "echo" if self.is(Flaw::Shouts) => {
                let loud = body["echo"].as_str().expect("a text").to_uppercase();
                json!({"type": "echo_ok", "echo": loud})
            }
            "echo" => json!({"type": "echo_ok", "echo": body["echo"]}),
            "generate" if self.is(Flaw::CountsIds) => {
                json!({"type": "generate_ok", "id": self.requests})
            }
            "generate" => {
                json!({"type": "generate_ok", "id": format!("{}-{}", self.me, self.requests)})
            }
            "broadcast" => self.insert(&body["message"], "broadcast_ok"),
            "add" if self.workload.is_counter() => self.count(&body["delta"]),
            "add" => self.insert(&body["element"], "add_ok"),
            "read" => self.read(now),
            other => panic!("the lab asked for {other}"),
        };
        let Value::Object(answer) = answer else {
            unreachable!("each is an object")
        };
        if self.is(Flaw::Stutters) && self.requests > 20 {
            self.out.push(message.answer(answer.clone()));
        }
        self.out.push(message.answer(answer));
    }

    fn init(&mut self, now: Time, message: &Message) -> Value {
        self.me = message.text("node_id").expect("a name").to_owned();
        let names = message.body["node_ids"].as_array().expect("names");
        let names = names.iter().filter_map(Value::as_str).map(str::to_owned);
        self.others = names.filter(|name| *name != self.me).collect();
        self.next = Some(now + EVERY);
        json!({"type": "init_ok"})
    }

    fn insert(&mut self, element: &Value, done: &str) -> Value {
        let element = element.as_u64().expect("the lab inserts numbers");
        if self.is(Flaw::Drops) {
            return json!({"type": done});
        }
        self.elements.insert(element);
        if self.is(Flaw::Lies) {
            return json!({"type": "error", "code": 11, "text": "not now"});
        }
        json!({"type": done})
    }

    fn count(&mut self, delta: &Value) -> Value {
        let delta = delta.as_i64().expect("the lab adds numbers");
        let times = if self.is(Flaw::CountsTwice) { 2 } else { 1 };
        *self.sums.entry(self.me.clone()).or_default() += times * delta;
        json!({"type": "add_ok"})
    }

    fn read(&mut self, now: Time) -> Value {
        if self.workload.is_counter() {
            let sum: i64 = self.sums.values().sum();
            let sum = sum + i64::from(self.is(Flaw::OffByOne));
            return json!({"type": "read_ok", "value": sum});
        }
        let mut shown: Vec<u64> = self.elements.iter().copied().collect();
        if self.is(Flaw::Forgets) && now > Time(10_000_000) {
            shown.remove(0);
        }
        if self.is(Flaw::Invents) {
            shown.push(999_999);
        }
        if self.is(Flaw::Repeats) {
            shown.extend(shown.first().copied());
        }
        if self.workload == Workload::Broadcast {
            return json!({"type": "read_ok", "messages": shown});
        }
        json!({"type": "read_ok", "value": shown})
    }
}

impl Participant for Flooder {
    fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Tick if self.next.is_some_and(|at| at <= now) => self.flood(now),
            Input::Tick => {}
            Input::Said(message) => self.said(now, &message),
        }
    }

    fn poll(&mut self) -> Option<Message> {
        (!self.out.is_empty()).then(|| self.out.remove(0))
    }

    fn deadline(&self) -> Option<Time> {
        self.next
    }
}

fn checks(workload: Workload, flaw: Flaw, seed: u64) -> Vec<Check> {
    let plan = Plan {
        rate: 50.0,
        latency: Latency {
            mean: Duration::from_millis(100),
            shape: Shape::Constant,
        },
        partition_every: Some(Duration::from_secs(3)),
        availability: if flaw == Flaw::Lies { 0.0 } else { 1.0 },
        seed,
        ..Plan::new(workload)
    };
    let lab = Lab::new(plan.clone()).expect("a good plan");
    let nodes = (0..plan.nodes).map(|_| Flooder::new(workload, flaw));
    check(&plan, &run(lab, nodes.collect()))
}

/// The names of the rules that this flaw breaks.
fn broken(workload: Workload, flaw: Flaw, seed: u64) -> Vec<&'static str> {
    let checks = checks(workload, flaw, seed);
    checks
        .iter()
        .filter(|c| !c.passed)
        .map(|c| c.name)
        .collect()
}

#[test]
fn a_simple_honest_node_passes_every_lab_under_latency_and_cuts() {
    for seed in 0..5 {
        for workload in Workload::ALL {
            let broken = broken(workload, Flaw::None, seed);
            assert!(broken.is_empty(), "seed {seed}, {workload}: {broken:?}");
        }
    }
}

#[test]
fn each_flaw_breaks_its_own_rule_and_no_other() {
    let flaws = [
        (Workload::Echo, Flaw::Shouts, "echo"),
        (Workload::UniqueIds, Flaw::CountsIds, "unique-ids"),
        (Workload::Broadcast, Flaw::Drops, "nothing lost"),
        (Workload::GSet, Flaw::Drops, "nothing lost"),
        (Workload::GSet, Flaw::Forgets, "nothing lost"),
        (Workload::Broadcast, Flaw::Keeps, "nothing lost"),
        (Workload::Broadcast, Flaw::Invents, "nothing invented"),
        (Workload::GSet, Flaw::Invents, "nothing invented"),
        (Workload::GSet, Flaw::Lies, "nothing invented"),
        (Workload::Broadcast, Flaw::Repeats, "nothing twice"),
        (Workload::GCounter, Flaw::OffByOne, "counter"),
        (Workload::PnCounter, Flaw::OffByOne, "counter"),
        (Workload::PnCounter, Flaw::CountsTwice, "counter"),
        (Workload::GCounter, Flaw::Keeps, "counter"),
        (Workload::Echo, Flaw::Silent, "availability"),
        (Workload::UniqueIds, Flaw::Silent, "availability"),
        (Workload::Broadcast, Flaw::Impersonates, "protocol"),
        (Workload::Broadcast, Flaw::Strays, "protocol"),
        (Workload::Broadcast, Flaw::Stutters, "protocol"),
    ];
    for seed in 0..3 {
        for (workload, flaw, rule) in flaws {
            let broken = broken(workload, flaw, seed);
            assert_eq!(broken, [rule], "seed {seed}, {workload}, {flaw:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let plan = Plan {
            partition_every: Some(Duration::from_secs(2)),
            seed,
            ..Plan::new(Workload::GSet)
        };
        let lab = Lab::new(plan).expect("a good plan");
        let nodes = (0..5).map(|_| Flooder::new(Workload::GSet, Flaw::None));
        run(lab, nodes.collect())
    };
    assert_eq!(history(1).operations, history(1).operations);
    assert_ne!(history(1).operations, history(2).operations);
}
