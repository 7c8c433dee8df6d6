//! A definition as bytes: tagged fields, so that a newer node's extra fields are skipped.
//!
//! Defaults are not written. A value that this version does not know (a new kind of probe, a new
//! comparison) is an error: better not checked, and said, than checked wrongly.

use std::sync::Arc;

use base::Duration;
use base::wire::{DecodeError, Reader, Writer};

use super::{
    Auth, BodyRule, Close, Compare, Definition, Expect, Family, HeaderCondition, HeaderRule, Http,
    JsonRule, Probe, Rule, SecretSource, Step, Tcp, Tls,
};

/// The definition as bytes.
#[must_use]
pub fn encode(definition: &Definition) -> Vec<u8> {
    let mut w = Writer::new();
    w.field_bytes(1, definition.name.as_bytes());
    match &definition.probe {
        Probe::Http(http) => w.field(2, |w| put_http(w, http)),
        Probe::Tcp(tcp) => w.field(3, |w| put_tcp(w, tcp)),
    }
    put_span(&mut w, 4, definition.interval);
    put_span(&mut w, 5, definition.timeout);
    w.field(6, |w| {
        let Rule { fall, of, rise } = definition.rule;
        [fall, of, rise]
            .into_iter()
            .for_each(|n| w.number(u64::from(n)));
    });
    w.field_number(7, u64::from(definition.confirm));
    put_flag(&mut w, 8, definition.paused);
    for (key, value) in &definition.labels {
        put_pair(&mut w, 9, key, value);
    }
    if let Some(group) = &definition.group {
        w.field_bytes(10, group.as_bytes());
    }
    w.finish()
}

/// The definition that these bytes hold.
pub fn decode(bytes: &[u8]) -> Result<Definition, DecodeError> {
    let mut r = Reader::new(bytes);
    let (mut name, mut probe, mut labels) = (None, None, Vec::new());
    let mut rest = Definition {
        name: Arc::from(""),
        probe: Probe::Tcp(Box::new(Tcp::connect(""))),
        interval: INTERVAL,
        timeout: TIMEOUT,
        rule: Rule::default(),
        confirm: 0,
        paused: false,
        labels: Box::default(),
        group: None,
    };
    while let Some((tag, mut field)) = r.field()? {
        match tag {
            1 => name = Some(field.rest_text()?.into()),
            2 => probe = Some(Probe::Http(Box::new(get_http(field)?))),
            3 => probe = Some(Probe::Tcp(Box::new(get_tcp(field)?))),
            4 => rest.interval = get_span(field)?,
            5 => rest.timeout = get_span(field)?,
            6 => {
                let mut next = || field.small("rule");
                rest.rule = Rule {
                    fall: next()?,
                    of: next()?,
                    rise: next()?,
                };
            }
            7 => rest.confirm = field.small("confirm")?,
            8 => rest.paused = true,
            9 => labels.push((field.text()?.into(), field.text()?.into())),
            10 => rest.group = Some(field.rest_text()?.into()),
            _ => {}
        }
    }
    Ok(Definition {
        name: name.ok_or(DecodeError::Missing("name"))?,
        probe: probe.ok_or(DecodeError::Missing("probe"))?,
        labels: labels.into(),
        ..rest
    })
}

/// The name in an encoded definition that was read before.
pub(crate) fn name_in(bytes: &[u8]) -> &str {
    let name = fields_in(bytes).find(|(tag, _)| *tag == 1);
    let name = name.and_then(|(_, field)| field.rest_text().ok());
    name.expect("a definition that was read before has a name")
}

/// Interval and timeout in an encoded definition that was read before.
pub(crate) fn pace_in(bytes: &[u8]) -> (Duration, Duration) {
    let mut pace = (INTERVAL, TIMEOUT);
    for (tag, field) in fields_in(bytes) {
        match tag {
            4 => pace.0 = get_span(field).unwrap_or(pace.0),
            5 => pace.1 = get_span(field).unwrap_or(pace.1),
            _ => {}
        }
    }
    pace
}

