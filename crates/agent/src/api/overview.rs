//! What holds for all targets together: fresh, stale, by group.
//!
//! Costs a walk over every target, so it is kept for a moment: paging through 100,000 targets
//! walks them once per 250 ms and not once per page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base::{Duration, Time};
use health::{Counts, View};

use crate::front::Front;

/// How long an overview may be shown although targets were checked since.
const KEPT_FOR: Duration = Duration::from_millis(250);

/// All targets together, at one moment.
#[derive(Debug)]
pub(crate) struct Overview {
    /// What it was made from.
    pub(crate) view: Arc<View>,
    at: Time,
    /// How many targets were checked too long ago.
    pub(crate) stale: usize,
    /// How many targets nobody who lives checks.
    pub(crate) unowned: usize,
    /// By name; targets without a group last.
    pub(crate) groups: Vec<Group>,
}

/// The targets of one group together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// `None` for the targets without one.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) counts: Counts,
    pub(crate) stale: usize,
}

/// How old an overview may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// At most 250 ms, even if a target changed its state since.
    Recent,
    /// Made from the view of now; which targets are stale may be 250 ms old.
    ThisView,
}

/// The last overview.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Arc<Overview>>>);

impl Kept {
    pub(super) fn get(&self, front: &Front, freshness: Freshness) -> Arc<Overview> {
        let (view, now) = (front.view.load_full(), front.clock.now());
        let mut kept = self.0.lock().expect("nobody panics while holding it");
        if let Some(last) = kept.as_ref()
            && now.since(last.at) <= KEPT_FOR
            && (freshness == Freshness::Recent || Arc::ptr_eq(&last.view, &view))
        {
            return Arc::clone(last);
        }
        let made = Arc::new(Overview::of(front, view, now));
        *kept = Some(Arc::clone(&made));
        made
    }
}

impl Overview {
    fn of(front: &Front, view: Arc<View>, now: Time) -> Self {
        let (mut stale, mut unowned) = (0, 0);
        let mut groups: BTreeMap<Option<&str>, (Counts, usize)> = BTreeMap::new();
        for row in view.rows(None) {
            let is_stale = usize::from(front.is_stale(row, now));
            let group = groups.entry(row.group()).or_default();
            group.0.add(row.state());
            group.1 += is_stale;
            stale += is_stale;
            let freshness = view.freshness(row, now);
            unowned += usize::from(freshness.is_some_and(|freshness| !freshness.is_owned));
        }
        let ungrouped = groups.remove(&None).map(|counted| (None, counted));
        let groups = groups
            .into_iter()
            .chain(ungrouped)
            .map(|(name, (counts, stale))| Group {
                name: name.map(Arc::from),
                counts,
                stale,
            })
            .collect();
        Self {
            view,
            at: now,
            stale,
            unowned,
            groups,
        }
    }
}
