//! One node in the foreground: opens everything in order, then waits for a signal.
//!
//! Threads: the driver, one probe worker per core, the disk, and this one, which serves the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use base::{Duration, Origin};
use health::{Definition, Http, Node, Probe, Rule};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api;
use crate::clock::Clock;
use crate::cluster::Address;
use crate::cluster_port;
use crate::config::{self, Config, Fault};
use crate::disk::{self, Disk, OpenError};
use crate::driver::{Driver, Message, Parts, QUEUE, Queue};
use crate::front::{Front, Identity, Settings};
use crate::probe::{Shared, Workers};

/// What the command line says; each overrides the config.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The config file; without one the node checks itself.
    pub config: Option<PathBuf>,
    /// Where the store file lies. Default `roundsman-data` in the working directory.
    pub data_dir: Option<PathBuf>,
    /// Where the API listens.
    pub listen: Option<SocketAddr>,
    /// Where the cluster port listens.
    pub cluster_listen: Option<SocketAddr>,
    /// Where other nodes may be found; goes before the config.
    pub join: Vec<Address>,
    /// The node's name.
    pub node: Option<String>,
}

impl RunOptions {
    fn data_dir(&self) -> PathBuf {
        self.data_dir
            .clone()
            .unwrap_or_else(|| "roundsman-data".into())
    }
}

/// Why a node did not run, or ended before it was asked to.
#[derive(Debug, Error)]
pub enum RunError {
    /// The config has mistakes; exit 2.
    #[error("{} mistakes in the config", .0.len())]
    Config(Vec<Fault>),
    /// The name given with `--node` can't be one; exit 2.
    #[error("--node: {0}")]
    Name(String),
    /// The cluster port would be open to strangers; exit 2.
    #[error("cluster.listen is {}, but there is no cluster key{}", .0, keyless())]
    Open(SocketAddr),
    /// Others are to be found, but could not find this node; exit 2.
    #[error(
        "there are nodes to join, but no cluster.listen (or --cluster-listen): name the address that they know this node by"
    )]
    Unlistening,
    /// The store file can't be used.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// A port can't be bound.
    #[error("can't listen on {address} for {what}: {source}; choose another with {way_out}")]
    Listen {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// How another is chosen.
        way_out: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Anything that only a broken machine does.
    #[error("{0}")]
    Machine(String),
}

/// The way out for a node whose cluster port would be open.
fn keyless() -> &'static str {
    if config::IS_CLUSTERED {
        ": make one with `roundsman keygen` and name its file in cluster.key_file, or use a loopback address such as 127.0.0.1:7718"
    } else {
        " (keys are not in this version): use a loopback address such as 127.0.0.1:7718"
    }
}

/// Runs a node until SIGTERM or SIGINT.
pub fn run(options: RunOptions) -> Result<(), RunError> {
    let mut config = match &options.config {
        Some(path) => config::load(path).map_err(RunError::Config)?,
        None => Config::default(),
    };
    if let Some(listen) = options.listen {
        config.api.listen = listen;
    }
    let cluster = &mut config.cluster;
    cluster.listen = options.cluster_listen.or(cluster.listen);
    if !options.join.is_empty() {
        cluster.join.clone_from(&options.join);
    }
    if let Some(open) = cluster
        .listen
        .filter(|at| cluster.keyring.is_plain() && !at.ip().to_canonical().is_loopback())
    {
        return Err(RunError::Open(open));
    }
    if cluster.listen.is_none() && !cluster.join.is_empty() {
        return Err(RunError::Unlistening);
    }
    if let Some(name) = &options.node {
        config::check_node_name(name).map_err(RunError::Name)?;
        config.node.name = name.as_str().into();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Machine(format!("can't start the runtime: {error}")))?;
    let end = runtime.block_on(serve(config, options));
    // What is still open (a stream of events, a slow reader) does not hold up the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    end
}

async fn serve(config: Config, options: RunOptions) -> Result<(), RunError> {
    // First of all: a signal that comes while the store is read must not end the process.
    let signals = Signals::listen()?;
    let limits = Limits::take();
    let clock = Clock::start();
    let listener = listen(config.api.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| RunError::Machine(error.to_string()))?;
    let cluster = match config.cluster.listen {
        Some(address) => {
            Some(
                cluster_port::bind(address)
                    .await
                    .map_err(|source| RunError::Listen {
                        what: "the cluster",
                        address,
                        way_out: "cluster.listen",
                        source,
                    })?,
            )
        }
        None => None,
    };
    let data_dir = options.data_dir();
    let (database, records) = disk::open(&data_dir)?;

    let (queue, messages) = sync_channel(QUEUE);
    let front = Arc::new(front(clock, &config, address, &queue));
    let driver = driver(
        &config,
        &options,
        &limits,
        &front,
        queue.clone(),
        database,
        records,
    )?;
    tracing::info!(
        node = &*front.identity.name,
        page = format!("http://{address}/"),
        targets = config.targets.len(),
        data = %data_dir.display(),
        "running"
    );
    drop(config);
    let driver = std::thread::Builder::new()
        .name("driver".into())
        .spawn(move || driver.run(&messages))
        .map_err(|error| RunError::Machine(format!("can't start the driver: {error}")))?;
    if let Some(socket) = cluster {
        tokio::spawn(cluster_port::count(socket, Arc::clone(&front)));
    }
    let server = tokio::spawn(api::serve(listener, Arc::clone(&front), limits.connections));
    tokio::select! {
        () = signals.wait_for_end(&queue) => {}
        // Without its driver the node would go on showing what was true once.
        () = ended(&driver) => {
            return Err(RunError::Machine("the driver ended by itself; please report this".into()));
        }
    }
    front.stopping.send_replace(true);
    let stop = move || {
        let _ = queue.send(Message::Stop);
        driver.join()
    };
    let stopped = tokio::task::spawn_blocking(stop);
    let _ = tokio::time::timeout(Duration::from_millis(1_500), stopped).await;
    // Answers that are under way get a moment to end.
    let _ = tokio::time::timeout(Duration::from_millis(300), server).await;
    tracing::info!("stopped");
    Ok(())
}

