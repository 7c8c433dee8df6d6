//! What happened, one readable line per event; the last lines are kept, all are summed up.

use std::collections::VecDeque;
use std::fmt::{self, Display};

use base::{Time, hash64};

/// The course of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    lines: VecDeque<(Time, String)>,
    keep: usize,
    count: u64,
    sum: u64,
}

impl Trace {
    /// A trace that keeps the last `keep` lines; with 0 it only counts.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// Whether lines are kept at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.keep > 0
    }

    pub(crate) fn line(&mut self, now: Time, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.keep == 0 {
            return;
        }
        let text = text();
        self.sum = self.sum.rotate_left(5) ^ hash64(text.as_bytes()) ^ now.0;
        if self.lines.len() >= self.keep {
            self.lines.pop_front();
        }
        self.lines.push_back((now, text));
    }

    /// How many lines there were, and one number over all of them.
    #[must_use]
    pub const fn sum(&self) -> (u64, u64) {
        (self.count, self.sum)
    }
}

impl Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in &self.lines {
            writeln!(f, "{at} {line}")?;
        }
        Ok(())
    }
}
