//! What an HTTP answer must look like: `expect` of the http probe.
//!
//! Rules come out in one order whatever the file's: matches, not_matches, json; headers by name.

use health::{BodyRule, Compare, Expect, HeaderCondition, HeaderRule, JsonRule};
use serde_json::{Map, Number, Value};

use super::fault::{Mark, shown};
use super::http::header_name;
use super::take::{Fields, Reading, is_null, one_of};
use super::verify::Check;
use super::yaml::{Kind, Node};

/// The words for comparing a JSON value.
pub(super) const COMPARES: [(&str, Compare); 9] = [
    ("exists", Compare::Exists),
    ("absent", Compare::Absent),
    ("equals", Compare::Equals),
    ("not_equals", Compare::NotEquals),
    ("less", Compare::Less),
    ("at_most", Compare::AtMost),
    ("greater", Compare::Greater),
    ("at_least", Compare::AtLeast),
    ("matches", Compare::Matches),
];

/// A mapping of `expect`, and where `cert_valid_for` stands in it.
pub(super) fn expect(reading: &mut Reading<'_>, node: Node<'_>) -> Option<(Expect, Option<Mark>)> {
    let mut fields = reading.fields("'expect'", node)?;
    let status = fields.take("status").and_then(|n| statuses(reading, n));
    let body = fields.take("body").and_then(|n| body(reading, n));
    let headers = fields.take("headers").and_then(|n| headers(reading, n));
    let valid_for = fields.read_at(reading, "cert_valid_for", Reading::duration);
    fields.finish(reading, &[]);
    let expect = Expect {
        status: status.unwrap_or_default(),
        body: body.unwrap_or_default(),
        headers: headers.unwrap_or_default(),
        cert_valid_for: valid_for.map(|(span, _)| span),
    };
    Some((expect, valid_for.map(|(_, at)| at)))
}

