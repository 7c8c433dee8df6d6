//! What every outcome touches, kept only for the targets that are checked here.
//!
//! Most nodes show most targets and check a few: a target that is not checked here costs one place
//! in a list. Reading it yields nothing, and what is written to it is lost: whoever begins to check
//! it warms it first. Does not know why a target is checked.

use std::ops::{Index, IndexMut};

use base::{Slot, Ticket};

use super::Hot;
use crate::rows::make_room;

/// Hot parts by slot.
#[derive(Debug, Default)]
pub(super) struct Heat {
    /// By slot: one more than the place, or 0.
    places: Vec<u32>,
    hots: Vec<Hot>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// What is read of a target that is not checked, and where what is written to it goes.
    nothing: Hot,
    lost: Hot,
    /// The last ticket of all targets that are not checked any more: none is given twice.
    last: u32,
}

impl Heat {
    /// A target is checked from now on; its tickets follow all that were given in its slot.
    pub(super) fn warm(&mut self, slot: Slot, hot: Hot) {
        make_room(&mut self.places, slot);
        if self.places.len() <= slot.index() {
            self.places.resize(slot.index() + 1, 0);
        }
        let hot = Hot {
            ticket: Ticket(self.last),
            ..hot
        };
        let known = self.places[slot.index()];
        if known > 0 {
            self.cool(slot);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            let place = u32::try_from(self.hots.len()).expect("fewer than slots");
            make_room(&mut self.hots, Slot(place));
            self.hots.push(Hot::default());
            self.slots.push(slot);
            place
        });
        self.hots[place as usize] = hot;
        self.slots[place as usize] = slot;
        self.places[slot.index()] = place + 1;
    }

    /// A target is not checked any more.
    pub(super) fn cool(&mut self, slot: Slot) {
        let place = self.places.get_mut(slot.index()).map(std::mem::take);
        if let Some(place) = place.and_then(|place| place.checked_sub(1)) {
            let hot = std::mem::take(&mut self.hots[place as usize]);
            self.last = self.last.max(hot.ticket.0.wrapping_add(1));
            self.free.push(place);
        }
    }

    /// All that are checked, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Hot)> {
        let all = self.slots.iter().copied().zip(&self.hots);
        all.filter(|(_, hot)| hot.is_live)
    }

    fn place(&self, slot: usize) -> Option<usize> {
        let place = *self.places.get(slot)?;
        place.checked_sub(1).map(|place| place as usize)
    }
}

impl Index<usize> for Heat {
    type Output = Hot;

    fn index(&self, slot: usize) -> &Hot {
        self.place(slot)
            .map_or(&self.nothing, |place| &self.hots[place])
    }
}

impl IndexMut<usize> for Heat {
    fn index_mut(&mut self, slot: usize) -> &mut Hot {
        if let Some(place) = self.place(slot) {
            return &mut self.hots[place];
        }
        self.lost = Hot::default();
        &mut self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hot() -> Hot {
        Hot {
            is_live: true,
            ..Hot::default()
        }
    }

    #[test]
    fn what_is_not_checked_keeps_nothing() {
        let mut heat = Heat::default();
        heat[7].in_flight = true;
        assert!(!heat[7].in_flight && heat.iter().next().is_none());
        heat.warm(Slot(7), hot());
        heat[7].in_flight = true;
        heat[8].in_flight = true;
        assert!(heat[7].in_flight && !heat[8].in_flight);
        heat.cool(Slot(7));
        assert!(!heat[7].in_flight && heat.iter().next().is_none());
    }

    #[test]
    fn a_ticket_of_an_earlier_time_is_never_given_again() {
        let mut heat = Heat::default();
        heat.warm(Slot(1), hot());
        heat[1].ticket = Ticket(41);
        heat.cool(Slot(1));
        heat.warm(Slot(2), hot());
        heat.warm(Slot(1), hot());
        assert!(heat[1].ticket.0 > 41 && heat[2].ticket.0 > 41);
    }

    #[test]
    fn places_are_used_again_and_belong_to_one_slot_each() {
        let mut heat = Heat::default();
        (0..10).for_each(|n| heat.warm(Slot(n), hot()));
        (0..10).for_each(|n| heat[n].counters.failures = n as u16);
        (0..10).step_by(2).for_each(|n| heat.cool(Slot(n)));
        (20..25).for_each(|n| heat.warm(Slot(n), hot()));
        assert_eq!(heat.hots.len(), 10);
        let mut slots: Vec<u32> = heat.iter().map(|(slot, _)| slot.0).collect();
        slots.sort_unstable();
        assert_eq!(slots, [1, 3, 5, 7, 9, 20, 21, 22, 23, 24]);
        assert_eq!(
            (heat[9].counters.failures, heat[20].counters.failures),
            (9, 0)
        );
    }
}
