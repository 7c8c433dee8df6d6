//! Names of the contract that are not built yet: refused by name, absent from every help.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::out;

const VERBS: [&str; 1] = ["silence"];

/// Prints why the arguments were not taken, or the help that was asked for.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    if let Some(name) = named(error) {
        out::complain(format!("roundsman: '{name}' is not in this version"));
        return ExitCode::from(2);
    }
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// The verb of a later version that was asked for.
fn named(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    VERBS.into_iter().find(|verb| verb == given)
}
