//! Text for people: columns that fit, spans of time, nothing that steers a terminal.

use std::time::{Duration, SystemTime};

use serde_json::Value;

/// `text` without characters that could steer a terminal: what a server answered is shown as
/// text and never obeyed.
pub(crate) fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if steers(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// `text` in at most `width` characters, its end replaced by … if it is longer.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.extend((width > 0).then_some('…'));
    short
}

/// `text` cut and filled up to exactly `width` characters.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{:<width$}", cut(text, width))
}

/// Rows under their headings, in columns as wide as their widest cell; no line longer than
/// `columns`.
pub(crate) fn rows<const N: usize>(
    headings: [&str; N],
    rows: &[[String; N]],
    columns: usize,
) -> Vec<String> {
    let widths: [usize; N] = std::array::from_fn(|at| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells
            .chain([headings[at].chars().count()])
            .max()
            .unwrap_or(0)
    });
    let line = |cells: [&str; N]| {
        let cells: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| pad(cell, width))
            .collect();
        cut(cells.join("  ").trim_end(), columns)
    };
    std::iter::once(line(headings))
        .chain(
            rows.iter()
                .map(|row| line(row.each_ref().map(String::as_str))),
        )
        .collect()
}

/// A span in its two largest units: "45s", "3m20s", "4h05m", "12d3h".
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// How long ago an RFC 3339 moment was by this machine's clock; zero for one to come.
pub(crate) fn ago(at: &str) -> Option<Duration> {
    let at = humantime::parse_rfc3339(at).ok()?;
    Some(SystemTime::now().duration_since(at).unwrap_or_default())
}

/// Milliseconds with three figures: "0.42 ms", "12.3 ms", "850 ms", "3.21 s".
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1_000.0),
    }
}

/// The text at `key`, harmless; empty where there is none.
pub(crate) fn text(document: &Value, key: &str) -> String {
    match &document[key] {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

/// A count as people read it: "1,234".
pub(crate) fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_by_characters_and_short_text_is_left_alone() {
        assert_eq!(cut("größer", 6), "größer");
        assert_eq!(cut("größer", 4), "grö…");
        assert_eq!(cut("größer", 1), "…");
        assert_eq!(cut("größer", 0), "");
        assert_eq!(pad("ab", 4), "ab  ");
    }

    #[test]
    fn what_a_server_answers_cannot_steer_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[31mb\r\nc\u{202e}"),
            "a\u{fffd}[31mb  c\u{fffd}"
        );
    }

    #[test]
    fn spans_show_their_two_largest_units() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 1_047_600]
            .map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(
            shown,
            [
                "0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d0h", "12d3h"
            ]
        );
    }

    #[test]
    fn milliseconds_have_three_figures() {
        let shown = [0.4, 9.99, 12.34, 850.0, 999.9, 3_210.0].map(millis);
        assert_eq!(
            shown,
            [
                "0.40 ms", "9.99 ms", "12.3 ms", "850 ms", "1.00 s", "3.21 s"
            ]
        );
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        let shown = [0, 999, 1_000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_fit() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let lines = rows(["NAME", "ZONE"], &[row("a", "eu"), row("longer", "")], 80);
        assert_eq!(lines, ["NAME    ZONE", "a       eu", "longer"]);
        let lines = rows(["NAME", "ZONE"], &[row("longer", "eu-west")], 10);
        assert_eq!(lines, ["NAME    Z…", "longer  e…"]);
    }
}
