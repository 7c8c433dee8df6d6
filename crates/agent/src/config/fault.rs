//! Mistakes in a config file: where each stands and what to do about it.
//!
//! Faults are collected, so that one reading names them all; [`Faults`] bounds how many are
//! kept. Does not know what is being read.

use std::fmt;
use std::sync::Arc;

/// The most faults that are reported; of the rest only the number.
pub const FAULTS_MAX: usize = 100;

/// One mistake in a config file, printed as `file:line:column: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong and, where known, the way out; never the text of a secret.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

impl std::error::Error for Fault {}

/// A place in a file; line and column from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Mark {
    /// Where a file begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// Where the byte at `offset` stands.
    pub(super) fn of_offset(valid: &str) -> Self {
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Self::new(line, column)
    }

    /// A place; what is beyond four billion is shown as that.
    pub(super) fn new(line: usize, column: usize) -> Self {
        Self {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kept: Vec<(Mark, String)>,
    more: usize,
}

impl Faults {
    /// Keeps one more mistake, or counts it once [`FAULTS_MAX`] are kept.
    pub(super) fn push(&mut self, at: Mark, message: String) {
        if self.kept.len() < FAULTS_MAX {
            self.kept.push((at, message));
        } else {
            self.more += 1;
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// All of them in the order of the file; the last says how many were left out.
    pub(super) fn into_sorted(mut self, file: &str) -> Vec<Fault> {
        let file: Arc<str> = file.into();
        self.kept.sort_by_key(|&(at, _)| at);
        let end = self.kept.last().map_or(Mark::START, |&(at, _)| at);
        if self.more > 0 {
            self.kept.push((end, format!("… and {} more", self.more)));
        }
        let fault = |(at, message): (Mark, String)| Fault {
            file: Arc::clone(&file),
            line: at.line,
            column: at.column,
            message,
        };
        self.kept.into_iter().map(fault).collect()
    }
}

/// `text` fit for a one-line message: quoted, without control characters, cut when long.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    let clean: String = short
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    format!("'{clean}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_prints_as_file_line_column_message() {
        let mut faults = Faults::default();
        faults.push(Mark::new(3, 7), "no".to_owned());
        let faults = faults.into_sorted("a.yaml");
        assert_eq!(faults[0].to_string(), "a.yaml:3:7: no");
    }

    #[test]
    fn faults_come_in_the_order_of_the_file_and_the_rest_is_counted() {
        let mut faults = Faults::default();
        for line in (1..=FAULTS_MAX + 5).rev() {
            faults.push(Mark::new(line, 1), format!("{line}"));
        }
        assert_eq!(faults.count(), FAULTS_MAX + 5);
        let faults = faults.into_sorted("f");
        assert_eq!(faults.len(), FAULTS_MAX + 1);
        assert!(faults.is_sorted_by_key(|f| f.line));
        assert_eq!(faults[FAULTS_MAX].message, "… and 5 more");
    }

    #[test]
    fn long_or_dirty_text_is_shown_short_and_clean() {
        assert_eq!(shown("a\nb"), "'a\u{fffd}b'");
        assert_eq!(shown(&"x".repeat(1_000)).chars().count(), 63);
    }

    #[test]
    fn a_mark_counts_lines_and_characters_from_one() {
        assert_eq!(Mark::of_offset(""), Mark::START);
        assert_eq!(Mark::of_offset("ä\nöb"), Mark::new(2, 3));
    }
}
