//! A lab over real processes: each node is a program that reads and writes lines, as under Maelstrom.

use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Instant;

use base::{Duration, Time};
use thiserror::Error;

use crate::lab::{History, Input, Lab, Output};
use crate::message::Message;
use crate::serve::read_messages;

/// Messages that may wait for one process; beyond them they are lost, which is noted as a misdeed.
const QUEUE: usize = 10_000;

/// What to start for each node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The processes could not be started; those that were are ended.
#[derive(Debug, Error)]
#[error("can't start {path}: {source}")]
pub struct StartError {
    path: PathBuf,
    source: std::io::Error,
}

/// A running node.
struct Running {
    child: Child,
    to: SyncSender<Message>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good as ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a lab to its end, in real time. Standard error of the nodes is this process's.
///
/// # Errors
/// When the program can't be started.
///
/// # Panics
/// When a thread can't be started.
pub fn run(mut lab: Lab, program: &Program) -> Result<History, StartError> {
    let (sender, heard) = sync_channel(QUEUE);
    let start = |i| start(program, i, &sender);
    let nodes: Vec<Running> = (0..lab.plan().nodes).map(start).collect::<Result<_, _>>()?;
    drop(sender);
    let begin = Instant::now();
    let clock = || Time(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX));
    while !lab.is_finished() {
        let wait = lab
            .deadline()
            .map_or(Duration::ZERO, |at| at.since(clock()));
        let input = match heard.recv_timeout(wait) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => Input::Tick,
            // Every node has ended, and was noted; the lab goes on to its end.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(wait);
                Input::Tick
            }
        };
        lab.handle(clock(), input);
        while let Some(Output::Deliver(i, message)) = lab.poll() {
            if let Err(TrySendError::Full(_)) = nodes[i].to.try_send(message) {
                let why = format!("does not read: {QUEUE} messages wait");
                lab.handle(clock(), Input::Failed(i, why));
            }
        }
    }
    Ok(lab.into_history())
}

fn start(program: &Program, i: usize, to: &SyncSender<Input>) -> Result<Running, StartError> {
    let mut child = Command::new(&program.path)
        .args(&program.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| StartError {
            path: program.path.clone(),
            source,
        })?;
    let mut stdin = child.stdin.take().expect("asked for above");
    let stdout = child.stdout.take().expect("asked for above");
    let (sender, receiver): (_, Receiver<Message>) = sync_channel(QUEUE);
    thread::spawn(move || {
        for message in receiver {
            if stdin.write_all(&message.line()).is_err() {
                return; // It has ended; its reader says so.
            }
        }
    });
    let to = to.clone();
    thread::spawn(move || listen(i, BufReader::new(stdout), &to));
    Ok(Running { child, to: sender })
}

/// Gives on what a process says, until it says no more.
fn listen(i: usize, stdout: impl std::io::BufRead, to: &SyncSender<Input>) {
    read_messages(stdout, |read| {
        let input = match read {
            Ok(message) => Input::Said(i, message),
            Err(text) => Input::Failed(i, format!("wrote {text}")),
        };
        to.send(input).is_ok()
    });
    // Nobody listens any more if the lab is over: then a node may end.
    let _ = to.send(Input::Failed(i, "ended".to_owned()));
}
