//! One node of a lab: Maelstrom's requests in, answers and gossip out.
//!
//! Pure: told the time and the messages, as the cores are. Drive it with [`Node::handle`], then
//! [`Node::poll`] until `None`, and come back at [`Node::deadline`]. Knows the protocol; how sets and
//! counters reach the other nodes is [`crate::replica`]'s, which gives it to the `store` core.

use std::collections::VecDeque;

use base::{Origin, Rng, Time, Version, hash64};
use serde_json::{Value, json};

use crate::Workload;
use crate::message::{Body, Code, Message};
use crate::replica::Replica;
use crate::tuning::Tuning;

/// What a node is told before it starts; the rest comes with `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What `add` and `read` mean. The other requests are answered in every lab.
    pub workload: Workload,
    /// How the store spreads news.
    pub tuning: Tuning,
    /// All randomness comes from here; must differ between boots, for ids are drawn from it.
    pub seed: u64,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The deadline has come.
    Tick,
    /// A message came.
    Said(Message),
}

/// One node.
#[derive(Debug)]
pub struct Node {
    setup: Setup,
    named: Option<Named>,
    out: VecDeque<Message>,
    ignored: u64,
}

/// What a node is once `init` has given it its name.
#[derive(Debug)]
struct Named {
    ids: Ids,
    replica: Replica,
}

/// Ids that nobody else gives out: a random origin, as a store's writer has, and a count.
#[derive(Debug)]
struct Ids(Version);

impl Ids {
    fn next(&mut self) -> String {
        self.0.seq += 1;
        self.0.to_string()
    }
}

/// Why a request was refused.
type Refusal = (Code, String);

impl Node {
    /// A node that waits for its `init`.
    #[must_use]
    pub const fn new(setup: Setup) -> Self {
        Self {
            setup,
            named: None,
            out: VecDeque::new(),
            ignored: 0,
        }
    }

    /// Takes in what happened; never fails, never waits.
    pub fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Tick => {
                if let Some(named) = &mut self.named {
                    named.replica.tick(now);
                }
            }
            Input::Said(message) => self.said(now, &message),
        }
        if let Some(named) = &mut self.named {
            named.replica.drain(now, &mut self.out);
        }
    }

    /// What is to be sent next; drain until `None` after every [`Self::handle`].
    pub fn poll(&mut self) -> Option<Message> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.named.as_ref().and_then(|n| n.replica.deadline())
    }

    /// How many messages were dropped because they answer nothing, or are no gossip of ours.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn said(&mut self, now: Time, message: &Message) {
        if message.kind() == "store" {
            let taken = self
                .named
                .as_mut()
                .is_some_and(|named| named.replica.received(now, message));
            self.ignored += u64::from(!taken);
            return;
        }
        if message.body.contains_key("in_reply_to") {
            self.ignored += 1;
            return;
        }
        let answer = match self.asked(now, message) {
            Ok(body) => body,
            Err((code, text)) => object(json!({"type": "error", "code": code.0, "text": text})),
        };
        self.out.push_back(message.answer(answer));
    }

    fn asked(&mut self, now: Time, message: &Message) -> Result<Body, Refusal> {
        if message.kind() == "init" {
            return self.init(now, message);
        }
        let Some(named) = &mut self.named else {
            let text = "this node has had no init yet".to_owned();
            return Err((Code::TEMPORARILY_UNAVAILABLE, text));
        };
        match message.kind() {
            "echo" => {
                let echo = field(message, "echo")?;
                Ok(object(json!({"type": "echo_ok", "echo": echo})))
            }
            "generate" => Ok(object(
                json!({"type": "generate_ok", "id": named.ids.next()}),
            )),
            // The store gossips among all nodes; the graph that is offered is not needed.
            "topology" => Ok(object(json!({"type": "topology_ok"}))),
            "broadcast" => {
                let element = field(message, "message")?;
                named.replica.insert(now, element);
                Ok(object(json!({"type": "broadcast_ok"})))
            }
            "add" => named.add(now, self.setup.workload, message),
            "read" => Ok(named.read(self.setup.workload)),
            other => Err((
                Code::NOT_SUPPORTED,
                format!("no request is named {other:?}"),
            )),
        }
    }

    fn init(&mut self, now: Time, message: &Message) -> Result<Body, Refusal> {
        if self.named.is_some() {
            let text = "this node has had its init".to_owned();
            return Err((Code::PRECONDITION_FAILED, text));
        }
        let malformed = |text: &str| (Code::MALFORMED_REQUEST, text.to_owned());
        let me = message
            .text("node_id")
            .ok_or_else(|| malformed("init names no node_id"))?;
        let names: Option<Vec<String>> = field(message, "node_ids")?
            .as_array()
            .and_then(|all| all.iter().map(|n| n.as_str().map(str::to_owned)).collect());
        let names = names.ok_or_else(|| malformed("node_ids is no list of names"))?;
        // Two nodes that were given the same seed still draw different origins.
        let mut rng = Rng::new(self.setup.seed ^ hash64(me.as_bytes()));
        let ids = Ids(Version {
            origin: Origin(rng.word()),
            seq: 0,
        });
        let replica = Replica::new(now, me, names, self.setup.tuning, &mut rng)
            .map_err(|text| (Code::MALFORMED_REQUEST, text))?;
        self.named = Some(Named { ids, replica });
        Ok(object(json!({"type": "init_ok"})))
    }
}

impl Named {
    fn add(&mut self, now: Time, workload: Workload, message: &Message) -> Result<Body, Refusal> {
        let malformed = |text: String| (Code::MALFORMED_REQUEST, text);
        match workload {
            Workload::GCounter | Workload::PnCounter => {
                let delta = field(message, "delta")?;
                let delta = delta
                    .as_i64()
                    .ok_or_else(|| malformed(format!("delta {delta} is no integer")))?;
                if delta < 0 && workload == Workload::GCounter {
                    return Err(malformed(format!(
                        "delta is {delta}; a g-counter only grows"
                    )));
                }
                self.replica
                    .count(now, delta)
                    .map_err(|text| (Code::PRECONDITION_FAILED, text))?;
            }
            Workload::GSet | Workload::Broadcast | Workload::Echo | Workload::UniqueIds => {
                let element = field(message, "element")?;
                self.replica.insert(now, element);
            }
        }
        Ok(object(json!({"type": "add_ok"})))
    }

    fn read(&self, workload: Workload) -> Body {
        match workload {
            Workload::GCounter | Workload::PnCounter => {
                object(json!({"type": "read_ok", "value": self.replica.sum()}))
            }
            Workload::GSet => object(json!({"type": "read_ok", "value": self.replica.elements()})),
            Workload::Broadcast | Workload::Echo | Workload::UniqueIds => {
                object(json!({"type": "read_ok", "messages": self.replica.elements()}))
            }
        }
    }
}

fn field<'a>(message: &'a Message, name: &str) -> Result<&'a Value, Refusal> {
    message.body.get(name).ok_or_else(|| {
        let text = format!("{} without {name:?}", message.kind());
        (Code::MALFORMED_REQUEST, text)
    })
}

fn object(value: Value) -> Body {
    let Value::Object(body) = value else {
        unreachable!("every body here is written as an object")
    };
    body
}
