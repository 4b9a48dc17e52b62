//! `remove_duplicates`: a set written again without its near-duplicates.

use std::path::PathBuf;

use dcgan_dedup::evaluate::{Overruled, overrule};
use dcgan_dedup::group::{GROUPS, Readable, read_groups, removed_keys};
use dcgan_dedup::regenerate::{LinkMode, Target, regenerate};
use dcgan_engine::context::Context;
use dcgan_engine::external::{Advice, External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, no_bearing, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, Facts, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_files::words::counted;
use dcgan_images::{Damaged, ImageStore, Resize, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::{artifact, data_source, published};

/// Which set, and as what it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveDuplicates {
    /// The stage that made the data set; paths in `source` are then within its folder, `.` is the folder itself.
    #[serde(default)]
    from: Option<Input>,
    /// The data set.
    source: Source,
    /// The groups that `group_duplicates` found.
    groups: Input,
    /// The pairs.csv that groups.html of `group_duplicates` or contact_sheet.html of `dedup_eval` saves: what is marked there as not the same stays.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    judged: Option<PathBuf>,
    /// As what the set is written, beside the lists.
    #[serde(default)]
    target: TargetKind,
    /// How files get into a folder; links need a set that is a folder.
    #[serde(default = "copy")]
    by: LinkMode,
    /// How pictures of an image store are made one size.
    #[serde(default)]
    resize: Resize,
    /// JPEGs of which a part is lost: bad pictures, or taken with grey where data is lost.
    #[serde(default)]
    damaged: Damaged,
}

fn copy() -> LinkMode {
    LinkMode::Copy
}

/// As what a set is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TargetKind {
    /// Two lists of keys.
    #[default]
    Lists,
    /// An LSUN LMDB.
    Lmdb,
    /// A folder of files.
    Folder,
    /// The archives of a set of tars, under their names.
    Tars,
    /// An image store.
    Store,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "remove_duplicates",
    version: 6,
    summary: "write a set again without its near-duplicates: an LMDB, a folder, tars, an image store, or lists of keys",
    details: "Writes keep.txt and remove.txt, a key a line, bad.csv (what cannot be read, with the reason: it is in neither) and, \
              by `target`, lmdb/ (an LSUN LMDB), pictures/ (the files), tars/ (the archives of a WebDataset under their names, without the samples of which no picture stays, the rest byte for byte) or an image store of what is in keep.txt. Of each group one \
              picture stays: a file rather than a symbolic link, and links to one file stay or go together; for an image store one \
              that `resize` and `damaged` let in, so that no group is lost. Where a picture of the \
              groups is not in the set or, by its blake3, not the one that was hashed, or the one that stays cannot be read or is \
              itself removed, it is an error, and nothing is written. Groups of earlier versions have no blake3: of them the ones \
              that stay are decoded. A picture that a person marked as not the same as the one that stays \
              for it (`judged`) stays. Nothing is deleted from the set itself.",
    example: &["source.folder.path=photos", "groups=out/groups", "target=folder", "by=hard_link"],
    paper: &PAPER,
    traits: Traits { key_of_path: data_source::key_of_path, ..Traits::NONE },
    config: ConfigType::of::<RemoveDuplicates>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 8] = [
    no_bearing("from"),
    no_bearing("source.*"),
    no_bearing("groups"),
    no_bearing("judged"),
    no_bearing("target"),
    no_bearing("by"),
    unstated("resize"),
    no_bearing("damaged"),
];

impl RemoveDuplicates {
    fn target(&self) -> Target {
        match self.target {
            TargetKind::Lists => Target::Lists,
            TargetKind::Lmdb => Target::Lmdb,
            TargetKind::Folder => Target::Folder { by: self.by },
            TargetKind::Tars => Target::Tars,
            TargetKind::Store => Target::Store { resize: self.resize, damaged: self.damaged },
        }
    }
}

