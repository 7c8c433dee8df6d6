//! The three checkers that are measured, and the configs that make them do the same.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::remote::{Running, beside};
use crate::wire::address;

/// Who checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Checker {
    /// Debian's HAProxy, one thread
    Haproxy,
    /// The binary beside this one
    Roundsman,
    /// A bare loop: connect, GET, read, reset
    Floor,
    /// Three roundsman nodes that share the targets, all on the one core
    Three,
}

/// The processes of a checker that was started.
#[derive(Debug)]
pub struct Started {
    all: Vec<(Running, PathBuf)>,
}

impl Started {
    /// Its process ids.
    pub fn pids(&self) -> Vec<u32> {
        self.all.iter().map(|(running, _)| running.pid()).collect()
    }

    /// An error if one of them has ended.
    pub fn check(&mut self, what: &str) -> Result<()> {
        let mut all = self.all.iter_mut();
        all.try_for_each(|(running, log)| running.check(what, log))
    }
}

/// What each of them is told to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// How many targets.
    pub targets: u32,
    /// Time between two checks of one.
    pub interval_ms: u64,
    /// Time for one check.
    pub timeout_ms: u64,
    /// Where the targets listen.
    pub port: u16,
    /// Roundsman keeps connections.
    pub keep_alive: bool,
    /// Roundsman speaks TLS and trusts this authority.
    pub authority: Option<PathBuf>,
    /// How many successes bring a target up.
    pub rise: u16,
}

/// Where roundsman's API answers while it is measured.
pub const API: &str = "127.0.0.1:18790";

impl Checker {
    /// For tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Roundsman => "roundsman",
            Self::Floor => "bare loop",
            Self::Three => "three nodes",
        }
    }

    /// Starts it on core 0.
    pub fn start(self, job: &Job, folder: &Path) -> Result<Started> {
        let log = |name: &str| folder.join(format!("{}.log", name.replace(' ', "-")));
        let one = |program: PathBuf, arguments: &[String]| -> Result<Started> {
            let log = log(self.name());
            let running = Running::pinned(0, &program, arguments, &log)?;
            let all = vec![(running, log)];
            Ok(Started { all })
        };
        match self {
            Self::Haproxy => {
                let config = folder.join("haproxy.cfg");
                fs::write(&config, haproxy_config(job))?;
                let config = config.display().to_string();
                one(haproxy(), &["-db".to_owned(), "-f".to_owned(), config])
            }
            Self::Roundsman => one(beside("roundsman")?, &roundsman(job, folder, "bench")?),
            Self::Floor => one(
                beside("floor")?,
                &[
                    format!("--targets={}", job.targets),
                    format!("--interval-ms={}", job.interval_ms),
                    format!("--port={}", job.port),
                ],
            ),
            Self::Three => {
                let all = (1..=3).map(|nth| {
                    let name = format!("bench-{nth}");
                    let mut arguments = roundsman(job, folder, &name)?;
                    arguments.extend([
                        format!("--listen=127.0.0.1:1879{nth}"),
                        format!("--cluster-listen=127.0.0.1:1880{nth}"),
                        "--join=127.0.0.1:18801,127.0.0.1:18802,127.0.0.1:18803".to_owned(),
                    ]);
                    let log = log(&name);
                    let running = Running::pinned(0, &beside("roundsman")?, &arguments, &log)?;
                    Ok((running, log))
                });
                let all = all.collect::<Result<_>>()?;
                Ok(Started { all })
            }
        }
    }
}

/// Where the API of the node that only shows the targets answers, and the other's.
pub const PAIR: [&str; 2] = ["127.0.0.1:18792", "127.0.0.1:18791"];

