//! How moments, names and findings are written in JSON and paths.

use base::Wall;
use health::{Doubt, Finding};
use humantime::format_rfc3339_millis;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use base::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The last moment that RFC 3339 can write: the end of the year 9999.
const LAST: u64 = 253_402_300_799_999;

/// `at` as RFC 3339 in UTC with milliseconds; cut to the years 1970 to 9999.
pub(crate) fn rfc3339(at: Wall) -> String {
    let millis = u64::try_from(at.0).unwrap_or(0).min(LAST);
    format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
}

/// Reads RFC 3339; `None` if it is not.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Wall> {
    let (moment, offset_minutes) = split_offset(text)?;
    let at: SystemTime = humantime::parse_rfc3339(&moment).ok()?;
    let millis = at.duration_since(UNIX_EPOCH).ok()?.as_millis();
    Some(Wall(i64::try_from(millis).ok()? - offset_minutes * 60_000))
}

/// The moment as if it were in UTC, and by how many minutes it is not.
fn split_offset(text: &str) -> Option<(String, i64)> {
    let at = text
        .len()
        .checked_sub(6)
        .filter(|&at| text.is_char_boundary(at));
    let Some((moment, offset)) = at.map(|at| text.split_at(at)) else {
        return Some((text.to_owned(), 0));
    };
    let sign = match offset.as_bytes()[0] {
        // A plus sign in a query reads as a space.
        b'+' | b' ' => 1,
        // A date alone ends in "-12-31" too.
        b'-' if moment.contains(['T', 't', ' ']) => -1,
        _ => return Some((text.to_owned(), 0)),
    };
    let (hours, minutes) = offset[1..].split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| (format!("{moment}Z"), sign * (hours * 60 + minutes)))
}

/// `name` as one segment of a path.
pub(crate) fn encode_segment(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// `passed`, `failed` or `inconclusive`.
pub(crate) const fn finding_name(finding: Finding) -> &'static str {
    match finding {
        Finding::Passed => "passed",
        Finding::Failed(_) => "failed",
        Finding::Inconclusive(_) => "inconclusive",
    }
}

/// The stable code of why a check did not pass.
pub(crate) fn finding_code(finding: Finding) -> Option<String> {
    match finding {
        Finding::Passed => None,
        Finding::Failed(reason) => Some(reason.code()),
        Finding::Inconclusive(doubt) => Some(doubt_code(doubt)),
    }
}

fn doubt_code(doubt: Doubt) -> String {
    doubt.words().replace(' ', "_")
}

/// A span in milliseconds with its fraction.
pub(crate) fn millis(span: Duration) -> f64 {
    // Whole microseconds: no more digits than were measured.
    #[expect(
        clippy::cast_precision_loss,
        reason = "52 bits hold 142 years of microseconds"
    )]
    let micros = span.as_micros() as f64;
    micros / 1_000.0
}

/// A span in whole milliseconds.
pub(crate) fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_back_and_never_panic() {
        assert_eq!(rfc3339(Wall(1_500)), "1970-01-01T00:00:01.500Z");
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01.500Z"), Some(Wall(1_500)));
        for same in [
            "1970-01-01T02:00:01.500+02:00",
            "1970-01-01T02:00:01.500 02:00",
        ] {
            assert_eq!(parse_rfc3339(same), Some(Wall(1_500)), "{same}");
        }
        let west = parse_rfc3339("1970-01-01T22:30:01.500-01:30");
        assert_eq!(west, Some(Wall(86_401_500)));
        for wrong in [
            "yesterday",
            "1970-01-01",
            "",
            "é+02:00",
            "1970-01-01T00:00:00+99:00",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
        rfc3339(Wall(i64::MIN));
        assert_eq!(rfc3339(Wall(i64::MAX)), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(encode_segment("a/b c%ü"), "a%2Fb%20c%25%C3%BC");
    }

    #[test]
    fn milliseconds_keep_their_microseconds() {
        assert!((millis(Duration::from_micros(1_234)) - 1.234).abs() < 1e-12);
    }
}
