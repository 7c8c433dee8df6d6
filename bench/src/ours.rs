//! Our membership room over real sockets and nothing else: an agent that prints what it believes.
#![expect(
    clippy::print_stdout,
    reason = "what an agent prints is what is measured"
)]

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::{Child, Command};

use anyhow::{Context, Result};
use base::{NodeId, hash64};
use kv::{Arrival, Clock, Room, Sockets};
use membership::{Incarnation, Input, Member, Membership, Meta, Output, State};
use tokio::sync::mpsc;

use crate::cluster::{Ask, Belief, Protocol, address, name, number};

/// Ours: this very program, started with `--agent NUMBER`.
#[derive(Clone, Copy, Debug)]
pub struct Ours;

impl Protocol for Ours {
    fn command(&self, nth: usize) -> Command {
        let me = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(me);
        command.arg("--agent").arg(nth.to_string());
        command
    }

    fn read(&self, line: &str) -> Option<(usize, Belief)> {
        let (name, state) = line.split_once(' ')?;
        let belief = match state {
            "Alive" => Belief::Alive,
            "Dead" => Belief::Dead,
            _ => return None,
        };
        Some((number(name)?, belief))
    }

    fn prepare_join(&self, agent: &mut Child, _nth: usize, to: SocketAddr) -> Result<Ask> {
        let mut input = agent.stdin.take().context("an agent joins once")?;
        Ok(Box::new(move || {
            writeln!(input, "{to}")?;
            // The agent ends when its input does.
            std::mem::forget(input);
            Ok(())
        }))
    }
}

enum Event {
    Arrived(Arrival),
    Join(SocketAddr),
    /// Whoever started us is gone.
    End,
}

impl From<Arrival> for Event {
    fn from(arrival: Arrival) -> Self {
        Self::Arrived(arrival)
    }
}

/// Runs agent `nth` until its standard input ends; joins whatever address stands there.
///
/// # Errors
/// When the address can't be bound, or the room refuses its settings or its name.
pub fn run(nth: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(drive(nth))
}

async fn drive(nth: usize) -> Result<()> {
    let (inbox, mut events) = mpsc::channel(1_024);
    let mut sockets = Sockets::open(address(nth), inbox.clone()).await?;
    std::thread::spawn(move || hear_orders(&inbox));
    let clock = Clock::start();
    let mut room = Membership::new(config(nth))?;
    println!("{} Alive", name(nth));
    loop {
        while let Some(output) = room.poll() {
            match output {
                Output::Send(to, way, bytes) => sockets.send(Room::Membership, to, way, &bytes),
                Output::Changed(member) => println!("{} {:?}", member.name, member.state),
                Output::Forgotten(_) | Output::Accused { .. } | Output::MassLoss { .. } => {}
                Output::Left | Output::Refused { .. } => return Ok(()),
            }
        }
        tokio::select! {
            Some(event) = events.recv() => match event {
                Event::Arrived(Arrival { from, way, bytes, .. }) => {
                    room.handle(clock.now(), Input::Received(from, way, bytes));
                }
                Event::Join(to) => room.handle(clock.now(), Input::Join(vec![to])),
                Event::End => return Ok(()),
            },
            () = clock.sleep_until(room.deadline()) => room.handle(clock.now(), Input::Tick),
        }
    }
}

fn hear_orders(inbox: &mpsc::Sender<Event>) {
    let lines = std::io::stdin().lock().lines();
    let orders = lines.map_while(Result::ok);
    let orders = orders.filter_map(|line| line.parse().ok().map(Event::Join));
    for event in orders.chain([Event::End]) {
        if inbox.blocking_send(event).is_err() {
            return;
        }
    }
}

fn config(nth: usize) -> membership::Config {
    let me = Member {
        // The same in every life, as if the data directory were kept.
        id: NodeId(hash64(name(nth).as_bytes())),
        name: name(nth).into(),
        address: address(nth),
        state: State::Alive,
        incarnation: Incarnation(Clock::wall_ms()),
        meta: Meta {
            weight: 1,
            wire: (1, 1),
            ..Meta::default()
        },
    };
    membership::Config::lan(me, Clock::entropy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspicion_is_no_belief_yet() {
        assert_eq!(Ours.read("n3 Suspect"), None);
        assert_eq!(Ours.read("n3 Dead"), Some((3, Belief::Dead)));
        assert_eq!(Ours.read("n3 Alive"), Some((3, Belief::Alive)));
    }
}
