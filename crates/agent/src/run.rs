//! One node in the foreground: opens everything in order, then waits for a signal.
//!
//! Threads: the driver, one probe worker per core, the disk, and this one, which serves the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use base::{Duration, NodeId, Origin};
use health::{ClusterConfig, Definition, Http, Node, Probe, Rule};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api;
use crate::clock::Clock;
use crate::cluster::{Address, Transport};
use crate::config::{self, Config, Fault};
use crate::disk::{self, Disk, OpenError};
use crate::driver::{Driver, Ending, Fixed, Message, Parts, QUEUE, Queue, Room};
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
    /// The newest wire version to speak; the newest of this build unless said.
    pub wire: Option<u8>,
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
    #[error(
        "cluster.listen is {0}, but there is no cluster key: make one with `roundsman keygen` and name its file in cluster.key_file, or use a loopback address such as 127.0.0.1:7718"
    )]
    Open(SocketAddr),
    /// Others are to be found, but could not find this node; exit 2.
    #[error(
        "there are nodes to join, but no cluster.listen (or --cluster-listen): name the address that they know this node by"
    )]
    Unlistening,
    /// Other nodes can't reach an address that stands for all.
    #[error(
        "cluster.listen is {0}, which other nodes can't call: name the address that they know this node by"
    )]
    Unnamed(SocketAddr),
    /// The cluster port can't be opened.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::OpenError),
    /// Another live node has this node's name.
    #[error(
        "the name '{name}' is taken: a live node at {at} has it, this one is at {mine}; give one of them another with --node"
    )]
    NameTaken {
        /// The name.
        name: Arc<str>,
        /// Where this node is.
        mine: SocketAddr,
        /// Where the other is.
        at: SocketAddr,
    },
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
    if let Some(unnamed) = cluster.listen.filter(|at| at.ip().is_unspecified()) {
        return Err(RunError::Unnamed(unnamed));
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

async fn serve(mut config: Config, options: RunOptions) -> Result<(), RunError> {
    // First of all: a signal that comes while the store is read must not end the process.
    let signals = Signals::listen()?;
    let limits = Limits::take(config.cluster.listen.is_some());
    let clock = Clock::start();
    let listener = listen(config.api.listen).await?;
    let address = listener
        .local_addr()
        .map_err(|error| RunError::Machine(error.to_string()))?;
    let data_dir = options.data_dir();
    let (database, records) = disk::open(&data_dir)?;

    let (queue, messages) = sync_channel(QUEUE);
    let front = Arc::new(front(clock, &config, address, &queue));
    let transport = transport(&config, &front, &queue)?;
    let is_clustered = transport.is_some();
    let ending = Arc::new(OnceLock::new());
    let seat = transport
        .as_ref()
        .map(|t| seat(&config, &options, &front, t.address()));
    // Who keeps the targets is the node: they must not lie here, too, for as long as it runs.
    let targets = std::mem::take(&mut config.targets);
    let count = targets.len();
    let driver = driver(
        (&config, targets),
        &options,
        &limits,
        &front,
        (queue.clone(), Arc::clone(&ending)),
        (transport, seat),
        (database, records),
    )?;
    if is_clustered && !config.cluster.join.is_empty() {
        tokio::spawn(find_others(
            config.cluster.join.clone(),
            Arc::clone(&front),
            queue.clone(),
        ));
    }
    tracing::info!(
        node = &*front.identity.name,
        page = format!("http://{address}/"),
        targets = count,
        data = %data_dir.display(),
        "running"
    );
    let driver = std::thread::Builder::new()
        .name("driver".into())
        .spawn(move || driver.run(&messages))
        .map_err(|error| RunError::Machine(format!("can't start the driver: {error}")))?;
    let server = tokio::spawn(api::serve(listener, Arc::clone(&front), limits.connections));
    let mut signals = signals;
    tokio::select! {
        () = signals.wait_for_end(&queue) => {}
        () = ended(&driver) => {}
    }
    if is_clustered && !driver.is_finished() {
        tracing::info!("handing over to the other nodes; a second signal ends at once");
        let _ = queue.try_send(Message::Leave);
        tokio::select! {
            () = signals.wait_for_end(&queue) => {}
            () = ended(&driver) => {}
        }
    }
    // Without its driver the node would go on showing what was true once.
    match ending.get() {
        Some(Ending::Refused { name, at }) => {
            return Err(RunError::NameTaken {
                name: Arc::clone(name),
                mine: config.cluster.listen.unwrap_or(address),
                at: *at,
            });
        }
        None if driver.is_finished() => {
            return Err(RunError::Machine(
                "the driver ended by itself; please report this".into(),
            ));
        }
        Some(Ending::Left) | None => {}
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
        label: config.cluster.label.clone(),
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

/// The way to other nodes, if there is to be one.
fn transport(
    config: &Config,
    front: &Arc<Front>,
    queue: &SyncSender<Message>,
) -> Result<Option<Transport>, RunError> {
    let Some(listen) = config.cluster.listen else {
        return Ok(None);
    };
    let settings = crate::cluster::Settings {
        listen,
        label: config.cluster.label.clone(),
        keyring: config.cluster.keyring.clone(),
        traffic: Arc::clone(&front.meters.traffic),
    };
    let queue = queue.clone();
    let sink = move |arrival| {
        queue
            .try_send(Message::Arrived(arrival))
            .map_err(|full| match full {
                TrySendError::Full(Message::Arrived(arrival))
                | TrySendError::Disconnected(Message::Arrived(arrival)) => arrival,
                TrySendError::Full(_) | TrySendError::Disconnected(_) => {
                    unreachable!("what was sent comes back")
                }
            })
    };
    Ok(Some(Transport::open(settings, sink)?))
}

/// This node's place among others.
fn seat(
    config: &Config,
    options: &RunOptions,
    front: &Front,
    address: SocketAddr,
) -> ClusterConfig {
    ClusterConfig {
        name: Arc::clone(&config.node.name),
        address,
        zone: Arc::clone(&config.node.zone),
        weight: u16::try_from(config.node.weight).unwrap_or(u16::MAX),
        join: crate::cluster::resolve(&config.cluster.join),
        seed: entropy(front.clock),
        fresh_id: NodeId(entropy(front.clock)),
        wire: options.wire.unwrap_or(health::WIRE),
        wall_ms: front.clock.wall().0.max(0).unsigned_abs(),
    }
}

/// Looks the names of others up again for as long as nobody has answered.
async fn find_others(join: Vec<Address>, front: Arc<Front>, queue: SyncSender<Message>) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let is_alone = front
            .view
            .load()
            .fleet()
            .is_none_or(|fleet| fleet.seen_of_known().0 <= 1);
        if !is_alone {
            continue;
        }
        let names = join.clone();
        let found = tokio::task::spawn_blocking(move || crate::cluster::resolve(&names)).await;
        if let Ok(found) = found {
            let _ = queue.try_send(Message::Found(found));
        }
    }
}

fn driver(
    (config, targets): (&Config, Vec<Arc<Definition>>),
    options: &RunOptions,
    limits: &Limits,
    front: &Arc<Front>,
    (queue, ending): (SyncSender<Message>, Arc<OnceLock<Ending>>),
    (cluster, seat): (Option<Transport>, Option<ClusterConfig>),
    (database, records): (redb::Database, Vec<health::Record>),
) -> Result<Driver, RunError> {
    let is_clustered = cluster.is_some();
    let node = Node::new(health::Config {
        in_flight_max: limits.in_flight,
        fresh_origin: Origin(entropy(front.clock)),
        cluster: seat,
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
    let targets = if options.config.is_some() || is_clustered {
        targets
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
        cluster,
        ending,
        config_path,
        fixed: fixed(config, options),
        room: Room {
            descriptors: limits.descriptors,
            in_flight: limits.in_flight,
        },
    };
    Ok(Driver::new(parts, records, targets))
}

/// What the file said of the cluster, where the command line does not.
fn fixed(config: &Config, options: &RunOptions) -> Fixed {
    let cluster = &config.cluster;
    Fixed {
        listen: options.cluster_listen.is_none().then_some(cluster.listen),
        join: options.join.is_empty().then(|| cluster.join.clone()),
        label: cluster.label.clone(),
    }
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

/// A random number: the standard library's hash keys are the machine's entropy, without unsafe.
fn entropy(clock: Clock) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(clock.wall().0)
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
    async fn wait_for_end(&mut self, queue: &SyncSender<Message>) {
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

/// Descriptors of the cluster's port at most: strangers, callers and lines to others.
const CLUSTER: u64 = 580;

/// How the process's file descriptors are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    /// What they were made from.
    descriptors: usize,
    /// Connections to the API.
    connections: usize,
    /// Checks under way.
    in_flight: u32,
    /// Idle connections of targets with `keep_alive`.
    idle: usize,
}

impl Limits {
    /// Raises the soft limit on descriptors to the hard one and shares them out.
    fn take(is_clustered: bool) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let descriptors = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        let descriptors = descriptors.unwrap_or(1 << 20);
        if is_clustered {
            // On a small machine the cluster gets an eighth: its connections are few and short.
            Self::of(descriptors - CLUSTER.min(descriptors / 8))
        } else {
            Self::of(descriptors)
        }
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
            descriptors,
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
                ..
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
