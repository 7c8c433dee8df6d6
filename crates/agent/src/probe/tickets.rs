//! TLS sessions to resume: a resumed handshake costs a third less than a full one.
//!
//! Own store instead of rustls' cache: that one divides its size by 8 and evicts by age, so a round
//! over more targets than it holds resumes nothing. Here every server has its own place, and a
//! server is shaken hands with in full at least every [`FULL_EVERY`], because a resumed session
//! shows the certificate of back then. Start reading at [`Tickets`].
//! Does not know what a certificate says.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// Sessions by server name; shared by all targets with equal TLS settings.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<HashMap<ServerName<'static>, Server>>);

#[derive(Debug)]
struct Server {
    /// When the last full handshake was, as far as tickets tell.
    since: Instant,
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    /// Makes the next handshake with `name` a full one.
    pub(super) fn forget(&self, name: &ServerName<'static>) {
        if let Some(server) = self.servers().get_mut(name) {
            server.drop_sessions();
        }
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<ServerName<'static>, Server>> {
        // A panic elsewhere leaves at worst a ticket that the server refuses.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is kept for `name`, making room if there is any.
    fn change(&self, name: ServerName<'static>, change: impl FnOnce(&mut Server)) {
        let mut servers = self.servers();
        if servers.len() < SERVERS || servers.contains_key(&name) {
            change(servers.entry(name).or_insert_with(Server::new));
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

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.change(name, |server| server.group = Some(group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.servers().get(&name.to_owned())?.group
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.change(name, |server| {
            server.restart_if_empty();
            server.tls12 = Some(value);
        });
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let mut servers = self.servers();
        let server = servers.get_mut(&name.to_owned())?;
        server.drop_stale();
        server.tls12.clone()
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        if let Some(server) = self.servers().get_mut(name) {
            server.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.change(name, |server| {
            server.restart_if_empty();
            if server.tls13.len() == TICKETS {
                server.tls13.pop_front();
            }
            server.tls13.push_back(value);
        });
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut servers = self.servers();
        let server = servers.get_mut(name)?;
        server.drop_stale();
        server.tls13.pop_back()
    }
}
