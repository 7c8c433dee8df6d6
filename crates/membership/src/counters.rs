//! What was counted since the start; only ever rises.

/// Events by kind. For people and metrics; nothing is decided by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets whose checksum differs.
    pub corrupt: u64,
    /// Packets of a newer wire version.
    pub too_new: u64,
    /// Packets that arrived whole and make no sense.
    pub malformed: u64,
    /// Packets that bear this node's own id as their sender.
    pub from_myself: u64,
    /// Probes sent, of any purpose.
    pub probes: u64,
    /// Probes that nobody answered in time.
    pub probes_failed: u64,
    /// Probes saved by another node's answer or by the stream.
    pub probes_rescued: u64,
    /// Probes not made because too many were under way.
    pub probes_skipped: u64,
    /// Favours refused because too many were under way.
    pub favours_refused: u64,
    /// Suspicions begun, by this node or others.
    pub suspicions: u64,
    /// Suspicions that this node's own probes began or confirmed.
    pub accusations: u64,
    /// Claims about this node that it has answered.
    pub refutations: u64,
    /// Members declared dead by this node's own timer.
    pub deaths: u64,
    /// Times that this process stood still.
    pub stalls: u64,
    /// Digest pulls that found a difference.
    pub differences: u64,
    /// Members refused because a living one bears their name.
    pub names_refused: u64,
    /// Members or tombstones not taken in because there are too many.
    pub over_bounds: u64,
    /// Operators' wishes that could not be followed: a living member can't be forgotten.
    pub wishes_refused: u64,
    /// Times that more than a third of the members died at once.
    pub mass_losses: u64,
}
