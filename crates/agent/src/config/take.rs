//! Typed values out of nodes; whatever does not fit becomes a fault at its place.
//!
//! Every reader gives `None` after a fault, so that reading goes on and one run names every
//! mistake. [`Fields`] hands out a mapping's values by key and reports, in [`Fields::finish`],
//! every key that nobody asked for: nothing is accepted and ignored.
//! Does not know what the values are for.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use base::Duration;

use super::expand::expand;
use super::fault::{Faults, Mark, shown};
use super::quantity;
use super::verify::{self, Check};
use super::yaml::{Key, Kind, Node};

/// Where variables come from.
pub(super) type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

const NO_FILES: &str =
    "a target made through the API can't read this node's files; define it in the config file";
/// How many results of costly checks and how many words are remembered.
const REMEMBERED_MAX: usize = 4_096;

/// One reading of a config: the faults so far and what need not be worked out twice.
pub(super) struct Reading<'e> {
    pub(super) faults: Faults,
    env: Env<'e>,
    reads_files: bool,
    checked: HashMap<(Check, Box<str>), Option<String>>,
    words: HashSet<Arc<str>>,
}

impl<'e> Reading<'e> {
    /// A reading that has found nothing yet.
    pub(super) fn new(env: Env<'e>) -> Self {
        Self {
            faults: Faults::default(),
            env,
            reads_files: true,
            checked: HashMap::new(),
            words: HashSet::new(),
        }
    }

    /// The same, of somebody who may not learn what files this node has: none is opened.
    pub(super) fn without_files(env: Env<'e>) -> Self {
        Self {
            reads_files: false,
            ..Self::new(env)
        }
    }

