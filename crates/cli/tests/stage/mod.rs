//! The real binary and a node that only pretends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the binary printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Standard output as one JSON document.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary away from the settings of whoever runs the tests.
pub(crate) fn roundsman(arguments: &[&str]) -> Ended {
    roundsman_with(arguments, &[])
}

/// The same with environment variables.
pub(crate) fn roundsman_with(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_roundsman"))
        .args(arguments)
        .env_remove("ROUNDSMAN_API")
        .env_remove("ROUNDSMAN_TOKEN")
        .env_remove("COLUMNS")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    Ended {
        code: output.status.code().expect("no signal ended it"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// What the node is asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// "GET /v1/targets?limit=1".
    pub(crate) line: String,
    /// Every header, lower case names.
    pub(crate) headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A node that answers from a function and remembers what it was asked.
pub(crate) struct Node {
    /// For `--api`.
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Status, content type and body.
pub(crate) type Reply = (u16, &'static str, String);

pub(crate) fn json(body: impl ToString) -> Reply {
    (200, "application/json", body.to_string())
}

pub(crate) fn problem(status: u16, body: impl ToString) -> Reply {
    (status, "application/problem+json", body.to_string())
}

impl Node {
    pub(crate) fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (Arc::clone(&asked), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                thread::spawn(move || serve(stream, &log, &*reply));
            }
        });
        Self { url, asked }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, reply: &dyn Fn(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim().is_empty() => break,
            Ok(_) => lines.push(line.trim().to_owned()),
        }
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_lowercase(), value.to_owned()))
        .collect();
    let asked = Asked {
        line: lines[0].trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
    };
    let length = asked.header("content-length").and_then(|n| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = reader.read_exact(&mut body);
    let (status, kind, body) = reply(&asked);
    log.lock().expect("nobody panics with it").push(asked);
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
}
