//! Each requirement beside what was measured.

use std::fmt::Write as _;
use std::time::Duration;

/// Lines of one run; all are printed before any of them fails it.
#[derive(Default)]
pub(crate) struct Report {
    text: String,
    broken: Vec<String>,
}

impl Report {
    /// What is measured next.
    pub(crate) fn part(&mut self, title: &str) {
        let _ = writeln!(self.text, "{title}");
        show(title);
    }

    /// One requirement.
    pub(crate) fn line(&mut self, what: &str, required: &str, measured: &str, holds: bool) {
        let verdict = if holds { "holds" } else { "BROKEN" };
        let line = format!("  {what:<44} {required:>24} {measured:>28}  {verdict}");
        show(&line);
        let _ = writeln!(self.text, "{line}");
        if !holds {
            self.broken.push(line);
        }
    }

    /// A span that may not be longer than `most`, beside what the machine itself stood still.
    pub(crate) fn span(&mut self, what: &str, most: Duration, took: Duration, still: Duration) {
        let required = format!("at most {:.2} s", most.as_secs_f64());
        let mut measured = format!("{:.2} s", took.as_secs_f64());
        if took > most {
            let _ = write!(measured, " (machine {:.2} s)", still.as_secs_f64());
        }
        self.line(what, &required, &measured, took <= most + still);
    }

    /// Something that must not happen at all.
    pub(crate) fn none(&mut self, what: &str, found: &[String]) {
        self.line(what, "0", &found.len().to_string(), found.is_empty());
        for one in found.iter().take(12) {
            self.note(one);
        }
    }

    /// A fact without a bound.
    pub(crate) fn note(&mut self, what: &str) {
        let line = format!("    {what}");
        show(&line);
        let _ = writeln!(self.text, "{line}");
    }

    /// Fails if anything was broken.
    pub(crate) fn end(self) {
        assert!(self.broken.is_empty(), "\n{}", self.text);
    }
}

/// To standard error, past the test's own capture only if that is off.
pub(crate) fn show(line: &str) {
    #[expect(clippy::print_stderr, reason = "captured unless a person asks for it")]
    {
        eprintln!("{line}");
    }
}
