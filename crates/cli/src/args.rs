//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::{ArgValueCompleter, Shell};
use dcgan_engine::cluster::Cluster;
use dcgan_engine::kept::Limits;
use dcgan_engine::progress::Verbosity;
use dcgan_engine::selection::Selection;
use dcgan_stages::device::DeviceChoice;

use crate::complete;
use crate::doctor::DoctorArgs;
use crate::examples::{
    COMPLETIONS_EXAMPLES, EXAMPLES, EXPORT_EXAMPLES, GC_EXAMPLES, INIT_EXAMPLES, RUN_EXAMPLES,
    SCHEMA_EXAMPLES, STAGE_EXAMPLES, WATCH_EXAMPLES,
};
use crate::values::path;

const ABOUT: &str =
    "Reproduces the DCGAN paper: pictures to features to the numbers of its tables, from one manifest.";

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(name = "dcgan", version, about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// Say nothing on stderr but warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Also say why each stage runs and what it wrote
    #[arg(long, short, global = true)]
    verbose: bool,
}

impl Cli {
    pub(crate) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the stages of a manifest that have to run
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Check a manifest without running it
    #[command(after_help = "Example:\n  dcgan check pipelines/svhn.toml --set data=/mnt/data\n\n\
        Reports every problem found: unknown keys and kinds, values out of range, inputs that do not exist or do \
        not yield what is needed, cycles, paths that are not there. Exit code 0 if there is none, else 1.")]
    Check(ManifestArgs),
    /// Say which stages are fresh, stale or missing, and why
    #[command(after_help = "Examples:\n  dcgan status pipelines/quickstart.toml\n  \
        dcgan status pipelines/quickstart.toml --verify\n  dcgan status pipelines/quickstart.toml --json | jq '.[] | select(.will_run) | .id'\n\n\
        fresh: complete, and made from what the manifest says now.\n\
        stale: complete, but a parameter, an input, an output or the program changed.\n\
        kept: stale or missing, but an earlier version is what would come out; it is put back, nothing runs.\n\
        missing: not complete.\n\
        running, waiting: a run that goes on at the moment is at it, or will come to it.")]
    Status(StatusArgs),
    /// Show a run in a browser: stages, curves that grow, samples over time
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(WatchArgs),
    /// Print the graph of a manifest, as a Mermaid flowchart or as SVG
    #[command(after_help = "Examples (GitHub shows a ```mermaid block as a picture):\n  \
        dcgan dag pipelines/svhn.toml > graph.mmd\n  dcgan dag pipelines/svhn.toml --svg > graph.svg")]
    Dag(DagArgs),
    /// Write a commented manifest for a folder of your own pictures
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Show what lies in the folder of runs and no manifest needs, and delete it on demand
    #[command(after_help = GC_EXAMPLES)]
    Gc(GcArgs),
    /// Show in what two runs, or two stages, differ: parameters, metrics, outputs
    #[command(after_help = "Examples:\n  dcgan compare runs/svhn other-runs/svhn\n  \
        dcgan compare runs/svhn/train@seed=1 runs/svhn/train@seed=2 --json")]
    Compare(CompareArgs),
    /// Run one stage alone, without a manifest
    #[command(disable_help_flag = true, after_help = STAGE_EXAMPLES)]
    Stage(StageArgs),
    /// Write a training's networks for PyTorch or ONNX
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Measure how fast this machine is
    #[command(after_help = "Examples:\n  dcgan bench train --arch svhn32 --batch 64\n  \
        dcgan bench features --arch imagenet32 --json\n  dcgan bench kmeans --maps 1600 --batch 32\n  \
        dcgan bench knn --rows 5000 --columns 3072\n  dcgan bench pipeline")]
    Bench(BenchArgs),
    /// Say what this machine has, and what will be slow on it and why
    #[command(after_help = "Examples:\n  dcgan doctor\n  dcgan doctor --json --runs /mnt/runs")]
    Doctor(DoctorArgs),
    /// Print the JSON Schema of manifests, by which editors complete and check them
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Print a script that completes verbs, options, stages, keys and values in a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the beginnings of what one writes oneself
    #[command(subcommand)]
    New(NewArgs),
    /// Take part in a training that another process of this program leads
    #[command(hide = true)]
    TrainPart {
        /// Which part
        number: usize,
        /// Of how many
        count: usize,
        /// Where
        #[arg(value_parser = dcgan_stages::device::parse)]
        device: DeviceChoice,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  dcgan man > ~/.local/share/man/man1/dcgan.1")]
    Man,
}

/// What can be begun.
#[derive(Debug, Subcommand)]
pub(crate) enum NewArgs {
    /// A stage of a kind for a manifest, with all keys, their defaults and what they mean
    #[command(after_help = "Example:\n  dcgan new stage-config train_gan >> my-images.toml")]
    StageConfig {
        /// The stage kind
        #[arg(add = ArgValueCompleter::new(complete::kinds))]
        kind: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ManifestArgs {
    /// The manifest, a TOML file
    #[arg(value_hint = ValueHint::FilePath, value_parser = path())]
    pub(crate) manifest: PathBuf,
    /// Change a variable (K=V, or K=[V,…] for several values) or a key of a stage (STAGE.KEY=V); may be repeated
    #[arg(long, value_name = "K=V", add = ArgValueCompleter::new(complete::settings))]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DagArgs {
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    /// Print a picture, SVG, instead
    #[arg(long)]
    pub(crate) svg: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The manifest to write; its name becomes the pipeline's
    #[arg(default_value = "my-images.toml", value_hint = ValueHint::FilePath, value_parser = path())]
    pub(crate) file: PathBuf,
    /// The folder of pictures
    #[arg(long, value_name = "DIR", default_value = "photos", value_hint = ValueHint::DirPath, value_parser = path())]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    /// Run only this stage (of a matrix: ID all its cells, ID@seed=2 some), on its inputs as they are; may be repeated
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::ids), conflicts_with_all = ["from", "to"])]
    only: Vec<String>,
    /// Run this stage and all that need it, on its inputs as they are; may be repeated
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::ids))]
    from: Vec<String>,
    /// Run this stage and all that it needs; with --from, what lies between; may be repeated
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::ids))]
    to: Vec<String>,
    /// Run this stage even if nothing has changed; it must be among those asked for; may be repeated
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(complete::ids))]
    force: Vec<String>,
    /// Only say what would run, and why
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Read every input and output anew, whatever its times say
    #[arg(long)]
    pub(crate) verify: bool,
    /// After a failure, go on with the stages that do not need the one that failed; exit code 1 all the same
    #[arg(long, short)]
    pub(crate) keep_going: bool,
    /// Run so many stages at once, where they do not need each other; they share the threads
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: u32,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) runs: RunsArgs,
}

