//! A definition to JSON and back, and the bodies of PUT.

use base::Duration;
use health::{
    Auth, BodyRule, Close, Compare, Expect, Family, HeaderCondition, HeaderRule, Http, JsonRule,
    Probe, Rule, SecretSource, Step, Tcp, Tls,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;

fn boxed(strategy: impl Strategy<Value = String>) -> impl Strategy<Value = Box<str>> {
    strategy.prop_map(String::into_boxed_str)
}

/// Text with everything that YAML, JSON or expansion could trip over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[\\PC\t\n]{0,8}",
        select(vec![
            "null", "~", "5", "true", "", "- a", "a: b", "#", "$$", "${", "😀", "\u{85}"
        ])
        .prop_map(str::to_owned),
    ]
}

/// Text of a probe: expands here.
fn expandable() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("{}${{HOST}}", text.replace('$', "")))
}

fn pattern() -> impl Strategy<Value = Box<str>> {
    let words = vec![
        "ok", "^a$", "[0-9]+", "\\d{3}", "${HOST}", "", "a|b", "$$", "\\s\"'",
    ];
    select(words).prop_map(Box::from)
}

fn span() -> impl Strategy<Value = Duration> {
    (1_u64..86_400_000_000).prop_map(Duration::from_micros)
}

fn family() -> impl Strategy<Value = Family> {
    select(vec![
        Family::Any,
        Family::PreferV4,
        Family::PreferV6,
        Family::OnlyV4,
        Family::OnlyV6,
    ])
}

fn close() -> impl Strategy<Value = Close> {
    select(vec![Close::Reset, Close::Fin])
}

fn tls() -> impl Strategy<Value = Tls> {
    let name = of(select(vec!["a.example", "10.0.0.1", "${HOST}"]).prop_map(Box::from));
    (name, any::<bool>()).prop_map(|(server_name, verify)| Tls {
        ca_file: None,
        server_name,
        verify,
    })
}

fn auth() -> impl Strategy<Value = Auth> {
    let source = || SecretSource::Text("${TOKEN}".into());
    let username = boxed("[a-z]{1,5}").prop_map(move |name| Auth::Basic(name, source()));
    prop_oneof![Just(Auth::Bearer(source())), username]
}

fn json_rule() -> impl Strategy<Value = BodyRule> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<i32>().prop_map(|n| json!(f64::from(n) / 4.0)),
        text().prop_map(|text| json!(text.replace('$', ""))),
        Just(json!(null)),
        Just(json!({ "a": [1, "1", true, null, {}], "b": "null" })),
    ];
    let compare = select(vec![Compare::Exists, Compare::Equals, Compare::NotEquals]);
    (compare, value, select(vec!["$", "$.a[0]", "$['b c']"])).prop_map(|(compare, value, path)| {
        let value = match compare {
            Compare::Exists => "".into(),
            _ => value.to_string().into(),
        };
        BodyRule::Json(JsonRule {
            path: path.into(),
            compare,
            value,
        })
    })
}

fn expect() -> impl Strategy<Value = Expect> {
    let status = vec((100_u16..=599, 0_u16..100), 0..3).prop_map(|all| {
        let range = |(low, more): (u16, u16)| (low, (low + more).min(599));
        all.into_iter().map(range).collect()
    });
    let body = (
        vec(pattern(), 0..3),
        vec(pattern(), 0..2),
        vec(json_rule(), 0..3),
    );
    let body = body.prop_map(|(some, none, json)| {
        let some = some.into_iter().map(BodyRule::Matches);
        let none = none.into_iter().map(BodyRule::NotMatches);
        some.chain(none).chain(json).collect()
    });
    let conditions = prop_oneof![
        Just(vec![HeaderCondition::Present]),
        Just(vec![HeaderCondition::Absent]),
        vec(pattern().prop_map(HeaderCondition::Matches), 1..3),
        vec(pattern().prop_map(HeaderCondition::NotMatches), 1..3),
    ];
    let headers = btree_map("[A-Z][a-z-]{0,6}", conditions, 0..3).prop_map(|all| {
        let rule = |(name, conditions): (String, Vec<HeaderCondition>)| {
            conditions.into_iter().map(move |condition| HeaderRule {
                name: name.as_str().into(),
                condition,
            })
        };
        all.into_iter().flat_map(rule).collect()
    });
    let parts = (status, body, headers, of(span()));
    parts.prop_map(|(status, body, headers, cert_valid_for)| Expect {
        status,
        body,
        headers,
        cert_valid_for,
    })
}

