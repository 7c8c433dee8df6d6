//! Spans and moments as people read them. `app.js` writes spans the same way.

use base::{Duration, Wall};

use crate::api::rfc3339;

/// "3 m 12 s": the two largest units.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} m {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} m", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

/// "1.23 ms", "412 ms", "1.40 s": three digits.
pub(super) fn latency(span: Duration) -> String {
    let micros = span.as_micros();
    let millis = span.as_secs_f64() * 1_000.0;
    match micros {
        0..10_000 => format!("{millis:.2} ms"),
        10_000..100_000 => format!("{millis:.1} ms"),
        100_000..1_000_000 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", span.as_secs_f64()),
    }
}

/// "500 ms", "10 s", "1 m 30 s": a span from a definition, nothing cut.
pub(super) fn exact(span: Duration) -> String {
    let mut text = String::new();
    let mut last = ' ';
    for character in humantime::format_duration(span).to_string().chars() {
        if last.is_ascii_digit() && character.is_alphabetic() {
            text.push(' ');
        }
        text.push(character);
        last = character;
    }
    text
}

/// "2026-01-31 02:14:03".
pub(super) fn moment(at: Wall) -> String {
    rfc3339(at)[..19].replace('T', " ")
}

/// How long after `earlier` `later` is; zero if it is not.
pub(super) fn between(earlier: Wall, later: Wall) -> Duration {
    let millis = later.0.saturating_sub(earlier.0);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_shows_its_two_largest_units() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (192, "3 m 12 s"),
            (7_500, "2 h 5 m"),
            (356_400, "4 d 3 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn latency_shows_three_digits() {
        let cases = [
            (210, "0.21 ms"),
            (12_340, "12.3 ms"),
            (412_000, "412 ms"),
            (1_400_000, "1.40 s"),
        ];
        for (micros, text) in cases {
            assert_eq!(latency(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_configured_span_is_not_rounded() {
        assert_eq!(exact(Duration::from_millis(1_500)), "1 s 500 ms");
        assert_eq!(exact(Duration::from_secs(10)), "10 s");
        assert_eq!(exact(Duration::from_secs(90)), "1 m 30 s");
    }
}
