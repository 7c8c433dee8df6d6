//! JSON is YAML, but for two things that JSON writers do: this mends them.
//!
//! JSON escapes what is beyond the first 65,536 characters as two `\u` halves, which YAML takes
//! for two characters that don't exist; and JSON may be indented with tabs.
//! Text that does not begin like a JSON object is left as it is.

use std::borrow::Cow;

/// `text` such that a YAML reader understands it.
pub(super) fn to_yaml(text: &str) -> Cow<'_, str> {
    let is_json = text.trim_start().starts_with('{');
    if !is_json || !(text.contains('\t') || text.contains("\\u")) {
        return Cow::Borrowed(text);
    }
    let mut yaml = String::with_capacity(text.len());
    let mut quoted = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if quoted && let Some((wide, after)) = surrogates(rest) {
            yaml.push(wide);
            rest = after;
            continue;
        }
        let mut take = c.len_utf8();
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => take += rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        if c == '\t' && !quoted {
            yaml.push(' ');
        } else {
            yaml.push_str(&rest[..take]);
        }
        rest = &rest[take..];
    }
    Cow::Owned(yaml)
}

/// The character that two escaped halves at the start of `text` stand for.
fn surrogates(text: &str) -> Option<(char, &str)> {
    let high = half(text)?;
    let low = half(text.get(6..)?)?;
    let wide = char::decode_utf16([high, low]).next()?.ok()?;
    // A low half may follow a high one only; a whole character followed by another is not ours.
    (u32::from(wide) > 0xffff).then(|| (wide, &text[12..]))
}

fn half(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_one_character_inside_quotes_only() {
        assert_eq!(to_yaml(r#"{"a": "\ud83d\ude00!"}"#), "{\"a\": \"😀!\"}");
        assert_eq!(to_yaml(r#"{"a": "\\ud83d"}"#), r#"{"a": "\\ud83d"}"#);
        assert_eq!(
            to_yaml(r#"{"a": "\u0041\u0042"}"#),
            r#"{"a": "\u0041\u0042"}"#
        );
        assert_eq!(to_yaml(r#"{"a": "\ud83d"}"#), r#"{"a": "\ud83d"}"#);
        assert_eq!(to_yaml(r"a: \ud83d\ude00"), r"a: \ud83d\ude00");
    }

    #[test]
    fn tabs_outside_of_quotes_become_spaces() {
        assert_eq!(to_yaml("{\n\t\"a\":\t\"\t\"}"), "{\n \"a\": \"\t\"}");
    }

    #[test]
    fn broken_json_does_no_harm() {
        for text in [
            "{\"\\",
            "{\"\\u",
            "{\t\"\\ud83d\\u",
            "{\"\\ä\t",
            "{\t\"\\ud83d\\uzzzz\"",
        ] {
            to_yaml(text);
        }
    }
}