/// The group in an encoded definition that was read before.
pub(crate) fn group_in(bytes: &[u8]) -> Option<&str> {
    let (_, field) = fields_in(bytes).find(|(tag, _)| *tag == 10)?;
    field.rest_text().ok()
}

/// The probe's kind in an encoded definition that was read before.
pub(crate) fn kind_in(bytes: &[u8]) -> &'static str {
    let is_http = fields_in(bytes).any(|(tag, _)| tag == 2);
    if is_http { "http" } else { "tcp" }
}

/// Whether an encoded definition that was read before is paused.
pub(crate) fn is_paused_in(bytes: &[u8]) -> bool {
    fields_in(bytes).any(|(tag, _)| tag == 8)
}

fn fields_in(bytes: &[u8]) -> impl Iterator<Item = (u64, Reader<'_>)> {
    let mut r = Reader::new(bytes);
    std::iter::from_fn(move || r.field().ok().flatten())
}

/// What stands where nothing is written.
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);

fn put_span(w: &mut Writer, tag: u64, span: Duration) {
    w.field_number(tag, u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
}

fn get_span(mut r: Reader<'_>) -> Result<Duration, DecodeError> {
    Ok(Duration::from_micros(r.number()?))
}

fn put_flag(w: &mut Writer, tag: u64, flag: bool) {
    if flag {
        w.field_bytes(tag, &[]);
    }
}

fn put_pair(w: &mut Writer, tag: u64, a: &str, b: &str) {
    w.field(tag, |w| {
        w.bytes(a.as_bytes());
        w.bytes(b.as_bytes());
    });
}

fn put_http(w: &mut Writer, http: &Http) {
    w.field_bytes(1, http.url.as_bytes());
    w.field_bytes(2, http.method.as_bytes());
    http.headers
        .iter()
        .for_each(|(name, value)| put_pair(w, 3, name, value));
    if let Some(body) = &http.body {
        w.field_bytes(4, body.as_bytes());
    }
    w.field_number(5, u64::from(http.redirects));
    w.field(6, |w| put_expect(w, &http.expect));
    w.field_number(7, u64::from(http.max_body));
    w.field(8, |w| put_tls(w, &http.tls));
    if let Some(auth) = &http.auth {
        w.field(9, |w| put_auth(w, auth));
    }
    put_flag(w, 10, http.keep_alive);
    w.field_number(11, family_number(http.family));
    put_flag(w, 12, http.close == Close::Fin);
}

fn get_http(mut r: Reader<'_>) -> Result<Http, DecodeError> {
    let mut http = Http::get("");
    let mut headers = Vec::new();
    while let Some((tag, mut field)) = r.field()? {
        match tag {
            1 => http.url = field.rest_text()?.into(),
            2 => http.method = field.rest_text()?.into(),
            3 => headers.push((field.text()?.into(), field.text()?.into())),
            4 => http.body = Some(field.rest_text()?.into()),
            5 => http.redirects = field.small("redirects")?,
            6 => http.expect = get_expect(field)?,
            7 => http.max_body = field.small("max_body")?,
            8 => http.tls = get_tls(field)?,
            9 => http.auth = Some(get_auth(field)?),
            10 => http.keep_alive = true,
            11 => http.family = get_family(field)?,
            12 => http.close = Close::Fin,
            _ => {}
        }
    }
    http.headers = headers.into();
    Ok(http)
}

fn put_tcp(w: &mut Writer, tcp: &Tcp) {
    w.field_bytes(1, tcp.address.as_bytes());
    if let Some(tls) = &tcp.tls {
        w.field(2, |w| put_tls(w, tls));
    }
    if let Some(span) = tcp.cert_valid_for {
        put_span(w, 3, span);
    }
    for step in &tcp.dialogue {
        match step {
            Step::Send(text) => w.field_bytes(4, text.as_bytes()),
            Step::Expect(pattern) => w.field_bytes(5, pattern.as_bytes()),
        }
    }
    w.field_number(6, family_number(tcp.family));
    put_flag(w, 7, tcp.close == Close::Fin);
}

fn get_tcp(mut r: Reader<'_>) -> Result<Tcp, DecodeError> {
    let mut tcp = Tcp::connect("");
    let mut dialogue = Vec::new();
    while let Some((tag, field)) = r.field()? {
        match tag {
            1 => tcp.address = field.rest_text()?.into(),
            2 => tcp.tls = Some(get_tls(field)?),
            3 => tcp.cert_valid_for = Some(get_span(field)?),
            4 => dialogue.push(Step::Send(field.rest_text()?.into())),
            5 => dialogue.push(Step::Expect(field.rest_text()?.into())),
            6 => tcp.family = get_family(field)?,
            7 => tcp.close = Close::Fin,
            _ => {}
        }
    }
    tcp.dialogue = dialogue.into();
    Ok(tcp)
}

fn put_expect(w: &mut Writer, expect: &Expect) {
    for &(from, to) in &expect.status {
        w.field(1, |w| {
            [from, to].into_iter().for_each(|n| w.number(u64::from(n)))
        });
    }
    for rule in &expect.body {
        match rule {
            BodyRule::Matches(pattern) => w.field_bytes(2, pattern.as_bytes()),
            BodyRule::NotMatches(pattern) => w.field_bytes(3, pattern.as_bytes()),
            BodyRule::Json(rule) => w.field(4, |w| {
                w.bytes(rule.path.as_bytes());
                w.number(compare_number(rule.compare));
                w.bytes(rule.value.as_bytes());
            }),
        }
    }
    for rule in &expect.headers {
        w.field(5, |w| {
            w.bytes(rule.name.as_bytes());
            let (kind, pattern) = match &rule.condition {
                HeaderCondition::Present => (0, ""),
                HeaderCondition::Absent => (1, ""),
                HeaderCondition::Matches(pattern) => (2, &**pattern),
                HeaderCondition::NotMatches(pattern) => (3, &**pattern),
            };
            w.number(kind);
            w.bytes(pattern.as_bytes());
        });
    }
    if let Some(span) = expect.cert_valid_for {
        put_span(w, 6, span);
    }
}

fn get_expect(mut r: Reader<'_>) -> Result<Expect, DecodeError> {
    let (mut status, mut body, mut headers, mut cert_valid_for) =
        (Vec::new(), Vec::new(), Vec::new(), None);
    while let Some((tag, mut field)) = r.field()? {
        match tag {
            1 => status.push((field.small("status")?, field.small("status")?)),
            2 => body.push(BodyRule::Matches(field.rest_text()?.into())),
            3 => body.push(BodyRule::NotMatches(field.rest_text()?.into())),
            4 => body.push(BodyRule::Json(JsonRule {
                path: field.text()?.into(),
                compare: get_compare(field.number()?)?,
                value: field.text()?.into(),
            })),
            5 => headers.push(HeaderRule {
                name: field.text()?.into(),
                condition: get_condition(field)?,
            }),
            6 => cert_valid_for = Some(get_span(field)?),
            _ => {}
        }
    }
    Ok(Expect {
        status: status.into(),
        body: body.into(),
        headers: headers.into(),
        cert_valid_for,
    })
}

fn get_condition(mut r: Reader<'_>) -> Result<HeaderCondition, DecodeError> {
    let kind = r.number()?;
    let pattern = r.text()?;
    match kind {
        0 => Ok(HeaderCondition::Present),
        1 => Ok(HeaderCondition::Absent),
        2 => Ok(HeaderCondition::Matches(pattern.into())),
        3 => Ok(HeaderCondition::NotMatches(pattern.into())),
        value => Err(DecodeError::Unknown {
            what: "header condition",
            value,
        }),
    }
}

const COMPARES: [Compare; 9] = [
    Compare::Exists,
    Compare::Absent,
    Compare::Equals,
    Compare::NotEquals,
    Compare::Less,
    Compare::AtMost,
    Compare::Greater,
    Compare::AtLeast,
    Compare::Matches,
];

const FAMILIES: [Family; 5] = [
    Family::Any,
    Family::PreferV4,
    Family::PreferV6,
    Family::OnlyV4,
    Family::OnlyV6,
];

fn compare_number(compare: Compare) -> u64 {
    COMPARES
        .iter()
        .position(|&c| c == compare)
        .expect("the list is whole") as u64
}

fn get_compare(value: u64) -> Result<Compare, DecodeError> {
    let at = usize::try_from(value).unwrap_or(usize::MAX);
    COMPARES.get(at).copied().ok_or(DecodeError::Unknown {
        what: "comparison",
        value,
    })
}

fn family_number(family: Family) -> u64 {
    FAMILIES
        .iter()
        .position(|&f| f == family)
        .expect("the list is whole") as u64
}

fn get_family(mut r: Reader<'_>) -> Result<Family, DecodeError> {
    let value = r.number()?;
    let at = usize::try_from(value).unwrap_or(usize::MAX);
    FAMILIES.get(at).copied().ok_or(DecodeError::Unknown {
        what: "address family",
        value,
    })
}

fn put_tls(w: &mut Writer, tls: &Tls) {
    if let Some(file) = &tls.ca_file {
        w.field_bytes(1, file.as_bytes());
    }
    if let Some(name) = &tls.server_name {
        w.field_bytes(2, name.as_bytes());
    }
    put_flag(w, 3, !tls.verify);
}

fn get_tls(mut r: Reader<'_>) -> Result<Tls, DecodeError> {
    let mut tls = Tls::default();
    while let Some((tag, field)) = r.field()? {
        match tag {
            1 => tls.ca_file = Some(field.rest_text()?.into()),
            2 => tls.server_name = Some(field.rest_text()?.into()),
            3 => tls.verify = false,
            _ => {}
        }
    }
    Ok(tls)
}

fn put_auth(w: &mut Writer, auth: &Auth) {
    let (kind, user, source) = match auth {
        Auth::Basic(user, source) => (0, &**user, source),
        Auth::Bearer(source) => (1, "", source),
    };
    let (place, text) = match source {
        SecretSource::Text(text) => (0, text),
        SecretSource::File(path) => (1, path),
    };
    w.number(kind);
    w.bytes(user.as_bytes());
    w.number(place);
    w.bytes(text.as_bytes());
}

fn get_auth(mut r: Reader<'_>) -> Result<Auth, DecodeError> {
    let (kind, user) = (r.number()?, r.text()?);
    let (place, text) = (r.number()?, r.text()?);
    let source = match place {
        0 => SecretSource::Text(text.into()),
        1 => SecretSource::File(text.into()),
        value => {
            return Err(DecodeError::Unknown {
                what: "secret's place",
                value,
            });
        }
    };
    match kind {
        0 => Ok(Auth::Basic(user.into(), source)),
        1 => Ok(Auth::Bearer(source)),
        value => Err(DecodeError::Unknown {
            what: "kind of auth",
            value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Rng;

    fn text(rng: &mut Rng) -> Box<str> {
        let letters: Vec<char> = "aä/:$ {}.^".chars().collect();
        (0..rng.below(12))
            .map(|_| letters[usize::try_from(rng.below(10)).unwrap()])
            .collect::<String>()
            .into()
    }

    fn some<T>(rng: &mut Rng, make: impl Fn(&mut Rng) -> T) -> Option<T> {
        rng.chance(50).then(|| make(rng))
    }

    fn list<T>(rng: &mut Rng, make: impl Fn(&mut Rng) -> T) -> Box<[T]> {
        (0..rng.below(4)).map(|_| make(rng)).collect()
    }

    fn pick<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
        all[usize::try_from(rng.below(all.len() as u64)).unwrap()]
    }

    fn number<T: TryFrom<u64>>(rng: &mut Rng, bound: u64) -> T {
        T::try_from(rng.below(bound)).ok().expect("the bound fits")
    }

    fn tls(rng: &mut Rng) -> Tls {
        Tls {
            ca_file: some(rng, text),
            server_name: some(rng, text),
            verify: rng.chance(50),
        }
    }

    fn source(rng: &mut Rng) -> SecretSource {
        if rng.chance(50) {
            SecretSource::Text(text(rng))
        } else {
            SecretSource::File(text(rng))
        }
    }

    fn body_rule(rng: &mut Rng) -> BodyRule {
        match rng.below(3) {
            0 => BodyRule::Matches(text(rng)),
            1 => BodyRule::NotMatches(text(rng)),
            _ => BodyRule::Json(JsonRule {
                path: text(rng),
                compare: pick(rng, &COMPARES),
                value: text(rng),
            }),
        }
    }

    fn header_rule(rng: &mut Rng) -> HeaderRule {
        let condition = match rng.below(4) {
            0 => HeaderCondition::Present,
            1 => HeaderCondition::Absent,
            2 => HeaderCondition::Matches(text(rng)),
            _ => HeaderCondition::NotMatches(text(rng)),
        };
        HeaderRule {
            name: text(rng),
            condition,
        }
    }

    fn http(rng: &mut Rng) -> Http {
        Http {
            url: text(rng),
            method: text(rng),
            headers: list(rng, |rng| (text(rng), text(rng))),
            body: some(rng, text),
            redirects: number(rng, 256),
            expect: Expect {
                status: list(rng, |rng| (number(rng, 600), number(rng, 600))),
                body: list(rng, body_rule),
                headers: list(rng, header_rule),
                cert_valid_for: some(rng, |rng| Duration::from_secs(rng.below(9))),
            },
            max_body: number(rng, 1 << 32),
            tls: tls(rng),
            auth: some(rng, |rng| match rng.below(2) {
                0 => Auth::Basic(text(rng), source(rng)),
                _ => Auth::Bearer(source(rng)),
            }),
            keep_alive: rng.chance(50),
            family: pick(rng, &FAMILIES),
            close: pick(rng, &[Close::Reset, Close::Fin]),
        }
    }

    fn tcp(rng: &mut Rng) -> Tcp {
        Tcp {
            address: text(rng),
            tls: some(rng, tls),
            cert_valid_for: some(rng, |rng| Duration::from_secs(rng.below(9))),
            dialogue: list(rng, |rng| {
                if rng.chance(50) {
                    Step::Send(text(rng))
                } else {
                    Step::Expect(text(rng))
                }
            }),
            family: pick(rng, &FAMILIES),
            close: pick(rng, &[Close::Reset, Close::Fin]),
        }
    }

    fn definition(rng: &mut Rng) -> Definition {
        Definition {
            name: text(rng).into(),
            probe: if rng.chance(70) {
                Probe::Http(Box::new(http(rng)))
            } else {
                Probe::Tcp(Box::new(tcp(rng)))
            },
            interval: Duration::from_micros(rng.word() >> 20),
            timeout: Duration::from_micros(rng.word() >> 20),
            rule: Rule {
                fall: number(rng, 99),
                of: number(rng, 99),
                rise: number(rng, 99),
            },
            confirm: number(rng, 256),
            paused: rng.chance(20),
            labels: list(rng, |rng| (text(rng).into(), text(rng).into())),
            group: some(rng, |rng| text(rng).into()),
        }
    }

    #[test]
    fn every_definition_comes_back_as_it_was() {
        for seed in 0..2_000 {
            let definition = definition(&mut Rng::new(seed));
            assert_eq!(decode(&encode(&definition)), Ok(definition), "seed {seed}");
        }
    }

    #[test]
    fn a_field_of_a_newer_version_is_skipped() {
        let definition = definition(&mut Rng::new(1));
        let mut w = Writer::new();
        w.field_bytes(77, b"new");
        let bytes = [w.finish(), encode(&definition)].concat();
        assert_eq!(decode(&bytes), Ok(definition));
    }

    #[test]
    fn a_probe_of_a_newer_version_is_refused_not_guessed() {
        let mut w = Writer::new();
        w.field_bytes(1, b"web");
        w.field_bytes(50, b"a probe that is not made yet");
        assert_eq!(decode(&w.finish()), Err(DecodeError::Missing("probe")));
    }

    #[test]
    fn damaged_bytes_never_panic() {
        for seed in 0..5_000 {
            let mut rng = Rng::new(seed);
            let mut bytes = encode(&definition(&mut rng));
            for _ in 0..3 {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = u8::try_from(rng.below(256)).unwrap();
            }
            bytes.truncate(usize::try_from(rng.below(bytes.len() as u64 + 1)).unwrap());
            let _ = decode(&bytes);
        }
    }
}
