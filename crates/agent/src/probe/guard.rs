//! Which addresses a target made through the API may not lead to.
//!
//! Checked after resolution, on the node that connects, for every connection and every redirect:
//! a name that resolves to loopback is as good as loopback. Targets from files are exempt.
//! Start reading at [`Guard::denies`].
//! Does not know names or URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

/// Who made a target, and so where it may lead.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Whoever may write the config file may check anything.
    File,
    /// Made through the API.
    Api(Arc<Guard>),
}

/// The denied ranges, less those that the config opens.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// `api.allow_targets`: these are not denied.
    pub allow: Vec<IpNet>,
}

/// Addresses under which clouds tell a machine its secrets, outside the link-local ranges.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

impl Guard {
    /// Why `address` may not be connected to, in two words; `None` when it may.
    #[must_use]
    pub fn denies(&self, address: IpAddr) -> Option<&'static str> {
        let inner = embedded(address);
        let opened = |ip: IpAddr| self.allow.iter().any(|net| net.contains(&ip));
        if opened(address) || inner.is_some_and(|ip| opened(ip.into())) {
            return None;
        }
        range_of(inner.map_or(address, IpAddr::V4))
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible or NAT64.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => Some(join(a, b)),
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => Some(join(a, b)),
        _ => None,
    }
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

fn range_of(address: IpAddr) -> Option<&'static str> {
    let (link_local, unspecified) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[0] == 0 || v4.is_broadcast()),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.is_unspecified()),
    };
    if METADATA.contains(&address) || address == IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)) {
        Some("cloud metadata")
    } else if address.is_loopback() {
        Some("loopback")
    } else if link_local {
        Some("link-local")
    } else if unspecified {
        Some("unspecified")
    } else if address.is_multicast() {
        Some("multicast")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(address: &str) -> Option<&'static str> {
        Guard::default().denies(address.parse().unwrap())
    }

    #[test]
    fn inner_addresses_are_denied_in_every_spelling() {
        for (address, range) in [
            ("127.0.0.1", "loopback"),
            ("127.9.9.9", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::7f00:1", "loopback"),
            ("169.254.169.254", "cloud metadata"),
            ("::ffff:169.254.169.254", "cloud metadata"),
            ("fd00:ec2::254", "cloud metadata"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("0.0.0.0", "unspecified"),
            ("::", "unspecified"),
            ("::ffff:0.0.0.0", "unspecified"),
            ("255.255.255.255", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
        ] {
            assert_eq!(denied(address), Some(range), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(denied(address), None, "{address}");
        }
    }

    #[test]
    fn an_allowed_range_opens_itself_and_nothing_else() {
        let guard = Guard {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
        };
        assert_eq!(guard.denies("127.0.0.1".parse().unwrap()), None);
        assert_eq!(guard.denies("::ffff:127.0.0.1".parse().unwrap()), None);
        assert!(guard.denies("169.254.0.1".parse().unwrap()).is_some());
    }
}
