//! A node to play with: the real binary, its files, and its API.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "for-tests-only";

/// A running node; killed when dropped.
pub(crate) struct Node {
    child: Option<Child>,
    pub(crate) directory: TempDir,
    pub(crate) address: SocketAddr,
    agent: ureq::Agent,
    prefix: Vec<String>,
    /// More arguments of `run`.
    more: Vec<String>,
}

/// Says in plain sight that a test was not run, and why; `cargo xtask test` counts the lines.
pub(crate) fn skip(why: &str) {
    use std::io::Write;
    if let Some(list) = std::env::var_os("ROUNDSMAN_TEST_SKIPS") {
        let list = std::fs::File::options()
            .append(true)
            .create(true)
            .open(list);
        writeln!(list.expect("the list of skips"), "{why}").expect("a line fits");
    }
    writeln!(std::io::stderr(), "SKIPPED: {why}").expect("a line fits");
}

/// A free port of loopback; another process may take it before it is used, but rarely does.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port")
}

impl Node {
    /// Writes `config` (without its `api` section) and starts a node with it.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_under(&[], config)
    }

    /// The same under a wrapping command, such as `sh -c "ulimit …"`.
    pub(crate) fn start_under(prefix: &[&str], config: &str) -> Self {
        let mut node = Self::prepare(prefix, &[], config);
        node.spawn();
        node.wait_ready();
        node
    }

    /// The same with more arguments of `run`; it need not become ready.
    pub(crate) fn start_with(more: &[&str], config: &str) -> Self {
        let mut node = Self::prepare(&[], more, config);
        node.spawn();
        node
    }

    /// A node that is not started yet, under a wrapping command and with more arguments of `run`.
    pub(crate) fn prepare(prefix: &[&str], more: &[&str], config: &str) -> Self {
        let node = Self {
            child: None,
            directory: tempfile::tempdir().expect("a directory"),
            address: free_address(),
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(Duration::from_secs(20)))
                .build()
                .into(),
            prefix: prefix.iter().map(|&s| s.to_owned()).collect(),
            more: more.iter().map(|&s| s.to_owned()).collect(),
        };
        node.write_config(config);
        node
    }

    pub(crate) fn write_config(&self, config: &str) {
        let api = format!(
            "api: {{ listen: \"{}\", token: {TOKEN} }}\nnode: {{ name: test }}\n",
            self.address
        );
        std::fs::write(self.config(), api + config).expect("a config");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.directory.path().join("roundsman.yaml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The command that runs this node.
    pub(crate) fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_roundsman");
        let mut command = match self.prefix.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command
            .arg("run")
            .arg(self.config())
            .arg("--data-dir")
            .arg(self.data())
            .args(&self.more);
        command
    }

    pub(crate) fn spawn(&mut self) {
        let log = std::fs::File::create(self.directory.path().join("log")).expect("a log");
        let child = self
            .command()
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        self.child = Some(child);
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn wait_ready(&self) {
        self.wait("the node is ready", || {
            self.try_get("/readyz")
                .is_some_and(|(status, _)| status == 200)
        });
    }

    /// Waits until `is_so`, for at most a minute.
    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(
                Instant::now() < end,
                "waited in vain: {what}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut answer = self
            .agent
            .get(format!("http://{}{path}", self.address))
            .call()
            .ok()?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(100 << 20)
            .read_to_string()
            .ok()?;
        Some((answer.status().as_u16(), text))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, text) = self.try_get(path).expect("the API answers");
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) fn state(&self, name: &str) -> String {
        self.get(&format!("/v1/targets/{name}"))["state"]
            .as_str()
            .expect("a state")
            .to_owned()
    }

    pub(crate) fn count(&self, state: &str) -> u64 {
        self.get("/v1/summary")["counts"][state]
            .as_u64()
            .expect("a count")
    }

    pub(crate) fn put(&self, name: &str, body: &str) -> Option<(u16, Value)> {
        let mut answer = self
            .agent
            .put(format!("http://{}/v1/targets/{name}", self.address))
            .header("Authorization", format!("Bearer {TOKEN}"))
            .header("Content-Type", "application/json")
            .send(body)
            .ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::Null),
        ))
    }

    pub(crate) fn delete(&self, name: &str) -> Option<u16> {
        let url = format!("http://{}/v1/targets/{name}", self.address);
        let answer = self
            .agent
            .delete(url)
            .header("Authorization", format!("Bearer {TOKEN}"))
            .call()
            .ok()?;
        Some(answer.status().as_u16())
    }

    /// The value of a metric whose line starts with `name`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.try_get("/metrics").expect("metrics");
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no metric {name}"));
        line.rsplit(' ')
            .next()
            .and_then(|v| v.parse().ok())
            .expect("a number")
    }

    /// The node's own process, also under a wrapping command.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(done.expect("kill runs").success());
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Waits for the process to end by itself; its exit code.
    pub(crate) fn wait_end(&mut self) -> Option<i32> {
        self.child
            .take()
            .expect("running")
            .wait()
            .expect("it ends")
            .code()
    }

    /// Runs another verb of the binary against this node.
    pub(crate) fn ask(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_roundsman"))
            .args(arguments)
            .env("ROUNDSMAN_API", format!("http://{}", self.address))
            .env("ROUNDSMAN_TOKEN", TOKEN)
            .output()
            .expect("the command runs")
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
