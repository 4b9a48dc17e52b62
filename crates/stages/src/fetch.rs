//! `fetch`: the public data sets, from the network.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, by_stage};
use dcgan_engine::progress::{Progress, Task};
use dcgan_engine::record::Record;
use dcgan_engine::stage::{Artifact, ConfigProblem, Outcome, Stage};
use dcgan_fetch::{Action, Checksum, Event, Options, RemoteFile, Set, fetch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;

/// Which sets, and from where.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fetch {
    /// The sets: 170 MB; 246 MB (training and test digits); 1.3 GB; 12 MB; 43 GB, and as much again to unpack it; 96 MB.
    sets: Vec<Set>,
    /// Tried before the sets' own sites, in turn; each holds the files by their names (cifar-10-binary.tar.gz …).
    #[serde(default)]
    #[schemars(extend("takes" = "list of addresses or folders"))]
    mirrors: Vec<String>,
    /// Whether the sets' own sites are tried too.
    #[serde(default = "yes")]
    official: bool,
    /// Other checksums than the published ones, for files that are not the published ones; their size is then not compared
    /// either.
    #[serde(default)]
    #[schemars(extend("takes" = "table from file name to \"md5:…\", \"sha256:…\" or \"none\""))]
    checksums: BTreeMap<String, String>,
    /// Attempts at one address in a row that bring nothing new, at most.
    #[serde(default = "attempts")]
    attempts: u32,
    /// A connection that brings fewer than 4096 bytes in this time is given up, and tried again.
    #[serde(default = "stall_seconds")]
    #[schemars(extend("minimum" = 0.1, "takes" = "seconds, at least 0.1"))]
    stall_seconds: f64,
    /// The most that is taken of a file whose size is not published (LSUN's, or one with a checksum of your own); left out,
    /// one and a half times the set's usual size and 1 GiB. No more is taken either once the disk is nearly full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("takes" = "bytes"))]
    max_bytes: Option<u64>,
    /// Whether archives stay in .downloads once they are unpacked.
    #[serde(default)]
    keep_archives: bool,
}

fn yes() -> bool {
    true
}

fn attempts() -> u32 {
    Options::default().attempts
}