impl Stage for RemoveDuplicates {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = data_source::inputs(self.from.as_ref(), &self.source);
        inputs.push(InputRef { key: "groups", name: &self.groups, needs: artifact::GROUPS });
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        match self.target {
            TargetKind::Store => vec![artifact::IMAGES],
            _ => vec![artifact::DATASET],
        }
    }

    fn external_paths(&self) -> Vec<External> {
        let mut externals = data_source::externals(self.from.as_ref(), &self.source);
        let judged = self.judged.iter();
        externals.extend(judged.map(|path| External { key: "judged", path: path.clone(), is: Form::File }));
        externals
    }

    fn advice(&self, external: &External, found: Option<Form>) -> Advice {
        data_source::advice(&self.source, external, found)
    }

    fn key_of(&self, external: &External) -> &'static str {
        data_source::key_of(&self.source, external)
    }

    fn data_name(&self) -> Option<String> {
        data_source::name(&self.source)
    }

    fn facts(&self, of: &FactsOf<'_>) -> Facts {
        let set = data_source::known_of(self.from.as_ref(), &self.source, of);
        match self.target {
            TargetKind::Store => {
                let size = self.resize.side().map(|side| [side; 2]).or(set.size);
                Known { channels: Some(3), size, draws: Some(false), ..set }.into()
            }
            _ => set.into(),
        }
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("resize", self.resize.validate());
        let is_folder = matches!(self.source, Source::Folder { .. } | Source::ImageNetFolder { .. });
        if self.target == TargetKind::Folder && self.by != LinkMode::Copy && !is_folder {
            let message = "expected `copy`: links need a set that is a folder of files".to_owned();
            problems.push(ConfigProblem { key: "by".to_owned(), message });
        }
        if self.target == TargetKind::Tars && !matches!(self.source, Source::Tar { .. }) {
            let message = "expected another target than `tars`, which needs a set of tars".to_owned();
            problems.push(ConfigProblem { key: "target".to_owned(), message });
        }
        let of_no_use = [
            ("by", self.by != LinkMode::Copy && self.target != TargetKind::Folder, "folder"),
            ("resize", self.resize != Resize::default() && self.target != TargetKind::Store, "store"),
            ("damaged", self.damaged != Damaged::default() && self.target != TargetKind::Store, "store"),
        ];
        problems.extend(of_no_use.into_iter().filter(|(_, is_given, _)| *is_given).map(
            |(key, _, target)| {
                let message = format!("is of use only with `target = \"{target}\"`");
                ConfigProblem { key: key.to_owned(), message }
            },
        ));
        problems.extend(data_source::problems(self.from.as_ref(), &self.source));
        problems
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        let Some(source) = data_source::resolve_here(self.from.as_ref(), &self.source, ctx) else {
            return Ok(None);
        };
        let picture_bytes = match (self.target, self.resize, &source) {
            (TargetKind::Store, Resize::CentreCrop(side) | Resize::MinResizeCentreCrop(side), _) => {
                3 * side * side
            }
            (TargetKind::Store, Resize::Keep, Source::Store { path }) => {
                let store = ImageStore::open(path)?;
                3 * store.height() * store.width()
            }
            (TargetKind::Lmdb, _, _) | (TargetKind::Folder, _, Source::Lsun { .. }) => 0,
            _ => return Ok(None),
        };
        let n_removed = removed_keys(&read_groups(&ctx.input(&self.groups).join(GROUPS))?).len() as u64;
        let Some(n_images) = data_source::n_read(&source, None, ctx)? else { return Ok(None) };
        let n_kept = n_images.saturating_sub(n_removed);
        Ok(match (picture_bytes, &source) {
            // Of pictures that are copied as they are, the share that stays; an LMDB may be half empty.
            (0, Source::Lsun { path }) => {
                let n_bytes = fs_err::metadata(path.join("data.mdb"))?.len();
                Some((0.4 * n_bytes as f64 * n_kept as f64 / n_images.max(1) as f64) as u64)
            }
            (0, _) => None,
            _ => Some(n_kept * picture_bytes as u64),
        })
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let source = data_source::resolve(self.from.as_ref(), &self.source, ctx)?;
        let groups = read_groups(&ctx.input(&self.groups).join(GROUPS))?;
        let Overruled { groups, n_overruled, n_not_found } = match &self.judged {
            Some(path) => overrule(path, groups)?,
            None => Overruled { groups, n_overruled: 0, n_not_found: 0 },
        };
        if let Some(path) = self.judged.as_ref().filter(|_| n_not_found > 0) {
            ctx.progress().warn(format_args!(
                "{}: {} marked not_same that was not found (other settings, another set, or neither of the two stays): it changes nothing",
                path.display(),
                counted(n_not_found, "pair")
            ));
        }
        let readable = Readable::read(&ctx.input(&self.groups))?;
        let mut task = ctx.task("writing", "pictures");
        let summary = regenerate(&source, &groups, &readable, self.target(), ctx.out, &mut |done, total| {
            task.observe(done, total)
        })?;
        drop(task);
        let n_images = summary.n_kept + summary.n_removed;
        let mut differences = published::compare_duplicates(summary.n_removed, n_images);
        if summary.n_bad > 0 {
            let left_out = format!("left out for being unreadable: {}", counted(summary.n_bad, "picture"));
            ctx.progress().warn(format_args!("{left_out}; bad.csv in the stage's folder says why"));
            differences.differences.push(left_out);
        }
        let mut metrics = serde_json::to_value(&summary)?;
        if self.judged.is_some() {
            metrics["n_overruled"] = n_overruled.into();
        }
        data_source::list_passed_over(&source, ctx, &mut metrics)?;
        data_source::note_left_out(&source, ctx, &mut metrics)?;
        Ok(Outcome { metrics, differences })
    }
}
