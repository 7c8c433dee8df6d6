//! What outcomes add up to: a state with its history, as everyone sees it.
//!
//! A status carries its transition number and the last eight transitions, so that a reader who
//! looks rarely still learns of a short outage, and a restart keeps `since`.
//! Does not know how a verdict is reached.

use std::sync::Arc;

use base::Wall;

use crate::outcome::Reason;

/// The four states of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing is known yet, or nobody could tell.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// It is not asked.
    Paused,
}

impl State {
    /// All states, worst first: the order in which people want to read them.
    pub const ALL: [Self; 4] = [Self::Down, Self::Unknown, Self::Up, Self::Paused];

    /// The state's name in API, page and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Paused => "paused",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Counts the target's changes from 1; a gap means that some were missed.
    pub number: u32,
    /// When it was decided.
    pub at: Wall,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why; [`Reason::None`] when it came up or was paused.
    pub reason: Reason,
    /// The write that carried it: orders the transitions of all targets of one origin.
    pub seq: u64,
}

/// A target's state with its history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Up, down, unknown or paused.
    pub state: State,
    /// Since when.
    pub since: Wall,
    /// The number of the last transition; 0 before the first.
    pub transition: u32,
    /// Why it is in this state; [`Reason::None`] when up.
    pub reason: Reason,
    /// The detail of the outcome that made the last transition.
    pub detail: Option<Arc<str>>,
    /// The last transitions, oldest first, at most [`Status::RECENT_MAX`].
    pub recent: Box<[Transition]>,
}

impl Status {
    /// How many transitions a status carries.
    pub const RECENT_MAX: usize = 8;

    /// A target of which nothing is known yet.
    #[must_use]
    pub fn new(since: Wall) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    /// This status after a change to `to`, decided at `at` and carried by write `seq`.
    #[must_use]
    pub fn changed(
        &self,
        to: State,
        at: Wall,
        reason: Reason,
        detail: Option<Arc<str>>,
        seq: u64,
    ) -> Self {
        let transition = Transition {
            number: self.transition.saturating_add(1),
            at,
            from: self.state,
            to,
            reason,
            seq,
        };
        let skip = (self.recent.len() + 1).saturating_sub(Self::RECENT_MAX);
        let recent = self
            .recent
            .iter()
            .skip(skip)
            .copied()
            .chain([transition])
            .collect();
        Self {
            state: to,
            since: at,
            transition: transition.number,
            reason,
            detail,
            recent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_its_last_eight_transitions_and_numbers_them_without_gap() {
        let mut status = Status::new(Wall(0));
        for i in 1..=20 {
            let to = if i % 2 == 0 { State::Up } else { State::Down };
            status = status.changed(to, Wall(i), Reason::Refused, None, i.unsigned_abs());
        }
        assert_eq!(status.transition, 20);
        assert_eq!(status.since, Wall(20));
        assert_eq!(status.recent.len(), Status::RECENT_MAX);
        let numbers: Vec<u32> = status.recent.iter().map(|t| t.number).collect();
        assert_eq!(numbers, [13, 14, 15, 16, 17, 18, 19, 20]);
        assert!(
            status
                .recent
                .windows(2)
                .all(|pair| pair[0].to == pair[1].from)
        );
    }

    #[test]
    fn every_state_is_found_by_its_name() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(State::from_name("dead"), None);
    }
}
