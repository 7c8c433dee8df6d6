//! Many agents of one membership protocol on this machine, each a process with its own 127.x address.
//!
//! Every agent prints a line when its belief about a member changes; a thread per agent notes when
//! the line came. So ours and others' are timed by the same watch, and nobody is asked anything.
//! Does not know which protocol it is.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::account;

/// One protocol: how its agents are started, told to join, and understood.
pub trait Protocol {
    /// The process of agent `nth`; what it prints on standard output is read.
    fn command(&self, nth: usize) -> Command;

    /// What a printed line says of which agent, if anything.
    fn read(&self, line: &str) -> Option<(usize, Belief)>;

    /// Gets everything ready, so that the returned call only has to send one message:
    /// "join the agent at `to`".
    ///
    /// # Errors
    /// When the agent can't be talked to.
    fn prepare_join(&self, agent: &mut Child, nth: usize, to: SocketAddr) -> Result<Ask>;
}

/// Sends a prepared message; does not wait for an answer.
pub type Ask = Box<dyn FnOnce() -> Result<()>>;

/// What an agent thinks of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// It is there.
    Alive,
    /// It has failed.
    Dead,
}

/// The cluster address of agent `nth`.
#[must_use]
pub fn address(nth: usize) -> SocketAddr {
    let [third, fourth] = [nth / 250 + 1, nth % 250 + 1].map(|n| u8::try_from(n).unwrap_or(255));
    SocketAddr::new(Ipv4Addr::new(127, 0, third, fourth).into(), 7_946)
}

/// The name of agent `nth`.
#[must_use]
pub fn name(nth: usize) -> String {
    format!("n{nth}")
}

/// The number of the agent called `name`.
#[must_use]
pub fn number(name: &str) -> Option<usize> {
    name.strip_prefix('n')?.parse().ok()
}

struct Line {
    at: Instant,
    by: usize,
    life: usize,
    text: String,
}

/// The agents, and what each of them thinks of each.
pub struct Cluster<'a> {
    protocol: &'a dyn Protocol,
    agents: Vec<Option<Child>>,
    /// `beliefs[by][whom]`; `None` before anything was said.
    beliefs: Vec<Vec<Option<Belief>>>,
    /// How often each was started: lines of an earlier life count no more.
    lives: Vec<usize>,
    lines: Receiver<Line>,
    sender: Sender<Line>,
    /// How often a living agent was called dead by another.
    pub false_deaths: usize,
}

impl<'a> Cluster<'a> {
    /// Starts `n` agents that know nobody and waits until each has said that it is there itself.
    ///
    /// # Errors
    /// When one can't be started, or says nothing for a minute.
    pub fn start(protocol: &'a dyn Protocol, n: usize) -> Result<Self> {
        let (sender, lines) = channel();
        let mut cluster = Self {
            protocol,
            agents: (0..n).map(|_| None).collect(),
            beliefs: vec![vec![None; n]; n],
            lives: vec![0; n],
            lines,
            sender,
            false_deaths: 0,
        };
        for nth in 0..n {
            cluster.start_one(nth)?;
        }
        let all_there = |cluster: &Self| (0..n).all(|nth| cluster.sees(nth, nth, Belief::Alive));
        if cluster.wait(Duration::from_mins(1), all_there).is_none() {
            bail!("not every agent has started within a minute");
        }
        Ok(cluster)
    }

