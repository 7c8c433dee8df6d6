//! A TCP connection and what is said over it.
//!
//! Start reading at [`ask`].
//! Does not know HTTP.

use health::{Phase, Reason};
use regex::bytes::Regex;

use super::Run;
use super::connect::{Socket, connect, talk_fault};
use super::prepare::Line;
use super::trace::Fault;

/// The most that is read while waiting for one match.
const HEARD_MAX: usize = 64 << 10;

/// Connects, and goes through the dialogue if there is one.
pub(super) async fn ask(run: &Run<'_>, lines: &[Line]) -> Result<(), Fault> {
    let secure = run.prepared.secure.as_deref();
    let talk = !lines.is_empty();
    let mut socket = connect(run, &run.prepared.endpoint, secure, talk).await?;
    let mut heard = Vec::new();
    if talk {
        run.enter(Phase::Processing);
    }
    for line in lines {
        match line {
            Line::Send(bytes) => {
                let sent = socket.send(bytes).await;
                sent.map_err(|error| talk_fault(&error, Phase::Processing))?;
            }
            Line::Expect(regex) => expect(run, &mut socket, regex, &mut heard).await?,
        }
    }
    socket.close(run.prepared.close);
    Ok(())
}

/// Reads until `regex` is found, and takes what was heard up to the end of that line.
async fn expect(
    run: &Run<'_>,
    socket: &mut Socket,
    regex: &Regex,
    heard: &mut Vec<u8>,
) -> Result<(), Fault> {
    loop {
        if let Some(found) = regex.find(heard) {
            let rest = &heard[found.end()..];
            let line = rest.iter().position(|&b| b == b'\n').map_or(0, |at| at + 1);
            let end = found.end() + line;
            heard.drain(..end);
            return Ok(());
        }
        if heard.len() > HEARD_MAX {
            let detail = format!("64 KiB without a match of {regex}");
            return Err(Fault::new(Reason::TooLarge, detail));
        }
        let received = socket.receive(|bytes| {
            heard.extend_from_slice(bytes);
            bytes.len()
        });
        let count = received
            .await
            .map_err(|error| talk_fault(&error, Phase::Processing))?;
        if count == 0 {
            return Err(unexpected(regex, heard));
        }
        run.enter(Phase::Transfer);
    }
}

fn unexpected(regex: &Regex, heard: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(heard);
    let excerpt: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    let detail = if heard.is_empty() {
        format!("closed before a match of {regex}, without a word")
    } else {
        format!("closed before a match of {regex}, after \"{excerpt}\"")
    };
    Fault::new(Reason::Unexpected, detail)
}
