//! Where the nodes stand: on addresses of loopback, or each in a network namespace of its own.
//!
//! In namespaces a bridge joins five nodes; targets and the test itself sit at the bridge's own
//! namespace, so that a cut among the nodes leaves the targets in reach of all, and the test too.
//! Cuts and loss are rules of nftables on what a node receives. Does not know what the nodes do.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Nodes of a fleet.
pub(crate) const NODES: usize = 5;

/// A place for five nodes and the targets.
pub(crate) struct Ground {
    /// The namespaces of the nodes; none on loopback.
    nets: Vec<Net>,
    /// The first three parts of the nodes' addresses.
    front: [u8; 3],
    /// The first target's address.
    pub(crate) targets: Ipv4Addr,
    /// Whom the API may have checked.
    pub(crate) allowed: &'static str,
}

/// What is between the nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// Packets from the first never reach the second.
    pub(crate) cuts: BTreeSet<(usize, usize)>,
    /// These nodes reach no target and no other node; only the test reaches them.
    pub(crate) alone: BTreeSet<usize>,
    /// These nodes reach no target, and each other as ever.
    pub(crate) blind: BTreeSet<usize>,
    /// Of each hundred packets between nodes, so many are lost.
    pub(crate) loss: u8,
}

impl Weather {
    /// Nobody of these hears anybody else, and the other way round.
    pub(crate) fn parted(some: &[usize]) -> Self {
        let is_in = |node: &usize| some.contains(node);
        let pairs = (0..NODES).flat_map(|a| (0..NODES).map(move |b| (a, b)));
        let cuts = pairs.filter(|(a, b)| is_in(a) != is_in(b)).collect();
        Self {
            cuts,
            ..Self::default()
        }
    }
}

impl Ground {
    /// Addresses of loopback that no other test uses.
    pub(crate) fn loopback() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let mine = u8::try_from(std::process::id() % 100).expect("below a hundred");
        Self {
            nets: Vec::new(),
            front: [127, 100 + mine, NEXT.fetch_add(1, Relaxed)],
            targets: Ipv4Addr::new(127, 16, 0, 1),
            allowed: "127.0.0.0/8",
        }
    }

    /// Runs `test` in a namespace with a bridge to five others. `None` where that is not permitted,
    /// or ip, nft, unshare or nsenter are missing.
    pub(crate) fn namespaces(test: impl FnOnce(Self) + Send + 'static) -> Option<()> {
        let hub = Net::new()?;
        let nets: Vec<Net> = (0..NODES).map(|_| Net::new()).collect::<Option<_>>()?;
        let script = bridge(&nets);
        if !hub.run("ip -batch -", &script) {
            return None;
        }
        for (nth, net) in nets.iter().enumerate() {
            let is_well = net.run("ip -batch -", &inner(nth)) && net.run("nft -f -", HARMLESS);
            if !is_well {
                return None;
            }
        }
        let ground = Self {
            nets,
            front: [10, 77, 0],
            targets: Ipv4Addr::new(10, 78, 0, 1),
            allowed: "10.78.0.0/16",
        };
        let inside = std::thread::spawn(move || {
            let net = std::fs::File::open(hub.path()).expect("the namespace is there");
            rustix::thread::move_into_link_name_space(net.as_fd(), None)
                .expect("what could be made can be entered");
            test(ground);
            drop(hub);
        });
        if let Err(panic) = inside.join() {
            std::panic::resume_unwind(panic);
        }
        Some(())
    }

    /// Where node `nth` is; 7717 for its API, 7718 for the others.
    pub(crate) fn address(&self, nth: usize, port: u16) -> SocketAddr {
        let [a, b, c] = self.front;
        let last = u8::try_from(nth + 1).expect("few");
        SocketAddr::from(([a, b, c, last], port))
    }

    /// A command that runs `program` where node `nth` stands.
    pub(crate) fn command(&self, nth: usize, program: &str) -> Command {
        match self.nets.get(nth) {
            Some(net) => net.command(program),
            None => Command::new(program),
        }
    }

    /// From now on it is so between the nodes; how many packets were dropped until now.
    pub(crate) fn make(&self, weather: &Weather) -> u64 {
        let mut dropped = 0;
        let front = Ipv4Addr::from([self.front[0], self.front[1], self.front[2], 0]);
        for (nth, net) in self.nets.iter().enumerate() {
            let mut rules = String::new();
            dropped += net.dropped();
            if weather.alone.contains(&nth) {
                rules += "ip saddr != { 10.77.0.254, 127.0.0.0/8 } counter drop\n";
            }
            if weather.blind.contains(&nth) {
                rules += "ip saddr 10.78.0.0/16 counter drop\n";
            }
            for (from, _) in weather.cuts.iter().filter(|(_, to)| *to == nth) {
                rules += &format!("ip saddr {} counter drop\n", self.address(*from, 0).ip());
            }
            if weather.loss > 0 {
                rules += &format!(
                    "ip saddr {front}/24 ip saddr != 10.77.0.254 numgen random mod 100 < {} counter drop\n",
                    weather.loss
                );
            }
            let script = format!(
                "flush ruleset\ntable ip cut {{\n chain in {{\n type filter hook input priority 0;\n{rules} }}\n}}\n"
            );
            assert!(net.run("nft -f -", &script), "{script}");
        }
        dropped
    }
}

