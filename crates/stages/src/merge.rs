//! `merge`: the parts of a set, each made by another machine, as the whole.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use dcgan_dedup::hash::{HashedPart, merge};
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, no_bearing};
use dcgan_engine::record::Record;
use dcgan_engine::stage::{Artifact, Facts, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_eval::{Standard, merge_features};
use dcgan_faces::FacesPart;
use dcgan_files::words::counted;
use dcgan_images::{ImageStore, Shard, Source, merge_stores, without_image};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::crop_faces::CropFaces;
use crate::import_images::note_empty_classes;
use crate::lineage::{DESCRIPTION, MERGE};
use crate::{artifact, published};

/// Which parts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Merge {
    /// The stages that made the parts (import_images, crop_faces, hash_images or extract_features with `shard`), in any order.
    #[schemars(length(min = 1))]
    parts: Vec<Input>,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: MERGE,
    version: 2,
    summary: "put the parts of a set that import_images, crop_faces, hash_images or extract_features made with `shard` together",
    details: "Writes the bytes of a run without shards. Each of the parts 1/n to n/n must be there once, all made by one version of the \
              stage with the same settings from the same data, as their records say: a part that is missing, there twice or made otherwise is \
              named, and nothing is written. What gives each machine its part (a Slurm array, xargs -P) is no concern of this program: \
              `dcgan stage hash_images --out part-$i shard=$i/64 …`.",
    example: &["parts=[\"out/part-1\", \"out/part-2\"]"],
    paper: &[no_bearing("*")],
    traits: Traits::NONE,
    config: ConfigType::of::<Merge>(),
};

/// The kinds that make parts.
const KINDS_WITH_PARTS: [&str; 4] = ["import_images", "crop_faces", "hash_images", "extract_features"];

/// A part, as its record has it.
struct Part {
    folder: PathBuf,
    shard: Shard,
    record: Record,
}

impl Part {
    fn read(folder: PathBuf) -> anyhow::Result<Self> {
        let record = Record::read(&folder)?;
        let record =
            record.with_context(|| format!("{}: expected a part, found no stage.json", folder.display()))?;
        let kind = record.kind.as_str();
        ensure!(
            KINDS_WITH_PARTS.contains(&kind),
            "{}: expected a part that {} made, found one of {kind}",
            folder.display(),
            KINDS_WITH_PARTS.join(", ")
        );
        let shard = record.config.pointer(&format!("/{kind}/shard")).and_then(Value::as_str);
        let shard = shard.with_context(|| {
            format!("{}: expected a part, made with `shard`, found the whole set", folder.display())
        })?;
        Ok(Self { shard: shard.parse()?, folder, record })
    }

    /// What must be the same of all parts: the settings, with the content of what was read in place of its name.
    fn made_by(&self) -> Value {
        let mut config = self.record.config.clone();
        if let Some(settings) = config.get_mut(&self.record.kind).and_then(Value::as_object_mut) {
            settings.remove("shard");
        }
        // Where what it read lies, by name or path, is another matter on each machine.
        let mut read = Value::Object(serde_json::Map::new());
        for input in &self.record.inputs {
            read[&input.key] = json!(input.fingerprint);
            if let Some(name) = config.pointer_mut(&format!("/{}/{}", self.record.kind, input.key)) {
                forget(name, &input.name);
            }
        }
        // Files are divided as they are listed, by each machine for itself.
        read["list of files"] = self.record.metrics["divided"]["list"].clone();
        json!({"settings": config, "read": read, "version": self.record.stage_version, "parts": self.shard.count()})
    }
}

/// Takes a name out of a setting: the setting itself, or a path of the data set that it describes.
fn forget(setting: &mut Value, name: &str) {
    match setting {
        Value::String(text) if text == name => text.clear(),
        Value::Object(kinds) => {
            let paths = kinds.values_mut().filter_map(Value::as_object_mut).flatten();
            let paths = paths.filter(|(key, _)| ["path", "images", "labels"].contains(&key.as_str()));
            paths.for_each(|(_, path)| forget(path, name));
        }
        _ => {}
    }
}

