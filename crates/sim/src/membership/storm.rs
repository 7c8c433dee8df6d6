//! What happens to a handful of nodes: the world's faults and what people ask of nodes.

use ::membership::{Meta, Standing};
use base::{Duration, Rng, Time};

use super::node::meta_of;
use crate::cluster::{Fault, Host, Link, Mix, Plan};

/// One thing that happens to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The world breaks something.
    Fault(Fault),
    /// Somebody makes a node leave; its process ends when it has, and starts again after a while.
    Leave(Host, Duration),
    /// A node describes itself anew.
    Describe(Host, Meta),
    /// Where the nodes are found is told to all of them again, as a name server would.
    Resolve,
}

/// A cluster and all that happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    /// The world, without faults.
    pub plan: Plan,
    /// In the order of time.
    pub troubles: Vec<(Time, Trouble)>,
}

/// How long things go wrong in a drawn storm.
const STORMY: Duration = Duration::from_secs(60);
/// How long nothing goes wrong afterwards.
const CALM: Duration = Duration::from_secs(50);

impl Storm {
    /// Nothing happens to `hosts` nodes for `span`.
    #[must_use]
    pub const fn calm(seed: u64, hosts: u32, span: Duration) -> Self {
        Self {
            plan: Plan::calm(seed, hosts, span),
            troubles: Vec::new(),
        }
    }

    /// Two to seven nodes and everything that a world can do to them.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        Self::drawn(seed, Mix::all())
    }

    /// Three to seven nodes on links that lose up to a tenth; processes die and stand still, but
    /// nothing is cut off. Here no node that runs is ever called dead.
    #[must_use]
    pub fn rainy(seed: u64) -> Self {
        let mix = Mix {
            weather: false,
            cuts: false,
            disks: false,
            moves: false,
            ..Mix::all()
        };
        let mut storm = Self::drawn(seed, mix);
        let loss = Rng::new(seed ^ 0x7a14).below(101);
        storm.plan.link = Link::lossy(loss);
        let weather = |(_, trouble): &(Time, Trouble)| {
            !matches!(trouble, Trouble::Fault(Fault::Weather(_) | Fault::Heal))
        };
        storm.troubles.retain(weather);
        storm
    }

    fn drawn(seed: u64, mix: Mix) -> Self {
        let mut rng = Rng::new(seed ^ 0x00b1_117e);
        let hosts = 2 + u32::try_from(rng.below(6)).expect("below six");
        let mut plan = Plan::draw(seed, hosts, mix, STORMY, CALM);
        let faults = std::mem::take(&mut plan.faults);
        let mut troubles = Vec::new();
        for (at, fault) in faults {
            if matches!(fault, Fault::Move(_)) {
                let found = at + Duration::from_secs(5);
                troubles.push((found, Trouble::Resolve));
            }
            troubles.push((at, Trouble::Fault(fault)));
        }
        for _ in 0..rng.below(4) {
            let at = Time(rng.below(54_000_000));
            let host = Host(u32::try_from(rng.below(u64::from(hosts))).expect("a host"));
            troubles.push((at, asked(&mut rng, host)));
        }
        troubles.push((plan.calm_from, Trouble::Resolve));
        troubles.sort_by_key(|(at, _)| *at);
        Self { plan, troubles }
    }
}

/// What somebody asks of a node.
fn asked(rng: &mut Rng, host: Host) -> Trouble {
    if rng.chance(60) {
        let mut meta = meta_of(host);
        meta.weight = 1 + u16::try_from(rng.below(1_000)).expect("below a thousand");
        if rng.chance(30) {
            meta.standing = Standing::Draining;
        }
        return Trouble::Describe(host, meta);
    }
    let away = if rng.chance(50) { 1_000 } else { 5 };
    Trouble::Leave(host, Duration::from_secs(away))
}