fn http() -> impl Strategy<Value = Http> {
    let url = boxed("https://[a-z]{1,5}(:[1-9][0-9]{0,3})?/[a-z]{0,3}(\\$\\{HOST\\})?");
    let value = boxed("[!-~]{1,3}").prop_map(|v| v.replace('$', "x").into());
    let headers = btree_map(boxed("X-[A-Z]{1,3}"), value, 0..3);
    let head = (url, select(vec!["GET", "HEAD", "POST", "PURGE"]), headers);
    let size = 1_u32..=1 << 30;
    let rest = (
        of(boxed(expandable())),
        0_u8..=50,
        expect(),
        size,
        tls(),
        of(auth()),
    );
    let ends = (any::<bool>(), family(), close());
    (head, rest, ends).prop_map(|(head, rest, (keep_alive, family, close))| {
        let (url, method, headers) = head;
        let (body, redirects, expect, max_body, tls, auth) = rest;
        Http {
            url,
            method: method.into(),
            headers: headers.into_iter().collect(),
            body,
            redirects,
            expect,
            max_body,
            tls,
            auth,
            keep_alive,
            family,
            close,
        }
    })
}

fn tcp() -> impl Strategy<Value = Tcp> {
    let step = prop_oneof![
        boxed(expandable()).prop_map(Step::Send),
        pattern().prop_map(Step::Expect)
    ];
    let address = select(vec!["a.example:1", "[::1]:65535", "${HOST}:80"]);
    let parts = (
        address,
        of((tls(), of(span()))),
        vec(step, 0..4),
        family(),
        close(),
    );
    parts.prop_map(|(address, tls, dialogue, family, close)| {
        let (tls, cert_valid_for) = tls.map_or((None, None), |(tls, span)| (Some(tls), span));
        Tcp {
            address: address.into(),
            tls,
            cert_valid_for,
            dialogue: dialogue.into(),
            family,
            close,
        }
    })
}

fn definition() -> impl Strategy<Value = Definition> {
    let probe = prop_oneof![
        http().prop_map(|http| Probe::Http(Box::new(http))),
        tcp().prop_map(|tcp| Probe::Tcp(Box::new(tcp)))
    ];
    let rule = (1_u16..=64, 0_u16..=64, 1_u16..).prop_map(|(fall, more, rise)| Rule {
        fall,
        of: (fall + more).min(64),
        rise,
    });
    let interval = (100_000_u64..=86_400_000_000).prop_map(Duration::from_micros);
    let name = "[ -~äö😀]{1,20}";
    let labels = btree_map("[ -~ä]{1,9}", text().prop_map(Arc::from), 0..4);
    let looks = (any::<bool>(), labels, of(text().prop_map(Arc::from)));
    let parts = (
        name,
        probe,
        interval,
        1_u32..=1_000,
        rule,
        any::<u8>(),
        looks,
    );
    parts.prop_map(|(name, probe, interval, part, rule, confirm, looks)| {
        let (paused, labels, group) = looks;
        let timeout = interval.as_micros() * u128::from(part) / 1_000;
        Definition {
            name: name.into(),
            probe,
            interval,
            timeout: Duration::from_micros(u64::try_from(timeout).unwrap().max(1)),
            rule,
            confirm,
            paused,
            labels: labels.into_iter().map(|(k, v)| (k.into(), v)).collect(),
            group,
        }
    })
}

proptest! {
    #[test]
    fn a_definition_survives_its_json(definition in definition()) {
        prop_assert_eq!(definition.check(), Ok(()));
        let json = target_to_json(&definition);
        for body in [json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
            let back = parse_target(&definition.name, &body, &env);
            prop_assert_eq!(back.as_ref(), Ok(&definition), "{}", body);
        }
    }
}

