//! A new content of the config file, taken in while checks go on.
//!
//! It is read on a thread of its own, [`Message::Reloaded`] brings it, the node takes it in, and
//! whoever asked for it hears what changed. A file that is wrong or empty takes nothing away. Does
//! not know what a config means.

use std::net::SocketAddr;
use std::sync::Arc;

use health::{Diff, Input, Source};

use super::{Driver, Message, guard};
use crate::cluster::{Address, Keyring};
use crate::config::{self, Config, Fault};
use crate::front::Settings;
use crate::probe;

/// Settings of the cluster that hold until the process ends; `None` where the command line says
/// it, whatever the file does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// Where the cluster port listens, if it does.
    pub(crate) listen: Option<Option<SocketAddr>>,
    /// Where others may be.
    pub(crate) join: Option<Vec<Address>>,
    /// The label.
    pub(crate) label: Box<str>,
}

impl Fixed {
    /// The keys of the file that now say something else.
    fn changed(&self, file: &config::Cluster) -> Vec<&'static str> {
        let listen = self.listen.is_some_and(|listen| listen != file.listen);
        let join = self.join.as_ref().is_some_and(|join| *join != file.join);
        let label = self.label != file.label;
        let keys = [
            (listen, "cluster.listen"),
            (join, "cluster.join"),
            (label, "cluster.label"),
        ];
        keys.into_iter()
            .filter_map(|(is_changed, key)| is_changed.then_some(key))
            .collect()
    }
}

impl Driver {
    /// Reads the config file on a thread of its own: a large one takes long, checks do not wait.
    pub(super) fn reload(&mut self) {
        if std::mem::replace(&mut self.is_reloading, true) {
            self.read_again = true;
            return;
        }
        let Some(path) = self.config_path.clone() else {
            let config = Config {
                targets: self.own.clone(),
                ..Config::default()
            };
            self.reloaded(Ok(Box::new(config)));
            return;
        };
        let queue = self.queue.clone();
        let reader = std::thread::Builder::new().name("reload".into());
        let read = move || {
            // Whatever happens in here, the driver must hear that the reading is over.
            let loaded = std::panic::catch_unwind(|| config::load(&path));
            let loaded = loaded.unwrap_or_else(|_| Err(vec![blame(&path, READER_PANICKED)]));
            drop(queue.send(Message::Reloaded(loaded.map(Box::new))));
        };
        if let Err(error) = reader.spawn(read) {
            tracing::error!(%error, "can't start a thread to reload the config");
            self.is_reloading = false;
        }
    }

    pub(super) fn reloaded(&mut self, outcome: Result<Box<Config>, Vec<Fault>>) {
        if std::mem::take(&mut self.read_again) {
            self.is_reloading = false;
            self.reload();
            return;
        }
        match self.unless_emptied(outcome) {
            Ok(config) => {
                self.name_what_needs_a_restart(&config);
                let Config {
                    api,
                    cluster,
                    metrics_per_target,
                    targets,
                    ..
                } = *config;
                self.rekey(cluster.keyring);
                let settings = Settings {
                    token: api.token,
                    allow_targets: api.allow_targets,
                    metrics_per_target,
                };
                if self.config_path.is_some() {
                    self.front.settings.store(Arc::new(settings));
                    self.guard = guard(&self.front);
                }
                self.refresh_outside();
                self.give(Input::Load(Source::File, targets));
            }
            Err(faults) => {
                self.is_reloading = false;
                self.front.meters.reload_ok.set(0);
                for fault in &faults {
                    tracing::error!("{fault}");
                }
                tracing::error!(
                    faults = faults.len(),
                    "the config was not reloaded; the old one stays in force"
                );
                for reply in self.reloading.drain(..) {
                    let _ = reply.send(Err(faults.clone()));
                }
            }
        }
    }

    /// A file that says nothing at all takes nothing away: it is being written, or was lost.
    fn unless_emptied(
        &self,
        outcome: Result<Box<Config>, Vec<Fault>>,
    ) -> Result<Box<Config>, Vec<Fault>> {
        let mut rows = self.node.view().rows(None);
        let has_some = rows.any(|row| row.source == Source::File);
        match (&self.config_path, outcome) {
            (Some(path), Ok(config)) if config.is_blank && has_some => {
                Err(vec![blame(path, EMPTIED)])
            }
            (_, outcome) => outcome,
        }
    }

