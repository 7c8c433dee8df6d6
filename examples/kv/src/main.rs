//! The command line: runs a node, or asks one.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use kv::{Event, Held, Node, Reply, Request, Setup, ask};
use tokio::signal::unix::{SignalKind, signal};

/// A key-value store of equal nodes: every one takes writes, every one holds everything.
#[derive(Debug, Parser)]
#[command(name = "kv", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The client port of the node that is asked
    #[arg(long, global = true, default_value = "127.0.0.1:7901")]
    at: SocketAddr,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a node until SIGTERM or Ctrl-C, which make it leave
    Run(Setup),
    /// Hold VALUE under KEY; replaces all siblings
    Put { key: String, value: String },
    /// What is held under KEY: every value, if there are siblings
    Get { key: String },
    /// Take KEY away
    Delete { key: String },
    /// Every key with its values
    List,
    /// Who is in the cluster, as this node believes
    Members,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match perform().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn perform() -> Result<()> {
    let Arguments { verb, at, json } = Arguments::parse();
    let request = match verb {
        Verb::Run(setup) => return run(setup).await,
        Verb::Put { key, value } => Request::Put(key, value),
        Verb::Get { key } => Request::Get(key),
        Verb::Delete { key } => Request::Delete(key),
        Verb::List => Request::List,
        Verb::Members => Request::Members,
    };
    let reply = ask(at, &request).await;
    let reply = reply.with_context(|| format!("no answer from {at}; is it a node's --client?"))?;
    if json {
        println!("{}", serde_json::to_string(&reply)?);
        return Ok(());
    }
    print(&request, reply)
}

async fn run(setup: Setup) -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let (node, inbox) = Node::start(setup).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = inbox.send(Event::Leave).await;
    });
    node.run().await
}

fn print(request: &Request, reply: Reply) -> Result<()> {
    match reply {
        Reply::Written { version, disks: 1 } => {
            println!("{version}, on this node only: no other has confirmed it yet");
        }
        Reply::Written { version, disks } => println!("{version}, on at least {disks} nodes"),
        Reply::Held(held) if matches!(request, Request::Get(_)) => match held.first() {
            Some(held) => print_siblings(held),
            None => bail!("nothing is held under this key"),
        },
        Reply::Held(held) => {
            for held in held {
                let values: Vec<&str> = held.siblings.iter().map(|s| &*s.value).collect();
                println!("{}\t{}", held.key, values.join(" | "));
            }
        }
        Reply::Members(members) => {
            for member in members {
                println!("{}\t{}\t{}", member.name, member.address, member.state);
            }
        }
        Reply::Refused(why) => bail!("{why}"),
    }
    Ok(())
}

fn print_siblings(held: &Held) {
    if let [only] = &held.siblings[..] {
        println!("{}", only.value);
        return;
    }
    for sibling in &held.siblings {
        println!("{}\t(written as {})", sibling.value, sibling.version);
    }
    println!(
        "{} siblings, written without sight of each other; a put replaces them",
        held.siblings.len()
    );
}
