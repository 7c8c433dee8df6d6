//! A lab in virtual time: seconds pass as fast as the nodes can think.

use base::Time;

use crate::lab::{self, History, Lab};
use crate::message::Message;
use crate::node::{Input, Node, Setup};
use crate::tuning::Tuning;

/// Whatever can stand in the world as a node: ours, or one that errs on purpose.
pub trait Participant {
    /// Takes in what happened.
    fn handle(&mut self, now: Time, input: Input);
    /// What it wants to send; drained until `None`.
    fn poll(&mut self) -> Option<Message>;
    /// When it wants [`Input::Tick`].
    fn deadline(&self) -> Option<Time>;
}

impl Participant for Node {
    fn handle(&mut self, now: Time, input: Input) {
        Self::handle(self, now, input);
    }

    fn poll(&mut self) -> Option<Message> {
        Self::poll(self)
    }

    fn deadline(&self) -> Option<Time> {
        Self::deadline(self)
    }
}

/// Nodes of ours for this lab, with seeds drawn from the plan's.
#[must_use]
pub fn nodes(lab: &Lab, tuning: Tuning) -> Vec<Node> {
    let plan = lab.plan();
    let setup = |i: usize| Setup {
        workload: plan.workload,
        tuning,
        seed: plan.seed.wrapping_mul(1_009).wrapping_add(i as u64),
    };
    (0..plan.nodes).map(|i| Node::new(setup(i))).collect()
}

/// Runs a lab to its end; the same lab and the same nodes give the same history.
///
/// # Panics
/// When a million steps pass without time passing: somebody's deadline never moves.
#[must_use]
pub fn run<P: Participant>(mut lab: Lab, mut nodes: Vec<P>) -> History {
    let mut now = Time::ZERO;
    let mut stuck = 0_u32;
    while !lab.is_finished() {
        let wakes = nodes.iter().filter_map(P::deadline);
        let next = lab.deadline().into_iter().chain(wakes).min();
        let next = next.expect("an unfinished lab has a deadline").max(now);
        stuck = if next == now { stuck + 1 } else { 0 };
        assert!(stuck < 1_000_000, "time stands still at {now} s");
        now = next;
        for (i, node) in nodes.iter_mut().enumerate() {
            if node.deadline().is_some_and(|at| at <= now) {
                node.handle(now, Input::Tick);
                listen(&mut lab, now, i, node);
            }
        }
        lab.handle(now, lab::Input::Tick);
        while let Some(lab::Output::Deliver(i, message)) = lab.poll() {
            nodes[i].handle(now, Input::Said(message));
            listen(&mut lab, now, i, &mut nodes[i]);
        }
    }
    lab.into_history()
}

fn listen<P: Participant>(lab: &mut Lab, now: Time, i: usize, node: &mut P) {
    while let Some(message) = node.poll() {
        lab.handle(now, lab::Input::Said(i, message));
    }
}
