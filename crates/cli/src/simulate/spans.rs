//! Times and counts of a report, in whole numbers: the same bytes on every machine.

use std::time::Duration;

/// A span or moment as a person would give it: "1m30s", "2h", "500ms", "0s".
pub(super) fn given(span: Duration) -> String {
    let millis = span.as_millis();
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1_000 % 60, "s"),
        (millis % 1_000, "ms"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let text: String = parts
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// A measured span to a tenth of a second, a long one to a second: "34.5 s", "12m5s".
pub(super) fn measured(span: Duration) -> String {
    let tenths = (span.as_millis() + 50) / 100;
    if tenths < 6_000 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        moment(span)
    }
}

/// A measured moment to a second: "1m23s".
pub(super) fn moment(span: Duration) -> String {
    given(Duration::from_secs((span.as_millis() as u64 + 500) / 1_000))
}

/// Bytes a second: "812 B/s", "1.2 kB/s", "3.4 MB/s".
pub(super) fn rate(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B/s"),
        1_000..1_000_000 => format!("{}.{} kB/s", bytes / 1_000, bytes / 100 % 10),
        _ => format!("{}.{} MB/s", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_span_is_read_as_it_was_written() {
        for text in ["10m", "1m30s", "2h", "500ms", "1h1m1s1ms", "0s"] {
            let span = humantime::parse_duration(text).unwrap();
            assert_eq!(given(span), text);
        }
    }

    #[test]
    fn measured_spans_have_tenths() {
        let millis = [0, 49, 50, 34_449, 34_450, 599_949, 725_000];
        let shown = millis.map(|ms| measured(Duration::from_millis(ms)));
        let expected = [
            "0.0 s", "0.0 s", "0.1 s", "34.4 s", "34.5 s", "599.9 s", "12m5s",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn rates_have_the_unit_that_suits_them() {
        let shown = [0, 999, 1_000, 12_345, 3_456_789].map(rate);
        let expected = ["0 B/s", "999 B/s", "1.0 kB/s", "12.3 kB/s", "3.4 MB/s"];
        assert_eq!(shown, expected);
    }
}
