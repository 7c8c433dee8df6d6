//! YAML events to small trees whose every node knows where it stands.
//!
//! The file is never a tree: [`Reader::node`] builds one part (a section, or one target) and the
//! caller drops it before the next. Refused, because a health checker's config needs none of
//! them: anchors and aliases (a few lines can unfold to gigabytes), tags, several documents,
//! keys that are not text. Depth and size of a part are bounded.
//! Does not know which keys exist or what a value means.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::fault::{Faults, Mark, shown};

/// How deep lists and mappings may be nested.
pub(super) const DEPTH_MAX: usize = 32;
/// How many nodes one section or one target may have.
pub(super) const NODES_MAX: usize = 100_000;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) at: Mark,
    pub(super) kind: Kind<'a>,
}

/// What a [`Node`] holds.
#[derive(Debug)]
pub(super) enum Kind<'a> {
    /// Text, number, boolean or nothing; `plain` when written without quotes.
    Scalar {
        /// The text, not expanded.
        text: Cow<'a, str>,
        /// Only plain text can be a number, a boolean or null.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node<'a>>),
    /// A mapping, without the second of two equal keys.
    Map(Vec<(Key<'a>, Node<'a>)>),
    /// Something already reported; whoever reads it stays silent.
    Refused,
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key<'a> {
    pub(super) at: Mark,
    pub(super) text: Cow<'a, str>,
}

/// The text can't be read any further. Everything before it was.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) at: Mark,
    pub(super) message: String,
}

impl From<ScanError> for Broken {
    fn from(error: ScanError) -> Self {
        let at = Mark::new(error.marker().line(), error.marker().col() + 1);
        // The parser has a bound of its own, which its look-ahead reaches before ours.
        let message = match error.info() {
            "recursion limit exceeded" => too_deep(),
            flow if flow.contains("',' or") => {
                format!("not YAML: {flow}; quote values such as \"${{NAME}}\" inside {{ }} and [ ]")
            }
            other => format!("not YAML: {other}"),
        };
        Self { at, message }
    }
}

/// What the next event begins.
#[derive(Debug)]
pub(super) enum Begin {
    /// A mapping; its keys follow.
    Map,
    /// A list; its items follow.
    List,
    /// Neither; [`Reader::node`] reads it.
    Other,
}

/// Takes one part after another out of a text.
pub(super) struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    held: Option<(Event<'a>, Mark)>,
    budget: usize,
}

