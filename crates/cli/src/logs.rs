//! Log lines on standard error.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::arguments::{Arguments, LogFormat, Verb};
use crate::out;

/// Starts logging as `arguments` ask.
pub(crate) fn start(arguments: &Arguments) {
    let quiet = if matches!(arguments.verb, Verb::Run(_)) {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    let filter = arguments
        .log
        .clone()
        .unwrap_or_else(|| Targets::new().with_default(quiet));
    let lines = fmt::layer().with_writer(io::stderr);
    let layer = match arguments.log_format {
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
        LogFormat::Text => {
            let coloured = io::stderr().is_terminal() && out::wants_colour();
            lines.with_ansi(coloured).with_filter(filter).boxed()
        }
    };
    registry().with(layer).init();
}
