//! Saying farewell, and coming back after it.

use base::{NodeId, Time};

use crate::alarms::Alarm;
use crate::probe::Purpose;
use crate::{Incarnation, Membership, Output, State};

/// So many others must have heard the farewell.
const HEARERS: usize = 3;
/// So many are told at each step, and so many steps are taken before nobody is waited for.
const TOLD: usize = 5;
const STEPS: u32 = 3;

/// Where this node is in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No time has come in yet.
    New,
    /// A member like any other.
    Running,
    /// Has said farewell to so many that it was heard by `heard` of `wanted`.
    Leaving {
        heard: usize,
        wanted: usize,
        step: u32,
    },
    /// Has left; nothing is answered until it joins again.
    Left,
    /// Another one has the name: nothing is answered any more.
    Refused,
}

impl Phase {
    pub(crate) fn is_running(self) -> bool {
        self == Self::Running
    }

    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Left | Self::Refused)
    }
}

impl Membership {
    pub(crate) fn leave(&mut self, now: Time) {
        if !self.phase.is_running() {
            return;
        }
        self.config.me.state = State::Left;
        self.present(Incarnation(0));
        self.probes.clear();
        let wanted = self.table.living().len().min(HEARERS);
        self.phase = Phase::Leaving {
            heard: 0,
            wanted,
            step: 0,
        };
        self.farewell_due(now);
    }

    /// Tells some more members; half a probe interval later again, three times at most.
    pub(crate) fn farewell_due(&mut self, now: Time) {
        let Phase::Leaving {
            heard,
            wanted,
            step,
        } = self.phase
        else {
            return;
        };
        if step == STEPS || heard >= wanted {
            self.end();
            return;
        }
        self.phase = Phase::Leaving {
            heard,
            wanted,
            step: step + 1,
        };
        let none: NodeId = self.config.me.id;
        for id in self.table.random(&mut self.rng, TOLD, none) {
            self.probe(now, id, Purpose::Farewell);
        }
        self.alarms
            .set(now + self.config.probe_every / 2, Alarm::Farewell);
    }

    pub(crate) fn farewell_heard(&mut self) {
        if let Phase::Leaving {
            heard,
            wanted,
            step,
        } = self.phase
        {
            let heard = heard + 1;
            self.phase = Phase::Leaving {
                heard,
                wanted,
                step,
            };
            if heard >= wanted {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Left;
        self.probes.clear();
        self.outputs.push_back(Output::Left);
    }

    /// Whoever left may come back by joining again, in a later incarnation.
    pub(crate) fn come_back(&mut self) {
        if self.phase == Phase::Left {
            self.phase = Phase::Running;
            self.config.me.state = State::Alive;
            self.present(Incarnation(self.config.me.incarnation.0 + 1));
        }
    }
}
