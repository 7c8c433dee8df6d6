//! The README's first command: page, `status` and API agree at once, with nothing set up.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const API: &str = "http://127.0.0.1:7717";

/// Ends the node also when the test fails.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(path: &str) -> Option<String> {
    ureq::get(format!("{API}{path}"))
        .call()
        .ok()?
        .body_mut()
        .read_to_string()
        .ok()
}

fn states(document: &[u8]) -> Option<Vec<(String, String)>> {
    let document: Value = serde_json::from_slice(document).ok()?;
    let text = |target: &Value, key: &str| target[key].as_str().unwrap_or_default().to_owned();
    let items = document["items"].as_array()?.iter();
    let mut states: Vec<_> = items.map(|t| (text(t, "name"), text(t, "state"))).collect();
    states.sort();
    Some(states)
}

#[test]
fn the_quickstart_shows_the_same_on_page_status_and_api() {
    let binary = env!("CARGO_BIN_EXE_roundsman");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart.yaml");
    let directory = tempfile::tempdir().expect("a directory");
    if std::net::TcpListener::bind("127.0.0.1:7717").is_err() {
        // A node that somebody runs on this machine is not ours to test.
        crate::support::skip("needs port 7717, which is taken");
        return;
    }
    let child = Command::new(binary)
        .args(["--log", "warn", "run"])
        .arg(example)
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _node = Running(child.expect("the node starts"));
    let expected = [
        ("api port", "up"),
        ("being repaired", "paused"),
        ("nobody there", "down"),
        ("roundsman api", "up"),
        ("roundsman summary", "up"),
        ("status page", "up"),
    ]
    .map(|(name, state)| (name.to_owned(), state.to_owned()));
    let end = Instant::now() + Duration::from_secs(60);
    while get("/v1/targets")
        .and_then(|text| states(text.as_bytes()))
        .as_deref()
        != Some(&expected)
    {
        assert!(Instant::now() < end, "the API never showed what it should");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = Command::new(binary)
        .args(["status", "--json"])
        .output()
        .expect("it runs");
    assert_eq!(states(&status.stdout).as_deref(), Some(&expected[..]));
    let page = get("/").expect("the page");
    for (name, _) in &expected {
        assert!(page.contains(name.as_str()), "{name} is not on the page");
    }
    assert!(
        page.contains("(1 down) roundsman"),
        "the title counts what is down"
    );
    let again = Command::new(binary)
        .args(["status", "--fail-on", "down"])
        .status()
        .expect("it runs");
    assert_eq!(again.code(), Some(3));
}
