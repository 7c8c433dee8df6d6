//! The store's sizes and times at a million keys, beside their goals.
//!
//! Keys of eight bytes and values of three, as a status has. The anchor, in the same run, is an
//! independent CRDT map (`crdts`) that merges the same writes.
#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::collections::VecDeque;

use anyhow::{Context, Result, ensure};
use base::{NodeId, Origin, Time, Way};
use clap::Parser;
use crdts::{CmRDT, MVReg, Map};
use rustix::time::{ClockId, clock_gettime};
use store::{Config, Input, Message, Output, Store};

/// Bytes, memory and time of the replicated store.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// How many keys the anchor merges
    #[arg(long, default_value_t = 100_000)]
    anchor_keys: u64,
}

const KEY: usize = 8;
const VALUE: usize = 3;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let keys = arguments.keys;
    println!("{keys} keys of {KEY} bytes, values of {VALUE}");
    println!("what                                        figure     goal");

    let before = resident()?;
    let mut writer = new(1)?;
    let begin = cpu();
    for n in 0..keys {
        give(
            &mut writer,
            Input::Put(key(n), vec![1, 2, 3]),
            &mut VecDeque::new(),
        );
    }
    let write = cpu() - begin;
    let full = resident()?;
    let beside = (full - before) as f64 / keys as f64 - (KEY + VALUE) as f64;
    line(
        "memory per key beside key and value, bytes",
        beside,
        Some(80.0),
    );
    line(
        "a write here, with its record, ns",
        write * 1e9 / keys as f64,
        None,
    );

    let mut reader = new(2)?;
    let moved = exchange(&mut writer, &mut reader)?;
    ensure!(
        reader.len() as u64 == keys,
        "{} of {keys} arrived",
        reader.len()
    );
    line(
        "wire bytes per update in bulk",
        moved.bytes as f64 / keys as f64,
        Some(16.0),
    );
    line(
        "bulk load into an empty node, CPU seconds",
        moved.receiver,
        Some(3.0),
    );
    line("the sender's part of it, CPU seconds", moved.sender, None);
    line(
        "the same, ns per entry at the receiver",
        moved.receiver * 1e9 / keys as f64,
        None,
    );
    line(
        "digest when equal, bytes",
        equal_digest(&mut writer, &mut reader)? as f64,
        Some(16.0),
    );
    line(
        "anchor: crdts::Map merges one write, ns",
        anchor(arguments.anchor_keys) * 1e9 / arguments.anchor_keys as f64,
        None,
    );
    Ok(())
}

fn line(what: &str, figure: f64, goal: Option<f64>) {
    let verdict = match goal {
        None => String::new(),
        Some(goal) if figure <= goal => format!("{goal} met"),
        Some(goal) => format!("{goal} missed"),
    };
    println!("{what:<43} {figure:>9.2}   {verdict}");
}

fn new(id: u64) -> Result<Store> {
    Ok(Store::new(
        Config::lan(NodeId(id), Origin(id), id),
        Vec::new(),
    )?)
}

fn key(n: u64) -> Vec<u8> {
    // As hashes of names are: in no order.
    base::hash64(&n.to_le_bytes()).to_le_bytes().to_vec()
}

/// Handles an input over a disk that is always in time; what is sent goes into `out`.
fn give(store: &mut Store, input: Input, out: &mut VecDeque<(Way, Vec<u8>)>) {
    store.handle(Time(1), input);
    let mut last = None;
    while let Some(output) = store.poll() {
        match output {
            Output::Persist(mark, _) => last = Some(mark),
            Output::Send(_, way, bytes) => out.push_back((way, bytes)),
            _ => {}
        }
    }
    if let Some(mark) = last {
        give(store, Input::Persisted(mark), out);
    }
}

struct Moved {
    bytes: usize,
    sender: f64,
    receiver: f64,
}

/// The reader asks, the writer answers, until nobody says anything any more.
fn exchange(writer: &mut Store, reader: &mut Store) -> Result<Moved> {
    let mut to_writer: VecDeque<(Way, Vec<u8>)> = VecDeque::new();
    let mut to_reader: VecDeque<(Way, Vec<u8>)> = VecDeque::new();
    let mut moved = Moved {
        bytes: 0,
        sender: 0.0,
        receiver: 0.0,
    };
    give(reader, peers(1), &mut to_writer);
    // Both ends must know each other; the writer's own question is dropped.
    give(writer, peers(2), &mut VecDeque::new());
    for _ in 0..1_000_000 {
        if let Some((way, bytes)) = to_reader.pop_front() {
            moved.bytes += bytes.len();
            let begin = cpu();
            give(
                reader,
                Input::Received(NodeId(1), way, bytes),
                &mut to_writer,
            );
            moved.receiver += cpu() - begin;
        } else if let Some((way, bytes)) = to_writer.pop_front() {
            let begin = cpu();
            give(
                writer,
                Input::Received(NodeId(2), way, bytes),
                &mut to_reader,
            );
            moved.sender += cpu() - begin;
        } else {
            return Ok(moved);
        }
    }
    Err(anyhow::anyhow!("the two never fell silent"))
}

fn peers(other: u64) -> Input {
    Input::Peers {
        live: vec![NodeId(other)],
        frontier: vec![NodeId(other)],
    }
}

/// What one compares with, and the answer, when both hold the same.
fn equal_digest(writer: &mut Store, reader: &mut Store) -> Result<usize> {
    let mut out = VecDeque::new();
    reader.handle(Time(5_000_000), Input::Tick);
    while let Some(output) = reader.poll() {
        if let Output::Send(_, way, bytes) = output {
            out.push_back((way, bytes));
        }
    }
    let (way, bytes) = out.pop_front().context("a tick that asks nothing")?;
    ensure!(
        matches!(Message::decode(&bytes)?, Message::Pull(_)),
        "not a pull"
    );
    let mut answers = VecDeque::new();
    let len = bytes.len();
    give(writer, Input::Received(NodeId(2), way, bytes), &mut answers);
    let (_, answer) = answers.pop_front().context("no answer")?;
    ensure!(
        matches!(Message::decode(&answer)?, Message::Same(_)),
        "they differ"
    );
    Ok(len.max(answer.len()))
}

/// Seconds that an independent CRDT map takes to merge as many writes.
fn anchor(keys: u64) -> f64 {
    let mut writer: Map<Vec<u8>, MVReg<[u8; VALUE], u64>, u64> = Map::new();
    let mut operations = Vec::new();
    for n in 0..keys {
        let context = writer.read_ctx().derive_add_ctx(1);
        let operation = writer.update(key(n), context, |register, context| {
            register.write([1, 2, 3], context)
        });
        writer.apply(operation.clone());
        operations.push(operation);
    }
    let mut reader: Map<Vec<u8>, MVReg<[u8; VALUE], u64>, u64> = Map::new();
    let begin = cpu();
    for operation in operations {
        reader.apply(operation);
    }
    cpu() - begin
}

/// Seconds of this process on any core.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Bytes of memory in use.
fn resident() -> Result<i64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.trim().parse::<i64>()? * 1_024)
}
