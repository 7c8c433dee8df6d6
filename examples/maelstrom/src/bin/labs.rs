//! Our harness: `labs broadcast --nodes 25 --rate 100 --latency 100`.
//!
//! Starts the nodes, carries their messages, plays the clients, checks. Ends with 1 when a check fails.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use maelstrom::processes::{self, Program};
use maelstrom::report::report;
use maelstrom::serve::{fresh_seed, serve};
use maelstrom::{Bars, Lab, Latency, Plan, Setup, Shape, Tuning, Workload, check, figures, world};

/// The class's first labs: nodes, network, clients and checkers.
#[derive(Debug, Parser)]
#[command(
    name = "labs",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The same text comes back
    Echo(Options),
    /// Ids that never repeat
    UniqueIds(Options),
    /// Messages reach every node
    Broadcast(Options),
    /// A set that only grows
    GSet(Options),
    /// A counter that only grows
    GCounter(Options),
    /// A counter that goes both ways
    PnCounter(Options),
    /// All six, one after the other
    All(Options),
    /// One node on standard input and output; the labs start these
    #[command(hide = true)]
    Node {
        workload: Workload,
        #[arg(long, value_enum, default_value_t)]
        tuning: Tuning,
    },
}

#[derive(Clone, Debug, Args)]
struct Options {
    /// How many nodes, each with a client of its own
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// Operations a second, of all clients together
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// For how many seconds operations are started
    #[arg(long, default_value_t = 10.0)]
    time_limit: f64,
    /// Mean delay between nodes, in milliseconds
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// How delays are spread around their mean
    #[arg(long, value_enum, default_value_t)]
    latency_dist: Shape,
    /// How many of a hundred messages between nodes are lost
    #[arg(long, default_value_t = 0)]
    loss: u64,
    /// Cut and heal the network in turns
    #[arg(long)]
    partition: bool,
    /// Seconds between a cut and its healing, on average
    #[arg(long, default_value_t = 10.0)]
    partition_interval: f64,
    /// Seconds between the last operation and the final reads
    #[arg(long, default_value_t = 10.0)]
    recovery: f64,
    /// Fewest messages, or least delay
    #[arg(long, value_enum, default_value_t)]
    tuning: Tuning,
    /// Read every node this often, in milliseconds, to see when elements become visible; not counted as operations
    #[arg(long)]
    watch: Option<u64>,
    /// The share of operations that must be answered
    #[arg(long, default_value_t = 1.0)]
    availability: f64,
    /// Fail unless fewer messages between nodes are sent for each operation
    #[arg(long)]
    max_msgs_per_op: Option<f64>,
    /// Fail unless the median stable latency is below this, in milliseconds
    #[arg(long)]
    max_median: Option<u64>,
    /// Fail unless the maximum stable latency is below this, in milliseconds
    #[arg(long)]
    max_latency: Option<u64>,
    /// Where delays, cuts and operations come from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Run in virtual time, without processes: at once, and the same every time
    #[arg(long = "virtual")]
    is_virtual: bool,
    /// Test this program instead of ours; it may be in any language
    #[arg(long, conflicts_with = "is_virtual")]
    bin: Option<PathBuf>,
    /// Arguments of that program
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Options {
    fn plan(&self, workload: Workload) -> Result<Plan, String> {
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value).map_err(|e| format!("{name} is {value}: {e}"))
        };
        let every = seconds("--partition-interval", self.partition_interval)?;
        Ok(Plan {
            nodes: self.nodes,
            rate: self.rate,
            time_limit: seconds("--time-limit", self.time_limit)?,
            latency: Latency {
                mean: Duration::from_millis(self.latency),
                shape: self.latency_dist,
            },
            loss_percent: self.loss,
            partition_every: self.partition.then_some(every),
            recovery: seconds("--recovery", self.recovery)?,
            watch_every: self.watch.map(Duration::from_millis),
            availability: self.availability,
            seed: self.seed,
            ..Plan::new(workload)
        })
    }

    fn bars(&self) -> Bars {
        Bars {
            messages_per_operation: self.max_msgs_per_op,
            median: self.max_median.map(Duration::from_millis),
            max: self.max_latency.map(Duration::from_millis),
        }
    }

    fn program(&self, workload: Workload) -> Result<Program, String> {
        if let Some(path) = self.bin.clone() {
            let arguments = self.arguments.clone();
            return Ok(Program { path, arguments });
        }
        let path = std::env::current_exe().map_err(|e| format!("where am I? {e}"))?;
        let tuning = format!("--tuning={}", self.tuning);
        let arguments = vec!["node".to_owned(), workload.to_string(), tuning];
        Ok(Program { path, arguments })
    }

    /// Whether every check passed.
    fn run(&self, workload: Workload) -> Result<bool, String> {
        let plan = self.plan(workload)?;
        let lab = Lab::new(plan.clone()).map_err(|e| e.to_string())?;
        let history = if self.is_virtual {
            let nodes = world::nodes(&lab, self.tuning);
            world::run(lab, nodes)
        } else {
            processes::run(lab, &self.program(workload)?).map_err(|e| e.to_string())?
        };
        let figures = figures(&plan, &history);
        let mut checks = check(&plan, &history);
        checks.extend(self.bars().checks(&figures));
        print!("{}", report(&plan, &figures, &checks));
        Ok(checks.iter().all(|c| c.passed))
    }
}

fn main() -> ExitCode {
    let (options, workloads) = match Arguments::parse().command {
        Command::Echo(options) => (options, vec![Workload::Echo]),
        Command::UniqueIds(options) => (options, vec![Workload::UniqueIds]),
        Command::Broadcast(options) => (options, vec![Workload::Broadcast]),
        Command::GSet(options) => (options, vec![Workload::GSet]),
        Command::GCounter(options) => (options, vec![Workload::GCounter]),
        Command::PnCounter(options) => (options, vec![Workload::PnCounter]),
        Command::All(options) => (options, Workload::value_variants().to_vec()),
        Command::Node { workload, tuning } => return node(workload, tuning),
    };
    let mut passed = true;
    for workload in workloads {
        match options.run(workload) {
            Ok(fine) => passed &= fine,
            Err(text) => {
                eprintln!("{text}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::from(u8::from(!passed))
}

fn node(workload: Workload, tuning: Tuning) -> ExitCode {
    let setup = Setup {
        workload,
        tuning,
        seed: fresh_seed(),
    };
    match serve(setup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("can't write: {error}");
            ExitCode::FAILURE
        }
    }
}