fn stall_seconds() -> f64 {
    Options::default().stall.as_secs_f64()
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "fetch",
    version: 1,
    summary: "download the public data sets (CIFAR-10, SVHN, MNIST, LSUN bedrooms) and Inception-v3, verify and unpack them",
    details: "Fills the folder that the manifests read: cifar-10-batches-bin/, svhn/*.mat, mnist/*.gz, \
              lsun/bedroom_train_lmdb/ and inception/*.pth, the weights that FID is measured with. It works in that folder itself: what is there stays, is verified and is not \
              fetched again, and other sets may be added later. Files that it fetched and that are damaged or missing \
              are fetched again, one whose bytes have changed is kept as NAME.replaced; files of yours, in the sets' \
              folders too, and links stay as they are. Interrupted, the same command goes on where the \
              download was.\n\n\
              Sizes and checksums are the published ones; for LSUN none is published, so what arrives is recorded in \
              .fetched.json. Archives are refused if a path in them leaves the folder. The proxy is that of \
              HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY. ImageNet and the authors' weights need your own copy: \
              ask for them, and the error says what to put where. `import_images` reads the sets with `from` naming \
              this stage, or by their paths.",
    example: &["sets=[\"cifar10\", \"svhn\"]"],
    paper: &PAPER,
    traits: Traits {
        is_resumable: true,
        working_files: &[dcgan_fetch::LEDGER, ".downloads/", ".dcgan/"],
        ..Traits::NONE
    },
    config: ConfigType::of::<Fetch>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [by_stage("*")];

impl Fetch {
    fn options(&self) -> dcgan_fetch::Result<Options> {
        let mut checksums = BTreeMap::new();
        for (name, checksum) in &self.checksums {
            let checksum: Option<Checksum> = if checksum == "none" { None } else { Some(checksum.parse()?) };
            checksums.insert(name.clone(), checksum);
        }
        let options = Options {
            mirrors: self.mirrors.clone(),
            official: self.official,
            checksums,
            attempts: self.attempts,
            stall: Duration::try_from_secs_f64(self.stall_seconds).unwrap_or_default(),
            max_bytes: self.max_bytes,
            keep_archives: self.keep_archives,
            ..Options::default()
        };
        options.validate()?;
        Ok(options)
    }

    fn files(&self) -> Vec<RemoteFile> {
        let mut sets = self.sets.clone();
        sets.sort_unstable();
        sets.dedup();
        sets.into_iter().flat_map(Set::files).collect()
    }
}

impl Stage for Fetch {
    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::DATASET]
    }

    fn shares_folder(&self) -> bool {
        true
    }

    fn own_files(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        // Also those of sets that were fetched into it before.
        Ok(dcgan_fetch::known_files(folder)?)
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("", self.options());
        let problem = |key: &str, message: String| ConfigProblem { key: key.to_owned(), message };
        if self.sets.is_empty() {
            problems.push(problem("sets", "expected at least one set, found none".to_owned()));
        }
        problems.extend(
            self.sets.iter().filter_map(|set| set.own_copy()).map(|text| problem("sets", text.to_owned())),
        );
        let known: Vec<String> = Set::ALL.into_iter().flat_map(Set::files).map(|file| file.name).collect();
        for name in self.checksums.keys().filter(|name| !known.contains(name)) {
            let help = dcgan_engine::suggest::nearest(name, known.iter().map(String::as_str));
            let help = help.map(|help| format!("; {help}")).unwrap_or_default();
            problems.push(problem("checksums", format!("no set has a file `{name}`{help}")));
        }
        problems
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        // A stage run alone has not been checked.
        if let Some(ConfigProblem { key, message }) = self.problems().first() {
            bail!("key `{key}`: {message}");
        }
        if let Some(record) = Record::read(ctx.out)?
            && record.kind != KIND.name
        {
            bail!("{} was made by a stage of kind {}; give another folder", ctx.out.display(), record.kind);
        }
        let mut bar = Bar::new(ctx);
        let summary = fetch(&self.files(), &self.options()?, ctx.out, &mut |event| bar.show(event))?;
        drop(bar);
        let changed =
            self.checksums.keys().map(|name| format!("{name} with another checksum than the published one"));
        let metrics = json!({
            "n_downloaded": summary.n_downloaded,
            "bytes_downloaded": summary.bytes_downloaded,
            "n_verified": summary.n_verified,
            "unpublished_checksums": summary.unpublished,
        });
        let mut differences = Comparison::found(changed.collect());
        if !summary.unpublished.is_empty() {
            let files = summary.unpublished.join(", ");
            differences.not_checked.push(format!("{files}: no checksum is published"));
        }
        if self.checksums.is_empty() && summary.n_verified > 0 {
            differences.equal.push("files with the published sizes and checksums".to_owned());
        }
        Ok(Outcome { metrics, differences })
    }
}

/// Shows what is done with one file after the other.
pub(crate) struct Bar<'a, 'c> {
    ctx: &'a Context<'c>,
    shown: Option<(Action, String, Task)>,
}

impl<'a, 'c> Bar<'a, 'c> {
    pub(crate) fn new(ctx: &'a Context<'c>) -> Self {
        Self { ctx, shown: None }
    }

    pub(crate) fn show(&mut self, event: Event<'_>) -> ControlFlow<()> {
        let progress = self.ctx.progress();
        match event {
            Event::Note(text) => {
                progress.warn(text);
                progress.interrupt().flow()
            }
            Event::Progress { action, file, done, total } => {
                let is_shown =
                    self.shown.as_ref().is_some_and(|(shown, name, _)| *shown == action && name == file);
                if !is_shown {
                    let task = start(self.ctx, progress, action, file, total);
                    self.shown = Some((action, file.to_owned(), task));
                }
                match &mut self.shown {
                    Some((_, _, task)) => task.observe(done >> 20, total.unwrap_or(0).div_ceil(1 << 20)),
                    None => progress.interrupt().flow(),
                }
            }
        }
    }
}

fn start(ctx: &Context<'_>, progress: &Progress, action: Action, file: &str, total: Option<u64>) -> Task {
    let verb = match action {
        Action::Downloading => "downloading",
        Action::Verifying => "verifying",
        Action::Unpacking => "unpacking",
        Action::Copying => "copying",
    };
    let size = total.map(|total| format!(" ({:.1} MB)", total as f64 / 1e6)).unwrap_or_default();
    progress.detail(format_args!("  {verb} {file}{size}"));
    ctx.task(&format!("{verb} {file}"), "MiB")
}
