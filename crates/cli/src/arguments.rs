//! What can be said on the command line. The comments are the help that people read.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use agent::cluster::Address;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use health::State;
use tracing_subscriber::filter::Targets;

/// Checks the health of servers and says what it found.
///
/// `roundsman run CONFIG` starts a node; its page and API answer on http://127.0.0.1:7717.
/// The other verbs ask a node, or check something once.
#[derive(Debug, Parser)]
#[command(name = "roundsman", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    #[command(flatten)]
    pub(crate) node: NodeAddress,

    /// What to log on standard error: a level, or `target=level,…` [default: info for run,
    /// otherwise warn]
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<Targets>,

    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// Which node is asked, and with what token.
#[derive(Debug, Args)]
pub(crate) struct NodeAddress {
    /// The node to ask; $ROUNDSMAN_API is used where this is not given
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "ROUNDSMAN_API",
        hide_env_values = true,
        default_value = "http://127.0.0.1:7717"
    )]
    pub(crate) api: String,

    /// A file that holds the token for writes; goes before $ROUNDSMAN_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON document per line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run one node in the foreground; SIGHUP reloads, SIGTERM stops
    Run(Run),
    /// Read a config and name every mistake in it, each with line and column
    Validate {
        /// The config file
        config: PathBuf,
    },
    /// Make one check now and print its phases
    ///
    /// Exits 0 when every check passed, 1 when one did not, 2 on bad input.
    Check(Check),
    /// List the targets as a node sees them, worst first
    ///
    /// Exits 1 when the node can't be reached, 3 when --fail-on matches.
    Status(Status),
    /// List the nodes
    Members {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Say which node would check which target, computed from names alone
    ///
    /// The first is the owner, the next two its standbys. Exits 2 on bad input.
    Owners(Owners),
    /// Print changes of state, oldest first
    Events(Events),
    /// Say why a target is in its state
    Explain {
        /// The target's name
        target: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Have the node read its config again; needs the token
    Reload {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Have the node give all its targets to the others, and go on; needs the token
    Drain,
    /// Have the node hand everything over, say farewell and end; needs the token
    Leave,
    /// Have a dead member taken out for good; needs the token
    Forget {
        /// The member's name
        member: String,
    },
    /// Try out a fleet: the same nodes in a virtual world, measured
    ///
    /// Nodes are n1, n2 and so on, targets t1, t2 and so on; times count from the begin. Nothing is
    /// sent anywhere. The same arguments give the same bytes. Exits 0 when every promise was kept,
    /// 1 when one was broken, 2 on bad input.
    Simulate(Simulate),
    /// Print a fresh key for a cluster, as one line of its key file
    Keygen,
    /// Print completions for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual, for `man -l`
    Man,
}

/// Who owns what, offline.
#[derive(Debug, Args)]
pub(crate) struct Owners {
    /// The nodes: `NAME[=WEIGHT][@ZONE]`, separated by commas
    #[arg(long, value_name = "MEMBERS")]
    pub(crate) members: String,
    /// Targets; without any, one a line is read from standard input
    pub(crate) targets: Vec<String>,
    /// Print `[{"target","owners"}]`
    #[arg(long)]
    pub(crate) json: bool,
    /// Print how many targets each node would own instead
    #[arg(long, conflicts_with = "json")]
    pub(crate) summary: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The config file; without one the node checks itself and shows the page
    pub(crate) config: Option<PathBuf>,

    /// Where statuses and API-made targets are kept
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Where API and page answer; goes before the config
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// The cluster port, by the address that other nodes know this one by; goes before the config
    #[arg(long, value_name = "ADDR")]
    pub(crate) cluster_listen: Option<SocketAddr>,

    /// Where other nodes may be found; goes before the config
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) join: Vec<Address>,

    /// The node's name; goes before the config
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,

    /// Speak no newer wire version than this: for the way back to an older release
    #[arg(long, value_name = "N", hide = true, value_parser = wire_version())]
    pub(crate) wire_version: Option<u8>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// `http(s)://…` or `tcp://HOST:PORT`; or a config file, and which of its targets
    #[arg(value_name = "URL | CONFIG NAME", required = true, num_args = 1..)]
    pub(crate) what: Vec<String>,

    /// Time for a check of a URL; targets of a config have their own
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,

    /// Print one JSON document: the check of a URL, or {"items": […]} for targets of a config
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only targets in one of these states
    #[arg(long, value_delimiter = ',', value_parser = states())]
    pub(crate) state: Vec<State>,

    /// Only targets with this label; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) label: Vec<String>,

    /// Only targets of this group
    #[arg(long)]
    pub(crate) group: Option<String>,

    /// Print one JSON document: {"version", "coverage", "items"}
    #[arg(long)]
    pub(crate) json: bool,

    /// Exit 3 when a listed target is in one of these states
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = states())]
    pub(crate) fail_on: Vec<State>,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Stay and print what happens next
    #[arg(long)]
    pub(crate) follow: bool,

    /// Print one JSON document per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A fleet, and what happens to it.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) nodes: u32,

    /// How many targets
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) targets: u32,

    /// How long, in simulated time
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) span: Duration,

    /// What chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many of a hundred datagrams between nodes are lost; tenths are possible
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    pub(crate) loss: String,

    /// Kill a node as `kill -9` does: `2@60s`. It stays dead, unless told when it is started
    /// again: `2@60s-90s`. May be given more than once
    #[arg(long, value_name = "NODE@TIME[-TIME]")]
    pub(crate) kill: Vec<String>,

    /// Let nothing pass between the sides: `1,2/3-5@60s-120s`; one side alone stands against all
    /// others. All nodes still reach all targets. May be given more than once
    #[arg(long, value_name = "NODES[/NODES…]@TIME-TIME")]
    pub(crate) partition: Vec<String>,

    /// How many targets fail once, each for about a minute with the default interval
    /// [default: a fifth of them, if the time suffices]
    #[arg(long, value_name = "N")]
    pub(crate) outages: Option<u32>,

    /// How often each target is checked
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) interval: Duration,

    /// How long a check may take [default: 2s, or the interval where that is shorter]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// How many failures in a row make a target down
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) fall: u16,

    /// How many successes in a row bring it back
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) rise: u16,

    /// How many other nodes are asked before a target is down
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) confirm: u8,

    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,

    /// A rule that every node breaks on purpose: shows what a broken promise looks like
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) mutation: Option<String>,
}

fn states() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::name))
        .map(|name| State::from_name(&name).expect("the parser lets only names of states through"))
}

fn wire_version() -> impl TypedValueParser<Value = u8> {
    clap::value_parser!(u8).range(i64::from(health::WIRE_OLDEST)..=i64::from(health::WIRE))
}

fn label(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("write a label as KEY=VALUE".to_owned()),
    }
}
