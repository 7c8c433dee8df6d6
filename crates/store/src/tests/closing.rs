//! Origins that are closed, copies that are late, disks that are slow: found by the simulator.

use super::*;

/// A write under a third node's origin, which the others then close while the third is away.
fn closed_while_away() -> (Cluster, Store, Origin) {
    let mut cluster = Cluster::new(3, 1);
    cluster.put(3, "k", "v");
    cluster.run(2 * SECOND);
    let origin = cluster.stores[&3].origin().expect("it has written");
    let away = cluster.stores.remove(&3).expect("it was there");
    cluster.connect_all();
    for id in 1..=2 {
        cluster.give(id, Input::Retire(origin));
    }
    cluster.run(20 * SECOND);
    (cluster, away, origin)
}

fn is_closed(store: &Store, origin: Origin) -> bool {
    let closed = store.vector().retired;
    closed.iter().any(|(other, _)| *other == origin)
}

/// Broken once: the write was ignored, and what it had replaced was claimed and not held.
#[test]
fn a_write_under_a_closed_origin_opens_it_again_and_is_carried_on() {
    let (mut cluster, away, origin) = closed_while_away();
    assert!(is_closed(&cluster.stores[&1], origin));
    cluster.stores.insert(3, away);
    let alone = Input::Peers {
        live: Vec::new(),
        frontier: Vec::new(),
    };
    cluster.give(3, alone);
    cluster.put(3, "other", "written while away");
    cluster.connect_all();
    cluster.join(1, 3);
    let written = "written while away";
    assert_eq!(cluster.get(1, "other").as_deref(), Some(written));
    assert!(!is_closed(&cluster.stores[&1], origin));
    cluster.run(30 * SECOND);
    for (id, store) in &cluster.stores {
        assert!(is_closed(store, origin), "on {id}");
        assert_eq!(store.get(b"other"), Some(written.as_bytes()));
        assert_eq!(store.get(b"k"), Some(&b"v"[..]));
    }
}

/// Broken once: only the floors of open origins were told, and what it held stayed beside the news.
#[test]
fn news_is_left_alone_by_who_has_not_heard_of_a_closing() {
    let (mut cluster, away, _) = closed_while_away();
    // What superseded the away node's write is forgotten, and its origin closed.
    cluster.put(1, "k", "new");
    cluster.run(10 * SECOND);
    cluster.delete(1, "k");
    cluster.run(10 * SECOND);
    let before = cluster.stores[&1].origin().expect("it has written");
    cluster.boot(1);
    cluster.connect_all();
    cluster.run(10 * SECOND);
    assert!(is_closed(&cluster.stores[&1], before));
    cluster.stores.insert(3, away);
    cluster.connect_all();
    cluster.under_way.clear();
    cluster.put(1, "k", "newest");
    cluster.now += SECOND;
    cluster.give(1, Input::Tick);
    let is_news = |bytes: &[u8]| matches!(Message::decode(bytes), Ok(Message::News { .. }));
    let news = cluster.under_way.iter().find(|sent| is_news(&sent.3));
    let (from, _, way, bytes) = news.expect("it is told at once").clone();
    cluster.give(3, Input::Received(NodeId(from), way, bytes));
    assert_eq!(cluster.stores[&3].entries(b"k").len(), 1);
    assert_eq!(cluster.stores[&3].counters().late, 1);
    cluster.run(20 * SECOND);
    assert_eq!(cluster.get(3, "k").as_deref(), Some("newest"));
    assert_eq!(cluster.stores[&3].entries(b"k").len(), 1);
}

/// Broken once: the copy stood beside the write that had superseded its original.
#[test]
fn a_copy_of_what_was_superseded_meanwhile_goes_at_once_on_both_sides() {
    for towards in [(1, 4), (4, 1)] {
        let mut cluster = Cluster::new(5, 1);
        cluster.put(5, "k", "original");
        cluster.run(5 * SECOND);
        let origin = cluster.stores[&5].origin().expect("it has written");
        cluster.stores.remove(&5);
        // The halves do not hear of each other; only one of them gives the origin up.
        let mut others = cluster.stores.split_off(&3);
        cluster.connect_all();
        cluster.under_way.clear();
        cluster.put(1, "k", "superseded");
        cluster.run(20 * SECOND);
        assert_eq!(cluster.stores[&1].entries(b"k")[0].context, 0);
        std::mem::swap(&mut cluster.stores, &mut others);
        cluster.connect_all();
        cluster.under_way.clear();
        for id in [3, 4] {
            cluster.give(id, Input::Retire(origin));
        }
        cluster.run(20 * SECOND);
        assert!(cluster.stores[&4].entries(b"k")[0].copy_of.is_some());
        cluster.stores.append(&mut others);
        cluster.connect_all();
        cluster.join(towards.0, towards.1);
        for id in [1, 4] {
            assert_eq!(cluster.get(id, "k").as_deref(), Some("superseded"));
            assert_eq!(cluster.stores[&id].entries(b"k").len(), 1, "on {id}");
        }
    }
}

