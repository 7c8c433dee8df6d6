//! The two ways from node to node.

/// How bytes travel; both ways carry whole messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// One datagram: may be lost, doubled, late or out of order; bounded by the packet size.
    Datagram,
    /// One framed message on a connection: whole and in order, or not at all.
    Stream,
}
