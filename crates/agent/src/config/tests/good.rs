//! Files without mistakes, and what they mean.

use base::Duration;
use health::{
    Auth, BodyRule, Close, Compare, Family, HeaderCondition, HeaderRule, Http, JsonRule, Probe,
    Rule, SecretSource, Step, Tcp, Tls,
};

use super::*;

fn http(item: &str) -> Http {
    match target(item).probe {
        Probe::Http(http) => *http,
        Probe::Tcp(_) => panic!("tcp: {item}"),
    }
}

fn tcp(item: &str) -> Tcp {
    match target(item).probe {
        Probe::Tcp(tcp) => *tcp,
        Probe::Http(_) => panic!("http: {item}"),
    }
}

#[test]
fn an_empty_file_is_the_default() {
    for text in [
        "",
        "\n\n",
        "# nothing\n# yet\n",
        "---\n",
        "\u{feff}",
        "~",
        "{}",
    ] {
        assert_eq!(good(text), Config::default(), "{text:?}");
    }
    let config = Config::default();
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:7717");
    assert_eq!(check_node_name(&config.node.name), Ok(()));
    assert_eq!(config.cluster.listen, None);
    assert!(config.metrics_per_target && config.targets.is_empty());
}

#[test]
fn every_section_is_read() {
    let config = good(
        "node: { name: a, zone: eu-1, weight: 3 }
api: { listen: \"[::1]:80\", token: \"${TOKEN}\", allow_targets: [10.0.0.0/8, \"::1\"] }
cluster: { listen: \"10.0.0.1:7718\" }
metrics: { per_target: false }
defaults: { interval: \"${SECONDS}s\", timeout: 3s, fall: 2 of 4, rise: 1, confirm: 0 }
targets: [ { name: db, tcp: \"10.0.0.9:5432\" } ]
",
    );
    assert_eq!((&*config.node.name, &*config.node.zone), ("a", "eu-1"));
    assert_eq!(config.node.weight, 3);
    assert_eq!(config.api.listen.to_string(), "[::1]:80");
    assert_eq!(config.api.token, Some(Secret::new("t0ken")));
    let nets: Vec<String> = config
        .api
        .allow_targets
        .iter()
        .map(IpNet::to_string)
        .collect();
    assert_eq!(nets, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.cluster.listen.unwrap().to_string(), "10.0.0.1:7718");
    assert!(!config.metrics_per_target);
    let db = &config.targets[0];
    assert_eq!(db.interval, Duration::from_secs(7));
    assert_eq!(db.timeout, Duration::from_secs(3));
    let rule = Rule {
        fall: 2,
        of: 4,
        rise: 1,
    };
    assert_eq!((db.rule, db.confirm), (rule, 0));
}

#[test]
fn a_token_may_stand_in_a_file_and_never_prints() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let config = good(&format!("api: {{ token_file: '{}' }}", path.display()));
    assert_eq!(config.api.token, Some(Secret::new("s3cret")));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn the_short_form_of_a_target_has_every_default() {
    let shop = target("  http: https://shop.example/healthz");
    let expected = Definition {
        name: "t".into(),
        probe: Probe::Http(Box::new(Http::get("https://shop.example/healthz"))),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        rule: Rule::default(),
        confirm: 2,
        paused: false,
        labels: Box::default(),
        group: None,
    };
    assert_eq!(shop, expected);
    let db = target("  tcp: '[::1]:80'");
    assert_eq!(db.probe, Probe::Tcp(Box::new(Tcp::connect("[::1]:80"))));
}

#[test]
fn the_timeout_follows_a_short_interval_unless_it_is_given() {
    let quick = target("  tcp: a:1\n  interval: 500ms");
    assert_eq!(quick.timeout, Duration::from_millis(500));
    let slow = target("  tcp: a:1\n  interval: 1m30s");
    assert_eq!(slow.timeout, Duration::from_secs(2));
    let given = target("  tcp: a:1\n  interval: 1m30s\n  timeout: 1m");
    assert_eq!(given.timeout, Duration::from_secs(60));
}

#[test]
fn defaults_hold_wherever_they_stand_and_a_target_overrides_them() {
    let defaults = "defaults: { interval: 30s, rise: 9 }\n";
    let targets = "targets:\n- { name: a, tcp: a:1 }\n- { name: b, tcp: b:1, interval: 5s }\n";
    let (first, last) = (
        good(&format!("{defaults}{targets}")),
        good(&format!("api: {{}}\n{targets}{defaults}")),
    );
    assert_eq!(first, last);
    let seconds: Vec<u64> = first.targets.iter().map(|t| t.interval.as_secs()).collect();
    assert_eq!(seconds, [30, 5]);
    assert_eq!(first.targets[1].rule.rise, 9);
}

#[test]
fn what_a_target_shows_is_expanded_and_what_its_probe_needs_is_not() {
    let shop = target(
        "  group: g-${HOST}
  labels: { z: '${EMPTY:-none}', a: $$1, 8080: true }
  fall: ${SECONDS}
  http: { url: 'https://${HOST}/', auth: { bearer: { token: '${TOKEN}' } } }",
    );
    assert_eq!(shop.group.as_deref(), Some("g-shop.example"));
    let labels: Vec<(&str, &str)> = shop.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(labels, [("8080", "true"), ("a", "$1"), ("z", "none")]);
    assert_eq!(shop.rule.fall, 7);
    assert_eq!(shop.probe.address(), "https://${HOST}/");
    assert!(format!("{shop:?}").contains("${TOKEN}"));
}

#[test]
fn every_key_of_http_is_read() {
    let probe = http(
        r#"  http:
    url: http://a/
    method: PURGE
    headers: { X-B: '${HOST}', Accept: text/html }
    body: 'a=${PASSWORD}'
    max_redirects: 3
    max_body: 64KiB
    tls: { server_name: b, verify: false }
    auth: { basic: { username: bob, password: '${PASSWORD}' } }
    keep_alive: true
    ip: prefer_ipv6
    close: fin
"#,
    );
    let expected = Http {
        method: "PURGE".into(),
        headers: [
            ("Accept".into(), "text/html".into()),
            ("X-B".into(), "${HOST}".into()),
        ]
        .into(),
        body: Some("a=${PASSWORD}".into()),
        redirects: 3,
        max_body: 64 << 10,
        tls: Tls {
            ca_file: None,
            server_name: Some("b".into()),
            verify: false,
        },
        auth: Some(Auth::Basic(
            "bob".into(),
            SecretSource::Text("${PASSWORD}".into()),
        )),
        keep_alive: true,
        family: Family::PreferV6,
        close: Close::Fin,
        ..Http::get("http://a/")
    };
    assert_eq!(probe, expected);
    let none = http("  http: { url: 'http://a', follow_redirects: false }");
    assert_eq!(none.redirects, 0);
}

#[test]
fn every_expectation_is_read() {
    let expect = http(
        r#"  http:
    url: https://a/
    expect:
      status: [200, "300-399", 204]
      cert_valid_for: 14d
      headers:
        X-Gone: { present: false }
        Content-Type: ^text/
        Server: { present: true, matches: [a, b], not_matches: c$ }
      body:
        json:
          - { path: $.status, equals: ok }
          - { path: $.n, at_least: 2.5 }
          - { path: $.a, not_equals: [1, "1", null, { b: true }] }
          - { path: "$['x']", matches: "^${HOST}$" }
          - { path: $.e, exists: true }
        not_matches: [panic]
        matches: ok
"#,
    )
    .expect;
    assert_eq!(*expect.status, [(200, 200), (300, 399), (204, 204)]);
    assert_eq!(expect.cert_valid_for, Some(Duration::from_hours(14 * 24)));
    let header = |name: &str, condition| HeaderRule {
        name: name.into(),
        condition,
    };
    let headers = [
        header("Content-Type", HeaderCondition::Matches("^text/".into())),
        header("Server", HeaderCondition::Present),
        header("Server", HeaderCondition::Matches("a".into())),
        header("Server", HeaderCondition::Matches("b".into())),
        header("Server", HeaderCondition::NotMatches("c$".into())),
        header("X-Gone", HeaderCondition::Absent),
    ];
    assert_eq!(*expect.headers, headers);
    let json = |path: &str, compare, value: &str| {
        BodyRule::Json(JsonRule {
            path: path.into(),
            compare,
            value: value.into(),
        })
    };
    let body = [
        BodyRule::Matches("ok".into()),
        BodyRule::NotMatches("panic".into()),
        json("$.status", Compare::Equals, "\"ok\""),
        json("$.n", Compare::AtLeast, "2.5"),
        json("$.a", Compare::NotEquals, r#"[1,"1",null,{"b":true}]"#),
        json("$['x']", Compare::Matches, "\"^${HOST}$\""),
        json("$.e", Compare::Exists, ""),
    ];
    assert_eq!(*expect.body, body);
}

#[test]
fn every_key_of_tcp_is_read() {
    let probe = tcp(r#"  tcp:
    address: mail.${HOST}:25
    tls: { verify: false }
    cert_valid_for: 48h
    dialogue:
      - expect: ^220
      - send: "EHLO ${HOST}\r\n"
    ip: ipv4
    close: fin
"#);
    let expected = Tcp {
        tls: Some(Tls {
            verify: false,
            ..Tls::default()
        }),
        cert_valid_for: Some(Duration::from_hours(48)),
        dialogue: [
            Step::Expect("^220".into()),
            Step::Send("EHLO ${HOST}\r\n".into()),
        ]
        .into(),
        family: Family::OnlyV4,
        close: Close::Fin,
        ..Tcp::connect("mail.${HOST}:25")
    };
    assert_eq!(probe, expected);
    assert_eq!(
        tcp("  tcp: { address: 'a:1', tls: true }").tls,
        Some(Tls::default())
    );
    assert_eq!(tcp("  tcp: { address: 'a:1', tls: false }").tls, None);
}

#[test]
fn a_file_of_certificates_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    std::fs::write(&path, made.cert.pem()).unwrap();
    let path = path.to_str().unwrap();
    let probe = http(&format!(
        "  http: {{ url: 'https://a', tls: {{ ca_file: '{path}' }} }}"
    ));
    assert_eq!(probe.tls.ca_file.as_deref(), Some(path));
}

#[test]
fn equal_labels_share_their_memory() {
    let config =
        good("targets:\n- { name: a, tcp: a:1, group: web }\n- { name: b, tcp: b:1, group: web }");
    let group = |n: usize| config.targets[n].group.clone().unwrap();
    assert!(Arc::ptr_eq(&group(0), &group(1)));
}

#[test]
fn a_name_may_be_almost_anything() {
    for name in ["a/b?c", "ä ö", "'", "🙂", &"x".repeat(200)] {
        let quoted = name.replace('\'', "''");
        let config = good(&format!("targets: [ {{ name: '{quoted}', tcp: 'a:1' }} ]"));
        assert_eq!(&*config.targets[0].name, name);
    }
}

#[test]
fn a_file_on_disk_is_read_with_the_environment_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    std::fs::write(&path, "node: { name: '${ROUNDSMAN_NOT_SET:-zoe}' }").unwrap();
    assert_eq!(&*load(&path).unwrap().node.name, "zoe");
}

#[test]
fn twenty_thousand_targets_are_read() {
    let mut text = String::from("targets:\n");
    for n in 0..20_000 {
        text.push_str(&format!(
            "- name: t{n}\n  http: {{ url: 'http://10.0.0.1:{}/', expect: {{ body: {{ matches: ^ok }} }} }}\n  labels: {{ team: pay }}\n",
            n % 60_000 + 1
        ));
    }
    let config = good(&text);
    assert_eq!(config.targets.len(), 20_000);
    assert_eq!(&*config.targets[19_999].name, "t19999");
}
