//! One real process: started, asked, signalled, killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The token of all nodes.
pub(crate) const TOKEN: &str = "for-tests-only";
/// How long any wait may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// What one may ask of a node from any thread, whether it runs or not.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Whether it should answer now.
    pub(crate) is_open: Arc<AtomicBool>,
    agent: ureq::Agent,
}

impl Door {
    fn new(name: String, address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(4)))
            .build()
            .into();
        Self {
            name,
            address,
            is_open: Arc::default(),
            agent,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Status and body, if it answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        let answer = self.agent.get(self.url(path)).call().ok()?;
        read(answer)
    }

    pub(crate) fn put(&self, name: &str, body: &str) -> Option<(u16, Value)> {
        let answer = self
            .agent
            .put(self.url(&format!("/v1/targets/{name}")))
            .header("Authorization", format!("Bearer {TOKEN}"))
            .header("Content-Type", "application/json")
            .send(body)
            .ok()?;
        read(answer)
    }

    pub(crate) fn delete(&self, name: &str) -> Option<u16> {
        let answer = self
            .agent
            .delete(self.url(&format!("/v1/targets/{name}")))
            .header("Authorization", format!("Bearer {TOKEN}"))
            .call()
            .ok()?;
        Some(answer.status().as_u16())
    }

    /// All targets with what `query` asks for.
    pub(crate) fn targets(&self, query: &str) -> Option<Vec<Value>> {
        let (status, list) = self.get(&format!("/v1/targets?limit=1000{query}"))?;
        assert!(list["next"].is_null() || status != 200, "more than a page");
        (status == 200).then(|| list["items"].as_array().cloned().unwrap_or_default())
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Option<(u16, Value)> {
    let text = answer.body_mut().with_config().limit(100 << 20);
    let text = text.read_to_string().ok()?;
    let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some((answer.status().as_u16(), json))
}

/// A process with its directory; killed when dropped.
pub(crate) struct Node {
    pub(crate) door: Door,
    directory: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// A node that does not run yet, with its config written.
    pub(crate) fn new(nth: usize, address: SocketAddr, directory: &Path, config: &str) -> Self {
        let directory = directory.join(format!("n{nth}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join("roundsman.yaml"), config).expect("a config");
        Self {
            door: Door::new(format!("n{nth}"), address),
            directory,
            child: None,
        }
    }

    /// Starts it by `command`, which runs the binary where the node stands.
    pub(crate) fn start(&mut self, mut command: Command, more: &[&str]) {
        assert!(self.child.is_none(), "{} runs", self.door.name);
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.directory.join("log.jsonl"))
            .expect("a log");
        let child = command
            .env("FLEET_NODE", &self.door.name)
            .args(["--log-format", "json", "run"])
            .arg(self.directory.join("roundsman.yaml"))
            .arg("--data-dir")
            .arg(self.directory.join("data"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        self.child = Some(child);
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.child.as_ref()?.id())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn wait_ready(&self) {
        self.wait("it is ready", || {
            matches!(self.door.get("/readyz"), Some((200, _)))
        });
        self.door.is_open.store(true, Relaxed);
    }

    /// Waits until `is_so`; fails with the end of the log.
    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so() {
            let name = &self.door.name;
            assert!(
                Instant::now() < end,
                "{name}: in vain: {what}\n{}",
                self.tail()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last lines of its log.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log.jsonl")).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        let pid = rustix::process::Pid::from_child(child);
        let signal = match name {
            "TERM" => rustix::process::Signal::TERM,
            "STOP" => rustix::process::Signal::STOP,
            "CONT" => rustix::process::Signal::CONT,
            other => unreachable!("{other} is not used"),
        };
        rustix::process::kill_process(pid, signal).expect("it can be signalled");
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.door.is_open.store(false, Relaxed);
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// SIGTERM, and waits for its end; how long that took.
    pub(crate) fn leave(&mut self) -> Duration {
        let from = Instant::now();
        self.signal("TERM");
        self.door.is_open.store(false, Relaxed);
        let mut child = self.child.take().expect("it runs");
        let end = child.wait().expect("it ends");
        assert_eq!(end.code(), Some(0), "{}", self.tail());
        from.elapsed()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