impl<'a> Reader<'a> {
    /// Reads `text` up to its first value; `None` when there is none.
    pub(super) fn open(text: &'a str) -> Result<Option<Self>, Broken> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Self {
            parser: Parser::new_from_str(text),
            held: None,
            budget: NODES_MAX,
        };
        loop {
            match reader.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => return Ok(None),
                held => {
                    reader.held = Some(held);
                    return Ok(Some(reader));
                }
            }
        }
    }

    /// Steps into a mapping or list, or stays before anything else.
    pub(super) fn begin(&mut self, faults: &mut Faults) -> Result<(Begin, Mark), Broken> {
        let (event, at) = self.next()?;
        let begin = match &event {
            Event::MappingStart(anchor, tag) => {
                decorated(*anchor, tag.is_some(), at, faults);
                Begin::Map
            }
            Event::SequenceStart(anchor, tag) => {
                decorated(*anchor, tag.is_some(), at, faults);
                Begin::List
            }
            _ => {
                self.held = Some((event, at));
                Begin::Other
            }
        };
        Ok((begin, at))
    }

    /// Whether the mapping or list stepped into ends here; steps out of it if so.
    pub(super) fn ends(&mut self) -> Result<bool, Broken> {
        let (event, at) = self.next()?;
        let ends = matches!(event, Event::MappingEnd | Event::SequenceEnd);
        if !ends {
            self.held = Some((event, at));
        }
        Ok(ends)
    }

    /// The next value as a tree, with a fresh budget of nodes.
    pub(super) fn node(&mut self, faults: &mut Faults) -> Result<Node<'a>, Broken> {
        self.budget = NODES_MAX;
        self.tree(0, faults)
    }

    /// The next key of the mapping stepped into; `None` after a fault, its value is skipped.
    pub(super) fn key(&mut self, faults: &mut Faults) -> Result<Option<Key<'a>>, Broken> {
        self.budget = NODES_MAX;
        self.pair_key(0, faults)
    }

    /// Passes over the next value without building it.
    pub(super) fn skip(&mut self) -> Result<(), Broken> {
        let mut depth = 0_usize;
        loop {
            match self.next()?.0 {
                Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
                Event::StreamEnd => return Ok(()),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Insists that nothing but the end follows.
    pub(super) fn close(&mut self) -> Result<(), Broken> {
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd | Event::Nothing => {}
                _ => {
                    let message = "a second document begins here; a config is one document, \
                                   remove the '---' or split the file";
                    return Err(broken(at, message));
                }
            }
        }
    }

    fn tree(&mut self, depth: usize, faults: &mut Faults) -> Result<Node<'a>, Broken> {
        let (event, at) = self.next()?;
        self.spend(depth, at)?;
        let kind = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if decorated(anchor, tag.is_some(), at, faults) {
                    Kind::Refused
                } else {
                    Kind::Scalar { text, plain }
                }
            }
            Event::SequenceStart(anchor, tag) => {
                let refused = decorated(anchor, tag.is_some(), at, faults);
                refuse_if(refused, Kind::List(self.items(depth, faults)?))
            }
            Event::MappingStart(anchor, tag) => {
                let refused = decorated(anchor, tag.is_some(), at, faults);
                refuse_if(refused, Kind::Map(self.pairs(depth, faults)?))
            }
            Event::Alias(_) => {
                faults.push(at, ANCHORS.to_owned());
                Kind::Refused
            }
            _ => return Err(broken(at, "the text ends where a value should be")),
        };
        Ok(Node { at, kind })
    }

    fn items(&mut self, depth: usize, faults: &mut Faults) -> Result<Vec<Node<'a>>, Broken> {
        let mut items = Vec::new();
        while !self.ends()? {
            items.push(self.tree(depth + 1, faults)?);
        }
        Ok(items)
    }

    fn pairs(
        &mut self,
        depth: usize,
        faults: &mut Faults,
    ) -> Result<Vec<(Key<'a>, Node<'a>)>, Broken> {
        let mut pairs = Vec::new();
        while !self.ends()? {
            let key = self.pair_key(depth, faults)?;
            let value = self.tree(depth + 1, faults)?;
            pairs.extend(key.map(|key| (key, value)));
        }
        drop_doubles(&mut pairs, faults);
        Ok(pairs)
    }

    fn pair_key(&mut self, depth: usize, faults: &mut Faults) -> Result<Option<Key<'a>>, Broken> {
        let Node { at, kind } = self.tree(depth + 1, faults)?;
        match kind {
            Kind::Scalar { text, plain: true } if text == "<<" => {
                faults.push(at, format!("'<<' merges an alias, and {ANCHORS}"));
                Ok(None)
            }
            Kind::Scalar { text, .. } => Ok(Some(Key { at, text })),
            Kind::Refused => Ok(None),
            Kind::List(_) | Kind::Map(_) => {
                let message = "a key must be text; quote it if it begins with '{' or '['";
                faults.push(at, message.to_owned());
                Ok(None)
            }
        }
    }

    fn spend(&mut self, depth: usize, at: Mark) -> Result<(), Broken> {
        if depth > DEPTH_MAX {
            let message = too_deep();
            return Err(Broken { at, message });
        }
        if self.budget == 0 {
            let message = format!("more than {NODES_MAX} values in one section or target");
            return Err(Broken { at, message });
        }
        self.budget -= 1;
        Ok(())
    }

    fn next(&mut self) -> Result<(Event<'a>, Mark), Broken> {
        if let Some(held) = self.held.take() {
            return Ok(held);
        }
        match self.parser.next_event() {
            None => Ok((Event::StreamEnd, Mark::START)),
            Some(Err(error)) => Err(error.into()),
            Some(Ok((event, span))) => {
                let at = Mark::new(span.start.line(), span.start.col() + 1);
                Ok((event, at))
            }
        }
    }
}

const ANCHORS: &str =
    "anchors and aliases are not supported; write the value out, or use 'defaults'";

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX} levels; flatten it")
}

fn broken(at: Mark, message: &str) -> Broken {
    Broken {
        at,
        message: message.to_owned(),
    }
}

fn refuse_if(refused: bool, kind: Kind<'_>) -> Kind<'_> {
    if refused { Kind::Refused } else { kind }
}

/// Reports an anchor or a tag; true if there was one.
fn decorated(anchor: usize, tag: bool, at: Mark, faults: &mut Faults) -> bool {
    if anchor > 0 {
        faults.push(at, ANCHORS.to_owned());
    }
    if tag {
        let message = "tags ('!…') are not supported; remove it, and quote what begins with '!'";
        faults.push(at, message.to_owned());
    }
    anchor > 0 || tag
}

/// Reports every key that an earlier one equals, and drops its value.
fn drop_doubles(pairs: &mut Vec<(Key<'_>, Node<'_>)>, faults: &mut Faults) {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|&a, &b| pairs[a].0.text.cmp(&pairs[b].0.text));
    let mut earlier: Vec<Option<Mark>> = vec![None; pairs.len()];
    for run in order.chunk_by(|&a, &b| pairs[a].0.text == pairs[b].0.text) {
        for &again in &run[1..] {
            earlier[again] = Some(pairs[run[0]].0.at);
        }
    }
    let mut earlier = earlier.into_iter();
    pairs.retain(|(key, _)| match earlier.next().flatten() {
        None => true,
        Some(first) => {
            faults.push(key.at, given_twice(&key.text, first));
            false
        }
    });
}

/// The message for a key that is given twice.
pub(super) fn given_twice(key: &str, first: Mark) -> String {
    format!(
        "key {} is given twice, first at {first}; keep one",
        shown(key)
    )
}
