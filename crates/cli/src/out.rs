//! The one place that prints.
//!
//! Standard output is for answers, standard error for everything else. A reader that goes away
//! (`roundsman status | head`) ends the program quietly.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process;

/// One line of an answer.
pub(crate) fn say(line: impl AsRef<str>) {
    let mut text = line.as_ref().to_owned();
    text.push('\n');
    bytes(text.as_bytes());
}

/// A part of an answer as it is.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        Err(error) => {
            complain(format!("roundsman: can't write the answer: {error}"));
            process::exit(1);
        }
    }
}

/// One JSON document, on a line of its own.
pub(crate) fn json(document: &impl serde::Serialize) {
    say(serde_json::to_string(document).expect("answers have text keys and finite numbers"));
}

/// One line on standard error.
pub(crate) fn complain(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
}

/// Whether states are coloured: for people at a terminal who did not say otherwise.
pub(crate) fn is_coloured() -> bool {
    io::stdout().is_terminal() && wants_colour()
}

/// `NO_COLOR`, set to anything but nothing, asks for none (no-color.org).
pub(crate) fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How many columns a line may have: the terminal's, else `COLUMNS`, else 80.
pub(crate) fn columns() -> usize {
    let terminal = rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col));
    let stated = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal
        .filter(|&columns| columns > 0)
        .or_else(stated)
        .filter(|&columns| columns > 0)
        .unwrap_or(80)
}
