//! Why a verb could not do its work, and the exit code that says so.

use std::process::ExitCode;

use agent::config::Fault;

/// Why a verb could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the user gave is wrong: exit 2.
    Input(String),
    /// A config is wrong: exit 2, one line per fault.
    Config(Vec<Fault>),
    /// Anything else: exit 1.
    Other(String),
}

impl Failure {
    /// What to print, line by line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        match self {
            Self::Input(text) | Self::Other(text) => vec![format!("roundsman: {text}")],
            Self::Config(faults) => faults.iter().map(ToString::to_string).collect(),
        }
        .into_iter()
    }

    /// The contract's exit code.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Input(_) | Self::Config(_) => ExitCode::from(2),
            Self::Other(_) => ExitCode::from(1),
        }
    }
}