/// Broken once: the last write of an owner was taken for all of them, and answers that lacked an
/// earlier one were called fresh.
#[test]
fn a_write_beyond_a_gap_is_seen_and_is_not_all_that_came_before() {
    let mut cluster = Cluster::new(2, 1);
    cluster.loss = 100;
    cluster.put(2, "k", "v");
    cluster.delete(2, "k");
    cluster.loss = 0;
    cluster.now += SECOND;
    cluster.give(2, Input::Tick);
    cluster
        .under_way
        .retain(|sent| matches!(Message::decode(&sent.3), Ok(Message::News { .. })));
    let last = cluster.stores[&2].version().expect("it has written");
    assert!(cluster.stores[&2].has_all_up_to(last));
    cluster.stores.remove(&2);
    cluster.deliver();
    assert!(cluster.stores[&1].is_satisfied(last));
    assert!(!cluster.stores[&1].has_all_up_to(last));
    assert!(!cluster.stores[&1].claims_all_up_to(last));
}

/// Broken once: nobody could fill the gap, so the delete was never stable and nothing was closed.
#[test]
fn a_delete_beyond_a_gap_does_not_keep_its_origin_open() {
    let mut cluster = Cluster::new(3, 1);
    // The first write is superseded before anybody hears of it; the others learn the rest only.
    cluster.loss = 100;
    cluster.put(3, "k", "v");
    cluster.delete(3, "k");
    cluster.loss = 0;
    cluster.now += SECOND;
    cluster.give(3, Input::Tick);
    cluster
        .under_way
        .retain(|sent| matches!(Message::decode(&sent.3), Ok(Message::News { .. })));
    let origin = cluster.stores[&3].origin().expect("it has written");
    cluster.stores.remove(&3);
    cluster.deliver();
    let seen = cluster.stores[&1].vector().seen;
    assert!(
        seen.iter()
            .any(|(o, seen)| *o == origin && seen.prefix() == 0)
    );
    cluster.connect_all();
    for id in 1..=2 {
        cluster.give(id, Input::Retire(origin));
    }
    cluster.run(30 * SECOND);
    for (id, store) in &cluster.stores {
        assert!(is_closed(store, origin), "on {id}: {:?}", store.vector());
        assert!(store.is_empty(), "on {id}");
    }
}

/// Broken once: deletes stayed for ever, because a peer's claims were awaited that its disk had
/// lost.
#[test]
fn what_a_lost_disk_had_claimed_is_not_waited_for() {
    let mut cluster = Cluster::new(2, 1);
    cluster.put(1, "gone", "x");
    cluster.delete(1, "gone");
    cluster.run(Duration::from_millis(500));
    let backup = cluster.disks[&2].clone();
    cluster.put(2, "k", "v");
    // The peer says what it has, and its disk goes back in time before it could tell the rest.
    let vector = Message::Vector {
        exchange: 1,
        answer: false,
        vector: cluster.stores[&2].claimed(),
    };
    let from = NodeId(2);
    cluster.give(1, Input::Received(from, Way::Datagram, vector.encode()));
    cluster.now += SECOND;
    cluster.give(1, Input::Tick);
    assert_eq!(cluster.stores[&1].len(), 1);
    cluster.disks.insert(2, backup);
    cluster.boot(2);
    cluster.under_way.clear();
    cluster.connect_all();
    cluster.run(30 * SECOND);
    assert!(cluster.stores.values().all(Store::is_empty));
}

/// Broken once: on a disk that took seconds, each pull added one more, and all went out at once.
#[test]
fn one_end_of_an_exchange_waits_for_the_disk_for_each_peer() {
    let mut store = Store::new(Config::lan(NodeId(1), Origin(1), 1), Vec::new()).unwrap();
    store.handle(Time(1), Input::Put(b"k".to_vec(), b"v".to_vec()));
    store.handle(Time(2), Input::Persisted(Mark(1)));
    store.handle(Time(3), Input::Put(b"slow".to_vec(), b"v".to_vec()));
    let peers = vec![NodeId(2), NodeId(3)];
    let (live, frontier) = (peers.clone(), peers);
    store.handle(Time(4), Input::Peers { live, frontier });
    while store.poll().is_some() {}
    for n in 0..50 {
        let ask = Message::Vector {
            exchange: n,
            answer: false,
            vector: crate::Vector::default(),
        };
        let from = NodeId(2 + u64::from(n % 2));
        store.handle(Time(5), Input::Received(from, Way::Datagram, ask.encode()));
    }
    let is_sent = |output: &Output| matches!(output, Output::Send(..));
    assert!(!std::iter::from_fn(|| store.poll()).any(|o| is_sent(&o)));
    store.handle(Time(6), Input::Persisted(Mark(2)));
    let parts = std::iter::from_fn(|| store.poll()).filter(|output| match output {
        Output::Send(_, _, bytes) => matches!(Message::decode(bytes), Ok(Message::Part { .. })),
        _ => false,
    });
    assert_eq!(parts.count(), 2);
}
