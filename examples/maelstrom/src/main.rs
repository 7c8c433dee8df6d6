//! The node that Maelstrom starts: `--bin target/release/roundsman-maelstrom`.

use std::io::Result;

use clap::Parser;
use maelstrom::serve::{fresh_seed, serve};
use maelstrom::{Setup, Tuning, Workload};

/// One node of a lab, speaking Maelstrom's protocol on standard input and output.
#[derive(Debug, Parser)]
#[command(name = "roundsman-maelstrom")]
struct Arguments {
    /// What `add` and `read` mean; echo, unique-ids and broadcast need no argument
    #[arg(value_enum, default_value_t = Workload::Broadcast)]
    workload: Workload,
    /// Fewest messages, or least delay
    #[arg(long, value_enum, default_value_t)]
    tuning: Tuning,
}

fn main() -> Result<()> {
    let Arguments { workload, tuning } = Arguments::parse();
    serve(Setup {
        workload,
        tuning,
        seed: fresh_seed(),
    })
}
