//! The table of mistakes: what is wrong, where it says so, and what it says.

use super::*;

/// Each text has exactly the faults listed; a fault is a place and how its message goes on.
fn check(table: &[(&str, &[&str])]) {
    let mut wrong = String::new();
    for &(text, expected) in table {
        let found = match read(text) {
            Ok(_) => Vec::new(),
            Err(_) => faults(text),
        };
        let fits = found.len() == expected.len()
            && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
        if !fits {
            wrong.push_str(&format!(
                "{text}\n  found {found:#?}\n  expected {expected:#?}\n\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Like [`check`], for the keys of one target; its first line is line 1, from column 3.
fn check_target(table: &[(&str, &[&str])]) {
    for &(item, expected) in table {
        let text = format!("{{targets: [{{ name: t,\n{item} }}]}}");
        let shifted: Vec<String> = expected
            .iter()
            .map(|e| {
                let (line, rest) = e.split_once(':').unwrap();
                format!("{}:{rest}", line.parse::<u32>().unwrap() + 1)
            })
            .collect();
        let shifted: Vec<&str> = shifted.iter().map(String::as_str).collect();
        check(&[(&text, &shifted)]);
    }
}

#[test]
fn every_mistake_of_a_file_is_named_at_once() {
    let text = "node: { name: a, zon: eu-1, weight: 0 }
api:
  listen: localhost:7717
  token: t
  token_file: /no/such/token
  allow_targets: [10.0.0.0/33, 10.0.0.1/8]
discover: []
defaults: { interval: 10, fall: 5 of 3 }
targets:
  - name: shop
    http: { url: 'ftp://shop.example', method: get }
    intervall: 5s
  - name: db
    tcp: 10.0.0.9
    timeout: 30s
    labels: [a]
  - name: shop
    tcp: a:1
    interval: 1s
    timeout: 5s
";
    let expected = [
        "1:18: unknown key 'zon'; did you mean 'zone'?",
        "1:37: 'weight' must be a whole number from 1 to 1000, not '0'",
        "3:11: 'listen' must be an IP address and a port, such as 127.0.0.1:7717 or [::1]:7717, not 'localhost:7717'",
        "5:15: 'token' and 'token_file' are both given; keep one",
        "6:19: '10.0.0.0/33' is not a network; write one such as 10.0.0.0/8 or fd00::/8",
        "6:32: 10.0.0.1/8 has bits beyond its prefix; write 10.0.0.0/8",
        "7:1: 'discover' is not in this version",
        "8:23: 'interval': '10' has no unit; did you mean 10s or 10ms?",
        "8:33: 'fall' 5 of 3: the second number must be from 5 to 64",
        "11:18: the URL must begin with http:// or https://",
        "11:48: methods are upper case; write GET",
        "12:5: unknown key 'intervall'; did you mean 'interval'?",
        "14:10: the address has no port; write host:port, such as db.example:5432, 10.0.0.9:5432 or [::1]:5432",
        "16:13: 'labels' must be a mapping, such as { key: value }",
        "17:11: a target named 'shop' is already on line 10; give this one another name",
        "20:14: timeout 5s is longer than interval 1s; shorten the timeout or lengthen the interval",
    ];
    assert_eq!(faults(text), expected);
    let first = read(text).unwrap_err()[0].to_string();
    assert_eq!(first, format!("c.yaml:{}", expected[0]));
}

#[test]
fn the_contracts_example_is_read_but_for_what_is_not_in_this_version() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "t").unwrap();
    let targets = "targets:
  - name: shop
    http: { url: \"https://shop.example/healthz\", expect: { status: [\"200-299\"], body: { matches: ok } } }
    interval: 5s
    labels: { team: pay }
    group: web
  - name: db
    tcp: { address: \"10.0.0.9:5432\" }
";
    let today = format!(
        "node: {{ name: a, zone: eu-1, weight: 1 }}
api: {{ listen: \"127.0.0.1:7717\", token_file: {} }}
defaults: {{ interval: 10s, timeout: 2s, fall: 3, rise: 2, confirm: 2 }}
{targets}",
        token.display()
    );
    assert_eq!(good(&today).targets.len(), 2);
    let later = format!(
        "cluster: {{ listen: \"10.0.0.1:7718\", join: [\"10.0.0.2:7718\"], label: prod }}
state: {{ backend: gossip }}   # or raft | etcd, each with its own keys
discover:
  - name: vms
    file_sd: {{ files: [\"targets/*.json\"] }}
    probe: {{ http: {{ path: /healthz }} }}
alerts:
  - name: oncall
    webhook: {{ url: \"https://hooks.example/x\", headers: {{ Authorization: \"${{HOOK}}\" }} }}
    states: [down, unknown, up]
probe_modules: blackbox.yml
{targets}"
    );
    let expected = [
        "2:1: 'state' is not in this version",
        "3:1: 'discover' is not in this version",
        "7:1: 'alerts' is not in this version",
        "11:1: 'probe_modules' is not in this version",
    ];
    assert_eq!(faults(&later), expected);
}

#[test]
fn the_shape_of_a_file_is_checked() {
    check(&[
        ("- a\n- b", &["1:1: a config is a mapping"]),
        ("hello", &["1:1: a config is a mapping"]),
        ("node: []", &["1:7: 'node' must be a mapping"]),
        ("node:", &["1:5: 'node' has no value"]),
        ("targets: {}", &["1:10: 'targets' must be a list"]),
        ("targets: { a: [b] }", &["1:10: 'targets' must be a list"]),
        ("targets: a", &["1:10: 'targets' must be a list"]),
        ("targets: [a]", &["1:11: a target must be a mapping"]),
        (
            "api: {}\nnode: {}\napi: {}",
            &["3:1: key 'api' is given twice, first at 1:1"],
        ),
        ("api: {}\n---\nnode: {}", &["2:1: a second document"]),
        (
            "node: { name: a, name: b }",
            &["1:18: key 'name' is given twice, first at 1:9"],
        ),
        ("node: { [a]: b }", &["1:9: a key must be text"]),
        ("[a]: b", &["1:1: a key must be text"]),
        ("node: &n { name: a }", &["1:7: anchors and aliases"]),
        (
            "node: { name: &n a, zone: *n }",
            &["1:15: anchors", "1:27: anchors"],
        ),
        ("node: { <<: x }", &["1:9: '<<' merges an alias"]),
        (
            "node: { name: !!str a }",
            &["1:15: tags ('!…') are not supported"],
        ),
        (
            "colour: red",
            &["1:1: unknown key 'colour'; a config knows node, api, cluster"],
        ),
        (
            "target: []",
            &["1:1: unknown key 'target'; did you mean 'targets'?"],
        ),
        ("revision: 3", &["1:1: 'revision' is not in this version"]),
    ]);
}

#[test]
fn the_sections_of_a_node_are_checked() {
    check(&[
        (
            "node: { name: '' }",
            &["1:15: a node's name or zone has 1 to 200 characters"],
        ),
        (
            "node: { name: 'a b' }",
            &["1:15: a node's name or zone has no spaces"],
        ),
        (
            "node: { zone: 'a@b' }",
            &["1:15: a node's name or zone has no spaces"],
        ),
        (
            "node: { weight: 1.5 }",
            &["1:17: 'weight' must be a whole number from 1 to 1000"],
        ),
        (
            "node: { weight: ${NONE} }",
            &[
                "1:18: not YAML: while parsing a flow mapping, did not find expected ',' or '}'; quote values such as \"${NAME}\"",
            ],
        ),
        (
            "node: { name: '${NONE}' }",
            &["1:15: environment variable NONE is not set"],
        ),
        (
            "node: { name: [a] }",
            &["1:15: 'name' must be one value, not a list"],
        ),
        ("api: { token: '' }", &["1:15: the secret is empty"]),
        (
            "api: { token: 'a b' }",
            &["1:15: the token must be printable ASCII"],
        ),
        (
            "api: { token_file: /no/such }",
            &["1:20: file '/no/such' is not readable"],
        ),
        (
            "api: { token_file: / }",
            &["1:20: '/' is not a regular file"],
        ),
        (
            "api: { allow_targets: 10.0.0.0/8 }",
            &["1:23: 'allow_targets' must be a list"],
        ),
        (
            "api: { port: 80 }",
            &["1:8: unknown key 'port'; 'api' knows listen, token"],
        ),
        (
            "cluster: { listen: 7718 }",
            &["1:20: 'listen' must be an IP address and a port"],
        ),
        (
            "cluster: { advertise: a }",
            &["1:12: 'advertise' is not in this version"],
        ),
        (
            "metrics: { per_target: yes }",
            &["1:24: 'per_target' must be true or false, not 'yes'"],
        ),
        (
            "defaults: { timeout: 20s }",
            &["1:22: timeout 20s is longer than interval 10s"],
        ),
        ("defaults: { http: a }", &["1:13: unknown key 'http'"]),
        (
            "targets: [{ name: a, tcp: nowhere, interval: 1s, timeout: 5s }]",
            &[
                "1:27: the address has no port",
                "1:59: timeout 5s is longer than interval 1s",
            ],
        ),
        (
            "targets: []\ndefaults: { rise: 0 }",
            &["2:19: 'rise' must be a whole number from 1"],
        ),
    ]);
}

#[test]
fn a_target_names_itself_once_and_has_one_probe() {
    check(&[
        (
            "targets: [{ tcp: 'a:1' }]",
            &["1:11: a target needs a 'name'"],
        ),
        (
            "targets: [{ name: '', tcp: 'a:1' }]",
            &["1:19: a name has 1 to 200 characters"],
        ),
        (
            "targets: [{ name: \"a\\tb\", tcp: 'a:1' }]",
            &["1:19: a name has no control"],
        ),
        (
            "targets: [{ name: a }]",
            &["1:11: a target needs 'http' or 'tcp'"],
        ),
        (
            "targets: [{ name: a, tcp: 'a:1' }, { name: a, tcp: 'a:1' },\n{ name: a, tcp: 'a:1' }]",
            &[
                "1:44: a target named 'a' is already on line 1",
                "2:9: a target named 'a'",
            ],
        ),
    ]);
    for probe in ["dns", "icmp", "grpc", "tls", "websocket", "exec", "push"] {
        let text = format!("targets: [{{ name: a, {probe}: x }}]");
        assert_eq!(
            faults(&text),
            [format!("1:22: '{probe}' is not in this version")]
        );
    }
    check_target(&[
        (
            "tcp: 'a:1', http: 'http://a'",
            &["1:19: a target has one probe"],
        ),
        (
            "tcp: 'a:1', exclusive: true",
            &["1:13: 'exclusive' is not in this version"],
        ),
        (
            "tcp: 'a:1', depends_on: [b]",
            &["1:13: 'depends_on' is not in this version"],
        ),
        (
            "tcp: 'a:1', Interval: 5s",
            &["1:13: unknown key 'Interval'; did you mean 'interval'?"],
        ),
    ]);
}

#[test]
fn the_beats_of_a_target_are_checked() {
    check_target(&[
        (
            "tcp: 'a:1', interval: 5",
            &["1:23: 'interval': '5' has no unit"],
        ),
        (
            "tcp: 'a:1', interval: -5s",
            &["1:23: 'interval': a duration can't be negative"],
        ),
        (
            "tcp: 'a:1', interval: 0s",
            &["1:23: 'interval': a duration must be longer than zero"],
        ),
        (
            "tcp: 'a:1', interval: 50ms",
            &["1:23: interval 50ms is not between 100ms and 24h"],
        ),
        (
            "tcp: 'a:1', interval: 25h",
            &["1:23: interval 1d1h is not between 100ms and 24h"],
        ),
        (
            "tcp: 'a:1', interval: fast",
            &["1:23: 'interval': not a duration; write"],
        ),
        (
            "tcp: 'a:1', timeout: 11s",
            &["1:22: timeout 11s is longer than interval 10s"],
        ),
        ("tcp: 'a:1', fall: 0", &["1:19: 'fall' must be at least 1"]),
        (
            "tcp: 'a:1', fall: 3 of 65",
            &["1:19: 'fall' 3 of 65: the second number"],
        ),
        (
            "tcp: 'a:1', fall: often",
            &["1:19: 'fall' must be a whole number, or k of n"],
        ),
        (
            "tcp: 'a:1', rise: 0",
            &["1:19: 'rise' must be a whole number from 1"],
        ),
        (
            "tcp: 'a:1', confirm: 300",
            &["1:22: 'confirm' must be a whole number from 0 to 255"],
        ),
        (
            "tcp: 'a:1', paused: 1",
            &["1:21: 'paused' must be true or false"],
        ),
        (
            "tcp: 'a:1', labels: { a: [b] }",
            &["1:26: 'a' must be one value, not a list"],
        ),
        (
            "tcp: 'a:1', labels: { '': b }",
            &["1:23: a label's key is text"],
        ),
        ("tcp: 'a:1', group: null", &["1:20: 'group' has no value"]),
        // One mistake does not lead to a second one about what it spoiled.
        (
            "tcp: 'a:1', interval: x, timeout: 1h",
            &["1:23: 'interval': not a duration"],
        ),
    ]);
    check(&[(
        "defaults: { timeout: 5s }\ntargets: [{ name: a, tcp: 'a:1', interval: 1s }]",
        &[
            "2:44: timeout 5s is longer than interval 1s; shorten the timeout or lengthen the interval (the timeout comes from 'defaults')",
        ],
    )]);
    let many: String = (0..65).map(|n| format!("k{n}: v,")).collect();
    check_target(&[(
        &format!("tcp: 'a:1', labels: {{ {many} }}"),
        &["1:21: 65 labels, at most 64"],
    )]);
}

#[test]
fn urls_and_addresses_are_checked_once_expanded() {
    for (url, message) in [
        (
            "shop.example",
            "the URL must begin with http:// or https://",
        ),
        (
            "http:shop.example",
            "the URL must begin with http:// or https://",
        ),
        ("http://", "the URL is not valid: empty host"),
        ("http:///x", "the URL has no host"),
        ("https:///x", "the URL has no host"),
        (
            "http://a:99999/",
            "the URL is not valid: invalid port number",
        ),
        ("http://a:0/", "the URL's port is 0"),
        ("http://a b/", "the URL has a space"),
        ("http://${LINES}/", "the URL has a space"),
        ("http://[::1/", "the URL is not valid: invalid IPv6 address"),
        ("http://${NONE}/", "environment variable NONE is not set"),
        ("http://${EMPTY}/", "the URL has no host after"),
        ("http://${HOST/", "'${' has no closing '}'"),
        (
            "http://***:***@a/",
            "'***' is shown in place of a user and password",
        ),
    ] {
        let fault = format!("1:7: {message}");
        let item = format!("http: '{url}'");
        check_target(&[(&item, &[&fault])]);
    }
    for (address, message) in [
        ("a", "the address has no port"),
        ("a:", "the port must be from 1 to 65535"),
        ("a:0", "the port must be from 1 to 65535"),
        ("a:65536", "the port must be from 1 to 65535"),
        ("a:+1", "the port must be from 1 to 65535"),
        ("a:http", "the port must be from 1 to 65535"),
        (":80", "the address has no valid host"),
        ("a b:80", "the address has no valid host"),
        ("a..b:80", "the address has no valid host"),
        ("10.0.0.256:80", "the address has no valid host"),
        ("[::1:80", "the address has no valid host"),
        ("[::g]:80", "the address has no valid host"),
        ("::1:80", "an IPv6 address stands in brackets"),
        ("tcp://a:80", "an address has no scheme"),
        ("${NONE}:80", "environment variable NONE is not set"),
        ("${LINES}:80", "the address has no valid host"),
    ] {
        let fault = format!("1:6: {message}");
        check_target(&[(&format!("tcp: '{address}'"), &[&fault])]);
        let fault = format!("1:17: {message}");
        check_target(&[(&format!("tcp: {{ address: '{address}' }}"), &[&fault])]);
    }
}

#[test]
fn the_request_of_a_probe_is_checked() {
    let with = |keys: &str| format!("http: {{ url: 'https://a',\n{keys} }}");
    for (keys, fault) in [
        ("method: 'G T'", "2:9: the method is not a word"),
        ("method: CONNECT", "2:9: CONNECT opens a tunnel"),
        (
            "headers: { 'A B': c }",
            "2:12: 'A B' can't be the name of a header",
        ),
        (
            "headers: { A: \"b\\r\\nc\" }",
            "2:15: a header's value can't hold a line break",
        ),
        (
            "headers: { A: '${LINES}' }",
            "2:15: a header's value can't hold a line break",
        ),
        (
            "headers: { A: ' b' }",
            "2:15: a header's value can't begin or end with a space",
        ),
        ("headers: { A: b, a: c }", "2:18: header 'a' is given twice"),
        ("headers: { A: }", "2:13: 'A' has no value"),
        (
            "headers: { Cookie: '***' }",
            "2:20: '***' is shown in place of a secret",
        ),
        (
            "follow_redirects: maybe",
            "2:19: 'follow_redirects' must be true or false",
        ),
        (
            "max_redirects: 51",
            "2:16: 'max_redirects' must be a whole number from 1 to 50",
        ),
        (
            "follow_redirects: false, max_redirects: 3",
            "2:41: 'max_redirects' is not used",
        ),
        ("max_body: 0", "2:11: 'max_body' must be from 1 byte"),
        ("max_body: 2048MiB", "2:11: 'max_body' must be from 1 byte"),
        ("max_body: big", "2:11: 'max_body' must be from 1 byte"),
        (
            "ip: v4",
            "2:5: 'ip' must be any, prefer_ipv4, prefer_ipv6, ipv4 or ipv6, not 'v4'",
        ),
        (
            "close: abort",
            "2:8: 'close' must be reset or fin, not 'abort'",
        ),
        ("keep_alive: 1", "2:13: 'keep_alive' must be true or false"),
        (
            "tls: { ca_file: /no/such }",
            "2:17: file '/no/such' is not readable",
        ),
        (
            "tls: { ca_file: Cargo.toml }",
            "2:17: file 'Cargo.toml' holds no PEM certificate",
        ),
        ("tls: { ca_file: Cargo.toml, verify: false }", "2:17: file"),
        (
            "tls: { server_name: 'a b' }",
            "2:21: the server name must be a host name",
        ),
        (
            "tls: { verfy: true }",
            "2:8: unknown key 'verfy'; did you mean 'verify'?",
        ),
        ("tls: true", "2:6: 'tls' must be a mapping"),
        ("auth: {}", "2:7: 'auth' needs one of 'basic' and 'bearer'"),
        (
            "auth: { basic: {} }",
            "2:16: 'basic' needs a 'username' and",
        ),
        (
            "auth: { basic: { username: 'a:b', password: p } }",
            "2:28: a username of basic",
        ),
        ("auth: { bearer: {} }", "2:17: 'bearer' needs a 'token' or"),
        (
            "auth: { bearer: { token: '${NONE}' } }",
            "2:26: environment variable NONE",
        ),
        (
            "auth: { bearer: { token: '***' } }",
            "2:26: '***' is shown in place",
        ),
        (
            "auth: { bearer: { token: '${LINES}' } }",
            "2:26: the secret has a line break",
        ),
        (
            "auth: { bearer: { token_file: /no/such } }",
            "2:31: file '/no/such' is not readable",
        ),
        ("auth: { digest: {} }", "2:7: 'auth' needs"),
    ] {
        let found = faults(&format!("{{targets: [{{ name: t, {}}}]}}", with(keys)));
        assert!(found[0].starts_with(fault), "{keys}: {found:#?}");
    }
    check_target(&[
        ("http: {}", &["1:7: 'http' needs a 'url'"]),
        (
            "http: { uri: 'http://a' }",
            &[
                "1:7: 'http' needs a 'url'",
                "1:9: unknown key 'uri'; did you mean 'url'?",
            ],
        ),
        (
            "http: { url: 'http://a', follow_redirects: false, tls: {} }",
            &["1:56: 'tls' is not used"],
        ),
        (
            "http: { url: 'https://a', headers: { authorization: x },\nauth: { bearer: { token: a } } }",
            &["2:7: 'auth' and a header 'Authorization' are both given"],
        ),
    ]);
}

#[test]
fn the_expectations_of_a_probe_are_checked() {
    for (keys, fault) in [
        ("status: 99", "2:9: 'status' must be a code from 100 to 599"),
        (
            "status: 2xx",
            "2:9: 'status' must be a code from 100 to 599",
        ),
        (
            "status: [200, 300-200]",
            "2:15: 'status' must be a code from 100 to 599",
        ),
        ("status: []", "2:9: 'status' is an empty list"),
        (
            "cert_valid_for: 14",
            "2:17: 'cert_valid_for': '14' has no unit",
        ),
        ("body: ok", "2:7: 'body' must be a mapping"),
        (
            "body: { matches: '(' }",
            "2:18: the regex is not valid: unclosed group",
        ),
        (
            "body: { not_matches: [a, '*'] }",
            "2:26: the regex is not valid: repetition",
        ),
        (
            "body: { match: a }",
            "2:9: unknown key 'match'; did you mean 'matches'?",
        ),
        (
            "body: { json: { exists: true } }",
            "2:15: 'json' needs a 'path'",
        ),
        (
            "body: { json: { path: $.a } }",
            "2:15: 'json' needs a comparison: exists, absent",
        ),
        (
            "body: { json: { path: a, exists: true } }",
            "2:23: the JSONPath is not valid at its char",
        ),
        (
            "body: { json: { path: $.a, equals: 1, less: 2 } }",
            "2:15: a 'json' rule has one comp",
        ),
        (
            "body: { json: { path: $.a, less: [1] } }",
            "2:34: 'less' needs a number or text",
        ),
        (
            "body: { json: { path: $.a, matches: 1 } }",
            "2:37: 'matches' needs a regex",
        ),
        (
            "body: { json: { path: $.a, matches: '[' } }",
            "2:37: the regex is not valid",
        ),
        (
            "body: { json: { path: $.a, equals: '${NONE}' } }",
            "2:36: environment variable NONE",
        ),
        (
            "body: { json: { path: $.a, exists: false } }",
            "2:36: 'exists: false' is written 'absent: true'",
        ),
        ("headers: { A: '(' }", "2:15: the regex is not valid"),
        ("headers: { A: {} }", "2:15: a header's rule needs"),
        (
            "headers: { A: { present: false, matches: b } }",
            "2:26: a header that must be absent",
        ),
        (
            "headers: { 'A B': c }",
            "2:12: 'A B' can't be the name of a header",
        ),
        (
            "latency: 1s",
            "2:1: unknown key 'latency'; 'expect' knows status, body",
        ),
    ] {
        let text = format!(
            "{{targets: [{{ name: t, http: {{ url: 'http://a', expect: {{\n{keys} }} }} }}]}}"
        );
        let found = faults(&text);
        assert!(
            found.len() == 1 && found[0].starts_with(fault),
            "{keys}: {found:#?}"
        );
    }
}

#[test]
fn the_dialogue_of_a_probe_is_checked() {
    check_target(&[
        ("tcp: {}", &["1:6: 'tcp' needs an 'address'"]),
        (
            "tcp: { address: 'a:1', cert_valid_for: 1d }",
            &["1:40: 'cert_valid_for' needs 'tls: true'"],
        ),
        (
            "tcp: { address: 'a:1', tls: on }",
            &["1:29: 'tls' must be true or false"],
        ),
        (
            "tcp: { address: 'a:1', dialogue: hi }",
            &["1:34: 'dialogue' must be a list"],
        ),
        (
            "tcp: { address: 'a:1', dialogue: [{}] }",
            &["1:35: a step is either"],
        ),
        (
            "tcp: { address: 'a:1', dialogue: [{ send: a, expect: b }] }",
            &["1:35: a step is either"],
        ),
        (
            "tcp: { address: 'a:1', dialogue: [{ expect: '(' }] }",
            &["1:45: the regex is not valid"],
        ),
        (
            "tcp: { address: 'a:1', dialogue: [{ send: '${NONE}' }] }",
            &["1:43: environment variable NONE"],
        ),
        (
            "tcp: { address: 'a:1', url: b }",
            &["1:24: unknown key 'url'; 'tcp' knows address"],
        ),
    ]);
}

#[test]
fn a_message_never_holds_what_a_variable_expands_to() {
    for item in [
        "http: 'http://${PASSWORD} x'",
        "http: 'http://bob:${PASSWORD}@a:99999'",
        "tcp: '${PASSWORD}'",
        "http: { url: 'http://a', expect: { body: { matches: '(${PASSWORD}' } } }",
        "http: { url: 'http://a', expect: { body: { json: { path: '${PASSWORD}', exists: true } } } }",
        "http: { url: 'http://a', method: '${PASSWORD} a' }",
        "http: { url: 'http://a', headers: { A: \"${PASSWORD}\\n\" } }",
        "http: { url: 'http://a', auth: { bearer: { token: \"${PASSWORD}\\n\" } } }",
    ] {
        let found = faults(&format!("targets: [{{ name: t, {item} }}]"));
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn a_hundred_faults_are_listed_and_the_rest_is_counted() {
    let items: String = (0..150)
        .map(|n| format!("- {{ name: t{n}, tcp: a }}\n"))
        .collect();
    let found = faults(&format!("targets:\n{items}"));
    assert_eq!(found.len(), 101);
    assert!(found[99].starts_with("101:"), "{}", found[99]);
    assert!(found[100].ends_with("… and 50 more"), "{}", found[100]);
}
