//! What the node decides and hears, as log lines that explain a run.
//!
//! `cargo xtask timeline` merges them over all nodes; the simulator writes the same messages and
//! fields. The node bounds how many come. Does not know why anything was decided.

use std::sync::Arc;

use base::Duration;
use health::{Event, Finding, Notice};

/// A target changed its state.
pub(crate) fn transition(event: &Event) {
    let transition = &event.transition;
    tracing::info!(
        target: "roundsman",
        name = &*event.target,
        number = transition.number,
        from = transition.from.name(),
        to = transition.to.name(),
        reason = transition.reason.words(),
        detail = event.detail.as_deref().unwrap_or(""),
        "transition"
    );
}

/// Tells people what a node decided, or heard of others.
pub(crate) fn say(notice: &Notice) {
    match notice {
        Notice::Accused { member, by } => {
            tracing::debug!(member = &**member, by = &**by, "does not answer");
        }
        Notice::Member {
            member,
            state,
            incarnation,
        } => tracing::info!(member = &**member, state, incarnation, "member"),
        Notice::MassLoss { lost, of } => tracing::warn!(
            lost,
            of,
            "many members vanished at once: rather a broken network than so many broken nodes"
        ),
        Notice::CopiedDisk { name, address } => tracing::warn!(
            name = &**name,
            %address,
            "the data directory was written by another node, or this one has moved: it takes an id of its own"
        ),
        Notice::TooNew {
            from,
            version,
            ours,
        } => tracing::warn!(
            %from,
            version,
            ours,
            "packets of a newer wire version are refused: upgrade this node, or start the other with --wire-version {ours}"
        ),
        Notice::Renamed(why) => tracing::info!(why, "this node writes under another origin"),
        Notice::Revision {
            revision,
            by,
            complete: true,
        } => tracing::info!(
            revision,
            by = &**by,
            "the config file's revision took effect"
        ),
        Notice::Revision {
            revision,
            by,
            complete: false,
        } => tracing::warn!(
            revision,
            by = &**by,
            "the config file's revision is used as it stands: the rest of it did not come"
        ),
        Notice::Asked { target, case, of } => tracing::info!(
            name = &**target,
            case,
            of = of.join(" "),
            "asks others what they see"
        ),
        Notice::Opinion {
            target,
            case,
            to,
            finding,
        } => tracing::info!(
            name = &**target,
            case,
            to = &**to,
            finding = found(*finding),
            "said what it sees"
        ),
        Notice::Ruled {
            target,
            case,
            ruling,
            votes,
        } => tracing::info!(
            name = &**target,
            case,
            ruling,
            votes = health::votes_in_words(votes),
            "ruled"
        ),
        Notice::Blind { span } => tracing::warn!(
            seconds = span.as_secs(),
            "nothing that this node checks answers here, and others see it answer: they have its targets until it sees again"
        ),
        Notice::Sees => tracing::info!("this node sees targets answer again"),
        Notice::Collapsed { target } => {
            tracing::info!(name = &**target, "made one of several statuses");
        }
        Notice::Moved {
            is_taken,
            other,
            why,
            count,
            first,
        } => moved(*is_taken, other, why, *count, first),
        Notice::Promise {
            owner,
            interval,
            age,
            is_late,
        } => promise(owner, *interval, *age, *is_late),
        Notice::Promised {
            interval,
            age,
            except,
        } => tracing::trace!(
            interval_ms = interval.as_millis(),
            age_ms = age.as_millis(),
            except,
            "promises"
        ),
        Notice::Untold { count } => {
            tracing::info!(
                count,
                "more questions and answers than are told in a second"
            );
        }
        Notice::Adopted { revision } => tracing::warn!(
            revision,
            "the config file is an older one than the cluster's, which was kept; reload to make it the newest"
        ),
    }
}

/// Targets have another owner.
fn moved(is_taken: bool, other: &str, why: &str, count: usize, first: &[Arc<str>]) {
    let first = first.join(" ");
    if is_taken {
        tracing::info!(count, other, why, first, "took over");
    } else {
        tracing::info!(count, other, why, first, "handed over");
    }
}

/// What an owner promises is late, or in time again.
fn promise(owner: &str, interval: Duration, age: Duration, is_late: bool) {
    let (interval_ms, age_ms) = (interval.as_millis(), age.as_millis());
    if is_late {
        tracing::warn!(owner, interval_ms, age_ms, "stale");
    } else {
        tracing::info!(owner, interval_ms, age_ms, "fresh again");
    }
}

fn found(finding: Finding) -> String {
    match finding {
        Finding::Passed => "passed".to_owned(),
        Finding::Failed(reason) => format!("failed: {}", reason.words()),
        Finding::Inconclusive(doubt) => format!("can't tell: {}", doubt.words()),
    }
}