    /// Starts agent `nth`, which knows nobody.
    ///
    /// # Errors
    /// When the process can't be started.
    pub fn start_one(&mut self, nth: usize) -> Result<()> {
        let mut command = self.protocol.command(nth);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        self.lives[nth] += 1;
        self.agents[nth] = Some(child);
        let (sender, life) = (self.sender.clone(), self.lives[nth]);
        std::thread::spawn(move || {
            for text in output.lines().map_while(Result::ok) {
                let at = Instant::now();
                let by = nth;
                let line = Line { at, by, life, text };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// Ends agent `nth` without a farewell (`kill -9`).
    ///
    /// # Errors
    /// When the process can't be ended.
    pub fn kill(&mut self, nth: usize) -> Result<()> {
        if let Some(mut child) = self.agents[nth].take() {
            child.kill()?;
            child.wait()?;
        }
        self.lives[nth] += 1;
        self.beliefs[nth].fill(None);
        Ok(())
    }

    /// Tells every agent of `who` to join agent `to`, all at once; returns when the first was told.
    ///
    /// # Errors
    /// When an agent can't be talked to.
    pub fn join(&mut self, who: impl Iterator<Item = usize>, to: usize) -> Result<Instant> {
        let mut asks = Vec::new();
        for nth in who {
            if let Some(agent) = &mut self.agents[nth] {
                asks.push(self.protocol.prepare_join(agent, nth, address(to))?);
            }
        }
        let begin = Instant::now();
        for ask in asks {
            ask()?;
        }
        Ok(begin)
    }

    /// Reads lines until `done`; returns when the line came that made it so, or `None` after `most`.
    pub fn wait(&mut self, most: Duration, done: impl Fn(&Self) -> bool) -> Option<Instant> {
        let end = Instant::now() + most;
        let mut last = Instant::now();
        while !done(self) {
            let rest = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(rest) {
                Ok(line) => {
                    last = line.at;
                    self.take(&line);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
        Some(last)
    }

    /// Reads lines for `span`.
    pub fn watch(&mut self, span: Duration) {
        self.wait(span, |_| false);
    }

    fn take(&mut self, line: &Line) {
        let Some((whom, belief)) = self.protocol.read(&line.text) else {
            return;
        };
        if line.life != self.lives[line.by] || whom >= self.agents.len() {
            return;
        }
        self.beliefs[line.by][whom] = Some(belief);
        if belief == Belief::Dead && self.agents[whom].is_some() {
            self.false_deaths += 1;
        }
    }

    /// Whether agent `by` believes this of agent `whom`.
    #[must_use]
    pub fn sees(&self, by: usize, whom: usize, belief: Belief) -> bool {
        self.beliefs[by][whom] == Some(belief)
    }

    /// Whether every living agent but `whom` itself believes this of `whom`.
    #[must_use]
    pub fn all_see(&self, whom: usize, belief: Belief) -> bool {
        let living = self.agents.iter().enumerate().filter(|(_, a)| a.is_some());
        living
            .map(|(by, _)| by)
            .filter(|&by| by != whom)
            .all(|by| self.sees(by, whom, belief))
    }

    /// Whether every agent lives, and sees every agent alive.
    #[must_use]
    pub fn all_see_all(&self) -> bool {
        let n = self.agents.len();
        (0..n).all(|whom| self.sees(whom, whom, Belief::Alive) && self.all_see(whom, Belief::Alive))
    }

    /// CPU time of all agents so far.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        let agents = self.agents.iter().flatten();
        agents.map(|agent| account::cpu_seconds(agent.id())).sum()
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for agent in self.agents.iter_mut().flatten() {
            let _ = agent.kill();
        }
        for agent in self.agents.iter_mut().flatten() {
            let _ = agent.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Agents that say what they are told on standard input.
    struct Parrot;

    impl Protocol for Parrot {
        fn command(&self, nth: usize) -> Command {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("echo + n{nth}; exec cat"));
            command
        }

        fn read(&self, line: &str) -> Option<(usize, Belief)> {
            let (sign, name) = line.split_once(' ')?;
            let belief = if sign == "+" {
                Belief::Alive
            } else {
                Belief::Dead
            };
            Some((number(name)?, belief))
        }

        fn prepare_join(&self, agent: &mut Child, nth: usize, _to: SocketAddr) -> Result<Ask> {
            let mut input = agent.stdin.take().context("told once already")?;
            let words: &[u8] = if nth == 0 {
                b"+ n1\n"
            } else {
                b"+ n0\nnonsense\n- n9\n"
            };
            Ok(Box::new(move || {
                Ok(std::io::Write::write_all(&mut input, words)?)
            }))
        }
    }

    #[test]
    fn beliefs_are_what_the_agents_printed_and_a_killed_ones_are_forgotten() {
        let mut cluster = Cluster::start(&Parrot, 2).unwrap();
        assert!(!cluster.all_see_all());
        cluster.join(0..2, 0).unwrap();
        let minute = Duration::from_mins(1);
        assert!(cluster.wait(minute, Cluster::all_see_all).is_some());
        cluster.kill(1).unwrap();
        assert!(!cluster.all_see_all());
        assert!(cluster.all_see(1, Belief::Alive), "n0 has said nothing new");
        assert_eq!(cluster.false_deaths, 0);
        assert!(cluster.wait(Duration::ZERO, |_| false).is_none());
    }

    #[test]
    fn addresses_and_names_of_agents_differ() {
        assert_eq!(address(0).to_string(), "127.0.1.1:7946");
        assert_eq!(address(250).to_string(), "127.0.2.1:7946");
        assert_eq!(number(&name(37)), Some(37));
        assert_eq!(number("stranger"), None);
    }
}
