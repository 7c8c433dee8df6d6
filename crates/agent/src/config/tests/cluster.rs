//! The section `cluster`: the port, who to join, keys and label.

use super::*;
use crate::cluster::fresh_key;

fn clustered(text: &str) -> Result<Cluster, Vec<String>> {
    let line = |fault: &Fault| format!("{}:{}: {}", fault.line, fault.column, fault.message);
    parse("c.yaml", text, &env)
        .map(|config| config.cluster)
        .map_err(|faults| faults.iter().map(line).collect())
}

fn check(text: &str, expected: &[&str]) {
    let found = clustered(text).expect_err(text);
    let fits =
        found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
    assert!(fits, "{text}\nfound {found:#?}\nexpected {expected:#?}");
}

/// A key file with this content, and its path.
fn key_file(content: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn the_contracts_section_is_read() {
    let key = fresh_key();
    let (_dir, path) = key_file(&format!("{}\n", key.expose()));
    let read = clustered(&format!(
        "cluster: {{ listen: \"10.0.0.1:7718\", join: [\"10.0.0.2:7718\", '${{HOST}}:7718'], key_file: {path}, label: prod }}"
    ));
    let expected = Cluster {
        listen: Some("10.0.0.1:7718".parse().unwrap()),
        join: ["10.0.0.2:7718", "shop.example:7718"]
            .map(|a| a.parse().unwrap())
            .into(),
        keyring: Keyring::parse(key.expose()).unwrap(),
        label: "prod".into(),
    };
    assert_eq!(read, Ok(expected));
    assert_eq!(clustered("cluster: {}"), Ok(Cluster::default()));
    assert_eq!(clustered("cluster: { join: [] }"), Ok(Cluster::default()));
}

#[test]
fn a_config_with_a_key_does_not_print_it() {
    let key = fresh_key();
    let (_dir, path) = key_file(key.expose());
    let config = parse("c.yaml", &format!("cluster: {{ key_file: {path} }}"), &env);
    let shown = format!("{config:?}");
    assert!(shown.contains("Keyring(1 keys)"), "{shown}");
    assert!(!shown.contains(key.expose()), "{shown}");
}

#[test]
fn mistakes_in_the_cluster_are_named_where_they_stand() {
    check(
        "cluster: { listen: 7718 }",
        &["1:20: 'listen' must be an IP address and a port"],
    );
    check(
        "cluster: { join: 10.0.0.2:7718 }",
        &["1:18: 'join' must be a list"],
    );
    check(
        "cluster:\n  join:\n  - node-2\n  - node-3:0\n  - '[::1]:7718'\n  - fd00::1:7718",
        &[
            "3:5: the address has no port",
            "4:5: the port must be from 1 to 65535",
            "6:5: an IPv6 address stands in brackets",
        ],
    );
    check(
        "cluster: { join: ['${NONE}:1'] }",
        &["1:19: environment variable NONE is not set"],
    );
    check(
        "cluster: { join: [[a]] }",
        &["1:19: 'join' must be one value, not a list"],
    );
    let many: Vec<String> = (1..=257).map(|n| format!("n{n}:1")).collect();
    check(
        &format!("cluster: {{ join: [{}] }}", many.join(", ")),
        &["1:18: 'join' names 257 addresses, more than 256"],
    );
    check(
        &format!("cluster: {{ label: {} }}", "x".repeat(201)),
        &["1:19: 'label' has at most 200 characters"],
    );
    check(
        "cluster: { label: \"a\\tb\" }",
        &["1:19: 'label' has at most"],
    );
    check(
        "cluster: { labels: a }",
        &["1:12: unknown key 'labels'; did you mean 'label'?"],
    );
    check(
        "cluster: { drain_timeout: 5s }",
        &["1:12: 'drain_timeout' is not in this version"],
    );
}

#[test]
fn a_key_file_that_is_none_is_named_and_never_shown() {
    check(
        "cluster: { key_file: /no/such }",
        &["1:22: file '/no/such' is not readable"],
    );
    check(
        "cluster: { key_file: / }",
        &["1:22: '/' is not a regular file"],
    );
    let (_dir, path) = key_file("# the key\nhunter2\n");
    let text = format!("node: {{}}\ncluster:\n  key_file: {path}");
    check(
        &text,
        &[&format!("3:13: key file '{path}': line 2: not a key")],
    );
    let said = clustered(&text).unwrap_err().join("");
    assert!(
        said.contains("roundsman keygen") && !said.contains("hunter2"),
        "{said}"
    );
    let (_dir, path) = key_file("# nothing yet\n");
    let text = format!("cluster: {{ key_file: {path} }}");
    check(
        &text,
        &[&format!("1:22: key file '{path}': no key is in it")],
    );
}