/// Rules that cut nothing: whether the kernel knows them.
const HARMLESS: &str = "table ip cut {\n chain in {\n type filter hook input priority 0;\n ip saddr 10.99.0.1 numgen random mod 100 < 1 drop\n }\n}\n";

/// The bridge, and a cable to each node.
fn bridge(nets: &[Net]) -> String {
    let mut script = "link set lo up\nlink add hub type bridge\naddr add 10.77.0.254/24 dev hub\nlink set hub up\nroute add local 10.78.0.0/16 dev lo\n".to_owned();
    for (nth, net) in nets.iter().enumerate() {
        let pid = net.holder.id();
        script += &format!("link add port{nth} type veth peer name cable netns {pid}\n");
        script += &format!("link set port{nth} master hub\nlink set port{nth} up\n");
    }
    script
}

/// A node's end of its cable.
fn inner(nth: usize) -> String {
    format!(
        "link set lo up\naddr add 10.77.0.{}/24 dev cable\nlink set cable up\nroute add default via 10.77.0.254\n",
        nth + 1
    )
}

/// A network namespace; it goes when its holder goes.
struct Net {
    holder: Child,
}

impl Net {
    fn new() -> Option<Self> {
        let holder = Command::new("unshare")
            .args(["--net", "cat"])
            // However this process ends, its end of the pipe closes, and the namespace is gone.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut net = Self { holder };
        let ours = std::fs::read_link("/proc/self/ns/net").ok()?;
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if net.holder.try_wait().ok()?.is_some() || Instant::now() > end {
                return None;
            }
            if std::fs::read_link(net.path()).ok()? != ours {
                return Some(net);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program);
        command
    }

    /// Packets that the rules have dropped.
    fn dropped(&self) -> u64 {
        let output = self
            .command("nft")
            .args(["list", "ruleset"])
            .env("PATH", programs())
            .output();
        let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        let text = text.unwrap_or_default();
        let counts = text.split("counter packets ").skip(1);
        counts
            .filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Runs a program with `script` on its standard input; whether it ended well.
    fn run(&self, program: &str, script: &str) -> bool {
        let mut words = program.split(' ');
        let mut command = self.command(words.next().expect("a program"));
        let child = command
            .args(words)
            .env("PATH", programs())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            return false;
        };
        let mut input = child.stdin.take().expect("it is piped");
        let is_written = input.write_all(script.as_bytes()).is_ok();
        drop(input);
        child.wait().is_ok_and(|end| end.success()) && is_written
    }
}

/// Where programs are, also for those who are not root.
fn programs() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