impl RunArgs {
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            only: self.only.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            force: self.force.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Where networks run: cpu, cpu/bf16 (trains and gives features in bf16), cuda or cuda:N, the latter two with /f32, /tf32 (default) or
    /// /bf16 behind; a training takes its parts of every minibatch on several as cuda:N-M, or cpu:0-N to try it [default: cpu]
    #[arg(long, value_parser = dcgan_stages::device::parse)]
    pub(crate) device: Option<DeviceChoice>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct ClusterArgs {
    /// Where work is done that can be divided (hashing, grouping): a scheduler, df://HOST:50050, or local, an engine on this machine
    /// that keeps to a limit of memory; needs the program dcgan-cluster [default: as the manifest's table says, else in this program]
    #[arg(long, value_name = "WHERE")]
    cluster: Option<String>,
}

impl ClusterArgs {
    /// Where it is done, of what the manifest says and what was given.
    pub(crate) fn or(&self, manifest: Option<Cluster>) -> Result<Option<Cluster>, String> {
        let Some(scheduler) = self.cluster.clone() else { return Ok(manifest) };
        let is_other = manifest.as_ref().is_some_and(|cluster| cluster.scheduler != scheduler);
        let cluster = match manifest {
            // What is said of another place does not hold here.
            Some(cluster) if is_other => Cluster { memory: None, spill: None, scheduler, ..cluster },
            Some(cluster) => cluster,
            None => Cluster::at(scheduler),
        };
        match cluster.problems().into_iter().next() {
            Some((_, message)) => Err(format!("--cluster: {message}")),
            None => Ok(Some(cluster)),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// The folder that holds the runs of all manifests
    #[arg(long, value_name = "DIR", default_value = "runs", value_hint = ValueHint::DirPath, value_parser = path())]
    pub(crate) runs: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
    /// Read every input and output anew, whatever its times say: finds what a disk lost
    #[arg(long)]
    pub(crate) verify: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) runs: RunsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// A manifest, or the folder of a run (RUNS/<manifest's name>)
    #[arg(value_hint = ValueHint::AnyPath, value_parser = path())]
    pub(crate) run: PathBuf,
    /// Change a variable (K=V) or a key of a stage (STAGE.KEY=V) of the manifest, as for `run`; may be repeated
    #[arg(long, value_name = "K=V", add = ArgValueCompleter::new(complete::settings))]
    pub(crate) set: Vec<String>,
    /// The port; 0: a free one
    #[arg(long, default_value_t = 8600)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) runs: RunsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// The manifests whose stages are needed; folders in which stages were run alone, for what is kept there
    #[arg(required = true, value_name = "MANIFEST", value_parser = path())]
    pub(crate) manifests: Vec<PathBuf>,
    /// Count kept versions that were replaced, or half-done ones last written, longer ago (such as 12h, 30d, 4w)
    #[arg(long, value_name = "AGE", value_parser = dcgan_engine::clock::parse_duration)]
    older_than: Option<Duration>,
    /// Count all but the newest N kept and half-done versions of each stage
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Count the oldest kept and half-done versions until the rest fits (such as 500MB, 20GB)
    #[arg(long, value_name = "SIZE", value_parser = dcgan_engine::space::parse_bytes)]
    max_size: Option<u64>,
    /// Change a variable (K=V) of the manifests, as for `run`; may be repeated
    #[arg(long, value_name = "K=V")]
    pub(crate) set: Vec<String>,
    /// Delete what is shown
    #[arg(long)]
    pub(crate) delete: bool,
    /// Count the runs of other manifests as not needed too
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) runs: RunsArgs,
}

impl GcArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits { older_than: self.older_than, keep: self.keep, max_bytes: self.max_size }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The folder of a run (RUNS/<manifest's name>), of a stage, or of a version that is kept (`dcgan status` names it)
    #[arg(value_name = "RUN", value_parser = path())]
    pub(crate) first: PathBuf,
    /// Another one
    #[arg(value_name = "RUN", value_parser = path())]
    pub(crate) second: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StageArgs {
    /// The stage kind
    #[arg(index = 1, add = ArgValueCompleter::new(complete::kinds))]
    pub(crate) kind: Option<String>,
    /// The kind's keys
    #[arg(value_name = "K=V", index = 2, add = ArgValueCompleter::new(complete::arguments))]
    pub(crate) arguments: Vec<String>,
    /// The folder to make
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = path())]
    pub(crate) out: Option<PathBuf>,
    /// Run even if nothing has changed, and replace a folder that was made otherwise; what was there is kept
    #[arg(long)]
    pub(crate) force: bool,
    /// List the stage kinds
    #[arg(long)]
    pub(crate) list: bool,
    /// Print help; with a kind, what it does and all its keys
    #[arg(long, short)]
    pub(crate) help: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The folder of a training, or of imported weights
    #[arg(value_hint = ValueHint::DirPath, value_parser = path())]
    pub(crate) model: PathBuf,
    /// For what
    #[arg(long, value_enum, default_value_t = To::Pytorch)]
    pub(crate) to: To,
    /// The training pictures, an image store: the discriminator too, whose running statistics are inferred over them
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = path())]
    pub(crate) images: Option<PathBuf>,
    /// Which generator, where the training kept several: trained, ema or best
    #[arg(long, default_value = "trained")]
    pub(crate) weights: String,
    /// The folder to make [default: the model's name and what it is exported to, such as train-pytorch]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = path())]
    pub(crate) out: Option<PathBuf>,
    /// Run even if nothing has changed, and replace a folder that was made otherwise; what was there is kept
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum To {
    /// PyTorch: state dicts as .safetensors, and model.py, which makes the networks and draws samples
    Pytorch,
    /// The same
    Safetensors,
    /// ONNX, opset 17, beside the same
    Onnx,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure
    #[arg(value_enum)]
    pub(crate) kind: BenchKind,
    /// The architecture: svhn32, imagenet32 or faces64
    #[arg(long, default_value = "svhn32")]
    pub(crate) arch: String,
    /// Scale of every channel count
    #[arg(long, default_value_t = 1.0)]
    pub(crate) width: f64,
    /// Pictures in a batch [default: as the architecture is trained]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) batch: Option<u32>,
    /// Centroids of `kmeans`
    #[arg(long, default_value_t = 4800, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) maps: u32,
    /// Training rows of `knn`
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows: u32,
    /// Numbers in a row of `knn`
    #[arg(long, default_value_t = 784, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) columns: u32,
    /// The manifest of `pipeline`, run anew in a folder for temporary files [default: the quickstart]
    #[arg(long, value_hint = ValueHint::FilePath, value_parser = path())]
    pub(crate) manifest: Option<PathBuf>,
    /// Batches measured, after two that are not
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BenchKind {
    /// Features of pictures by a discriminator
    Features,
    /// Minibatches of training, both networks
    Train,
    /// Features of pictures by K-means, and its passes
    Kmeans,
    /// The nearest neighbours of 2,000 test rows
    Knn,
    /// A whole chain of stages: seconds, cores at work, bytes written and memory of each
    Pipeline,
}