#[test]
fn json_shows_what_differs_from_the_defaults() {
    let shop = target("  http: https://shop.example/");
    let expected = json!({
        "name": "t", "http": { "url": "https://shop.example/" },
        "interval": "10s", "timeout": "2s", "fall": 3, "rise": 2,
    });
    assert_eq!(target_to_json(&shop), expected);
}

#[test]
fn json_never_shows_a_secret_and_its_stand_in_is_refused() {
    let item = "  http:
    url: https://bob:pw@a/
    headers: { Authorization-X: Bearer hunter2, Cookie: hunter2 }
    auth: { basic: { username: bob, password: hunter2 } }";
    let json = target_to_json(&target(item)).to_string();
    assert!(!json.contains("hunter2") && !json.contains("pw@"), "{json}");
    let faults = parse_target("t", &json, &env).unwrap_err();
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(
        faults.iter().all(|f| f.message.contains("***")),
        "{faults:?}"
    );
    let json = target_to_json(&target(
        "  http: { url: 'http://a', auth: { bearer: { token: hunter2 } } }",
    ));
    assert_eq!(json["http"]["auth"]["bearer"]["token"], "***");
}

#[test]
fn a_put_body_is_an_item_of_targets() {
    for body in [
        r#"{"http":{"url":"http://a/"}}"#,
        r#"{"name": "shop", "http": "http://a/"}"#,
        "{\n\t\"http\":\t\"http:\\/\\/a\\/\"\n}\n",
        "http: http://a/",
        "{http: http://a/}",
    ] {
        let shop = parse_target("shop", body, &env).unwrap_or_else(|f| panic!("{body}: {f:?}"));
        assert_eq!(&*shop.name, "shop");
        assert_eq!(shop.probe, Probe::Http(Box::new(Http::get("http://a/"))));
    }
    let body = r#"{"tcp":"a:1","group":"\ud83d\ude00 \u00e4"}"#;
    let group = parse_target("t", body, &env).unwrap().group;
    assert_eq!(group.as_deref(), Some("😀 ä"));
}

#[test]
fn a_bad_put_body_has_faults_with_positions() {
    for (name, body, fault) in [
        (
            "t",
            "",
            "1:1: the body is empty; a target needs 'http' or 'tcp'",
        ),
        ("t", "{", "2:1: not YAML"),
        ("t", "[]", "1:1: a target must be a mapping"),
        (
            "t",
            r#"{"name":"u","tcp":"a:1"}"#,
            "1:9: 'name' is 'u', but the request is for 't'",
        ),
        (
            "t",
            r#"{"tcp":"a:1","tcp":"b:1"}"#,
            "1:14: key 'tcp' is given twice, first at 1:2",
        ),
        (
            "t",
            r#"{"tcp":"a:1","group":null}"#,
            "1:22: 'group' has no value",
        ),
        ("t", r#"{"tcp":"a:1"}{"tcp":"a:1"}"#, "1:14: "),
        (
            "",
            r#"{"tcp":"a:1"}"#,
            "1:1: a name has 1 to 200 characters",
        ),
        (
            "a\nb",
            r#"{"tcp":"a:1"}"#,
            "1:1: a name has no control characters",
        ),
    ] {
        let faults = parse_target(name, body, &env).unwrap_err();
        let text = faults[0].to_string();
        assert!(
            text.starts_with(&format!("body:{fault}")),
            "{body}: {faults:?}"
        );
    }
}

/// An answer that depends on the file would tell whether this node has it.
#[test]
fn a_body_that_names_a_file_is_refused_before_anything_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("secret");
    std::fs::write(&there, "hunter2").unwrap();
    let there = there.to_str().unwrap();
    let mut told = Vec::new();
    for path in [there, "/no/such", "/"] {
        let file =
            json!({ "http": { "url": "https://a", "auth": { "bearer": { "token_file": path } } } });
        let ca = json!({ "http": { "url": "https://a", "tls": { "ca_file": path } } });
        for body in [file, ca] {
            let faults = parse_target("t", &body.to_string(), &|_| None).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            told.push(faults[0].message.clone());
        }
    }
    assert!(told[0].contains("can't read this node's files"), "{told:?}");
    assert!(told.iter().all(|message| *message == told[0]), "{told:?}");
}