/// The first entry in which two differ, by its path.
fn difference(ours: &Value, theirs: &Value, path: &str) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => one.iter().find_map(|(key, entry)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            difference(entry, other.get(key).unwrap_or(&Value::Null), &path)
        }),
        _ => (ours != theirs).then(|| match path.strip_prefix("read.") {
            Some(key) => format!("what it read as `{key}` is not the same"),
            None => format!("{path}: {theirs}, not {ours}"),
        }),
    }
}

/// The parts in their order; an error where they are not all parts of one whole, each once.
fn whole(mut parts: Vec<Part>) -> anyhow::Result<Vec<Part>> {
    parts.sort_by_key(|part| part.shard);
    let Some(first) = parts.first() else { bail!("`parts`: expected at least one, found none") };
    let (ours, count) = (first.made_by(), first.shard.count());
    for part in &parts {
        ensure!(
            part.record.kind == first.record.kind,
            "{} was made by {}, {} by {}: parts are of one kind",
            part.folder.display(),
            part.record.kind,
            first.folder.display(),
            first.record.kind
        );
        if let Some(difference) = difference(&ours, &part.made_by(), "") {
            bail!(
                "{} ({}) is no part of the whole that {} ({}) is of: {difference}",
                part.folder.display(),
                part.shard,
                first.folder.display(),
                first.shard
            );
        }
    }
    for pair in parts.windows(2) {
        ensure!(
            pair[0].shard != pair[1].shard,
            "expected each part once, found {} in {} and in {}",
            pair[0].shard,
            pair[0].folder.display(),
            pair[1].folder.display()
        );
    }
    let is_there = |index: u64| parts.binary_search_by_key(&index, |part| part.shard.index()).is_ok();
    let missing: Vec<String> =
        (1..=count).filter(|index| !is_there(*index)).map(|index| format!("{index}/{count}")).collect();
    ensure!(
        missing.is_empty(),
        "expected the parts 1/{count} to {count}/{count}, found all but {}",
        missing.join(", ")
    );
    Ok(parts)
}

/// The classes of a store of which no picture is there.
fn empty_classes(store: &Path) -> anyhow::Result<Vec<String>> {
    let store = ImageStore::open(store)?;
    let labels: HashSet<u32> = store.labels()?.into_iter().flatten().collect();
    Ok(without_image(store.meta().class_names.as_deref().unwrap_or_default(), &labels))
}

impl Stage for Merge {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let part = |name| InputRef { key: "parts", name, needs: artifact::PARTS };
        self.parts.iter().map(part).collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        // Which of them, the parts tell.
        vec![artifact::IMAGES, artifact::CODES, artifact::FEATURES, artifact::FIGURES]
    }

    fn yields_of(&self, of: &dyn Fn(&Input) -> Vec<Artifact>) -> Vec<Artifact> {
        match self.parts.iter().map(of).find(|yields| !yields.is_empty()) {
            None => self.yields(),
            Some(yields) if yields.contains(&artifact::FACES_PART) => {
                vec![artifact::IMAGES, artifact::FIGURES]
            }
            Some(yields) => yields,
        }
    }

    fn facts(&self, of: &FactsOf<'_>) -> Facts {
        self.parts.first().map_or(Facts::Null, of)
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        let mut n_bytes = 0;
        for part in &self.parts {
            let record = Record::read(&ctx.input(part))?;
            n_bytes += record.map_or(0, |record| record.outputs.values().map(|file| file.bytes).sum::<u64>());
        }
        Ok(Some(n_bytes))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let parts: Vec<Part> =
            self.parts.iter().map(|part| Part::read(ctx.input(part))).collect::<Result<_, _>>()?;
        let parts = whole(parts)?;
        let count = |name: &str| {
            parts.iter().map(|part| part.record.metrics[name].as_u64().unwrap_or(0)).sum::<u64>()
        };
        let n_bad = |part: &Part| part.record.metrics["n_bad"].as_u64().unwrap_or(0);
        let folders: Vec<PathBuf> = parts.iter().map(|part| part.folder.clone()).collect();
        let kind = parts[0].record.kind.as_str();
        let unit = ["n_images", "n_rows"].into_iter().map(count).max().unwrap_or(0);
        let mut task = ctx.task("merging", if kind == "crop_faces" { "parts" } else { "pictures" });
        let mut observe = |done: u64| task.observe(done, unit);
        let mut faces = None;
        let mut metrics = match kind {
            "hash_images" => {
                let part = |part: &Part| HashedPart { dir: part.folder.clone(), n_bad: n_bad(part) };
                let hashed: Vec<HashedPart> = parts.iter().map(part).collect();
                serde_json::to_value(merge(&hashed, ctx.out, &mut observe)?)?
            }
            "crop_faces" => {
                let part = |part: &Part| FacesPart { dir: part.folder.clone(), n_bad: n_bad(part) };
                let cropped: Vec<FacesPart> = parts.iter().map(part).collect();
                let settings: CropFaces = serde_json::from_value(parts[0].record.config[kind].clone())?;
                let (summary, differences) = settings.merge(&cropped, ctx, &mut observe)?;
                faces = Some(differences);
                let mut metrics = serde_json::to_value(summary)?;
                if let Some(metrics) = metrics.as_object_mut() {
                    // What parts took their own records say.
                    metrics.retain(|name, _| !name.ends_with("_share") && name != "n_resumed");
                }
                metrics
            }
            "extract_features" => {
                let mut observe = |done, total| task.observe(done, total);
                let merged = merge_features(&folders, ctx.out, &mut observe)?;
                copy_beside(&folders, ctx.out)?;
                json!({"n_rows": merged.n_rows, "n_features": merged.n_columns})
            }
            _ => json!({"n_images": merge_stores(&folders, ctx.out, &mut observe)?, "n_bad": count("n_bad")}),
        };
        metrics["n_parts"] = parts.len().into();
        note_the_rest(&parts, &mut metrics);
        let differences = match (kind, faces) {
            (_, Some(faces)) => faces,
            ("extract_features", _) => Comparison::found(Vec::new()),
            _ => compared(&parts[0].record, count("n_images"), count("n_bad"), ctx, &mut metrics)?,
        };
        Ok(Outcome { metrics, differences })
    }
}