    /// Says which changes of the file this process can't take in.
    fn name_what_needs_a_restart(&self, config: &Config) {
        let identity = &self.front.identity;
        let node = &config.node;
        if self.config_path.is_some()
            && (node.zone != identity.zone || node.weight != identity.weight)
        {
            tracing::warn!("node.zone and node.weight take effect after a restart");
        }
        if self.config_path.is_some() && node.name != identity.name {
            tracing::warn!(
                now = &*identity.name,
                file = &*node.name,
                "node.name takes effect after a restart"
            );
        }
        if self.config_path.is_some() && config.api.listen != identity.address {
            tracing::warn!(now = %identity.address, file = %config.api.listen, "api.listen takes effect after a restart");
        }
        let changed = self.fixed.changed(&config.cluster);
        if self.config_path.is_some() && !changed.is_empty() {
            tracing::warn!(
                keys = changed.join(", "),
                "these take effect after a restart"
            );
        }
    }

    /// Takes the cluster's keys as the file names them now.
    fn rekey(&self, keyring: Keyring) {
        let Some(transport) = self.cluster.as_ref().filter(|_| self.config_path.is_some()) else {
            return;
        };
        if let Err(error) = transport.rekey(keyring) {
            tracing::warn!(%error, "the cluster's keys stay as they were");
        }
    }

    /// Prepares anew what depends on files, the environment or `api.allow_targets`: a secret may
    /// have been rotated, a range opened or closed.
    pub(super) fn refresh_outside(&mut self) {
        let mut defined = std::mem::take(&mut self.defined);
        for one in defined.values_mut() {
            if one.source == Source::Api || probe::reads_outside(&one.definition) {
                one.prepared = self.prepare(&one.definition, one.source);
            }
        }
        self.defined = defined;
    }

    pub(super) fn loaded(&mut self, diff: Diff) {
        self.is_reloading = false;
        let meters = &self.front.meters;
        meters.reload_ok.set(1);
        meters
            .reloaded_at
            .set(u64::try_from(self.front.clock.wall().0 / 1_000).unwrap_or(0));
        for (what, names) in [
            ("added", &diff.added),
            ("changed", &diff.changed),
            ("removed", &diff.removed),
        ] {
            for name in names.iter().take(100) {
                tracing::debug!(%name, "{what}");
            }
        }
        tracing::info!(
            added = diff.added.len(),
            changed = diff.changed.len(),
            removed = diff.removed.len(),
            unchanged = diff.unchanged,
            "config loaded"
        );
        for reply in self.reloading.drain(..) {
            let _ = reply.send(Ok(diff.clone()));
        }
    }
}

const READER_PANICKED: &str = "reading it panicked; please report this";
const EMPTIED: &str =
    "the file is empty; to take every target away on purpose, write `targets: []`";

/// A fault of the whole file.
fn blame(path: &std::path::Path, message: &str) -> Fault {
    Fault {
        file: path.display().to_string().into(),
        line: 1,
        column: 1,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_cluster_that_changed_are_named_unless_the_command_line_says_them() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let file = config::Cluster {
            listen: Some(address("127.0.0.1:7718")),
            label: "prod".into(),
            ..config::Cluster::default()
        };
        let mut fixed = Fixed {
            listen: Some(file.listen),
            join: Some(file.join.clone()),
            label: file.label.clone(),
        };
        assert!(fixed.changed(&file).is_empty());
        let other = config::Cluster {
            listen: None,
            join: vec!["127.0.0.1:9".parse().unwrap()],
            label: "test".into(),
            ..file
        };
        let all = ["cluster.listen", "cluster.join", "cluster.label"];
        assert_eq!(fixed.changed(&other), all);
        (fixed.listen, fixed.join) = (None, None);
        assert_eq!(fixed.changed(&other), ["cluster.label"]);
    }
}
