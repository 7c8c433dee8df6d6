//! Connections that wait for their target's next check.
//!
//! One per slot, on the worker that the slot belongs to; kept for one [`Prepared`] and no other,
//! so that a changed target never talks over its predecessor's connection.
//! Start reading at [`Idle::take`].
//! Does not know HTTP.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use base::Slot;

use super::Prepared;
use super::connect::Socket;
use super::trace;

/// A connection is opened anew after this long: names move, and so do certificates.
const AGE_MAX: Duration = Duration::from_mins(10);

/// The kept connections of one worker, at most `most`.
pub(super) struct Idle {
    kept: RefCell<HashMap<Slot, Kept>>,
    most: usize,
}

struct Kept {
    socket: Socket,
    owner: Weak<Prepared>,
    opened: Instant,
    way: trace::Kept,
}

/// A connection to be used again.
pub(super) struct Reused {
    pub(super) socket: Socket,
    pub(super) opened: Instant,
    pub(super) way: trace::Kept,
}

impl Idle {
    pub(super) fn new(most: usize) -> Self {
        Self {
            kept: RefCell::default(),
            most,
        }
    }

    /// The connection kept for `slot`, if it is `owner`'s, not too old, and nothing happened to it
    /// since.
    pub(super) fn take(&self, slot: Slot, owner: &Arc<Prepared>) -> Option<Reused> {
        let mut kept = self.kept.borrow_mut().remove(&slot)?;
        let is_own = std::ptr::eq(kept.owner.as_ptr(), Arc::as_ptr(owner));
        let is_young = kept.opened.elapsed() < AGE_MAX;
        (is_own && is_young && kept.socket.is_quiet()).then_some(Reused {
            socket: kept.socket,
            opened: kept.opened,
            way: kept.way,
        })
    }

    /// Keeps a connection for the next check of `slot`, if there is room.
    pub(super) fn keep(&self, slot: Slot, owner: &Arc<Prepared>, used: Reused) {
        // Without room it is closed: the next check pays for a fresh one, and nothing fails.
        // The same goes for a target that was changed or taken away while it was being asked.
        let is_wanted = Arc::strong_count(owner) > 1;
        if !is_wanted || self.kept.borrow().len() >= self.most {
            return;
        }
        let kept = Kept {
            socket: used.socket,
            owner: Arc::downgrade(owner),
            opened: used.opened,
            way: used.way,
        };
        self.kept.borrow_mut().insert(slot, kept);
    }

    pub(super) fn forget(&self, slot: Slot) {
        self.kept.borrow_mut().remove(&slot);
    }
}
