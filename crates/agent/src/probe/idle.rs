//! Connections that wait for their target's next check.
//!
//! One per slot, on the worker that the slot belongs to; kept for one [`Prepared`] and no other,
//! so that a changed target never talks over its predecessor's connection.
//! Start reading at [`Idle::take`].
//! Does not know HTTP.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use base::Slot;

use super::Prepared;
use super::connect::Socket;

/// The kept connections of one worker, at most `most`.
pub(super) struct Idle {
    kept: RefCell<HashMap<Slot, Kept>>,
    most: usize,
}

struct Kept {
    socket: Socket,
    owner: Weak<Prepared>,
}

impl Idle {
    pub(super) fn new(most: usize) -> Self {
        Self {
            kept: RefCell::default(),
            most,
        }
    }

    /// The connection kept for `slot`, if it is `owner`'s and nothing happened to it since.
    pub(super) fn take(&self, slot: Slot, owner: &Arc<Prepared>) -> Option<Socket> {
        let mut kept = self.kept.borrow_mut().remove(&slot)?;
        let is_own = std::ptr::eq(kept.owner.as_ptr(), Arc::as_ptr(owner));
        (is_own && kept.socket.is_quiet()).then_some(kept.socket)
    }

    /// Keeps `socket` for the next check of `slot`, if there is room.
    pub(super) fn keep(&self, slot: Slot, owner: &Arc<Prepared>, socket: Socket) {
        // Without room it is closed: the next check pays for a fresh one, and nothing fails.
        if self.kept.borrow().len() >= self.most {
            return;
        }
        let owner = Arc::downgrade(owner);
        self.kept.borrow_mut().insert(slot, Kept { socket, owner });
    }

    pub(super) fn forget(&self, slot: Slot) {
        self.kept.borrow_mut().remove(&slot);
    }
}
