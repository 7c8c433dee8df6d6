//! Why something that came, or should have gone, over the cluster port was dropped.

/// Why it was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Shorter than anything that we say.
    Truncated,
    /// Longer than anything that we say.
    Oversized,
    /// Of a wire version that this node does not know, or of another protocol.
    Version,
    /// Of another cluster.
    Label,
    /// Sealed with a key that this node does not have; or not sealed at all, where it should be.
    Key,
    /// Does not open: changed on its way, cut short, or made with another key.
    Seal,
    /// Sealed as it should be, but without sense.
    Malformed,
    /// Meant for an earlier life of this node, or for nobody that it knows; its sender is told.
    Session,
    /// Came before, or so late that nobody can tell.
    Replay,
    /// The queue behind it was full.
    Queue,
    /// Too many connections at once.
    Crowded,
    /// The other side was too slow.
    Slow,
    /// Nobody took it.
    Unreachable,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Truncated,
        Self::Oversized,
        Self::Version,
        Self::Label,
        Self::Key,
        Self::Seal,
        Self::Malformed,
        Self::Session,
        Self::Replay,
        Self::Queue,
        Self::Crowded,
        Self::Slow,
        Self::Unreachable,
    ];
    /// Those that a datagram can have.
    pub const OF_DATAGRAMS: [Self; 11] = [
        Self::Truncated,
        Self::Oversized,
        Self::Version,
        Self::Label,
        Self::Key,
        Self::Seal,
        Self::Malformed,
        Self::Session,
        Self::Replay,
        Self::Queue,
        Self::Unreachable,
    ];
    /// Those that a stream, or a message on it, can have.
    pub const OF_STREAMS: [Self; 11] = [
        Self::Truncated,
        Self::Oversized,
        Self::Version,
        Self::Label,
        Self::Key,
        Self::Seal,
        Self::Malformed,
        Self::Queue,
        Self::Crowded,
        Self::Slow,
        Self::Unreachable,
    ];

    /// As metrics and logs call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::Version => "version",
            Self::Label => "label",
            Self::Key => "key",
            Self::Seal => "seal",
            Self::Malformed => "malformed",
            Self::Session => "session",
            Self::Replay => "replay",
            Self::Queue => "queue",
            Self::Crowded => "crowded",
            Self::Slow => "slow",
            Self::Unreachable => "unreachable",
        }
    }

    /// What it most likely means.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Truncated => "it is cut short",
            Self::Oversized => "it is longer than anything between nodes",
            Self::Version => {
                "its wire version is unknown here; if a node sent it, upgrade this one"
            }
            Self::Label => "it belongs to a cluster with another label (cluster.label)",
            Self::Key => {
                "it is not sealed with a key of this node; the key files (cluster.key_file) differ"
            }
            Self::Seal => {
                "it does not open: changed on its way, cut short, or made with another key"
            }
            Self::Malformed => "it is sealed as it should be, but makes no sense",
            Self::Session => "it was meant for an earlier life of a node; normal after a restart",
            Self::Replay => "it came before, or very late",
            Self::Queue => "too much waits already",
            Self::Crowded => "too many connections at once",
            Self::Slow => "the other side was too slow",
            Self::Unreachable => "nobody took it",
        }
    }

    /// Its place in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_place_and_belongs_to_a_way() {
        for (nth, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), nth);
            assert!(
                Reason::OF_DATAGRAMS.contains(&reason) || Reason::OF_STREAMS.contains(&reason),
                "{reason:?}"
            );
        }
    }
}
