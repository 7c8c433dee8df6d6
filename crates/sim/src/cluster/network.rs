//! The wires: every direction between two hosts is a link with faults of its own.
//!
//! A datagram is lost, doubled, late, corrupted or queued as its link says. A stream message is
//! whole and in order: loss makes it late (a retransmission each), a cut loses it. Arrivals are
//! decided when something is sent; what is under way when a cut begins still arrives.
//! Does not know who is alive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Duration, Rng, Time, Way};

use super::Host;

/// One direction between two hosts. Chances are in thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The least and the greatest delay of what is not late.
    pub delay: (Duration, Duration),
    /// How many of a thousand datagrams vanish.
    pub loss: u64,
    /// How many of a thousand datagrams come twice.
    pub doubled: u64,
    /// How many of a thousand datagrams are late by up to [`Self::late_by`], and so out of order.
    pub late: u64,
    /// See [`Self::late`].
    pub late_by: Duration,
    /// How many of a thousand datagrams have bits flipped.
    pub corrupted: u64,
    /// What the link carries; 0 is without bound.
    pub bytes_per_second: u64,
    /// What may wait in front of a slow link; datagrams beyond it are dropped.
    pub queue_bytes: u64,
}

impl Link {
    /// A good local network: 0.2 to 2 ms, nothing lost.
    #[must_use]
    pub const fn lan() -> Self {
        Self {
            delay: (Duration::from_micros(200), Duration::from_millis(2)),
            loss: 0,
            doubled: 0,
            late: 0,
            late_by: Duration::from_millis(500),
            corrupted: 0,
            bytes_per_second: 0,
            queue_bytes: 256 * 1024,
        }
    }

    /// A local network that loses `thousandths` of all datagrams.
    #[must_use]
    pub const fn lossy(thousandths: u64) -> Self {
        let mut link = Self::lan();
        link.loss = thousandths;
        link
    }

    /// Every link as slow as light across `millis`, and nothing lost.
    #[must_use]
    pub const fn distant(millis: u64) -> Self {
        let mut link = Self::lan();
        link.delay = (Duration::from_millis(millis), Duration::from_millis(millis));
        link
    }
}

/// Something that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Time,
    /// As it arrives; maybe not as it was sent.
    pub bytes: Vec<u8>,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Datagrams handed to the network.
    pub datagrams: u64,
    /// Their bytes, without headers.
    pub datagram_bytes: u64,
    /// Stream messages handed to the network.
    pub streams: u64,
    /// Their bytes, without headers.
    pub stream_bytes: u64,
}

impl Bytes {
    /// All bytes of payload.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.datagram_bytes + self.stream_bytes
    }
}

/// All links.
#[derive(Clone, Debug)]
pub struct Network {
    rng: Rng,
    /// What every link is that has no settings of its own.
    pub default: Link,
    links: BTreeMap<(Host, Host), Link>,
    cut: BTreeSet<(Host, Host)>,
    /// Until when a slow link is busy.
    busy: BTreeMap<(Host, Host), Time>,
    /// When the last stream message arrives, so that the next comes after it.
    streams: BTreeMap<(Host, Host), Time>,
    sent: BTreeMap<Host, Bytes>,
    /// When datagrams arrive that take longer than on a good link, and how long they take.
    slow: BTreeMap<(Host, Host), VecDeque<(Time, Duration)>>,
}

/// How long it is remembered what a datagram took.
const REMEMBERED: Duration = Duration::from_mins(1);
/// A stream gives a message up after this many lost segments in a row.
const RETRANSMISSIONS: u32 = 8;
/// The first retransmission follows after this; each further one takes twice as long.
const RETRANSMIT_AFTER: Duration = Duration::from_millis(200);

impl Network {
    /// A network of equal links.
    #[must_use]
    pub const fn new(seed: u64, default: Link) -> Self {
        Self {
            rng: Rng::new(seed),
            default,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            busy: BTreeMap::new(),
            streams: BTreeMap::new(),
            sent: BTreeMap::new(),
            slow: BTreeMap::new(),
        }
    }

    /// Gives one direction settings of its own; `None` takes them away.
    pub fn set(&mut self, from: Host, to: Host, link: Option<Link>) {
        match link {
            Some(link) => self.links.insert((from, to), link),
            None => self.links.remove(&(from, to)),
        };
    }