    /// Where this reading's variables come from.
    pub(super) fn env(&self) -> Env<'e> {
        self.env
    }

    /// Reports a mistake.
    pub(super) fn fault(&mut self, at: Mark, message: impl Into<String>) {
        self.faults.push(at, message.into());
    }

    /// Reports a mistake unless there is none; the value of `result` otherwise.
    pub(super) fn value<T>(&mut self, at: Mark, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.fault(at, message)).ok()
    }

    /// The one shared copy of `word`: many targets have the same labels.
    pub(super) fn word(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return Arc::clone(known);
        }
        if self.words.len() >= REMEMBERED_MAX {
            self.words.clear();
        }
        let word: Arc<str> = word.into();
        self.words.insert(Arc::clone(&word));
        word
    }

    /// A scalar's text as written; refuses null, lists and mappings.
    pub(super) fn written<'n>(&mut self, key: &str, node: &'n Node<'_>) -> Option<&'n str> {
        let found = match &node.kind {
            Kind::Scalar { text, plain } if !(*plain && is_null(text)) => return Some(text),
            Kind::Scalar { .. } => "nothing",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Refused => return None,
        };
        let message = if found == "nothing" {
            format!("'{key}' has no value; give it one or remove the key")
        } else {
            format!("'{key}' must be one value, not {found}")
        };
        self.fault(node.at, message);
        None
    }

    /// A scalar's text with its variables replaced.
    pub(super) fn expanded(&mut self, key: &str, node: &Node<'_>) -> Option<String> {
        let written = self.written(key, node)?;
        let result = expand(written, self.env).map_err(|error| error.to_string());
        self.value(node.at, result)
    }

    /// Text as written, once `check` has passed what it expands to here.
    ///
    /// The definition keeps the unexpanded text: what it stands for never leaves the node.
    pub(super) fn text(&mut self, key: &str, node: &Node<'_>, check: Check) -> Option<Box<str>> {
        let written = self.written(key, node)?;
        self.passes(node.at, written, check)?;
        Some(written.into())
    }

    /// Whether `written` expands and passes `check`; reports what does not.
    pub(super) fn passes(&mut self, at: Mark, written: &str, check: Check) -> Option<()> {
        if check.reads_a_file() && !self.reads_files {
            return self.value(at, Err(NO_FILES.to_owned()));
        }
        if !check.is_costly() {
            let result = verify::expands_to(written, self.env, check);
            return self.value(at, result);
        }
        let key = (check, Box::from(written));
        let message = match self.checked.get(&key) {
            Some(known) => known.clone(),
            None => {
                if self.checked.len() >= REMEMBERED_MAX {
                    self.checked.clear();
                }
                let message = verify::expands_to(written, self.env, check).err();
                self.checked.insert(key, message.clone());
                message
            }
        };
        self.value(at, message.map_or(Ok(()), Err))
    }

    /// A whole number within `bounds`.
    pub(super) fn whole(
        &mut self,
        key: &str,
        node: &Node<'_>,
        bounds: RangeInclusive<u64>,
    ) -> Option<u64> {
        let text = self.expanded(key, node)?;
        let number = text.parse().ok().filter(|n| bounds.contains(n));
        let (low, high) = bounds.into_inner();
        let message = || {
            let text = shown(&text);
            format!("'{key}' must be a whole number from {low} to {high}, not {text}")
        };
        self.value(node.at, number.ok_or_else(message))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &str, node: &Node<'_>) -> Option<bool> {
        self.choice(key, node, &[("true", true), ("false", false)])
    }

    /// A duration longer than zero.
    pub(super) fn duration(&mut self, key: &str, node: &Node<'_>) -> Option<Duration> {
        let text = self.expanded(key, node)?;
        let result = quantity::duration(&text).map_err(|message| format!("'{key}': {message}"));
        self.value(node.at, result)
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        node: &Node<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.expanded(key, node)?;
        let found = choices.iter().find(|&&(word, _)| word == text);
        let message = || {
            let words: Vec<&str> = choices.iter().map(|&(word, _)| word).collect();
            let text = shown(&text);
            format!("'{key}' must be {}, not {text}", one_of(&words))
        };
        self.value(node.at, found.map(|&(_, value)| value).ok_or_else(message))
    }

    /// An IP address and a port to listen on.
    pub(super) fn socket(&mut self, key: &str, node: &Node<'_>) -> Option<SocketAddr> {
        let text = self.expanded(key, node)?;
        let message = |_| {
            let text = shown(&text);
            format!(
                "'{key}' must be an IP address and a port, such as 127.0.0.1:7717 or [::1]:7717, not {text}"
            )
        };
        self.value(node.at, text.parse().map_err(message))
    }

    /// A list's items, or a single value as the only one; at least one.
    pub(super) fn one_or_more<'a>(&mut self, key: &str, node: Node<'a>) -> Option<Vec<Node<'a>>> {
        match node.kind {
            Kind::List(items) if items.is_empty() => {
                let message = format!("'{key}' is an empty list; give it an item or remove it");
                self.fault(node.at, message);
                None
            }
            Kind::List(items) => Some(items),
            Kind::Refused => None,
            Kind::Scalar { .. } | Kind::Map(_) => Some(vec![node]),
        }
    }

    /// A list's items; there may be none.
    pub(super) fn list<'a>(&mut self, key: &str, node: Node<'a>) -> Option<Vec<Node<'a>>> {
        match node.kind {
            Kind::List(items) => Some(items),
            Kind::Refused => None,
            Kind::Scalar { .. } | Kind::Map(_) => {
                self.fault(node.at, format!("'{key}' must be a list, such as [a, b]"));
                None
            }
        }
    }

    /// A mapping's pairs, whatever the keys; `place` is how messages call it.
    pub(super) fn pairs<'a>(
        &mut self,
        place: &str,
        node: Node<'a>,
    ) -> Option<Vec<(Key<'a>, Node<'a>)>> {
        match node.kind {
            Kind::Map(pairs) => Some(pairs),
            Kind::Refused => None,
            Kind::Scalar { .. } | Kind::List(_) => {
                let message = if is_empty(&node) {
                    format!("{place} has no value; give it one or remove the key")
                } else {
                    format!("{place} must be a mapping, such as {{ key: value }}")
                };
                self.fault(node.at, message);
                None
            }
        }
    }

    /// A mapping whose keys are known; `place` is how messages call it.
    pub(super) fn fields<'a>(&mut self, place: &'static str, node: Node<'a>) -> Option<Fields<'a>> {
        let at = node.at;
        let pairs = self.pairs(place, node)?;
        Some(Fields {
            at,
            place,
            pairs,
            known: Vec::new(),
        })
    }
}

