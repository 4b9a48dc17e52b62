//! Where queries run: DataFusion in this process, or a cluster of Ballista.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista::prelude::{SessionConfigExt as _, SessionContextExt as _};
use datafusion::arrow::array::{AsArray as _, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use dcgan_engine::interrupt::Interrupt;
use dcgan_engine::terminal::say;
use futures::TryStreamExt as _;

use crate::pool::Pool;
use crate::scratch::Scratch;
use crate::{ClusterError, Result, functions};

/// Rows that are handled together; a group of codes is one row.
const BATCH: usize = 1024;
/// What a part of a stage may hold on an executor, whose memory is not known here.
const PARTITION_BYTES: usize = 320 << 20;
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
const ENDS_WITHIN: Duration = Duration::from_millis(300);
/// How often it is said that a query goes on, as where no executor is there.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Where queries run.
#[derive(Clone, Debug)]
pub enum Place {
    /// In this process.
    Local {
        /// Bytes that the engine may hold before it writes to `spill`.
        memory: usize,
        /// A folder for what does not fit.
        spill: PathBuf,
        /// Parts that are worked on at once.
        n_threads: usize,
    },
    /// By a scheduler and its executors.
    Cluster {
        /// `df://host:port`.
        scheduler: String,
        /// Parts that a stage is divided into.
        n_partitions: usize,
        /// Bytes that what is put in order in this process may take before it is written to `spill`.
        memory: usize,
        /// A folder for what does not fit.
        spill: PathBuf,
    },
}

/// What is done with rows.
type Visit<'a> = dyn FnMut(&RecordBatch) -> Result<()> + 'a;

/// A connection to the engine.
pub struct Session {
    context: SessionContext,
    /// The engine in this process, by which rows come in an order: those of a cluster do not keep to one.
    here: SessionContext,
    /// Where it writes what does not fit.
    _scratch: Scratch,
    /// There until the end.
    runtime: Option<tokio::runtime::Runtime>,
    interrupt: Interrupt,
    place: Place,
}

/// The settings of queries, without those of the place.
fn config(n_partitions: usize) -> SessionConfig {
    SessionConfig::new().with_target_partitions(n_partitions).with_batch_size(BATCH)
}

/// Bytes that each sort keeps back for its end: a part of the memory, where that is little.
fn reservation(memory: usize, n_threads: usize) -> usize {
    (memory / (16 * n_threads)).min(10 << 20)
}

/// The engine's memory, and where it writes what does not fit.
pub(crate) fn environment(memory: usize, spill: &Path) -> datafusion::error::Result<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill.to_path_buf()]))
        .with_max_temp_directory_size(u64::MAX);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(Pool::new(memory)))
        .with_disk_manager_builder(disk)
        .build_arc()
}

/// The engine with this crate's functions.
pub(crate) fn state(config: SessionConfig, environment: Arc<RuntimeEnv>) -> SessionState {
    let mut state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(environment)
        .build();
    register(&mut state);
    state
}

/// Names this crate's functions.
pub(crate) fn register(state: &mut SessionState) {
    for function in functions::scalar() {
        // What had the name before is of no interest.
        let _ = state.register_udf(function);
    }
    for function in functions::aggregate() {
        let _ = state.register_udaf(function);
    }
}

/// The address of a file of which the whole path is known: there no letter has another meaning, as `*` has in paths.
fn address(path: &Path) -> String {
    let mut address = "file://".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => address.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => address.push(char::from(byte)),
            _ => address += &format!("%{byte:02X}"),
        }
    }
    address
}

