//! Two settings of the same protocol: few messages, or little delay.

use std::fmt;

use clap::ValueEnum;

/// How the store spreads news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tuning {
    /// Fewest messages; a change needs about a second to be everywhere.
    Lean,
    /// Least delay, for more messages.
    #[default]
    Quick,
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lean => "lean",
            Self::Quick => "quick",
        })
    }
}