/// A mapping whose keys are known.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// Where the mapping begins.
    pub(super) at: Mark,
    place: &'static str,
    pairs: Vec<(Key<'a>, Node<'a>)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The value of `key`, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.push(key);
        let place = self.pairs.iter().position(|(k, _)| k.text == key)?;
        Some(self.pairs.remove(place).1)
    }

    /// The value of `key` as `how` reads it.
    pub(super) fn read<'e, T>(
        &mut self,
        reading: &mut Reading<'e>,
        key: &'static str,
        how: impl FnOnce(&mut Reading<'e>, &str, &Node<'_>) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(key)?;
        how(reading, key, &node)
    }

    /// The value of `key` as `how` reads it, and where it stands.
    pub(super) fn read_at<'e, T>(
        &mut self,
        reading: &mut Reading<'e>,
        key: &'static str,
        how: impl FnOnce(&mut Reading<'e>, &str, &Node<'_>) -> Option<T>,
    ) -> Option<(T, Mark)> {
        let node = self.take(key)?;
        Some((how(reading, key, &node)?, node.at))
    }

    /// Whether `key` is there and has not been taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(k, _)| k.text == key)
    }

    /// Reports every key that was not asked for. `later` are keys of a later version.
    pub(super) fn finish(self, reading: &mut Reading<'_>, later: &[&str]) {
        for (key, _) in &self.pairs {
            let message = unknown_key(&key.text, self.place, &self.known, later);
            reading.fault(key.at, message);
        }
    }
}

/// The message for a key that nobody knows.
pub(super) fn unknown_key(key: &str, place: &str, known: &[&str], later: &[&str]) -> String {
    if later.contains(&key) {
        return format!("'{key}' is not in this version");
    }
    let head = format!("unknown key {}", shown(key));
    if let Some(near) = nearest(key, known) {
        return format!("{head}; did you mean '{near}'?");
    }
    format!("{head}; {place} knows {}", known.join(", "))
}

/// The word that `key` is most likely a slip of the pen for.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer keys are near nothing and would cost length times length.
    if key.len() > 64 {
        return None;
    }
    let lower = key.to_lowercase().replace('-', "_");
    let distance = |word: &&str| strsim::osa_distance(&lower, word);
    let near = known.iter().copied().min_by_key(distance)?;
    (distance(&near) <= (near.len() / 3).max(1)).then_some(near)
}

/// "a, b or c".
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Whether plain text stands for no value.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Whether a node is a plain null.
pub(super) fn is_empty(node: &Node<'_>) -> bool {
    matches!(&node.kind, Kind::Scalar { text, plain: true } if is_null(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let known = ["interval", "timeout", "ip", "follow_redirects"];
        let message = |key| unknown_key(key, "a target", &known, &["exclusive"]);
        assert_eq!(
            message("intervall"),
            "unknown key 'intervall'; did you mean 'interval'?"
        );
        assert_eq!(
            message("Follow-Redirects"),
            "unknown key 'Follow-Redirects'; did you mean 'follow_redirects'?"
        );
        assert_eq!(
            message("colour"),
            "unknown key 'colour'; a target knows interval, timeout, ip, follow_redirects"
        );
        assert_eq!(message("exclusive"), "'exclusive' is not in this version");
        assert!(message(&"x".repeat(1_000_000)).len() < 200);
    }

    #[test]
    fn words_are_shared_and_bounded() {
        let mut reading = Reading::new(&|_| None);
        let (one, two) = (reading.word("web"), reading.word("web"));
        assert!(Arc::ptr_eq(&one, &two));
        for n in 0..3 * REMEMBERED_MAX {
            reading.word(&n.to_string());
        }
        assert!(reading.words.len() <= REMEMBERED_MAX);
    }

    #[test]
    fn several_words_are_joined() {
        assert_eq!(one_of(&["a"]), "a");
        assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
    }
}
