//! A node over standard input and output: one thread reads, one decides and writes.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Instant;

use base::Time;

use crate::message::{LINE_MAX, Message};
use crate::node::{Input, Node, Setup};

/// Messages that wait between the reader and the node; when full, the pipe fills, then the sender waits.
const QUEUE: usize = 1_024;

/// Runs one node until its input ends. What is said besides answers goes to standard error.
///
/// # Errors
/// When standard output can't be written.
pub fn serve(setup: Setup) -> std::io::Result<()> {
    let (sender, receiver) = sync_channel(QUEUE);
    thread::spawn(move || {
        let stdin = BufReader::new(std::io::stdin());
        read_messages(stdin, |read| match read {
            Ok(message) => sender.send(message).is_ok(),
            Err(text) => {
                complain(&text);
                true
            }
        });
    });
    run(Node::new(setup), &receiver, &mut std::io::stdout().lock())
}

/// A seed that differs from boot to boot: the keys of the standard library's hasher, and the process id.
#[must_use]
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn run(mut node: Node, lines: &Receiver<Message>, out: &mut impl Write) -> std::io::Result<()> {
    let start = Instant::now();
    let clock = || Time(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    loop {
        let next = match node.deadline() {
            Some(at) => lines.recv_timeout(at.since(clock())),
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(message) => node.handle(clock(), Input::Said(message)),
            Err(RecvTimeoutError::Timeout) => node.handle(clock(), Input::Tick),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        while let Some(message) = node.poll() {
            out.write_all(&message.line())?;
        }
        out.flush()?;
    }
}

/// Reads lines of bounded length and gives them on, or says what is wrong with one, until the end, a line
/// too long, or `give` wants no more.
pub(crate) fn read_messages(
    mut lines: impl BufRead,
    mut give: impl FnMut(Result<Message, String>) -> bool,
) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                give(Err(format!("can't read: {error}")));
                return;
            }
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == LINE_MAX {
            give(Err(format!(
                "a line of more than {LINE_MAX} bytes; giving up"
            )));
            return;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = serde_json::from_slice(&line).map_err(|error| {
            let shown = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
            format!("no message ({error}): {}", shown.trim_end())
        });
        if !give(read) {
            return;
        }
    }
}

#[expect(clippy::print_stderr, reason = "the protocol puts logs there")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tuning, Workload};

    const SETUP: Setup = Setup {
        workload: Workload::Echo,
        tuning: Tuning::Quick,
        seed: 1,
    };

    fn served(input: &str) -> (String, Vec<String>) {
        let (sender, receiver) = sync_channel(QUEUE);
        let mut complaints = Vec::new();
        read_messages(input.as_bytes(), |read| {
            match read {
                Ok(message) => sender.send(message).expect("somebody listens"),
                Err(text) => complaints.push(text),
            }
            true
        });
        drop(sender);
        let mut out = Vec::new();
        run(Node::new(SETUP), &receiver, &mut out).expect("a vector takes all");
        (String::from_utf8(out).expect("JSON is text"), complaints)
    }

    #[test]
    fn lines_in_become_lines_out_and_the_node_ends_with_its_input() {
        let (out, complaints) = served(concat!(
            r#"{"src":"c0","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}"#,
            "\n\n",
            r#"{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":2,"echo":"hi"}}"#,
        ));
        let expected = concat!(
            r#"{"src":"n1","dest":"c0","body":{"in_reply_to":1,"type":"init_ok"}}"#,
            "\n",
            r#"{"src":"n1","dest":"c1","body":{"echo":"hi","in_reply_to":2,"type":"echo_ok"}}"#,
            "\n",
        );
        assert_eq!(out, expected);
        assert!(complaints.is_empty(), "{complaints:?}");
    }

    #[test]
    fn garbage_is_complained_about_and_skipped() {
        let (out, complaints) = served("{]\n{\"src\":1}\n");
        assert_eq!(out, "");
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].contains("{]"), "{complaints:?}");
    }

    #[test]
    fn a_line_without_end_is_given_up_and_not_kept() {
        let endless = std::io::repeat(b'x');
        let mut said = Vec::new();
        read_messages(BufReader::new(endless), |read| {
            said.push(read);
            true
        });
        let said = said.pop().unwrap().unwrap_err();
        assert!(
            said.contains("a line of more than 16777216 bytes"),
            "{said}"
        );
    }

    #[test]
    fn two_seeds_of_one_process_differ() {
        assert_ne!(fresh_seed(), fresh_seed());
    }
}
