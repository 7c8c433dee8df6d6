//! Messages under way: delays, losses, cuts, and how many there were.

use std::collections::{BTreeMap, BTreeSet};

use base::{Duration, Rng, Time};

use crate::lab::plan::Latency;
use crate::message::Message;

/// The network between the nodes, and from clients to nodes and back.
#[derive(Debug)]
pub(crate) struct Network {
    latency: Latency,
    loss_percent: u64,
    under_way: BTreeMap<(Time, u64), Message>,
    sent: u64,
    cut: BTreeSet<(String, String)>,
    /// What the nodes said to each other.
    pub(crate) servers: Traffic,
    /// What clients and nodes said to each other; the observer's reads are not among it.
    pub(crate) clients: Traffic,
}

/// Messages and their bytes as JSON lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many were sent, those included that the network then lost.
    pub messages: u64,
    /// Their length.
    pub bytes: u64,
    /// How many of them the network lost, by chance or by a cut.
    pub lost: u64,
}

impl Traffic {
    fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    /// Two nodes.
    Servers,
    /// A client and a node.
    Client,
    /// The observer and a node.
    Observer,
}

impl Network {
    pub(crate) fn new(latency: Latency, loss_percent: u64) -> Self {
        Self {
            latency,
            loss_percent,
            under_way: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            servers: Traffic::default(),
            clients: Traffic::default(),
        }
    }

    /// Takes a message; clients are never delayed, cut or lossy.
    pub(crate) fn send(&mut self, now: Time, message: Message, between: Between, rng: &mut Rng) {
        let mut delay = Duration::ZERO;
        match between {
            Between::Servers => {
                self.servers.count(message.line().len());
                if self.loss_percent > 0 && rng.chance(self.loss_percent) {
                    self.servers.lost += 1;
                    return;
                }
                delay = self.latency.draw(rng);
            }
            Between::Client => self.clients.count(message.line().len()),
            Between::Observer => {}
        }
        self.sent += 1;
        self.under_way.insert((now + delay, self.sent), message);
    }

    /// The next message that has arrived by now. A cut takes effect on arrival, as in Maelstrom.
    pub(crate) fn arrived(&mut self, now: Time) -> Option<Message> {
        loop {
            let entry = self.under_way.first_entry()?;
            if entry.key().0 > now {
                return None;
            }
            let message = entry.remove();
            if self.cut.is_empty()
                || !self
                    .cut
                    .contains(&(message.src.clone(), message.dest.clone()))
            {
                return Some(message);
            }
            self.servers.lost += 1;
        }
    }

    /// When the next message arrives.
    pub(crate) fn next(&self) -> Option<Time> {
        self.under_way.first_key_value().map(|(key, _)| key.0)
    }

    /// Only these pairs (sender, receiver) are cut from now on.
    pub(crate) fn set_cut(&mut self, cut: BTreeSet<(String, String)>) {
        self.cut = cut;
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.cut.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lab::plan::Shape;

    fn hello(src: &str, dest: &str) -> Message {
        Message::new(src, dest, json!({"type": "hello"}))
    }

    fn slow() -> Network {
        let latency = Latency {
            mean: Duration::from_micros(100),
            shape: Shape::Constant,
        };
        Network::new(latency, 0)
    }

    #[test]
    fn nodes_wait_for_each_other_and_clients_do_not() {
        let (mut network, mut rng) = (slow(), Rng::new(1));
        network.send(Time(0), hello("n1", "n2"), Between::Servers, &mut rng);
        network.send(Time(0), hello("c1", "n2"), Between::Client, &mut rng);
        assert_eq!(network.arrived(Time(0)), Some(hello("c1", "n2")));
        assert_eq!(network.arrived(Time(99)), None);
        assert_eq!(network.next(), Some(Time(100)));
        assert_eq!(network.arrived(Time(100)), Some(hello("n1", "n2")));
        assert_eq!((network.servers.messages, network.clients.messages), (1, 1));
    }

    #[test]
    fn a_cut_loses_also_what_is_under_way_but_only_in_its_direction() {
        let (mut network, mut rng) = (slow(), Rng::new(1));
        network.send(Time(0), hello("n1", "n2"), Between::Servers, &mut rng);
        network.send(Time(0), hello("n2", "n1"), Between::Servers, &mut rng);
        network.set_cut(BTreeSet::from([("n1".to_owned(), "n2".to_owned())]));
        assert_eq!(network.arrived(Time(100)), Some(hello("n2", "n1")));
        assert_eq!(network.arrived(Time(100)), None);
        assert_eq!(network.servers.lost, 1);
        assert_eq!(network.servers.messages, 2, "lost messages count as sent");
    }

    #[test]
    fn a_lossy_network_loses_about_its_share() {
        let (mut network, mut rng) = (Network::new(Latency::default(), 30), Rng::new(1));
        for _ in 0..1_000 {
            network.send(Time(0), hello("n1", "n2"), Between::Servers, &mut rng);
        }
        assert!((250..350).contains(&network.servers.lost));
    }
}