fn statuses(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Box<[(u16, u16)]>> {
    let items = reading.one_or_more("status", node)?;
    Some(items.iter().filter_map(|n| status(reading, n)).collect())
}

fn status(reading: &mut Reading<'_>, node: &Node<'_>) -> Option<(u16, u16)> {
    let text = reading.expanded("status", node)?;
    let range = match text.split_once('-') {
        Some((low, high)) => low.trim().parse().ok().zip(high.trim().parse().ok()),
        None => text.parse().ok().map(|code| (code, code)),
    };
    let valid = range.filter(|&(low, high)| 100 <= low && low <= high && high <= 599);
    let message = || {
        let text = shown(&text);
        format!("'status' must be a code from 100 to 599 or a range such as 200-299, not {text}")
    };
    reading.value(node.at, valid.ok_or_else(message))
}

fn body(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Box<[BodyRule]>> {
    let mut fields = reading.fields("'body'", node)?;
    let matches = patterns(reading, &mut fields, "matches");
    let not_matches = patterns(reading, &mut fields, "not_matches");
    let json = fields.take("json");
    fields.finish(reading, &[]);
    let mut rules: Vec<BodyRule> = matches.into_iter().map(BodyRule::Matches).collect();
    rules.extend(not_matches.into_iter().map(BodyRule::NotMatches));
    for node in json
        .and_then(|node| reading.one_or_more("json", node))
        .unwrap_or_default()
    {
        rules.extend(json_rule(reading, node).map(BodyRule::Json));
    }
    Some(rules.into())
}

/// One regex or a list of them.
fn patterns(
    reading: &mut Reading<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Vec<Box<str>> {
    let Some(node) = fields.take(key) else {
        return Vec::new();
    };
    let items = reading.one_or_more(key, node).unwrap_or_default();
    items
        .iter()
        .filter_map(|n| reading.text(key, n, Check::Pattern))
        .collect()
}

fn json_rule(reading: &mut Reading<'_>, node: Node<'_>) -> Option<JsonRule> {
    let mut fields = reading.fields("'json'", node)?;
    if !fields.has("path") {
        reading.fault(fields.at, "'json' needs a 'path', such as $.status");
    }
    let path = fields.read(reading, "path", |r, k, n| r.text(k, n, Check::JsonPath));
    let at = fields.at;
    let mut given = Vec::new();
    for (word, compare) in COMPARES {
        given.extend(fields.take(word).map(|node| (word, compare, node)));
    }
    fields.finish(reading, &[]);
    if given.len() > 1 {
        let message = "a 'json' rule has one comparison; write a list of rules for more";
        reading.fault(at, message);
        return None;
    }
    let Some((word, compare, node)) = given.pop() else {
        let words = COMPARES.map(|(word, _)| word);
        let message = format!("'json' needs a comparison: {}", one_of(&words));
        reading.fault(at, message);
        return None;
    };
    let value = compared(reading, word, compare, &node)?;
    Some(JsonRule {
        path: path?,
        compare,
        value,
    })
}

/// The JSON text that a rule compares with.
fn compared(
    reading: &mut Reading<'_>,
    word: &str,
    compare: Compare,
    node: &Node<'_>,
) -> Option<Box<str>> {
    if matches!(compare, Compare::Exists | Compare::Absent) {
        let holds = reading.boolean(word, node)?;
        if !holds {
            let other = if word == "exists" { "absent" } else { "exists" };
            let message = format!("'{word}: false' is written '{other}: true'");
            reading.fault(node.at, message);
            return None;
        }
        return Some("".into());
    }
    let value = json_value(node)?;
    let wanted = match compare {
        Compare::Matches if !value.is_string() => "a regex",
        Compare::Less | Compare::AtMost | Compare::Greater | Compare::AtLeast
            if !(value.is_number() || value.is_string()) =>
        {
            "a number or text"
        }
        _ => "",
    };
    if !wanted.is_empty() {
        reading.fault(node.at, format!("'{word}' needs {wanted}"));
        return None;
    }
    if let (Compare::Matches, Value::String(pattern)) = (compare, &value) {
        reading.passes(node.at, pattern, Check::Pattern)?;
    }
    let text = value.to_string();
    reading.passes(node.at, &text, Check::Json)?;
    Some(text.into())
}

/// A node as JSON; plain text may be a number, a boolean or null. `None` if it was refused.
fn json_value(node: &Node<'_>) -> Option<Value> {
    Some(match &node.kind {
        Kind::Scalar { text, plain: false } => Value::String(text.to_string()),
        Kind::Scalar { text, plain: true } => plain_value(text),
        Kind::List(items) => Value::Array(items.iter().map(json_value).collect::<Option<_>>()?),
        Kind::Map(pairs) => {
            let pair = |(key, value): &(super::yaml::Key<'_>, Node<'_>)| {
                Some((key.text.to_string(), json_value(value)?))
            };
            Value::Object(pairs.iter().map(pair).collect::<Option<Map<_, _>>>()?)
        }
        Kind::Refused => return None,
    })
}

fn plain_value(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_null(text) => Value::Null,
        _ => match serde_json::from_str::<Number>(text) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}

fn headers(reading: &mut Reading<'_>, node: Node<'_>) -> Option<Box<[HeaderRule]>> {
    let mut pairs = reading.pairs("'headers'", node)?;
    pairs.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
    let mut rules = Vec::new();
    for (key, node) in pairs {
        header_name(reading, &key.text, key.at);
        for condition in conditions(reading, &key.text, node) {
            rules.push(HeaderRule {
                name: key.text.as_ref().into(),
                condition,
            });
        }
    }
    Some(rules.into())
}

/// A regex alone, or `present`, `matches` and `not_matches`.
fn conditions(reading: &mut Reading<'_>, name: &str, node: Node<'_>) -> Vec<HeaderCondition> {
    if matches!(node.kind, Kind::Scalar { .. }) {
        let pattern = reading.text(name, &node, Check::Pattern);
        return pattern.map(HeaderCondition::Matches).into_iter().collect();
    }
    let before = reading.faults.count();
    let Some(mut fields) = reading.fields("a header's rule", node) else {
        return Vec::new();
    };
    let present = fields.read_at(reading, "present", Reading::boolean);
    let matches = patterns(reading, &mut fields, "matches");
    let not_matches = patterns(reading, &mut fields, "not_matches");
    let at = fields.at;
    fields.finish(reading, &[]);
    let mut all: Vec<HeaderCondition> = present
        .iter()
        .map(|&(present, _)| match present {
            true => HeaderCondition::Present,
            false => HeaderCondition::Absent,
        })
        .collect();
    if let Some((false, at)) = present
        && !(matches.is_empty() && not_matches.is_empty())
    {
        let message = "a header that must be absent matches nothing; remove the other rules";
        reading.fault(at, message);
    }
    all.extend(matches.into_iter().map(HeaderCondition::Matches));
    all.extend(not_matches.into_iter().map(HeaderCondition::NotMatches));
    if all.is_empty() && reading.faults.count() == before {
        let message = "a header's rule needs 'present', 'matches' or 'not_matches'";
        reading.fault(at, message);
    }
    all
}
