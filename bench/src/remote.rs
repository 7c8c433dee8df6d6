//! The target server seen from outside: start it, change targets, read its log.

use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::wire::{Mode, Record, now_ns};

/// A child process that ends with us: first asked, then made to.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts `program` pinned to core `core`.
    pub fn pinned(core: u32, program: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let output = fs::File::create(log).with_context(|| log.display().to_string())?;
        let child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("can't start {} on core {core}", program.display()))?;
        Ok(Self(child))
    }

    /// Its process id; `taskset` becomes the program, so they are one.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// An error if it has ended.
    pub fn check(&mut self, what: &str, log: &Path) -> Result<()> {
        if let Some(status) = self.0.try_wait()? {
            let said = fs::read_to_string(log).unwrap_or_default();
            let from = said.len().saturating_sub(2_000);
            let said = said.get(from..).unwrap_or_default();
            bail!("{what} ended with {status}:\n{said}");
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many requests and handshakes a target server saw since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections.
    pub accepts: u64,
    /// Requests.
    pub requests: u64,
    /// TLS handshakes with a certificate.
    pub full: u64,
    /// TLS handshakes that resumed an earlier session.
    pub resumed: u64,
}

/// A running target server.
#[derive(Debug)]
pub struct Targets {
    running: Running,
    /// One question at a time.
    control: Mutex<UdpSocket>,
    dump: PathBuf,
    log: PathBuf,
}

impl Targets {
    /// Starts the server on core 1, listening at `port` on every address of this machine.
    pub fn start(folder: &Path, port: u16, arguments: &[&str]) -> Result<Self> {
        let control = UdpSocket::bind("127.0.0.1:0")?;
        let control_port = port + 1;
        control.connect(("127.0.0.1", control_port))?;
        control.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut all = vec![
            format!("--port={port}"),
            format!("--control={control_port}"),
        ];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let log = folder.join("target.log");
        let mut running = Running::pinned(1, &beside("target")?, &all, &log)?;
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            running.check("the target server", &log)?;
            if Instant::now() > end {
                bail!("the target server does not listen on port {port}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        running.check("the target server", &log)?;
        Ok(Self {
            running,
            control: Mutex::new(control),
            dump: folder.join("target.records"),
            log,
        })
    }

    /// Lets the target at `address` behave as `mode`; returns when that took effect.
    pub fn set(&self, address: Ipv4Addr, mode: Mode) -> Result<u64> {
        let answer = self.ask(&format!("{} {address}", mode.code()))?;
        answer.parse().with_context(|| answer.clone())
    }

    /// What was logged since the last time, oldest first.
    pub fn records(&self) -> Result<Vec<Record>> {
        self.ask(&format!("dump {}", self.dump.display()))?;
        let bytes = fs::read(&self.dump)?;
        let (records, _) = bytes.as_chunks::<{ Record::SIZE }>();
        Ok(records.iter().map(|&b| Record::from_bytes(b)).collect())
    }

    /// What it saw so far.
    pub fn seen(&self) -> Result<Seen> {
        let answer = self.ask("seen")?;
        let numbers: Vec<u64> = answer
            .split(' ')
            .map(|number| number.parse().with_context(|| answer.clone()))
            .collect::<Result<_>>()?;
        let [accepts, requests, full, resumed] = numbers[..] else {
            bail!("the target server said '{answer}'");
        };
        Ok(Seen {
            accepts,
            requests,
            full,
            resumed,
        })
    }

    /// Logs for `span` from now; returns the records and when they began and ended.
    pub fn watch(&mut self, span: Duration) -> Result<(Vec<Record>, u64, u64)> {
        self.records()?;
        let from = now_ns();
        thread::sleep(span);
        let to = now_ns();
        let mut records = self.records()?;
        records.retain(|record| (from..to).contains(&record.ns));
        self.running.check("the target server", &self.log)?;
        Ok((records, from, to))
    }

    fn ask(&self, question: &str) -> Result<String> {
        let control = self.control.lock().expect("nobody panics with it");
        control.send(question.as_bytes())?;
        let mut buffer = [0; 256];
        let read = control
            .recv(&mut buffer)
            .context("the target server does not answer")?;
        Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
    }
}

/// The program `name` that was built together with this one.
pub fn beside(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let program = this.with_file_name(name);
    if !program.is_file() {
        bail!("{} is missing; use `cargo xtask bench`", program.display());
    }
    Ok(program)
}
