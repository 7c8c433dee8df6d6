//! `${ENV}` and `${ENV:-default}` inside text; `$$` is a dollar.
//!
//! Any other dollar stays as it is, so that a regex or a JSONPath needs no escapes. A default
//! ends at the first `}`; it is taken when the variable is not set or empty, as in a shell.
//! Expanded text is not expanded again. Start at [`expand`].

use std::borrow::Cow;

use thiserror::Error;

/// Text that can't be expanded. Messages name the variable, never its value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExpandError {
    /// The variable is not set and has no default.
    #[error("environment variable {0} is not set; set it, or write ${{{0}:-default}}")]
    Unknown(String),
    /// `${` without `}`.
    #[error("'${{' has no closing '}}'; write '$$' for a dollar")]
    Unclosed,
    /// What stands between the braces is not a name.
    #[error(
        "'${{…}}' must hold a name of letters, digits and '_', as in ${{NAME}} or ${{NAME:-default}}; write '$$' for a dollar"
    )]
    NotAName,
}

/// A stretch of a text that may be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Stands for itself.
    Literal(&'a str),
    /// `${name}` or `${name:-default}`.
    Variable {
        name: &'a str,
        default: Option<&'a str>,
    },
}

/// `text` with every variable replaced by what `env` says.
pub fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(text.len());
    for piece in Pieces(text) {
        match piece? {
            Piece::Literal(literal) => expanded.push_str(literal),
            Piece::Variable { name, default } => match (env(name), default) {
                (Some(value), None) => expanded.push_str(&value),
                (Some(value), Some(_)) if !value.is_empty() => expanded.push_str(&value),
                (_, Some(default)) => expanded.push_str(default),
                (None, None) => return Err(ExpandError::Unknown(name.to_owned())),
            },
        }
    }
    Ok(expanded)
}

/// Text that expands to `text`, whatever the environment.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains("$$") || text.contains("${") {
        Cow::Owned(text.replace('$', "$$"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The stretches of a text, from left to right; ends after an error.
#[derive(Clone, Debug)]
pub(super) struct Pieces<'a>(pub(super) &'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, ExpandError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0;
        if text.is_empty() {
            return None;
        }
        if let Some(inner) = text.strip_prefix("${") {
            let Some((inner, rest)) = inner.split_once('}') else {
                self.0 = "";
                return Some(Err(ExpandError::Unclosed));
            };
            self.0 = rest;
            return Some(variable(inner).inspect_err(|_| self.0 = ""));
        }
        let (literal, rest) = if let Some(rest) = text.strip_prefix("$$") {
            ("$", rest)
        } else {
            // By bytes: the first character may be wider than one, and no dollar is inside it.
            let next = text.bytes().skip(1).position(|byte| byte == b'$');
            text.split_at(next.map_or(text.len(), |at| at + 1))
        };
        self.0 = rest;
        Some(Ok(Piece::Literal(literal)))
    }
}

fn variable(inner: &str) -> Result<Piece<'_>, ExpandError> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let first = name.chars().next().is_some_and(letter);
    if first && name.chars().all(|c| letter(c) || c.is_ascii_digit()) {
        Ok(Piece::Variable { name, default })
    } else {
        Err(ExpandError::NotAName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("shop.example".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn text_expands_as_the_contract_says() {
        for (text, expanded) in [
            ("", ""),
            ("plain", "plain"),
            ("${HOST}", "shop.example"),
            (
                "https://${HOST}/${HOST}",
                "https://shop.example/shop.example",
            ),
            ("${NONE:-fallback}", "fallback"),
            ("${NONE:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-fallback}", "fallback"),
            ("${NONE:-a:-b}", "a:-b"),
            ("${NESTED}", "${HOST}"),
            ("$$", "$"),
            ("$${HOST}", "${HOST}"),
            ("$$$${HOST}", "$${HOST}"),
            ("^ok$", "^ok$"),
            ("$.items[0]", "$.items[0]"),
            ("a$b", "a$b"),
            ("ä$ö${HOST}ü", "ä$öshop.exampleü"),
            ("🙂", "🙂"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn what_does_not_expand_says_why() {
        for (text, error) in [
            ("${NONE}", ExpandError::Unknown("NONE".to_owned())),
            ("${HOST", ExpandError::Unclosed),
            ("${", ExpandError::Unclosed),
            ("${}", ExpandError::NotAName),
            ("${a b}", ExpandError::NotAName),
            ("${1A}", ExpandError::NotAName),
            ("${HOST:default}", ExpandError::NotAName),
            ("${ä}", ExpandError::NotAName),
        ] {
            assert_eq!(expand(text, &env), Err(error), "{text}");
        }
        let error = ExpandError::Unknown("X".to_owned()).to_string();
        assert_eq!(
            error,
            "environment variable X is not set; set it, or write ${X:-default}"
        );
    }

    #[test]
    fn escaped_text_expands_to_itself() {
        for text in ["", "a", "$", "$$", "${HOST}", "$.a", "a$$${b", "ok$"] {
            assert_eq!(expand(&escape(text), &env).as_deref(), Ok(text));
        }
    }
}
