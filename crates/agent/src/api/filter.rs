//! Which targets are meant: state, group, labels, free text. API and page use the same.

use base::Time;
use health::{Row, State};

use super::failure::error_of;
use super::{Problem, Query, masked};
use crate::front::Front;

/// All that is given must hold; one that is empty holds for every target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// One of these; all when empty.
    pub(crate) states: Vec<State>,
    /// Only stale (or only fresh) ones.
    pub(crate) stale: Option<bool>,
    pub(crate) group: Option<String>,
    labels: Vec<(String, String)>,
    /// Lower case.
    text: Option<String>,
}

impl Filter {
    /// Parameters that may be given once.
    pub(crate) const ONCE: [&'static str; 4] = ["state", "stale", "group", "q"];
    /// Parameters that may be repeated.
    pub(crate) const REPEATED: [&'static str; 1] = ["label"];

    /// Reads the filter's part of `query`.
    pub(crate) fn read(query: &Query) -> Result<Self, Problem> {
        let states = query.get("state").unwrap_or_default();
        let states = states.split(',').filter(|name| !name.is_empty());
        let stale = query.get("stale").is_some();
        Ok(Self {
            states: states.map(state).collect::<Result<_, _>>()?,
            stale: stale.then(|| query.flag("stale", true)).transpose()?,
            group: query.get("group").map(str::to_owned),
            labels: query.all("label").map(label).collect::<Result<_, _>>()?,
            text: query.get("q").map(str::to_lowercase),
        })
    }

    /// Whether every target is meant.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `row` is meant.
    pub(crate) fn matches(&self, front: &Front, row: &Row, now: Time) -> bool {
        (self.states.is_empty() || self.states.contains(&row.state()))
            && self
                .group
                .as_deref()
                .is_none_or(|group| row.group() == Some(group))
            && self.labels.iter().all(|wanted| has_label(row, wanted))
            && self
                .stale
                .is_none_or(|stale| front.is_stale(row, now) == stale)
            && self
                .text
                .as_deref()
                .is_none_or(|text| mentions(front, row, text))
    }
}

fn state(name: &str) -> Result<State, Problem> {
    State::from_name(name).ok_or_else(|| {
        Problem::bad_request(format!(
            "'state' is a list of down, unknown, up and paused; '{name}' is none of them"
        ))
    })
}

fn label(text: &str) -> Result<(String, String), Problem> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        Problem::bad_request(format!("'label' is key=value, '{text}' has no '='"))
    })?;
    Ok((key.to_owned(), value.to_owned()))
}

fn has_label(row: &Row, (key, value): &(String, String)) -> bool {
    let definition = row.definition();
    let mut labels = definition.labels.iter();
    labels.any(|(k, v)| **k == **key && **v == **value)
}

fn mentions(front: &Front, row: &Row, text: &str) -> bool {
    let definition = row.definition();
    contains(&definition.name, text)
        || contains(&masked(definition.probe.address()), text)
        || definition
            .group
            .as_deref()
            .is_some_and(|g| contains(g, text))
        || definition
            .labels
            .iter()
            .any(|(key, value)| contains(key, text) || contains(value, text))
        || error_of(row, &front.figures.read(row.slot)).is_some_and(|e| contains(&e, text))
}

/// Whether `lower`, already in lower case, occurs in `text` in any case.
fn contains(text: &str, lower: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(lower);
    }
    text.as_bytes()
        .windows(lower.len().max(1))
        .any(|part| part.eq_ignore_ascii_case(lower.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_in_any_case_and_script() {
        assert!(contains("Shop-EU", "shop"));
        assert!(contains("Läden", "läd"));
        assert!(contains("LÄDEN", "läd"));
        assert!(!contains("shop", "shopping"));
        assert!(!contains("", "a"));
    }
}
