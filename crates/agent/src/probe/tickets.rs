//! TLS sessions to resume: a resumed handshake costs a third less than a full one.
//!
//! Own store instead of rustls' cache: that one divides its size by 8 and evicts by age, so a round
//! over more targets than it holds resumes nothing. Here every server has its own place, and a
//! server is shaken hands with in full at least every [`FULL_EVERY`], because a resumed session
//! shows the certificate of back then. Start reading at [`Tickets`].
//! Does not know what a certificate says.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Servers remembered per TLS setup; with about 3 KiB each at most 100 MiB. Further servers are
/// not resumed.
const SERVERS: usize = 32_768;
/// Tickets kept per server: one is used up per check, and several targets may share a server.
const TICKETS: usize = 4;
/// The longest time without a full handshake.
const FULL_EVERY: Duration = Duration::from_mins(10);

/// A server: two machines behind one name may present different certificates.
type Key = (ServerName<'static>, SocketAddr);

/// Sessions by server; shared by all targets with equal TLS settings.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<HashMap<Key, Server>>);

/// The sessions with the servers at one address, as rustls wants them: by name.
#[derive(Debug)]
pub(super) struct TicketsAt {
    tickets: Arc<Tickets>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Server {
    /// When the last full handshake was, as far as tickets tell.
    since: Instant,
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    /// The sessions with the servers at `address`.
    pub(super) fn at(self: &Arc<Self>, address: SocketAddr) -> Arc<TicketsAt> {
        let tickets = Arc::clone(self);
        Arc::new(TicketsAt { tickets, address })
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<Key, Server>> {
        // A panic elsewhere leaves at worst a ticket that the server refuses.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TicketsAt {
    /// Makes the next handshake with `name` a full one.
    pub(super) fn forget(&self, name: &ServerName<'static>) {
        self.look(name, Server::drop_sessions);
    }

    fn key(&self, name: &ServerName<'_>) -> Key {
        (name.to_owned(), self.address)
    }

    /// What is kept for `name`, if anything is.
    fn look<T>(&self, name: &ServerName<'_>, look: impl FnOnce(&mut Server) -> T) -> Option<T> {
        self.tickets.servers().get_mut(&self.key(name)).map(look)
    }

    /// Changes what is kept for `name`, making room if there is any.
    fn change(&self, name: &ServerName<'_>, change: impl FnOnce(&mut Server)) {
        let key = self.key(name);
        let mut servers = self.tickets.servers();
        if servers.len() < SERVERS || servers.contains_key(&key) {
            change(servers.entry(key).or_insert_with(Server::new));
        }
    }
}

impl Server {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            group: None,
            tls12: None,
            tls13: VecDeque::new(),
        }
    }

    fn drop_sessions(&mut self) {
        self.tls12 = None;
        self.tls13.clear();
    }

    fn drop_stale(&mut self) {
        if self.since.elapsed() >= FULL_EVERY {
            self.drop_sessions();
        }
    }

    /// The first session after none were left came from a full handshake.
    fn restart_if_empty(&mut self) {
        if self.tls12.is_none() && self.tls13.is_empty() && self.since.elapsed() >= FULL_EVERY {
            self.since = Instant::now();
        }
    }
}

impl ClientSessionStore for TicketsAt {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.change(&name, |server| server.group = Some(group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.look(name, |server| server.group)?
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.change(&name, |server| {
            server.restart_if_empty();
            server.tls12 = Some(value);
        });
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.look(name, |server| {
            server.drop_stale();
            server.tls12.clone()
        })?
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.look(name, |server| server.tls12 = None);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.change(&name, |server| {
            server.restart_if_empty();
            if server.tls13.len() == TICKETS {
                server.tls13.pop_front();
            }
            server.tls13.push_back(value);
        });
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.look(name, |server| {
            server.drop_stale();
            server.tls13.pop_back()
        })?
    }
}