    /// Nothing passes from `from` to `to` any more; the other direction is as it was.
    pub fn cut(&mut self, from: Host, to: Host) {
        self.cut.insert((from, to));
    }

    /// Takes one cut away.
    pub fn mend(&mut self, from: Host, to: Host) {
        self.cut.remove(&(from, to));
    }

    /// Takes all cuts and all own settings of links away, and what queues before them.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.links.clear();
        self.busy.clear();
        self.streams.clear();
    }

    /// Whether anything can pass from `from` to `to`.
    #[must_use]
    pub fn is_open(&self, from: Host, to: Host) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// What a host has sent so far.
    #[must_use]
    pub fn sent(&self, from: Host) -> Bytes {
        self.sent.get(&from).copied().unwrap_or_default()
    }

    /// How long the slowest datagram took that came in this span, at most a minute ago; zero when
    /// none took longer than on a good link.
    #[must_use]
    pub fn slowest(&self, from: Host, to: Host, since: Time, until: Time) -> Duration {
        let slow = self.slow.get(&(from, to)).into_iter().flatten();
        let came = slow.filter(|(at, _)| (since..=until).contains(at));
        came.map(|(_, took)| *took).max().unwrap_or_default()
    }

    fn remember(&mut self, now: Time, link: (Host, Host), arrivals: &[Arrival]) {
        let took = arrivals.iter().map(|a| (a.at, a.at.since(now)));
        for slow in took.filter(|(_, took)| *took > Link::lan().delay.1) {
            let of_link = self.slow.entry(link).or_default();
            while of_link
                .front()
                .is_some_and(|(at, _)| *at + REMEMBERED < now)
            {
                of_link.pop_front();
            }
            of_link.push_back(slow);
        }
    }

    /// Hands bytes to the link; what arrives of them, and when.
    pub fn send(
        &mut self,
        now: Time,
        from: Host,
        to: Host,
        way: Way,
        bytes: Vec<u8>,
    ) -> Vec<Arrival> {
        self.account(from, way, bytes.len() as u64);
        if !self.is_open(from, to) {
            return Vec::new();
        }
        let link = self.links.get(&(from, to)).unwrap_or(&self.default).clone();
        let Some(leaves) = self.through_the_queue(now, from, to, way, &link, bytes.len() as u64)
        else {
            return Vec::new();
        };
        match way {
            Way::Datagram => {
                let arrivals = self.datagram(leaves, &link, bytes);
                self.remember(now, (from, to), &arrivals);
                arrivals
            }
            Way::Stream => self
                .stream(leaves, from, to, &link, bytes)
                .into_iter()
                .collect(),
        }
    }

    fn account(&mut self, from: Host, way: Way, len: u64) {
        let sent = self.sent.entry(from).or_default();
        match way {
            Way::Datagram => {
                sent.datagrams += 1;
                sent.datagram_bytes += len;
            }
            Way::Stream => {
                sent.streams += 1;
                sent.stream_bytes += len;
            }
        }
    }

    /// When the last byte leaves a link of bounded speed; `None` when its queue is full.
    fn through_the_queue(
        &mut self,
        now: Time,
        from: Host,
        to: Host,
        way: Way,
        link: &Link,
        len: u64,
    ) -> Option<Time> {
        if link.bytes_per_second == 0 {
            return Some(now);
        }
        let micros = |bytes: u64| bytes.saturating_mul(1_000_000) / link.bytes_per_second;
        let busy = self.busy.entry((from, to)).or_insert(now);
        let start = (*busy).max(now);
        let waits = start.since(now) > Duration::from_micros(micros(link.queue_bytes));
        if waits && way == Way::Datagram {
            return None;
        }
        *busy = start + Duration::from_micros(micros(len));
        Some(*busy)
    }

    fn datagram(&mut self, leaves: Time, link: &Link, mut bytes: Vec<u8>) -> Vec<Arrival> {
        if self.happens(link.loss) {
            return Vec::new();
        }
        let copies = if self.happens(link.doubled) { 2 } else { 1 };
        if self.happens(link.corrupted) {
            self.corrupt(&mut bytes);
        }
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut at = leaves + self.delay(link);
            if self.happens(link.late) {
                at += self.up_to(link.late_by);
            }
            let bytes = bytes.clone();
            arrivals.push(Arrival { at, bytes });
        }
        arrivals
    }

    fn stream(
        &mut self,
        leaves: Time,
        from: Host,
        to: Host,
        link: &Link,
        bytes: Vec<u8>,
    ) -> Option<Arrival> {
        let mut at = leaves + self.delay(link);
        let mut wait = RETRANSMIT_AFTER;
        let mut lost = 0;
        while self.happens(link.loss) {
            lost += 1;
            if lost > RETRANSMISSIONS {
                return None;
            }
            at += wait;
            wait *= 2;
        }
        let after = self.streams.entry((from, to)).or_default();
        *after = at.max(*after + Duration::from_micros(1));
        Some(Arrival { at: *after, bytes })
    }

    fn delay(&mut self, link: &Link) -> Duration {
        let (least, most) = link.delay;
        least + self.up_to(most.saturating_sub(least))
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.rng.below(micros.saturating_add(1)))
    }

    fn happens(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.rng.below(1_000) < thousandths
    }

    fn corrupt(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.rng.below(3) {
            let at = self.rng.below(bytes.len() as u64);
            let bit = self.rng.below(8);
            if let Some(byte) = bytes.get_mut(usize::try_from(at).expect("below a length")) {
                *byte ^= 1 << bit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Host = Host(0);
    const B: Host = Host(1);

    fn arrivals(link: Link, way: Way, count: usize) -> Vec<Arrival> {
        let mut network = Network::new(3, link);
        (0..count)
            .flat_map(|_| network.send(Time(0), A, B, way, vec![7; 100]))
            .collect()
    }

    #[test]
    fn a_lossy_link_loses_what_it_says_and_a_stream_over_it_loses_nothing() {
        let came = arrivals(Link::lossy(100), Way::Datagram, 10_000).len();
        assert!((8_800..9_200).contains(&came), "{came} of 10,000");
        assert_eq!(arrivals(Link::lossy(100), Way::Stream, 1_000).len(), 1_000);
    }

    #[test]
    fn a_stream_keeps_its_order_whatever_is_lost() {
        let came = arrivals(Link::lossy(300), Way::Stream, 1_000);
        assert!(came.windows(2).all(|two| two[0].at < two[1].at));
    }

    #[test]
    fn a_cut_is_one_way_until_both_are_cut() {
        let mut network = Network::new(1, Link::lan());
        network.cut(A, B);
        assert!(network.send(Time(0), A, B, Way::Stream, vec![1]).is_empty());
        assert_eq!(network.send(Time(0), B, A, Way::Stream, vec![1]).len(), 1);
        network.heal();
        assert_eq!(network.send(Time(0), A, B, Way::Datagram, vec![1]).len(), 1);
    }

    #[test]
    fn a_slow_link_makes_datagrams_wait_and_then_drops_them() {
        let mut link = Link::lan();
        link.bytes_per_second = 10_000;
        link.queue_bytes = 1_000;
        let came = arrivals(link, Way::Datagram, 50);
        assert!((10..14).contains(&came.len()), "{}", came.len());
        assert!(came.last().expect("some").at > Time(100_000));
    }

    #[test]
    fn doubled_late_and_corrupted_datagrams_come_as_the_link_says() {
        let mut link = Link::lan();
        (link.doubled, link.late, link.corrupted) = (1_000, 500, 1_000);
        let came = arrivals(link, Way::Datagram, 100);
        assert_eq!(came.len(), 200);
        assert!(came.iter().any(|arrival| arrival.at > Time(10_000)));
        assert!(came.iter().any(|arrival| arrival.bytes != vec![7; 100]));
    }

    #[test]
    fn the_slowest_datagram_of_a_span_is_remembered_for_its_link() {
        let mut network = Network::new(1, Link::distant(80));
        network.send(Time(0), A, B, Way::Datagram, vec![1]);
        network.set(A, B, Some(Link::lan()));
        network.send(Time(100_000), A, B, Way::Datagram, vec![1]);
        let slowest = |from, to, since| network.slowest(from, to, Time(since), Time(500_000));
        assert_eq!(slowest(A, B, 80_000), Duration::from_millis(80));
        assert_eq!(slowest(A, B, 80_001), Duration::ZERO);
        assert_eq!(slowest(B, A, 0), Duration::ZERO);
    }

    #[test]
    fn the_same_seed_makes_the_same_network() {
        let link = Link::lossy(200);
        let once = arrivals(link.clone(), Way::Datagram, 500);
        assert_eq!(once, arrivals(link, Way::Datagram, 500));
    }
}
