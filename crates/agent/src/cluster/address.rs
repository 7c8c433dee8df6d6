//! Where other nodes may be found: `HOST:PORT`, looked up anew each time.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// Addresses that one look-up gives at most.
pub const FOUND_MAX: usize = 256;

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    host: Box<str>,
    port: u16,
}

impl Address {
    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = String;

    /// Reads `HOST:PORT`; an IPv6 address stands in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        crate::config::check_address(text)?;
        let (host, port) = text.rsplit_once(':').expect("it was checked");
        Ok(Self {
            host: host.trim_matches(['[', ']']).into(),
            port: port.parse().expect("it was checked"),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Every socket address that `addresses` stand for now, each once, in their order; what can't be
/// found is left out and logged.
///
/// Asks the machine's own resolver and waits for it: call it where waiting hurts nobody, anew
/// before each try, because a name may lead elsewhere by then. At most [`FOUND_MAX`].
#[must_use]
pub fn resolve(addresses: &[Address]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in addresses {
        match (&*address.host, address.port).to_socket_addrs() {
            Ok(some) => {
                for one in some {
                    if !found.contains(&one) && found.len() < FOUND_MAX {
                        found.push(one);
                    }
                }
            }
            Err(error) => tracing::info!(%address, %error, "a node's address can't be found"),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Vec<Address> {
        texts
            .iter()
            .map(|t| t.parse().expect("an address"))
            .collect()
    }

    #[test]
    fn addresses_print_as_they_were_written() {
        for text in ["10.0.0.1:7718", "[fd00::1]:7718", "node-1.example:1"] {
            assert_eq!(
                text.parse::<Address>().map(|a| a.to_string()),
                Ok(text.to_owned())
            );
        }
        for wrong in [
            "",
            "host",
            "host:0",
            "host:70000",
            "fd00::1:7718",
            "http://a:1",
            "a b:1",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_found_is_listed_once_and_what_is_not_is_left_out() {
        let mut addresses = read(&[
            "127.0.0.1:7718",
            "[::1]:7718",
            "127.0.0.1:7718",
            "127.0.0.2:7718",
        ]);
        // No name at all, so that no name server is asked.
        let (host, port) = ("a..b".into(), 7718);
        addresses.insert(1, Address { host, port });
        let expected: Vec<SocketAddr> = ["127.0.0.1:7718", "[::1]:7718", "127.0.0.2:7718"]
            .iter()
            .map(|t| t.parse().unwrap())
            .collect();
        assert_eq!(resolve(&addresses), expected);
        assert!(resolve(&[]).is_empty());
    }

    #[test]
    fn a_name_is_looked_up() {
        let found = resolve(&read(&["localhost:9"]));
        assert!(found.iter().all(|a| a.ip().is_loopback() && a.port() == 9));
        assert!(!found.is_empty());
    }
}