/// Two nodes, of which the second has all targets but a thousandth; the first only shows them.
pub fn pair(job: &Job, folder: &Path) -> Result<Started> {
    let start = |nth: usize, weight: u32| -> Result<_> {
        let name = format!("pair-{nth}");
        let mut arguments = roundsman(job, folder, &name)?;
        let config = folder.join(format!("{name}.yaml"));
        let text = roundsman_config(job);
        fs::write(&config, format!("node: {{ weight: {weight} }}\n{text}"))?;
        arguments[1] = config.display().to_string();
        arguments.extend([
            format!("--listen={}", PAIR[nth]),
            format!("--cluster-listen=127.0.0.1:1880{nth}"),
            "--join=127.0.0.1:18800,127.0.0.1:18801".to_owned(),
        ]);
        let log = folder.join(format!("{name}.log"));
        let core = u32::try_from(nth).expect("two");
        let running = Running::pinned(core, &beside("roundsman")?, &arguments, &log)?;
        Ok((running, log))
    };
    let all = vec![start(0, 1)?, start(1, 1_000)?];
    Ok(Started { all })
}

/// How a node of this name is started, on an empty disk.
fn roundsman(job: &Job, folder: &Path, name: &str) -> Result<Vec<String>> {
    // One for each: a node that starts reads its file while the next one is written.
    let config = folder.join(format!("{name}.yaml"));
    fs::write(&config, roundsman_config(job))?;
    let store = folder.join(format!("{name}.state"));
    let _ = fs::remove_dir_all(&store);
    Ok(vec![
        "run".to_owned(),
        config.display().to_string(),
        format!("--node={name}"),
        format!("--data-dir={}", store.display()),
    ])
}

/// HAProxy as the tests were told, or where Debian puts it.
fn haproxy() -> PathBuf {
    std::env::var_os("ROUNDSMAN_TEST_HAPROXY").map_or_else(|| "haproxy".into(), PathBuf::from)
}

/// Whether HAProxy can be started.
pub fn need_haproxy() -> Result<()> {
    std::process::Command::new(haproxy())
        .arg("-v")
        .output()
        .map(drop)
        .context("haproxy is missing: apt-get install haproxy, or leave it out with --checkers roundsman,floor")
}

fn haproxy_config(job: &Job) -> String {
    let mut text = format!(
        "global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  timeout check {timeout}ms
frontend f
  bind 127.0.0.1:18791
  default_backend b
backend b
  option httpchk GET /health
  http-check expect status 200
  default-server inter {interval}ms fall 3 rise {rise}
",
        interval = job.interval_ms,
        timeout = job.timeout_ms,
        rise = job.rise,
    );
    for index in 0..job.targets {
        let _ = writeln!(
            text,
            "  server s{index} {}:{} check",
            address(index),
            job.port
        );
    }
    text
}

fn roundsman_config(job: &Job) -> String {
    let mut text = format!(
        "api: {{ listen: \"{API}\" }}
defaults: {{ interval: {interval}ms, timeout: {timeout}ms, fall: 3, rise: {rise} }}
targets:
",
        interval = job.interval_ms,
        timeout = job.timeout_ms,
        rise = job.rise,
    );
    let scheme = if job.authority.is_some() {
        "https"
    } else {
        "http"
    };
    let mut extra = String::new();
    if job.keep_alive {
        extra += ", keep_alive: true";
    }
    if let Some(authority) = &job.authority {
        let _ = write!(
            extra,
            ", tls: {{ ca_file: \"{}\", server_name: bench.test }}",
            authority.display()
        );
    }
    for index in 0..job.targets {
        let _ = writeln!(
            text,
            "  - {{ name: t{index}, http: {{ url: \"{scheme}://{}:{}/health\"{extra} }} }}",
            address(index),
            job.port
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_configs_name_every_target() {
        let job = Job {
            targets: 3,
            interval_ms: 1_000,
            timeout_ms: 1_000,
            port: 80,
            keep_alive: true,
            authority: None,
            rise: 1,
        };
        for config in [haproxy_config(&job), roundsman_config(&job)] {
            for index in 0..3 {
                assert!(config.contains(&address(index).to_string()), "{config}");
            }
        }
        assert!(roundsman_config(&job).contains("keep_alive: true"));
    }
}
