//! What the rooms of a cluster want of the node, and what people are told.
//!
//! Does not know how it came about, or how it is said.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{Duration, NodeId, Version};
use ownership::Change;

use super::{Ask, Inquire, Streak, Tell, Vote};
use crate::outcome::Finding;

/// What concerns the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write these, then say that this mark is down.
    Persist(store::Mark, Vec<store::Record>),
    /// A target's owners are others now.
    Owners(Change),
    /// A key of the store has changed, and is on disk.
    Stored(Vec<u8>),
    /// This write is on two disks, or on the only one.
    Confirmed(Version),
    /// Somebody asks for an opinion.
    Ask(NodeId, Ask),
    /// A standby hears of counters.
    Streak(Streak),
    /// Somebody asks for an owner's account.
    Inquire(NodeId, Inquire),
    /// Somebody gives one.
    Tell(NodeId, Tell),
    /// This member lives again, or for the first time: what it can't probe is to be said anew.
    Seated(Arc<str>),
    /// This member is suspected (`true`), or not any more.
    Suspect(Arc<str>, bool),
    /// Who is a member, or what is known of them, has changed.
    Members,
    /// An owner has promised something newer.
    Marks,
    /// This node may own targets from now on.
    Ready,
    /// This member, of this name, is out for good.
    Forgotten(NodeId, Arc<str>),
    /// Another live node has this name; this one must end.
    Refused(Arc<str>, SocketAddr),
    /// The farewell has been heard.
    Left,
    /// For the log.
    Notice(Notice),
}

/// What people should be told, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A member says that another does not answer.
    Accused {
        /// Who is accused.
        member: Arc<str>,
        /// Who accuses.
        by: Arc<str>,
    },
    /// A member is believed to be in another state.
    Member {
        /// Who.
        member: Arc<str>,
        /// In which.
        state: &'static str,
        /// Its life.
        incarnation: u64,
    },
    /// More than a third of the members vanished at once: rather a broken network.
    MassLoss {
        /// How many.
        lost: usize,
        /// Of how many.
        of: usize,
    },
    /// The data directory is a copy of another node's, or the node has another name or address
    /// than when it was written: this node has an id of its own now.
    CopiedDisk {
        /// Under which name it was written.
        name: Arc<str>,
        /// At which address.
        address: SocketAddr,
    },
    /// The store writes under another name.
    Renamed(&'static str),
    /// Somebody speaks a wire version that this node does not read, and goes on doing so.
    TooNew {
        /// Where its packets come from.
        from: SocketAddr,
        /// Which version.
        version: u8,
        /// The newest that this node reads.
        ours: u8,
    },
    /// A config source's revision took effect.
    Revision {
        /// Its number.
        revision: u64,
        /// Which node wrote it.
        by: Arc<str>,
        /// Whether all of it had come; if not, it was waited for in vain.
        complete: bool,
    },
    /// The config file is an older revision of what the cluster has: the cluster's was kept.
    Adopted {
        /// The cluster's.
        revision: u64,
    },
    /// Its owner sees a target fail, and asks others.
    Asked {
        /// The target.
        target: Arc<str>,
        /// Counts this node's questions.
        case: u64,
        /// Who is asked.
        of: Vec<Arc<str>>,
    },
    /// This node was asked what it sees of a target, and said this.
    Opinion {
        /// The target.
        target: Arc<str>,
        /// As the owner counts its questions.
        case: u64,
        /// The owner.
        to: Arc<str>,
        /// What it sees.
        finding: Finding,
    },
    /// What came of a question.
    Ruled {
        /// The target.
        target: Arc<str>,
        /// Which question.
        case: u64,
        /// Down, unconfirmed or outvoted.
        ruling: &'static str,
        /// Who said what.
        votes: Vec<Vote>,
    },
    /// Nothing that this node checks answers here, and others see it answer: it gives its targets
    /// away for so long at least.
    Blind {
        /// How long.
        span: Duration,
    },
    /// It sees again, and takes targets.
    Sees,
    /// Owners that did not know of each other had written statuses side by side; now there is one.
    Collapsed {
        /// The target.
        target: Arc<str>,
    },
    /// Targets went from one node to another within a second.
    Moved {
        /// To this node, or from it.
        is_taken: bool,
        /// The other node.
        other: Arc<str>,
        /// Why they left their owner.
        why: &'static str,
        /// How many.
        count: usize,
        /// The first few of them.
        first: Vec<Arc<str>>,
    },
    /// An owner's promise for its targets of an interval is late, or in time again: what is shown of
    /// them is stale, or fresh again.
    Promise {
        /// Whose.
        owner: Arc<str>,
        /// Which targets.
        interval: Duration,
        /// How old it is.
        age: Duration,
        /// Late, or in time again.
        is_late: bool,
    },
    /// What this node promises of its own targets of an interval, each second.
    Promised {
        /// Which targets.
        interval: Duration,
        /// How long ago the last of them was checked.
        age: Duration,
        /// How many are left out.
        except: usize,
    },
    /// So many notices were left out in a second, because there were too many.
    Untold {
        /// How many.
        count: u32,
    },
}

/// What was dropped on its way in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Packets of a newer version.
    pub too_new: u64,
    /// Packets that are none.
    pub malformed: u64,
    /// Packets that bear this node's own id.
    pub from_myself: u64,
    /// Marks of more owners and intervals than are remembered.
    pub marks: u64,
    /// Questions for accounts: of readers here while too many waited, and of other nodes beyond
    /// what is answered in a second.
    pub inquiries: u64,
    /// Accounts that nobody waits for (any more), or that can't be read.
    pub accounts: u64,
    /// Members that were not taken in, or forgotten early, because there are too many.
    pub members: u64,
    /// Members that were not taken in because a living one bears their name.
    pub names: u64,
    /// What stores said that names more lives of nodes than are remembered.
    pub origins: u64,
}
