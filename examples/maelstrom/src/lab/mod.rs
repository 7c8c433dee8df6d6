//! The harness: clients, network, faults and history as one state machine.
//!
//! It stands where Maelstrom stands: every message of a node goes through it. Pure like the nodes, so that
//! the same lab runs in virtual time and over real processes. Drive it with [`Lab::handle`], deliver what
//! [`Lab::poll`] gives, come back at [`Lab::deadline`] until [`Lab::is_finished`].
//! Phases as in Maelstrom: `init`, `topology`, operations, healing, a pause, one final read of each node.

mod clients;
mod history;
mod nemesis;
mod network;
mod plan;

use std::collections::VecDeque;

use base::{Rng, Time};
use serde_json::json;

pub use self::history::{History, Operation, Outcome, Request, Watched};
pub use self::network::Traffic;
pub use self::plan::{Latency, Plan, PlanError, Shape, Workload};

use self::clients::{Clients, grid};
use self::nemesis::Nemesis;
use self::network::{Between, Network};
use crate::message::Message;

/// What happens to a lab.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The deadline has come.
    Tick,
    /// This node said this.
    Said(usize, Message),
    /// This node did what no node may, such as end before the lab does.
    Failed(usize, String),
}

/// What a lab wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Give this node this message, now.
    Deliver(usize, Message),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was sent yet.
    New,
    /// Every node was told its name, until it answers or the time is over.
    Init(Time),
    /// Every node was told its neighbours; broadcast only.
    Topology(Time),
    /// Operations are started until then.
    Work(Time),
    /// Operations end, the network is whole; until then.
    Recover(Time),
    /// The final reads are out; until then.
    Final(Time),
    Finished,
}

/// One run.
#[derive(Debug)]
pub struct Lab {
    plan: Plan,
    rng: Rng,
    names: Vec<String>,
    phase: Phase,
    /// Who has still to answer `init` or `topology`.
    awaited: Vec<bool>,
    network: Network,
    nemesis: Nemesis,
    clients: Clients,
    history: History,
    out: VecDeque<Output>,
}