/// Connects to a scheduler, `df://host:port`.
pub(crate) fn answers(scheduler: &str) -> std::io::Result<()> {
    let mut last = std::io::Error::other("a name without an address");
    for address in scheduler.trim_start_matches("df://").to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ANSWERS_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Of a scheduler that ends, connections may end before it takes no more.
fn answers_still(scheduler: &str) -> std::io::Result<()> {
    std::thread::sleep(ENDS_WITHIN);
    answers(scheduler)
}

fn silent(scheduler: &str, why: &str) -> ClusterError {
    ClusterError::Service {
        role: "scheduler",
        address: scheduler.to_owned(),
        reason: format!("does not answer {why}"),
    }
}

impl Session {
    /// Opens it.
    ///
    /// # Errors
    /// Where the folder for what does not fit cannot be made, or no scheduler is found.
    pub fn open(place: &Place, interrupt: Interrupt) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let failed = |source| ClusterError::engine("connect", source);
        let (memory, spill, n_threads) = match place {
            Place::Local { memory, spill, n_threads } => (*memory, spill, *n_threads),
            Place::Cluster { memory, spill, .. } => (*memory, spill, 1),
        };
        let scratch = Scratch::within(spill)?;
        let environment = environment(memory, scratch.path()).map_err(failed)?;
        let settings = config(n_threads).with_sort_spill_reservation_bytes(reservation(memory, n_threads));
        let here = SessionContext::new_with_state(state(settings, environment));
        let context = match place {
            Place::Local { .. } => here.clone(),
            Place::Cluster { scheduler, n_partitions, .. } => {
                answers(scheduler).map_err(|error| silent(scheduler, &format!("({error})")))?;
                let config = SessionConfig::new_with_ballista()
                    // Ballista cannot read the plans in which fields of structs are taken out below what uses them.
                    .set_bool("datafusion.optimizer.enable_leaf_expression_pushdown", false)
                    // Small tables are much work too, where it lies in a function: they are divided among executors as large ones are.
                    .set_usize("ballista.optimizer.broadcast_join_threshold_bytes", 0)
                    .set_usize("ballista.optimizer.broadcast_join_threshold_rows", 0)
                    .with_target_partitions(*n_partitions)
                    .with_batch_size(BATCH);
                let environment = RuntimeEnvBuilder::new().build_arc().map_err(failed)?;
                let connect = SessionContext::remote_with_state(scheduler, state(config, environment));
                let context = runtime.block_on(connect).map_err(failed)?;
                // The state that comes back knows Ballista's functions alone.
                register(&mut context.state_ref().write());
                context
            }
        };
        Ok(Self { context, here, _scratch: scratch, runtime: Some(runtime), interrupt, place: place.clone() })
    }

    /// What an observer returns.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        self.interrupt.flow()
    }

    /// Rows of so many bytes that are brought together at once without being written to the disk, about.
    pub(crate) fn most_rows(&self, row_bytes: usize) -> usize {
        match self.place {
            Place::Local { memory, .. } => memory / row_bytes,
            Place::Cluster { n_partitions, .. } => PARTITION_BYTES / row_bytes * n_partitions,
        }
    }

    /// What the engine of this process, or the cluster's, gave up for.
    fn failed(&self, is_here: bool, stage: &str, source: DataFusionError) -> ClusterError {
        match &self.place {
            Place::Cluster { scheduler, .. } if !is_here => match answers_still(scheduler) {
                Ok(()) => ClusterError::engine(&format!("{stage}, scheduler {scheduler}"), source),
                Err(error) => silent(scheduler, &format!("any more, in stage {stage} ({error})")),
            },
            _ => ClusterError::engine(stage, source),
        }
    }

    /// Does something, unless it is asked to stop meanwhile.
    fn wait<T>(
        &self,
        is_here: bool,
        stage: &str,
        work: impl Future<Output = std::result::Result<T, DataFusionError>>,
    ) -> Result<T> {
        let stopped = async {
            let (began, mut said) = (Instant::now(), Duration::ZERO);
            while !self.interrupt.is_requested() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if began.elapsed() > said + SAY_EVERY {
                    said = began.elapsed();
                    let hint = match self.place {
                        Place::Cluster { .. } if !is_here => {
                            " (the scheduler says which executors are there)"
                        }
                        _ => "",
                    };
                    say(format_args!("{stage}: {} s so far{hint}", said.as_secs()));
                }
            }
        };
        let Some(runtime) = &self.runtime else { return Err(ClusterError::Interrupted) };
        runtime.block_on(async {
            tokio::select! {
                done = work => done.map_err(|source| self.failed(is_here, stage, source)),
                () = stopped => Err(ClusterError::Interrupted),
            }
        })
    }

    /// Names Parquet files as one table.
    pub(crate) fn table(&self, name: &str, paths: &[PathBuf]) -> Result<()> {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| std::path::absolute(path).map(|path| address(&path)))
            .collect::<std::io::Result<_>>()?;
        let named = async {
            for context in [&self.context, &self.here] {
                context.deregister_table(name)?;
                let table = context.read_parquet(paths.clone(), ParquetReadOptions::default()).await?;
                context.register_table(name, table.into_view())?;
            }
            Ok(())
        };
        self.wait(true, name, named)
    }

    /// Writes what a query finds as one Parquet file, which is there once it is whole.
    pub(crate) fn write(&self, stage: &str, query: &str, path: &Path) -> Result<()> {
        let text = format!("COPY ({query}) TO '{}' STORED AS PARQUET", address(path));
        self.wait(false, stage, async { self.context.sql(&text).await?.collect().await.map(|_| ()) })
    }

    /// Hands what a query finds to `visit`, in any order.
    pub(crate) fn read(&self, stage: &str, query: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.read_by(false, stage, query, visit)
    }

    /// Hands what a query finds to `visit` in its order, by this process: for tables that need no more than to be sorted.
    pub(crate) fn read_in_order(&self, stage: &str, query: &str, visit: &mut Visit<'_>) -> Result<()> {
        self.read_by(true, stage, query, visit)
    }

    fn read_by(&self, is_here: bool, stage: &str, query: &str, visit: &mut Visit<'_>) -> Result<()> {
        let context = if is_here { &self.here } else { &self.context };
        let mut failed = Ok(());
        let work = async {
            let mut batches = context.sql(query).await?.execute_stream().await?;
            while let Some(batch) = batches.try_next().await? {
                failed = visit(&batch);
                if failed.is_err() {
                    break;
                }
            }
            Ok(())
        };
        self.wait(is_here, stage, work)?;
        failed
    }
}

impl Session {
    /// Hands the texts of a query's first column to `visit`, in any order.
    pub(crate) fn each_text(
        &self,
        stage: &str,
        query: &str,
        visit: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        self.read(stage, query, &mut |batch| texts(batch, 0)?.iter().flatten().try_for_each(&mut *visit))
    }
}

/// A column of texts.
pub(crate) fn texts(batch: &RecordBatch, column: usize) -> Result<StringArray> {
    // Depending on the way here, text is viewed or not.
    let texts = cast(batch.column(column), &DataType::Utf8);
    let texts = texts.map_err(|error| ClusterError::engine("texts", error.into()))?;
    Ok(texts.as_string::<i32>().clone())
}

impl Drop for Session {
    /// What is still being worked on when a job is interrupted is not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
