//! What the driver measures of itself and its node, each second.
//!
//! Does not know who reads it.

use std::sync::atomic::Ordering::Relaxed;

use base::Way;

use super::Driver;
use crate::cluster::Reason;
use crate::meters::IGNORED;

impl Driver {
    pub(super) fn measure(&mut self) {
        self.count_dropped();
        let tally = self.node.tally();
        self.shortage.look(self.front.clock.now(), &tally);
        let meters = &self.front.meters;
        meters.skipped.set(tally.skipped);
        meters.queue_in_flight.set(u64::from(tally.in_flight));
        meters.queue_waiting.set(tally.waiting as u64);
        meters.queue_disk.set(self.last_batch.0 - self.synced.0);
        if let Some(transport) = &self.cluster {
            let backlog = transport.backlog();
            meters.queue_streams_in.set(backlog.incoming as u64);
            meters.queue_streams_out.set(backlog.outgoing as u64);
        }
        self.count_ignored();
        let disk = self.disk.state();
        meters.store_records.set(disk.records.get());
        meters
            .store_failing
            .set(u64::from(disk.is_failing.load(Relaxed)));
    }

    /// What the node could not read is counted with what the transport dropped.
    pub(super) fn count_dropped(&mut self) {
        let dropped = self.node.dropped();
        let before = std::mem::replace(&mut self.dropped, dropped);
        let lane = self.front.meters.traffic.of(Way::Datagram);
        lane.dropped(Reason::Version)
            .add(dropped.too_new - before.too_new);
        lane.dropped(Reason::Malformed)
            .add(dropped.malformed - before.malformed);
    }

    fn count_ignored(&self) {
        let dropped = self.node.dropped();
        let counts = [
            dropped.too_new,
            dropped.malformed,
            dropped.from_myself,
            dropped.marks,
            dropped.members,
            dropped.names,
            dropped.inquiries,
            dropped.accounts,
            dropped.origins,
        ];
        let reasons = IGNORED.into_iter().zip(&self.front.meters.ignored);
        for ((reason, meter), count) in reasons.zip(counts) {
            if meter.get() == 0 && count > 0 {
                tracing::warn!(
                    reason,
                    "something that a member said was not taken; counted, and not said again"
                );
            }
            meter.set(count);
        }
    }
}
