//! Scheduler and executors of Ballista that know this crate's functions.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::default_session_builder;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::{BallistaCluster, ClusterState, ClusterStateEvent};
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;
use dcgan_engine::terminal::say;
use futures::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::scratch::Scratch;
use crate::session::{answers, register};
use crate::{ClusterError, Result, functions};

/// A scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerJob {
    /// The address to listen at.
    pub host: String,
    /// The port to listen at.
    pub port: u16,
    /// After so many seconds without a sign an executor is lost, and its tasks are given to others.
    pub timeout_seconds: u64,
}

/// An executor.
#[derive(Clone, Debug)]
pub struct ExecutorJob {
    /// Where the scheduler is.
    pub scheduler: (String, u16),
    /// The address to listen at.
    pub host: String,
    /// The name or address under which others find it.
    pub external_host: String,
    /// Ports for data and for tasks.
    pub ports: [u16; 2],
    /// Tasks that are worked on at once.
    pub n_tasks: usize,
    /// Bytes that all tasks together may hold before they write to `work`.
    pub memory: u64,
    /// A folder for what is passed on and for what does not fit.
    pub work: PathBuf,
}

/// Runs a scheduler until it is stopped by Ctrl-C or SIGTERM.
///
/// # Errors
/// Where it cannot listen.
pub fn scheduler(job: &SchedulerJob) -> Result<()> {
    let address = format!("{}:{}", job.host, job.port);
    let failed =
        |reason: String| ClusterError::Service { role: "scheduler", address: address.clone(), reason };
    let config = SchedulerConfig {
        bind_host: job.host.clone(),
        bind_port: job.port,
        executor_timeout_seconds: job.timeout_seconds,
        expire_dead_executor_interval_seconds: (job.timeout_seconds / 3).max(1),
        override_session_builder: Some(Arc::new(|config| {
            let mut state = default_session_builder(config)?;
            register(&mut state);
            Ok(state)
        })),
        ..SchedulerConfig::default()
    };
    let listen: std::net::SocketAddr =
        address.parse().map_err(|error: std::net::AddrParseError| failed(error.to_string()))?;
    runtime()?.block_on(async {
        // Neither would end the first process of a container by itself.
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        // An address that is taken is refused before it is said.
        drop(std::net::TcpListener::bind(listen).map_err(|error| failed(error.to_string()))?);
        say(format_args!("scheduler at df://{address}"));
        let cluster =
            BallistaCluster::new_from_config(&config).await.map_err(|error| failed(error.to_string()))?;
        tokio::spawn(announce(cluster.cluster_state()));
        tokio::select! {
            served = start_server(cluster, listen, Arc::new(config)) => {
                served.map_err(|error| failed(error.to_string()))
            }
            _ = interrupted.recv() => Ok(()),
            _ = terminated.recv() => Ok(()),
        }
    })
}

/// Says which executors come and go.
async fn announce(cluster: Arc<dyn ClusterState>) {
    let Ok(mut events) = cluster.cluster_state_events().await else { return };
    let mut places = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            ClusterStateEvent::RegisteredExecutor { executor_id } => {
                let Ok(about) = cluster.get_executor_metadata(&executor_id).await else { continue };
                let place = format!("{}:{}", about.host, about.port);
                say(format_args!("executor {place} is here"));
                places.insert(executor_id, place);
            }
            ClusterStateEvent::RemovedExecutor { executor_id } => {
                if let Some(place) = places.remove(&executor_id) {
                    say(format_args!("executor {place} is gone; others do its tasks"));
                }
            }
        }
    }
}

/// Runs an executor until it is stopped.
///
/// # Errors
/// Where it cannot listen, or finds no scheduler.
pub fn executor(job: &ExecutorJob) -> Result<()> {
    let (scheduler_host, scheduler_port) = job.scheduler.clone();
    let mut registry = BallistaFunctionRegistry::default();
    for function in functions::scalar() {
        registry.scalar_functions.insert(function.name().to_owned(), function);
    }
    for function in functions::aggregate() {
        registry.aggregate_functions.insert(function.name().to_owned(), function);
    }
    let failed =
        |address: String, reason: String| ClusterError::Service { role: "executor", address, reason };
    for port in job.ports {
        let listen = format!("{}:{port}", job.host);
        let bound = std::net::TcpListener::bind(&listen);
        drop(bound.map_err(|error| failed(listen, error.to_string()))?);
    }
    let scratch = Scratch::within(&job.work)?;
    let config = ExecutorProcessConfig {
        bind_host: job.host.clone(),
        external_host: Some(job.external_host.clone()),
        port: job.ports[0],
        grpc_port: job.ports[1],
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: 30,
        vcores: job.n_tasks,
        work_dir: Some(scratch.path().display().to_string()),
        memory_pool_size: Some(job.memory),
        executor_heartbeat_interval_seconds: 2,
        override_function_registry: Some(Arc::new(registry)),
        ..ExecutorProcessConfig::default()
    };
    let address = format!("{}:{}", job.host, job.ports[0]);
    let scheduler = format!("{}:{}", job.scheduler.0, job.scheduler.1);
    say(format_args!("executor at {address}, for the scheduler at {scheduler}"));
    if let Err(error) = answers(&scheduler) {
        say(format_args!("the scheduler at {scheduler} does not answer yet ({error})"));
    }
    runtime()?.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = is_stopped.clone();
        tokio::spawn(async move {
            tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
            stopped.store(true, Ordering::SeqCst);
        });
        // It ends by itself when it is stopped, and when there is no scheduler any more.
        let ended = start_executor_process(Arc::new(config)).await;
        // Both wait for the same signal.
        tokio::time::sleep(Duration::from_millis(200)).await;
        match ended {
            Err(error) => Err(failed(address, error.to_string())),
            Ok(()) if is_stopped.load(Ordering::SeqCst) => Ok(()),
            Ok(()) => Err(failed(
                address,
                format!("it has lost the scheduler at {scheduler}: start it again with that"),
            )),
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
