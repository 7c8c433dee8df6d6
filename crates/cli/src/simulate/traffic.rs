//! Bytes as the network would carry them, a second.

use agent::cluster::{DATAGRAM_EXTRA, MESSAGE_EXTRA};
use sim::cluster::Bytes;
use sim::fleet::rehearsal::Share;

/// One direction of one node, a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traffic {
    /// With seals and the headers of UDP and IPv4; what TCP adds is not counted.
    pub(super) bytes_per_second: u64,
    /// In tenths.
    pub(super) tenths_of_datagrams_per_second: u64,
}

impl Traffic {
    pub(super) fn sent(share: &Share) -> Self {
        Self::of(share, share.sent)
    }

    pub(super) fn received(share: &Share) -> Self {
        Self::of(share, share.received)
    }

    fn of(share: &Share, bytes: Bytes) -> Self {
        let each = |count: u64, extra: usize| count * extra as u64;
        let all = bytes.total()
            + each(bytes.datagrams, DATAGRAM_EXTRA)
            + each(bytes.streams, MESSAGE_EXTRA);
        let millis = u64::try_from(share.ran.as_millis()).expect("a run of a day at most");
        let per_second = |count: u64| count.saturating_mul(1_000) / millis.max(1);
        Self {
            bytes_per_second: per_second(all),
            tenths_of_datagrams_per_second: per_second(bytes.datagrams * 10),
        }
    }
}

/// The median, the most, and whose it is; `None` of nothing.
pub(super) fn middle_and_most(mut all: Vec<(u64, u32)>) -> Option<(u64, u64, u32)> {
    all.sort_by_key(|&(value, node)| (value, std::cmp::Reverse(node)));
    let (middle, _) = *all.get(all.len().div_ceil(2).checked_sub(1)?)?;
    let (most, node) = *all.last()?;
    Some((middle, most, node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_with_the_most_is_named() {
        let all = vec![(5, 1), (9, 2), (9, 3), (1, 4)];
        assert_eq!(middle_and_most(all), Some((5, 9, 2)));
        assert_eq!(middle_and_most(vec![(7, 1)]), Some((7, 7, 1)));
        assert_eq!(middle_and_most(Vec::new()), None);
    }
}
