//! A fresh key for the cluster.

use std::process::ExitCode;

use crate::out;

/// Prints one key, as a line for a key file.
pub(crate) fn keygen() -> ExitCode {
    out::say(agent::cluster::fresh_key().expose());
    ExitCode::SUCCESS
}