impl Lab {
    /// A lab that begins with its first [`Input::Tick`].
    ///
    /// # Errors
    /// When the plan can't be carried out.
    pub fn new(plan: Plan) -> Result<Self, PlanError> {
        let plan = plan.checked()?;
        Ok(Self {
            rng: Rng::new(plan.seed),
            names: (0..plan.nodes).map(|i| format!("n{i}")).collect(),
            phase: Phase::New,
            awaited: Vec::new(),
            network: Network::new(plan.latency, plan.loss_percent),
            nemesis: Nemesis::new(plan.partition_every),
            clients: Clients::new(&plan),
            history: History::default(),
            out: VecDeque::new(),
            plan,
        })
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Tick => {}
            Input::Said(node, message) => self.said(now, node, message),
            Input::Failed(node, why) => self.history.misdeed(format!("n{node} {why}")),
        }
        loop {
            self.advance(now);
            self.work(now);
            let Some(message) = self.network.arrived(now) else {
                break;
            };
            self.arrived(now, message);
        }
    }

    /// What to deliver next; drain until `None` after every [`Self::handle`].
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let phase = match self.phase {
            Phase::New => Some(Time::ZERO),
            Phase::Init(until)
            | Phase::Topology(until)
            | Phase::Work(until)
            | Phase::Recover(until)
            | Phase::Final(until) => Some(until),
            Phase::Finished => return None,
        };
        let others = [
            self.network.next(),
            self.nemesis.next(),
            self.clients
                .next(matches!(self.phase, Phase::Work(_)), self.is_watching()),
        ];
        others.into_iter().chain([phase]).flatten().min()
    }

    /// Whether all is done; [`Self::into_history`] then has it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What was seen.
    #[must_use]
    pub fn into_history(mut self) -> History {
        self.history.servers = self.network.servers;
        self.history.clients = self.network.clients;
        self.history
    }

    /// A node's message enters the network, if it may.
    fn said(&mut self, now: Time, node: usize, message: Message) {
        let is_own = self.names.get(node) == Some(&message.src);
        if !is_own {
            let Message { src, dest, .. } = &message;
            let text = format!("n{node} sent a message as {src:?} to {dest:?}");
            return self.history.misdeed(text);
        }
        let between = if self.names.contains(&message.dest) {
            Between::Servers
        } else if message.dest.starts_with('w') {
            Between::Observer
        } else if message.dest.starts_with('c') {
            Between::Client
        } else {
            let text = format!(
                "n{node} sent a message to {:?}, who is nobody",
                message.dest
            );
            return self.history.misdeed(text);
        };
        self.network.send(now, message, between, &mut self.rng);
    }

    fn arrived(&mut self, now: Time, message: Message) {
        if let Some(node) = self.names.iter().position(|name| *name == message.dest) {
            self.out.push_back(Output::Deliver(node, message));
            return;
        }
        let from = self.names.iter().position(|name| *name == message.src);
        let from = from.expect("only nodes write to clients, and `said` knows them");
        if message.dest == "c0" {
            self.set_up(from, &message);
        } else {
            self.clients.told(now, from, &message, &mut self.history);
        }
    }

    /// An answer to `init` or `topology`.
    fn set_up(&mut self, node: usize, message: &Message) {
        let expected = match self.phase {
            Phase::Init(_) => "init_ok",
            Phase::Topology(_) => "topology_ok",
            Phase::New | Phase::Work(_) | Phase::Recover(_) | Phase::Final(_) | Phase::Finished => {
                return;
            }
        };
        if message.kind() == expected {
            self.awaited[node] = false;
        } else {
            let body = serde_json::to_string(&message.body).unwrap_or_default();
            let text = format!("n{node} did not answer {expected} but {body}");
            self.history.misdeed(text);
        }
    }

    /// Goes on to the next phase when this one is over.
    fn advance(&mut self, now: Time) {
        match self.phase {
            Phase::New => {
                self.ask_all(now, |names, i| {
                    json!({"type": "init", "msg_id": 1, "node_id": names[i], "node_ids": names})
                });
                self.phase = Phase::Init(now + self.plan.timeout * 2);
            }
            Phase::Init(until) | Phase::Topology(until) => self.set_up_over(now, until),
            Phase::Work(until) if now >= until => {
                self.nemesis.stop();
                self.network.set_cut(nemesis::Cut::new());
                let recovered = now + self.plan.recovery;
                self.phase = if self.has_final_reads() {
                    Phase::Recover(recovered)
                } else {
                    Phase::Recover(now + self.plan.timeout)
                };
            }
            Phase::Recover(until) => {
                let is_over = !self.has_final_reads() && self.clients.are_idle();
                if now >= until || is_over {
                    if self.has_final_reads() {
                        self.final_reads(now);
                        self.phase = Phase::Final(now + self.plan.timeout);
                    } else {
                        self.finish(now);
                    }
                }
            }
            Phase::Final(until) if now >= until || self.clients.are_idle() => self.finish(now),
            Phase::Work(_) | Phase::Final(_) | Phase::Finished => {}
        }
    }

    const fn is_watching(&self) -> bool {
        matches!(self.phase, Phase::Work(_) | Phase::Recover(_))
    }

    const fn has_final_reads(&self) -> bool {
        self.plan.workload.is_set() || self.plan.workload.is_counter()
    }

    fn finish(&mut self, now: Time) {
        self.clients.give_up(now, &mut self.history);
        self.phase = Phase::Finished;
    }

    fn set_up_over(&mut self, now: Time, until: Time) {
        let silent: Vec<usize> = (0..self.names.len()).filter(|i| self.awaited[*i]).collect();
        if !silent.is_empty() && now < until {
            return;
        }
        let is_init = matches!(self.phase, Phase::Init(_));
        let what = if is_init { "init" } else { "topology" };
        for node in &silent {
            self.history
                .misdeed(format!("n{node} did not answer {what}"));
        }
        if !silent.is_empty() {
            self.phase = Phase::Finished;
        } else if is_init && self.plan.workload == Workload::Broadcast {
            let topology = grid(&self.names);
            self.ask_all(
                now,
                |_, _| json!({"type": "topology", "msg_id": 2, "topology": topology}),
            );
            self.phase = Phase::Topology(now + self.plan.timeout * 2);
        } else {
            self.nemesis.start(now, &mut self.rng);
            self.clients.start(now, &mut self.rng);
            self.phase = Phase::Work(now + self.plan.time_limit);
        }
    }

    fn ask_all(&mut self, now: Time, body: impl Fn(&[String], usize) -> serde_json::Value) {
        self.awaited = vec![true; self.names.len()];
        for i in 0..self.names.len() {
            let message = Message::new("c0", &self.names[i], body(&self.names, i));
            self.network
                .send(now, message, Between::Client, &mut self.rng);
        }
    }

    /// What the clients and the nemesis do of themselves.
    fn work(&mut self, now: Time) {
        if matches!(self.phase, Phase::Work(_)) {
            let is_whole = self.network.is_whole();
            if let Some(cut) = self.nemesis.step(now, is_whole, &self.names, &mut self.rng) {
                self.history.cuts += u64::from(!cut.is_empty());
                self.network.set_cut(cut);
            }
            while let Some(message) = self.clients.ask(now, &mut self.rng, &mut self.history) {
                self.network
                    .send(now, message, Between::Client, &mut self.rng);
            }
        }
        self.clients.lose_patience(now, &mut self.history);
        while let Some(message) = self.clients.watch(now, self.is_watching()) {
            self.network
                .send(now, message, Between::Observer, &mut self.rng);
        }
    }

    fn final_reads(&mut self, now: Time) {
        self.clients.give_up(now, &mut self.history);
        for node in 0..self.names.len() {
            let message = self.clients.final_read(now, node, &mut self.history);
            self.network
                .send(now, message, Between::Client, &mut self.rng);
        }
    }
}
