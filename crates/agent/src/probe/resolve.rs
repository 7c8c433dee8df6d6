//! Names to addresses: cached, `/etc/hosts` first, NXDOMAIN apart from a failing name server.
//!
//! One connection attempt per check, to the first address in the order that the target prefers;
//! what connects only at the second try is not well. Start reading at [`Resolvers::resolve`].
//! Does not know ports or whether an address may be asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use health::{Family, Reason};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

use super::trace::Fault;

/// Names remembered per family preference.
const CACHE: u64 = 65_536;
/// How long "there is no such name" is believed: a new name must not stay down for an hour.
const NEGATIVE_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// One resolver per family preference, each made when a target first needs it.
#[derive(Default)]
pub(super) struct Resolvers([OnceLock<Option<TokioResolver>>; 4]);

impl Resolvers {
    /// The address of `name` that a target which prefers `family` is asked at.
    pub(super) async fn resolve(&self, name: &str, family: Family) -> Result<IpAddr, Fault> {
        if is_localhost(name) {
            return Ok(localhost(family));
        }
        let Some(resolver) = self.of(family) else {
            return Err(Fault::new(Reason::NameServer, "no name server configured"));
        };
        let found = resolver
            .lookup_ip(name)
            .await
            .map_err(|e| fault(name, &e))?;
        let first = found.iter().next();
        first.ok_or_else(|| Fault::new(Reason::NameNotFound, format!("{name} has no address")))
    }

    fn of(&self, family: Family) -> Option<&TokioResolver> {
        let (place, strategy) = match family {
            Family::Any | Family::PreferV4 => (0, LookupIpStrategy::Ipv4thenIpv6),
            Family::PreferV6 => (1, LookupIpStrategy::Ipv6thenIpv4),
            Family::OnlyV4 => (2, LookupIpStrategy::Ipv4Only),
            Family::OnlyV6 => (3, LookupIpStrategy::Ipv6Only),
        };
        self.0[place].get_or_init(|| make(strategy)).as_ref()
    }
}

/// Without `/etc/resolv.conf` the hosts file still answers.
fn make(strategy: LookupIpStrategy) -> Option<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        TokioResolver::builder_with_config(
            ResolverConfig::default(),
            TokioRuntimeProvider::default(),
        )
    });
    let options = builder.options_mut();
    options.ip_strategy = strategy;
    options.cache_size = CACHE;
    options.negative_max_ttl = Some(NEGATIVE_MAX);
    builder.build().ok()
}

/// RFC 6761: these names are loopback, whatever a name server says.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

const fn localhost(family: Family) -> IpAddr {
    match family {
        Family::Any | Family::PreferV4 | Family::OnlyV4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::PreferV6 | Family::OnlyV6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

fn fault(name: &str, error: &NetError) -> Fault {
    let missing = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => Some(none.response_code),
        _ => None,
    };
    match missing {
        Some(ResponseCode::NXDomain) => {
            Fault::new(Reason::NameNotFound, format!("{name} does not exist"))
        }
        Some(ResponseCode::NoError) => {
            Fault::new(Reason::NameNotFound, format!("{name} has no address"))
        }
        _ => Fault::new(Reason::NameServer, format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_loopback_in_every_spelling() {
        for name in ["localhost", "LOCALHOST", "localhost.", "a.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        assert!(!is_localhost("localhost.example.com"));
        assert_eq!(localhost(Family::OnlyV6), IpAddr::V6(Ipv6Addr::LOCALHOST));
    }
}