async fn ended(thread: &std::thread::JoinHandle<()>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Listen {
            what: "the API",
            address,
            way_out: "--listen",
            source,
        })
}

fn front(clock: Clock, config: &Config, address: SocketAddr, queue: &SyncSender<Message>) -> Front {
    let identity = Identity {
        name: Arc::clone(&config.node.name),
        zone: Arc::clone(&config.node.zone),
        weight: config.node.weight,
        address,
        incarnation: clock.wall().0,
    };
    let settings = Settings {
        token: config.api.token.clone(),
        allow_targets: config.api.allow_targets.clone(),
        metrics_per_target: config.metrics_per_target,
    };
    Front::new(clock, identity, settings, Box::new(Queue(queue.clone())))
}

fn driver(
    config: &Config,
    options: &RunOptions,
    limits: &Limits,
    front: &Arc<Front>,
    queue: SyncSender<Message>,
    database: redb::Database,
    records: Vec<health::Record>,
) -> Result<Driver, RunError> {
    let node = Node::new(health::Config {
        in_flight_max: limits.in_flight,
        fresh_origin: fresh_origin(front.clock),
        ..health::Config::default()
    })
    .map_err(|error| RunError::Machine(error.to_string()))?;
    let shared = Arc::new(Shared::new());
    let (to_driver, from_disk) = (queue.clone(), queue.clone());
    let sink = move |finished| drop(to_driver.send(Message::Finished(finished)));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let start = front.clock.zero();
    let workers = Workers::start(cores, &shared, start, limits.idle, sink)
        .map_err(|error| RunError::Machine(format!("can't start the probe workers: {error}")))?;
    let disk = Disk::start(&options.data_dir(), database, move |batch| {
        drop(from_disk.send(Message::Persisted(batch)))
    });
    let targets = if options.config.is_some() {
        config.targets.clone()
    } else {
        vec![itself(front)]
    };
    let config_path = options.config.clone();
    let parts = Parts {
        node,
        front: Arc::clone(front),
        queue,
        workers,
        shared,
        disk,
        config_path,
    };
    Ok(Driver::new(parts, records, targets))
}

/// The target of a node without a config: its own health page.
fn itself(front: &Front) -> Arc<Definition> {
    let address = front.identity.address;
    Arc::new(Definition {
        name: "roundsman itself".into(),
        probe: Probe::Http(Box::new(Http::get(&format!("http://{address}/healthz")))),
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rule: Rule::default(),
        confirm: 0,
        paused: false,
        labels: Box::default(),
        group: None,
    })
}

/// A random origin: the standard library's hash keys are the machine's entropy, without unsafe.
fn fresh_origin(clock: Clock) -> Origin {
    use std::hash::{BuildHasher, RandomState};
    Origin(RandomState::new().hash_one(clock.wall().0))
}

/// The signals that a node listens to.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, RunError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| RunError::Machine(format!("can't listen for signals: {error}")))
        };
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Returns at SIGTERM or SIGINT; SIGHUP reloads.
    async fn wait_for_end(mut self, queue: &SyncSender<Message>) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => while queue.try_send(Message::Reload).is_err() {
                    // The queue is full for a moment: a reload that was asked for is not dropped.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                },
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

/// How the process's file descriptors are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    /// Connections to the API.
    connections: usize,
    /// Checks under way.
    in_flight: u32,
    /// Idle connections of targets with `keep_alive`.
    idle: usize,
}

impl Limits {
    /// Raises the soft limit on descriptors to the hard one and shares them out.
    fn take() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let descriptors = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        Self::of(descriptors.unwrap_or(1 << 20))
    }

    /// An eighth for the API, 48 for files and the runtime's own, two fifths of the rest for
    /// checks under way and the remainder for idle connections.
    fn of(descriptors: u64) -> Self {
        let descriptors = usize::try_from(descriptors)
            .unwrap_or(usize::MAX)
            .min(1 << 20);
        let connections = (descriptors / 8).clamp(8, 1_024);
        let probes = descriptors.saturating_sub(connections + 48).max(10);
        let in_flight = u32::try_from(probes / 5 * 2).expect("at most a million");
        Self {
            connections,
            in_flight,
            idle: probes / 5 * 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_never_promised_twice() {
        for descriptors in [128, 256, 1_024, 20_000, 1 << 20] {
            let Limits {
                connections,
                in_flight,
                idle,
            } = Limits::of(descriptors);
            assert!(
                connections as u64 + u64::from(in_flight) + idle as u64 + 48 <= descriptors,
                "{descriptors}"
            );
            assert!(in_flight >= 10, "{descriptors}");
        }
    }

    #[test]
    fn ten_thousand_idle_connections_fit_twenty_thousand_descriptors() {
        assert!(Limits::of(20_000).idle >= 10_000);
    }
}
