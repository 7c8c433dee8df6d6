//! News that still has to be told: each piece a bounded number of times, the least told first.
//!
//! SWIM's infection-style dissemination. News about a member replaces older news about it: only
//! the member's id is queued, and what is told is what is believed when the packet is written.

use std::collections::{BTreeMap, BTreeSet};

use base::NodeId;

/// Times that each node tells a piece of news, per decimal digit of the cluster's size.
const LAMBDA: u32 = 4;

/// Who has to be talked about, and how often that was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rumours {
    told: BTreeMap<NodeId, (u32, u64)>,
    order: BTreeSet<(u32, u64, NodeId)>,
    count: u64,
}

impl Rumours {
    /// There is news about `id`, told `times` times already as far as the limit is concerned; what
    /// was told of it before counts no more.
    pub(crate) fn add(&mut self, id: NodeId, times: u32) {
        self.drop_news(id);
        self.count += 1;
        // Of what was told equally often, the newest goes first.
        let newest = u64::MAX - self.count;
        self.told.insert(id, (times, newest));
        self.order.insert((times, newest, id));
    }

    /// There is nothing to be told about `id` any more.
    pub(crate) fn drop_news(&mut self, id: NodeId) {
        if let Some((times, stamp)) = self.told.remove(&id) {
            self.order.remove(&(times, stamp, id));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Offers ids, the least told first; those for which `tell` is true were told once more.
    /// Ends when `tell` gives `None` or after `most` ids.
    pub(crate) fn tell(
        &mut self,
        limit: u32,
        most: usize,
        mut tell: impl FnMut(NodeId) -> Option<bool>,
    ) {
        let mut done = Vec::new();
        for &(times, stamp, id) in self.order.iter().take(most) {
            match tell(id) {
                Some(true) => done.push((times, stamp, id)),
                Some(false) => {}
                None => break,
            }
        }
        for (times, stamp, id) in done {
            self.order.remove(&(times, stamp, id));
            if times + 1 >= limit {
                self.told.remove(&id);
            } else {
                self.told.insert(id, (times + 1, stamp));
                self.order.insert((times + 1, stamp, id));
            }
        }
    }
}

/// How often each node tells one piece of news in a cluster of `n`: 4 below 10, 8 below 100,
/// 12 below 1,000. A share of about n^-6 never hears it by push; the digest pull is for those.
pub(crate) fn limit(n: usize) -> u32 {
    // Ceiling of log10(n + 1).
    LAMBDA * n.checked_ilog10().map_or(1, |digits| digits + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_the_papers_formula() {
        let limits: Vec<u32> = [1, 9, 10, 99, 100, 999, 1_000].map(limit).to_vec();
        assert_eq!(limits, [4, 4, 8, 8, 12, 12, 16]);
    }

    #[test]
    fn news_is_told_as_often_as_the_limit_says_and_no_more() {
        let mut rumours = Rumours::default();
        rumours.add(NodeId(1), 0);
        let mut times = 0;
        while !rumours.is_empty() {
            rumours.tell(4, 9, |_| {
                times += 1;
                Some(true)
            });
        }
        assert_eq!(times, 4);
    }

    #[test]
    fn what_did_not_fit_stays_and_the_least_told_goes_first() {
        let mut rumours = Rumours::default();
        rumours.add(NodeId(1), 0);
        rumours.tell(4, 9, |_| Some(true));
        rumours.add(NodeId(2), 0);
        let mut seen = Vec::new();
        rumours.tell(4, 9, |id| {
            seen.push(id.0);
            Some(false)
        });
        assert_eq!((seen, rumours.is_empty()), (vec![2, 1], false));
    }

    #[test]
    fn newer_news_about_a_member_starts_anew() {
        let mut rumours = Rumours::default();
        rumours.add(NodeId(1), 0);
        for _ in 0..3 {
            rumours.tell(4, 9, |_| Some(true));
        }
        rumours.add(NodeId(1), 0);
        let mut times = 0;
        while !rumours.is_empty() {
            rumours.tell(4, 9, |_| {
                times += 1;
                Some(true)
            });
        }
        assert_eq!(times, 4);
    }
}
