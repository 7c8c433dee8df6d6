//! HashiCorp's serf as Debian packages it, with its default LAN profile.
//!
//! Agents are told to join through serf's own port for its command line: MessagePack maps over
//! TCP, of which we write the two that are needed and read nothing back.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cluster::{Ask, Belief, Protocol, address, name, number};

/// Serf.
#[derive(Clone, Copy, Debug)]
pub struct Serf;

/// The port for serf's command line, at each agent's own address.
const RPC_PORT: u16 = 7_373;

impl Protocol for Serf {
    fn command(&self, nth: usize) -> Command {
        let mut command = Command::new(program());
        command
            .arg("agent")
            .arg(format!("-node={}", name(nth)))
            .arg(format!("-bind={}", address(nth)))
            .arg(format!("-rpc-addr={}", rpc(nth)));
        command
    }

    /// Serf logs `serf: EventMemberJoin: NAME ADDRESS` and `…Failed…` when it decides; the other
    /// lines about events follow up to a second later.
    fn read(&self, line: &str) -> Option<(usize, Belief)> {
        let (_, event) = line.split_once("serf: EventMember")?;
        let (kind, rest) = event.split_once(": ")?;
        let whom = number(rest.split_whitespace().next()?)?;
        match kind {
            "Join" => Some((whom, Belief::Alive)),
            "Failed" => Some((whom, Belief::Dead)),
            _ => None,
        }
    }

    fn prepare_join(&self, _agent: &mut Child, nth: usize, to: SocketAddr) -> Result<Ask> {
        let begin = Instant::now();
        let mut stream = loop {
            match TcpStream::connect(rpc(nth)) {
                Ok(stream) => break stream,
                // Its port opens a moment after its first line.
                Err(_) if begin.elapsed() < Duration::from_secs(10) => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error).context("serf's port for commands"),
            }
        };
        stream.write_all(&handshake())?;
        Ok(Box::new(move || {
            stream.write_all(&join(to))?;
            // Serf gives up a join whose asker has gone: the connection stays to the end.
            std::mem::forget(stream);
            Ok(())
        }))
    }
}

/// Where `cargo xtask bench` found it.
fn program() -> String {
    std::env::var("ROUNDSMAN_BENCH_SERF").unwrap_or_else(|_| "serf".to_owned())
}

fn rpc(nth: usize) -> SocketAddr {
    SocketAddr::new(address(nth).ip(), RPC_PORT)
}

/// What serf calls itself and what Debian calls its package.
#[must_use]
pub fn version() -> Option<String> {
    let read = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.lines().next()?.trim().to_owned())
    };
    let own = read(&program(), &["version"])?;
    let package = read("dpkg-query", &["-W", "-f", "${Version}", "serf"]);
    Some(match package.filter(|package| !package.is_empty()) {
        Some(package) => format!("serf {package} (calls itself {own})"),
        None => format!("serf {own}"),
    })
}

fn handshake() -> Vec<u8> {
    let mut bytes = header("handshake", 0);
    bytes.push(0x81);
    text(&mut bytes, "Version");
    bytes.push(1);
    bytes
}

fn join(to: SocketAddr) -> Vec<u8> {
    let mut bytes = header("join", 1);
    bytes.push(0x82);
    text(&mut bytes, "Existing");
    bytes.push(0x91);
    text(&mut bytes, &to.to_string());
    text(&mut bytes, "Replay");
    bytes.push(0xc2);
    bytes
}

fn header(command: &str, seq: u8) -> Vec<u8> {
    let mut bytes = vec![0x82];
    text(&mut bytes, "Command");
    text(&mut bytes, command);
    text(&mut bytes, "Seq");
    bytes.push(seq);
    bytes
}

/// MessagePack's short string: at most 31 bytes.
fn text(bytes: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 32, "{text} is no short string");
    bytes.push(0xa0 | u8::try_from(text.len()).expect("below 32"));
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serfs_own_events_are_read_and_nothing_else() {
        let read = |line: &str| Serf.read(line);
        let stamp = "    2026/11/21 07:55:53 [INFO]";
        assert_eq!(
            read(&format!("{stamp} serf: EventMemberFailed: n2 127.0.1.3")),
            Some((2, Belief::Dead))
        );
        assert_eq!(
            read(&format!("{stamp} serf: EventMemberJoin: n12 127.0.1.13")),
            Some((12, Belief::Alive))
        );
        assert_eq!(
            read(&format!("{stamp} serf: EventMemberLeave: n2 ::1")),
            None
        );
        assert_eq!(
            read(&format!("{stamp} memberlist: Suspect n2 has failed")),
            None
        );
    }

    #[test]
    fn commands_are_message_pack_maps() {
        assert_eq!(
            handshake(),
            b"\x82\xa7Command\xa9handshake\xa3Seq\x00\x81\xa7Version\x01"
        );
        let expected = b"\x82\xa7Command\xa4join\xa3Seq\x01\x82\xa8Existing\x91\xae127.0.1.1:7946\xa6Replay\xc2";
        assert_eq!(join(address(0)), expected);
    }
}
