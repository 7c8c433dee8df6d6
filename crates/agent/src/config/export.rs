//! A definition as the JSON that `PUT /v1/targets/{name}` takes.
//!
//! Only what differs from the defaults, and always interval, timeout, fall and rise. Secrets
//! written out in the config are shown as `***`; a `${VARIABLE}` or a file's name is shown, for
//! it is not the secret. What holds no `***` reads back as the same definition.

use std::sync::Arc;

use health::{
    Auth, BodyRule, Close, Compare, Definition, Expect, Family, HeaderCondition, HeaderRule, Http,
    JsonRule, Probe, SecretSource, Step, Tcp, Tls,
};
use serde_json::{Map, Value, json};

use super::connection::{CLOSES, FAMILIES};
use super::expand::{Piece, Pieces, escape};
use super::expect::COMPARES;
use super::quantity::duration_text;

/// What stands in place of a secret; refused where a secret is read.
pub(super) const HIDDEN: &str = "***";

type Object = Map<String, Value>;

/// `definition` in the shape that a PUT takes; secrets are `***`.
#[must_use]
pub fn target_to_json(definition: &Definition) -> Value {
    let mut out = Object::new();
    let rule = definition.rule;
    put(&mut out, "name", escape(&definition.name).as_ref());
    match &definition.probe {
        Probe::Http(probe) => put(&mut out, "http", http(probe)),
        Probe::Tcp(probe) => put(&mut out, "tcp", tcp(probe)),
    }
    put(&mut out, "interval", duration_text(definition.interval));
    put(&mut out, "timeout", duration_text(definition.timeout));
    let fall = match rule.of == rule.fall {
        true => json!(rule.fall),
        false => json!(format!("{} of {}", rule.fall, rule.of)),
    };
    put(&mut out, "fall", fall);
    put(&mut out, "rise", rule.rise);
    put_if(&mut out, "confirm", definition.confirm, 2);
    put_if(&mut out, "paused", definition.paused, false);
    if !definition.labels.is_empty() {
        let label = |(key, value): &(Arc<str>, Arc<str>)| pair(key, &escape(value));
        let labels: Object = definition.labels.iter().map(label).collect();
        put(&mut out, "labels", labels);
    }
    if let Some(group) = &definition.group {
        put(&mut out, "group", escape(group).as_ref());
    }
    out.into()
}

fn pair(key: &str, value: &str) -> (String, Value) {
    (key.to_owned(), value.into())
}

fn put(out: &mut Object, key: &str, value: impl Into<Value>) {
    out.insert(key.to_owned(), value.into());
}

fn put_if<T: Into<Value> + PartialEq>(out: &mut Object, key: &str, value: T, default: T) {
    if value != default {
        put(out, key, value);
    }
}

fn put_some(out: &mut Object, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        put(out, key, value);
    }
}

fn http(http: &Http) -> Object {
    let mut out = Object::new();
    put(&mut out, "url", hide_query(&hide_userinfo(&http.url)));
    put_if(&mut out, "method", &*http.method, "GET");
    if !http.headers.is_empty() {
        let header = |(name, value): &(Box<str>, Box<str>)| pair(name, &shown_header(name, value));
        let headers: Object = http.headers.iter().map(header).collect();
        put(&mut out, "headers", headers);
    }
    put_some(
        &mut out,
        "body",
        http.body.as_deref().map(hide_if_sensitive),
    );
    if http.redirects == 0 {
        put(&mut out, "follow_redirects", false);
    } else {
        put_if(&mut out, "max_redirects", http.redirects, Http::REDIRECTS);
    }
    put_object(&mut out, "expect", expect(&http.expect));
    put_if(&mut out, "max_body", http.max_body, Http::MAX_BODY);
    put_object(&mut out, "tls", tls(&http.tls));
    if let Some(scheme) = &http.auth {
        put(&mut out, "auth", auth(scheme));
    }
    put_if(&mut out, "keep_alive", http.keep_alive, false);
    connection(&mut out, http.family, http.close);
    out
}

fn tcp(tcp: &Tcp) -> Object {
    let mut out = Object::new();
    put(&mut out, "address", &*tcp.address);
    if let Some(given) = &tcp.tls {
        let given = tls(given);
        let value = if given.is_empty() {
            Value::Bool(true)
        } else {
            given.into()
        };
        put(&mut out, "tls", value);
    }
    if let Some(span) = tcp.cert_valid_for {
        put(&mut out, "cert_valid_for", duration_text(span));
    }
    if !tcp.dialogue.is_empty() {
        let step = |step: &Step| match step {
            Step::Send(text) => json!({ "send": hide_if_sensitive(text) }),
            Step::Expect(pattern) => json!({ "expect": pattern }),
        };
        let dialogue: Vec<Value> = tcp.dialogue.iter().map(step).collect();
        put(&mut out, "dialogue", dialogue);
    }
    connection(&mut out, tcp.family, tcp.close);
    out
}

fn put_object(out: &mut Object, key: &str, object: Object) {
    if !object.is_empty() {
        put(out, key, object);
    }
}

