//! Durations, sizes and "k of n" as people write them, and back.
//!
//! Every function takes expanded text and gives a message that names the way out. Whole
//! numbers only, each with its unit: `1m30s`, `500ms`, `10MiB`.

use base::Duration;

/// Microseconds in a unit of time, longest first.
const TIME_UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
];

/// A duration longer than zero, such as `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let example = "write a duration such as 500ms, 10s, 1m30s or 2h";
    if text.starts_with('-') {
        return Err(format!("a duration can't be negative; {example}"));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(if text.bytes().all(|b| b == b'0') {
            format!("a duration must be longer than zero; {example}")
        } else {
            let number = text.get(..20).unwrap_or(text);
            format!("'{number}' has no unit; did you mean {number}s or {number}ms?")
        });
    }
    let micros = micros(text).ok_or_else(|| format!("not a duration; {example}"))?;
    if micros == 0 {
        return Err(format!("a duration must be longer than zero; {example}"));
    }
    Ok(Duration::from_micros(micros))
}

/// Numbers each with a unit, in falling order of units.
fn micros(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut units = TIME_UNITS.as_slice();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(digits(rest));
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let place = units.iter().position(|&(name, _)| name == unit)?;
        let value = number.parse::<u64>().ok()?.checked_mul(units[place].1)?;
        total = total.checked_add(value)?;
        units = &units[place + 1..];
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len())
}

/// The shortest text that [`duration`] reads as `span`; less than a microsecond is dropped.
pub(super) fn duration_text(span: Duration) -> String {
    let mut left = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in TIME_UNITS {
        if left >= size {
            text.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

/// A number of bytes, such as `10MiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(digits(text));
    let &(_, factor) = SIZE_UNITS.iter().find(|&&(name, _)| name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `3` (in a row) or `3 of 5`: how many failures, among how many outcomes.
pub(super) fn fall(text: &str) -> Option<(u16, u16)> {
    match text.split_once(" of ") {
        None => {
            let fall = text.parse().ok()?;
            Some((fall, fall))
        }
        Some((fall, of)) => Some((fall.trim().parse().ok()?, of.trim().parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1h0m5s", 3_605_000),
            ("1d", 86_400_000),
            ("1s500ms", 1_500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(duration("5us"), Ok(Duration::from_micros(5)));
    }

    #[test]
    fn what_is_no_duration_names_the_way_out() {
        for (text, part) in [
            ("5", "did you mean 5s or 5ms?"),
            ("0", "longer than zero"),
            ("0s", "longer than zero"),
            ("-5s", "can't be negative"),
            ("", "500ms, 10s, 1m30s or 2h"),
            ("s", "not a duration"),
            ("1.5s", "not a duration"),
            ("10 s", "not a duration"),
            ("1m1m", "not a duration"),
            ("5s1m", "not a duration"),
            ("1s5", "not a duration"),
            ("5sec", "not a duration"),
            ("99999999999999999999s", "not a duration"),
            ("999999999999999999h", "not a duration"),
            ("١s", "not a duration"),
            ("5µs", "not a duration"),
        ] {
            let message = duration(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_duration_survives_its_text() {
        let mut rng = base::Rng::new(1);
        for _ in 0..1_000 {
            let shift = rng.below(50);
            let span = Duration::from_micros((rng.word() >> 14 >> shift).max(1));
            assert_eq!(duration(&duration_text(span)), Ok(span));
        }
        assert_eq!(duration_text(Duration::from_millis(90_500)), "1m30s500ms");
    }

    #[test]
    fn sizes_have_units_of_two_kinds() {
        assert_eq!(size("4096"), Some(4096));
        assert_eq!(size("10MiB"), Some(10 << 20));
        assert_eq!(size("64 KiB"), Some(64 << 10));
        assert_eq!(size("1MB"), Some(1_000_000));
        for text in ["", "MiB", "-1", "1.5MiB", "10Mib", "99999999999999999999"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn fall_counts_in_a_row_or_within_a_window() {
        assert_eq!(fall("3"), Some((3, 3)));
        assert_eq!(fall("3 of 5"), Some((3, 5)));
        for text in ["", "three", "3of5", "3 of", "of 5", "-1", "70000"] {
            assert_eq!(fall(text), None, "{text}");
        }
    }
}
