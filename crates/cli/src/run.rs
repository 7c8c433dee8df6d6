//! Verbs that take a config: `run` and `validate`.

use std::path::Path;
use std::process::ExitCode;

use agent::{RunError, RunOptions};

use crate::arguments::Run;
use crate::failure::Failure;
use crate::out;

/// Runs a node until it is told to stop.
pub(crate) fn run(run: &Run) -> Result<ExitCode, Failure> {
    let options = RunOptions {
        config: run.config.clone(),
        data_dir: run.data_dir.clone(),
        listen: run.listen,
        cluster_listen: run.cluster_listen,
        join: run.join.clone(),
        node: run.node.clone(),
        wire: run.wire_version,
    };
    match agent::run(options) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(RunError::Config(faults)) => Err(Failure::Config(faults)),
        Err(wrong @ (RunError::Name(_) | RunError::Open(_) | RunError::Unlistening)) => {
            Err(Failure::Input(wrong.to_string()))
        }
        Err(other) => Err(Failure::Other(other.to_string())),
    }
}

/// Reads a config and says what is wrong with it.
pub(crate) fn validate(path: &Path) -> Result<ExitCode, Failure> {
    let config = agent::config::load(path).map_err(Failure::Config)?;
    let targets = match config.targets.len() {
        1 => "1 target".to_owned(),
        many => format!("{many} targets"),
    };
    out::say(format!("{}: valid, {targets}", path.display()));
    Ok(ExitCode::SUCCESS)
}