fn connection(out: &mut Object, family: Family, close: Close) {
    put_if(out, "ip", word(&FAMILIES, family), "any");
    put_if(out, "close", word(&CLOSES, close), "reset");
}

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let found = words.iter().find(|&&(_, known)| known == value);
    found.expect("the table has a word for every value").0
}

fn tls(tls: &Tls) -> Object {
    let mut out = Object::new();
    put_some(&mut out, "ca_file", tls.ca_file.as_deref());
    put_some(&mut out, "server_name", tls.server_name.as_deref());
    put_if(&mut out, "verify", tls.verify, true);
    out
}

fn auth(auth: &Auth) -> Value {
    match auth {
        Auth::Basic(username, SecretSource::Text(text)) => {
            json!({ "basic": { "username": username, "password": hide(text) } })
        }
        Auth::Basic(username, SecretSource::File(path)) => {
            json!({ "basic": { "username": username, "password_file": path } })
        }
        Auth::Bearer(SecretSource::Text(text)) => json!({ "bearer": { "token": hide(text) } }),
        Auth::Bearer(SecretSource::File(path)) => json!({ "bearer": { "token_file": path } }),
    }
}

fn expect(expect: &Expect) -> Object {
    let mut out = Object::new();
    let status = |&(low, high): &(u16, u16)| match low == high {
        true => json!(low),
        false => json!(format!("{low}-{high}")),
    };
    if !expect.status.is_empty() {
        let all: Vec<Value> = expect.status.iter().map(status).collect();
        put(&mut out, "status", all);
    }
    put_object(&mut out, "body", body(&expect.body));
    put_object(&mut out, "headers", header_rules(&expect.headers));
    if let Some(span) = expect.cert_valid_for {
        put(&mut out, "cert_valid_for", duration_text(span));
    }
    out
}

fn body(rules: &[BodyRule]) -> Object {
    let mut out = Object::new();
    for rule in rules {
        match rule {
            BodyRule::Matches(pattern) => append(&mut out, "matches", json!(pattern)),
            BodyRule::NotMatches(pattern) => append(&mut out, "not_matches", json!(pattern)),
            BodyRule::Json(rule) => append(&mut out, "json", json_rule(rule)),
        }
    }
    out
}

fn append(out: &mut Object, key: &str, value: Value) {
    let list = out.entry(key).or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        list.push(value);
    }
}

fn json_rule(rule: &JsonRule) -> Value {
    let mut out = Object::new();
    put(&mut out, "path", &*rule.path);
    let value = match rule.compare {
        Compare::Exists | Compare::Absent => Value::Bool(true),
        _ => serde_json::from_str(&rule.value).unwrap_or_else(|_| json!(rule.value)),
    };
    put(&mut out, word(&COMPARES, rule.compare), value);
    out.into()
}

fn header_rules(rules: &[HeaderRule]) -> Object {
    let mut out = Object::new();
    for rule in rules {
        let entry = out.entry(&*rule.name).or_insert_with(|| json!({}));
        let Value::Object(entry) = entry else {
            continue;
        };
        match &rule.condition {
            HeaderCondition::Present => put(entry, "present", true),
            HeaderCondition::Absent => put(entry, "present", false),
            HeaderCondition::Matches(pattern) => append(entry, "matches", json!(pattern)),
            HeaderCondition::NotMatches(pattern) => append(entry, "not_matches", json!(pattern)),
        }
    }
    out
}

