//! The node under test, and the mutants: the same node with one distortion at its edge.
//!
//! A mutant proves that a promise bites: each must be caught by the promise that its test names.

use std::collections::VecDeque;
use std::sync::Arc;

use base::{Duration, Slot, Time};
use health::{
    Config, Explanation, Finding, Input, Key, Node, Output, Reason, Record, Tally, View, Write,
};

/// One way of being wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Does not know that its own loop stood still.
    DropLate,
    /// Believes that everything is on this machine, so that no uplink can be at fault.
    DropUplink,
    /// Says that the disk has a batch before it does.
    ConfirmEarly,
    /// Does not write one batch in ten, and says that it did.
    LosePersist,
    /// Makes up for every beat that it missed.
    Burst,
    /// Never writes counters that changed without a change of state.
    ForgetCounters,
    /// Forgets targets made through the API at a restart.
    ForgetTargets,
    /// Takes some passes for failures.
    InventFailure,
    /// Shows what changed two seconds late.
    SlowView,
    /// Starts again at an old sequence number after a restart.
    RepeatSeq,
    /// Swallows one event in seven.
    SkipEvent,
    /// Swallows one outcome in fifty, so that the check never ends.
    LeakRoom,
    /// Never starts the checks of one slot.
    SkipSlot,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::DropLate,
        Self::DropUplink,
        Self::ConfirmEarly,
        Self::LosePersist,
        Self::Burst,
        Self::ForgetCounters,
        Self::ForgetTargets,
        Self::InventFailure,
        Self::SlowView,
        Self::RepeatSeq,
        Self::SkipEvent,
        Self::LeakRoom,
        Self::SkipSlot,
    ];
}

/// A node, perhaps a distorted one.
#[derive(Debug)]
pub(crate) struct Subject {
    node: Node,
    mutant: Option<Mutant>,
    now: Time,
    count: u64,
    held: VecDeque<(Time, Output)>,
    shown: Arc<View>,
}

impl Subject {
    pub(crate) fn new(config: Config, mutant: Option<Mutant>) -> Self {
        let node = Node::new(config).expect("the simulator gives every node room");
        Self {
            shown: Arc::clone(node.view()),
            node,
            mutant,
            now: Time::ZERO,
            count: 0,
            held: VecDeque::new(),
        }
    }

    pub(crate) fn handle(&mut self, now: Time, input: Input) {
        let before = std::mem::replace(&mut self.now, now);
        let input = match (self.mutant, input) {
            (Some(Mutant::DropLate), Input::Probed(mut probed)) => {
                probed.late = Duration::ZERO;
                Input::Probed(probed)
            }
            (Some(Mutant::DropUplink), Input::Probed(mut probed)) => {
                probed.local = true;
                Input::Probed(probed)
            }
            (Some(Mutant::InventFailure), Input::Probed(mut probed)) => {
                if probed.slot == Slot(0) && probed.finding == Finding::Passed {
                    probed.finding = Finding::Failed(Reason::Refused);
                }
                Input::Probed(probed)
            }
            (Some(Mutant::LeakRoom), Input::Probed(probed)) => {
                if self.every(50) {
                    return;
                }
                Input::Probed(probed)
            }
            (Some(Mutant::RepeatSeq), Input::Restored(records)) => {
                Input::Restored(without(records, |key| *key == Key::Origin))
            }
            (Some(Mutant::ForgetTargets), Input::Restored(records)) => {
                Input::Restored(without(records, |key| matches!(key, Key::Definition(_))))
            }
            (Some(Mutant::Burst), input) => {
                let mut at = before;
                while now.since(at) > Duration::from_secs(1) {
                    at += Duration::from_millis(5);
                    self.node.handle(at, Input::Tick);
                }
                input
            }
            (_, input) => input,
        };
        self.node.handle(now, input);
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        let Some(mutant) = self.mutant else {
            return self.node.poll();
        };
        if let Some((_, output)) = self.held.pop_front_if(|(until, _)| *until <= self.now) {
            if let Output::View(view) = &output {
                self.shown = Arc::clone(view);
            }
            return Some(output);
        }
        let output = self.node.poll()?;
        match (mutant, output) {
            (Mutant::ConfirmEarly, Output::Persist { batch, .. }) => {
                self.node.handle(self.now, Input::Persisted(batch));
                self.poll()
            }
            (Mutant::LosePersist, Output::Persist { batch, urgent, .. }) if self.every(10) => {
                let writes = Vec::new();
                Some(Output::Persist {
                    batch,
                    writes,
                    urgent,
                })
            }
            (
                Mutant::ForgetCounters,
                Output::Persist {
                    batch,
                    mut writes,
                    urgent,
                },
            ) => {
                let is_soft = !writes
                    .iter()
                    .any(|w| matches!(w, Write::Set(Key::Origin, _)));
                writes.retain(|w| !is_soft || !matches!(w, Write::Set(Key::Status(_), _)));
                Some(Output::Persist {
                    batch,
                    writes,
                    urgent,
                })
            }
            (Mutant::SlowView, output @ (Output::View(_) | Output::Event(_))) => {
                self.held
                    .push_back((self.now + Duration::from_secs(2), output));
                self.poll()
            }
            (Mutant::SkipEvent, Output::Event(_)) if self.every(7) => self.poll(),
            (Mutant::SkipSlot, Output::Probe(check)) if check.slot == Slot(1) => {
                let probed = health::Probed {
                    slot: check.slot,
                    ticket: check.ticket,
                    finding: Finding::Inconclusive(health::Doubt::Unable),
                    late: Duration::ZERO,
                    timeout: Duration::from_secs(1),
                    local: true,
                    detail: None,
                };
                self.node.handle(self.now, Input::Probed(probed));
                self.poll()
            }
            (_, output) => Some(output),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let held = self.held.front().map(|(until, _)| *until);
        [self.node.deadline(), held].into_iter().flatten().min()
    }

    pub(crate) fn view(&self) -> &Arc<View> {
        match self.mutant {
            Some(Mutant::SlowView) => &self.shown,
            _ => self.node.view(),
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.node.tally()
    }

    pub(crate) fn explain(&self, slot: Slot) -> Option<Explanation> {
        self.node.explain(slot)
    }

    const fn every(&mut self, n: u64) -> bool {
        self.count += 1;
        self.count.is_multiple_of(n)
    }
}

fn without(records: Vec<Record>, gone: impl Fn(&Key) -> bool) -> Vec<Record> {
    records.into_iter().filter(|r| !gone(&r.key)).collect()
}
