//! Version tokens: the name of a write, as clients carry it from node to node.
//!
//! `ORIGIN-NUMBER`, and behind it `-MARK` where the cluster has a label, so that a token of another
//! cluster is told from one that has not arrived. Clients take it as it is. What no node can have
//! given is refused at once instead of being waited for. Does not know what was written.

use axum::http::StatusCode;
use base::{Duration, Origin, Version, hash64};
use health::{Reach, View};

use super::Problem;
use crate::front::Front;

/// The longest token: 16 digits, a number of 20, a mark of 4.
const LENGTH_MAX: usize = 42;
/// No writer is so far ahead of what another node has seen of it.
const AHEAD_MAX: u64 = 1 << 32;

/// What became of the token of a reader whose time is over; part of the answer.
#[derive(Debug, serde::Serialize)]
pub(super) struct Missing {
    /// The token.
    version: String,
    /// The last write of the same origin that this node shows; `null` for none.
    seen: Option<u64>,
    /// How many members answer this node, itself included.
    members_seen: usize,
    /// How many there are.
    members_known: usize,
}

/// The name of a write for clients.
pub(super) fn token(front: &Front, version: Version) -> String {
    match mark(front) {
        None => version.to_string(),
        Some(mark) => format!("{version}-{mark}"),
    }
}

/// Four digits that follow from the cluster's label; none without one.
fn mark(front: &Front) -> Option<String> {
    let label = &front.identity.label;
    (!label.is_empty()).then(|| format!("{:04x}", hash64(label.as_bytes()) & 0xffff))
}

/// The write that a client names; a problem with the way out when no node can have given this.
pub(super) fn parse(front: &Front, text: &str) -> Result<Version, Problem> {
    let refuse = |why: &str| {
        let shown: String = text.chars().take(LENGTH_MAX).collect();
        Err(Problem::bad_request(format!(
            "'min_version' is a version as an answer gave it, unchanged: ORIGIN-NUMBER, not '{shown}'{why}"
        )))
    };
    if text.len() > LENGTH_MAX {
        return refuse("…, which is longer than any");
    }
    let mut parts = text.split('-');
    let origin = parts.next().filter(|origin| origin.len() == 16);
    let is_plain = |part: &&str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let origin = origin
        .filter(is_plain)
        .and_then(|o| u64::from_str_radix(o, 16).ok());
    let seq = parts.next().filter(is_plain).and_then(|s| s.parse().ok());
    let (Some(origin), Some(seq)) = (origin, seq) else {
        return refuse("");
    };
    let mine = mark(front);
    match parts.next() {
        Some(theirs) if mine.as_deref() != Some(theirs) => {
            return refuse(": it is of a cluster with another label (cluster.label); ask that one");
        }
        _ if parts.next().is_some() => return refuse(""),
        _ => {}
    }
    let version = Version {
        origin: Origin(origin),
        seq,
    };
    if !may_be(seq, front.view.load().reach(version)) {
        return refuse(": nobody has written so much");
    }
    Ok(version)
}

/// Whether any node can have written so much by now. A write before the last that is seen here has
/// been written, though it has not come yet.
fn may_be(seq: u64, reach: Reach) -> bool {
    let last = match reach {
        Reach::Shown => return true,
        Reach::Behind { last, .. } => last,
        Reach::Unknown => 0,
    };
    seq.saturating_sub(last) <= AHEAD_MAX
}

/// The reader's time is over: what is missing, and the way out.
pub(super) fn late(front: &Front, version: Version, within: Duration) -> Problem {
    let view = front.view.load_full();
    let seen = match view.reach(version) {
        Reach::Behind { last, .. } => Some(last),
        Reach::Shown | Reach::Unknown => None,
    };
    let (members_seen, members_known) = members(&view);
    let token = token(front, version);
    let knows = match seen {
        Some(last) => format!("the last write from there that it has is number {last};"),
        None => "it has heard of nothing from there; is it of this cluster?".to_owned(),
    };
    let detail = format!(
        "this node has not seen {token} within {} ms: {knows} {members_seen} of {members_known} members answer it. Ask another node, or again",
        within.as_millis()
    );
    Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).missing(Missing {
        version: token,
        seen,
        members_seen,
        members_known,
    })
}

/// How many members answer, of how many there are; a node alone is one of one.
pub(super) fn members(view: &View) -> (usize, usize) {
    view.fleet().map_or((1, 1), |f| f.seen_of_known())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken by: the one that others have overtaken is taken for one that is far ahead.
    #[test]
    fn a_write_that_later_ones_overtook_is_waited_for_and_one_far_ahead_is_not() {
        let behind = Reach::Behind { upto: 4, last: 7 };
        for seq in [5, 6, 8, 7 + AHEAD_MAX] {
            assert!(may_be(seq, behind), "{seq}");
        }
        assert!(!may_be(8 + AHEAD_MAX, behind));
        assert!(may_be(AHEAD_MAX, Reach::Unknown) && !may_be(AHEAD_MAX + 1, Reach::Unknown));
        assert!(may_be(u64::MAX, Reach::Shown));
    }
}