/// Whether a header of this name usually holds a secret.
pub(super) fn is_sensitive(name: &str) -> bool {
    const PARTS: [&str; 13] = [
        "auth",
        "cookie",
        "token",
        "secret",
        "passw",
        "credential",
        "session",
        "api-key",
        "api_key",
        "apikey",
        "access-key",
        "access_key",
        "signature",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// A secret's text: as it is when it only names variables, `***` otherwise.
fn hide(text: &str) -> &str {
    let names = |piece| matches!(piece, Ok(Piece::Variable { default: None, .. }));
    if Pieces(text).all(names) {
        text
    } else {
        HIDDEN
    }
}

/// A text that is sent: hidden when a word in it says that a secret may stand beside it.
fn hide_if_sensitive(text: &str) -> &str {
    if is_sensitive(text) { hide(text) } else { text }
}

/// A URL, with `***` for what its query gives to sensitive names.
pub(crate) fn hide_query(url: &str) -> String {
    let Some((path, rest)) = url.split_once('?') else {
        return url.to_owned();
    };
    let (query, fragment) = match rest.split_once('#') {
        Some((query, fragment)) => (query, format!("#{fragment}")),
        None => (rest, String::new()),
    };
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if is_sensitive(name) || matches!(name, "key" | "sig" | "pw") => {
            format!("{name}={}", hide(value))
        }
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(shown).collect();
    format!("{path}?{}{fragment}", pairs.join("&"))
}

/// A header's value; of a sensitive one the scheme ("Bearer") and variables are shown.
fn shown_header(name: &str, value: &str) -> String {
    const SCHEMES: [&str; 3] = ["Bearer", "Basic", "Token"];
    if !is_sensitive(name) {
        return value.to_owned();
    }
    match value.split_once(' ') {
        Some((scheme, rest)) if SCHEMES.iter().any(|s| s.eq_ignore_ascii_case(scheme)) => {
            format!("{scheme} {}", hide(rest))
        }
        _ => hide(value).to_owned(),
    }
}

/// A URL, with `***` for a user and a password that are written out.
///
/// Works on unexpanded text: only a bare `${NAME}` is passed over as one piece, so that a
/// secret inside a default is found too.
fn hide_userinfo(url: &str) -> String {
    let scheme_end = url
        .find("://")
        .filter(|&end| !url[..end].contains(['/', '?', '#', '@']));
    let start = scheme_end.map_or(0, |end| end + 3);
    let plain = without_names(&url[start..]);
    let end = plain.find(['/', '?', '#']).unwrap_or(plain.len());
    let Some(at) = plain[..end].rfind('@') else {
        return url.to_owned();
    };
    let userinfo = &url[start..start + at];
    let hidden = match plain[..at].find(':') {
        Some(colon) => {
            let (user, password) = (&userinfo[..colon], &userinfo[colon + 1..]);
            format!("{}:{}", hide(user), hide(password))
        }
        None => hide(userinfo).to_owned(),
    };
    format!("{}{hidden}{}", &url[..start], &url[start + at..])
}

/// `text` of the same length in which every `${NAME}` is made of underscores.
fn without_names(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut left = Pieces(text);
    loop {
        let before = left.0;
        let Some(piece) = left.next() else {
            return plain;
        };
        let taken = &before[..before.len() - left.0.len()];
        match piece {
            Ok(Piece::Variable { default: None, .. }) => plain.push_str(&"_".repeat(taken.len())),
            Ok(Piece::Variable { .. } | Piece::Literal(_)) | Err(_) => plain.push_str(taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_unless_it_only_names_variables() {
        for (text, shown) in [
            ("${TOKEN}", "${TOKEN}"),
            ("${A}${B}", "${A}${B}"),
            ("hunter2", HIDDEN),
            ("${TOKEN:-hunter2}", HIDDEN),
            ("hunter2${TOKEN}", HIDDEN),
            ("$${TOKEN}", HIDDEN),
            ("${TOKEN", HIDDEN),
        ] {
            assert_eq!(hide(text), shown, "{text}");
        }
    }

    #[test]
    fn headers_that_hold_secrets_hide_them() {
        for (name, value, shown) in [
            ("Accept", "text/html", "text/html"),
            ("Authorization", "Bearer ${T}", "Bearer ${T}"),
            ("authorization", "Bearer hunter2", "Bearer ***"),
            ("AUTHORIZATION", "hunter2", "***"),
            ("Cookie", "session=hunter2", "***"),
            ("X-Api-Key", "${KEY}", "${KEY}"),
            ("X-Auth-Token", "hunter2", "***"),
            ("Proxy-Authorization", "Basic aHVudGVyMg==", "Basic ***"),
        ] {
            assert_eq!(shown_header(name, value), shown, "{name}: {value}");
        }
    }

    #[test]
    fn a_query_and_a_text_hide_what_a_name_beside_it_gives_away() {
        for (url, shown) in [
            (
                "http://a/b?x=1&token=hunter2#c",
                "http://a/b?x=1&token=***#c",
            ),
            ("http://a/?api_key=${K}&q", "http://a/?api_key=${K}&q"),
            ("http://a/b", "http://a/b"),
        ] {
            assert_eq!(hide_query(url), shown);
        }
        assert_eq!(hide_if_sensitive("AUTH hunter2\r\n"), HIDDEN);
        assert_eq!(hide_if_sensitive("PING\r\n"), "PING\r\n");
        assert_eq!(hide_if_sensitive("{\"password\":\"x\"}"), HIDDEN);
    }

    #[test]
    fn a_url_hides_user_and_password_wherever_they_are_written() {
        for (url, shown) in [
            ("http://a/b@c", "http://a/b@c"),
            ("http://a?b@c", "http://a?b@c"),
            ("http://bob:pw@a/b", "http://***:***@a/b"),
            ("http://b@b:p:w@a/b", "http://***:***@a/b"),
            ("http://token@a", "http://***@a"),
            ("http://${U}:${P}@a", "http://${U}:${P}@a"),
            ("http://bob:${P}@a", "http://***:${P}@a"),
            ("http://${U:-bob}:${P}@a", "http://***:***@a"),
            ("${BASE:-http://bob:pw@a}/x", "${BASE:-http://***:***@a}/x"),
            ("${S}bob:pw@a/x", "***:***@a/x"),
            ("${S:-x}bob:pw@a/?u=http://z", "***:***@a/?u=http://z"),
            ("http://${H:-bob:pw@a}/x", "http://***:***@a}/x"),
            ("http://ä:ö@ü/", "http://***:***@ü/"),
        ] {
            let hidden = hide_userinfo(url);
            assert_eq!(hidden, shown, "{url}");
            assert!(!hidden.contains("pw"), "{url}");
        }
    }
}