/// Notes what was not read at all, which the last part has told, or each of its own files.
fn note_the_rest(parts: &[Part], metrics: &mut Value) {
    let mut not_read = BTreeMap::<&str, u64>::new();
    let mut left_out = Vec::new();
    for part in parts {
        let told = part.record.metrics["not_read"].as_object().into_iter().flatten();
        for (kind, n) in told {
            *not_read.entry(kind).or_default() += n.as_u64().unwrap_or(0);
        }
        left_out.extend(part.record.metrics["left_out"].as_array().into_iter().flatten().cloned());
    }
    if !not_read.is_empty() {
        metrics["not_read"] = json!(not_read);
    }
    if !left_out.is_empty() {
        metrics["left_out"] = left_out.into();
    }
}

/// Copies what stands beside features and is the same in every part.
fn copy_beside(parts: &[PathBuf], out: &Path) -> anyhow::Result<()> {
    for name in [DESCRIPTION, Standard::FILE] {
        let Some((first, others)) = parts.split_first().filter(|(first, _)| first.join(name).exists()) else {
            continue;
        };
        let bytes = fs_err::read(first.join(name))?;
        for other in others.iter().map(|part| part.join(name)) {
            ensure!(
                fs_err::read(&other)? == bytes,
                "{}: expected the bytes of {}, found others",
                other.display(),
                first.join(name).display()
            );
        }
        fs_err::write(out.join(name), bytes)?;
    }
    Ok(())
}

/// Compares a whole set with the paper's, as the stage that made the parts would.
fn compared(
    part: &Record,
    n_images: u64,
    n_bad: u64,
    ctx: &Context<'_>,
    metrics: &mut Value,
) -> anyhow::Result<Comparison> {
    let settings = part.config[&part.kind].clone();
    let source: Source = serde_json::from_value(settings["source"].clone())?;
    let mut differences = published::compare(&source, n_images, !settings["from"].is_null());
    if part.kind == "import_images" {
        if n_bad > 0 {
            let text = format!("left out: {} that could not be read", counted(n_bad, "picture"));
            differences.differences.push(text);
        }
        if matches!(source, Source::Folder { classes: true, .. } | Source::ImageNetFolder { .. }) {
            note_empty_classes(&empty_classes(ctx.out)?, ctx, metrics);
        }
    }
    Ok(differences)
}
