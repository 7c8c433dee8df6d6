//! What a client may ask of one node: a line of JSON each way.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use base::Duration;

use crate::Event;

/// Bytes of one request at most.
const REQUEST_MAX: u64 = 1 << 20;
/// Clients at a time.
const CLIENTS_MAX: usize = 64;
/// How long a client may think, and a node.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Hold this value under this key; replaces all siblings that this node holds.
    Put(String, String),
    /// What is held under this key?
    Get(String),
    /// Take this key away.
    Delete(String),
    /// What is held under any key?
    List,
    /// Who is in the cluster?
    Members,
}

/// What is answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// The write is on this node's disk and on at least one peer's, or there is no peer.
    Written {
        /// Its version, `origin-number`.
        version: String,
        /// How many disks are known to hold it.
        disks: u8,
    },
    /// These are held.
    Held(Vec<Held>),
    /// These are the members.
    Members(Vec<MemberRow>),
    /// It can't be done, and why.
    Refused(String),
}

/// One key.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The key.
    pub key: String,
    /// Its values: more than one when nodes wrote without having seen each other's writes.
    pub siblings: Vec<Sibling>,
}

/// One value.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sibling {
    /// The value.
    pub value: String,
    /// Which write it is, `origin-number`.
    pub version: String,
}

/// One member.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct MemberRow {
    /// Its name.
    pub name: String,
    /// Its cluster address.
    pub address: SocketAddr,
    /// Alive, suspect, dead or left.
    pub state: String,
}

/// Asks the node whose client port is at `at`.
///
/// # Errors
/// When nobody answers there in ten seconds, or not in our words.
pub async fn ask(at: SocketAddr, request: &Request) -> anyhow::Result<Reply> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await?;
        Ok(serde_json::from_str(&answer)?)
    };
    timeout(PATIENCE, exchange).await?
}

/// Takes clients until the node ends; each gets its answers in the order of its requests.
pub(crate) async fn serve(listener: TcpListener, inbox: mpsc::Sender<Event>) {
    let room = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let inbox = inbox.clone();
        tokio::spawn(async move {
            let _ = answer(stream, &inbox).await;
            drop(permit);
        });
    }
}

async fn answer(stream: TcpStream, inbox: &mpsc::Sender<Event>) -> anyhow::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    loop {
        let mut line = String::new();
        let mut bounded = (&mut reading).take(REQUEST_MAX);
        if timeout(PATIENCE, bounded.read_line(&mut line)).await?? == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_str(&line) {
            Ok(request) => {
                let (reply, answer) = oneshot::channel();
                inbox.send(Event::Asked(request, reply)).await?;
                answer.await?
            }
            Err(error) => Reply::Refused(format!("this is no request: {error}")),
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        writing.write_all(&line).await?;
    }
}
