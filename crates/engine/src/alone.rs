//! Runs one stage without a manifest.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::cache::FingerprintCache;
use crate::check::out_among_inputs;
use crate::cluster::Cluster;
use crate::context::Place;
use crate::folder::Target;
use crate::inputs::{Location, gather};
use crate::kind::StageConfig;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::record::{InputRecord, Record};
use crate::run_stage::{CPU, Job, execute, restore};
use crate::staleness::{Current, damage, differences};
use crate::version::{Version, extends};

/// What became of a stage run alone.
#[derive(Debug)]
pub struct Alone {
    /// The record of what is in its folder now.
    pub record: Record,
    /// False if that was there and nothing would change.
    pub has_run: bool,
}

/// Runs one stage without a manifest; the inputs in its configuration are paths. With `force` it runs where nothing would
/// change, and replaces a stage made from something else, which is then kept.
///
/// # Errors
/// If `out` is no stage's folder, or one that would be replaced without `force`, else as [`run`](crate::run::run).
pub fn run_alone(
    config: &StageConfig,
    out: &Path,
    (device, cluster): (Option<&str>, Option<&Cluster>),
    force: bool,
    progress: &Progress,
) -> anyhow::Result<Alone> {
    let shares = config.stage().shares_folder();
    let mut read: Vec<(&str, PathBuf)> =
        config.stage().external_paths().into_iter().map(|external| (external.key, external.path)).collect();
    read.extend(config.stage().inputs().iter().map(|input| (input.key, input.name.as_path().to_owned())));
    if !shares {
        out_among_inputs(out, &read)?;
    }
    let out = std::path::absolute(out)?;
    let target = Target::at(&out)?;
    check_place(config, &target)?;
    let _lock = if shares { Lock::of_folder(&out, progress)? } else { Lock::of_stage(&target, progress)? };
    let cache = FingerprintCache::forgetful();
    let inputs = gather(config, Location::Paths, &cache, progress)?;
    if !shares
        && !force
        && let Some(record) = unchanged(config, &target, &inputs, device, &cache, progress)?
    {
        return Ok(Alone { record, has_run: false });
    }
    let id = target.name().to_string_lossy().into_owned();
    // Forced over what is there made from the same, it is made anew.
    let is_anew = match Record::read(target.folder()) {
        Ok(Some(record)) => {
            Version::of_record(&record, config.registry()).content == Version::of(config, &inputs)?.content
        }
        _ => force,
    };
    let kept = match shares || is_anew {
        true => None,
        false => kept_alone(config, &target, &inputs, device, &cache, progress)?,
    };
    let location = Location::Paths;
    let place = Place { device: device.unwrap_or(CPU), cluster };
    let job = Job { id: &id, cell: &[], config, target: &out, location, inputs, place };
    if let Some((folder, record)) = kept {
        restore(&job, &folder, &cache)?;
        progress.note(format_args!("{id}: put back from the versions that are kept, {}", folder.display()));
        return Ok(Alone { record, has_run: false });
    }
    Ok(Alone { record: execute(job, &cache, progress)?, has_run: true })
}

/// Makes sure that a stage of this kind may fill the folder.
fn check_place(config: &StageConfig, target: &Target) -> anyhow::Result<()> {
    if let Ok(Some(record)) = Record::read(target.folder())
        && record.kind != config.kind().name
    {
        bail!(
            "{} was made by a stage of kind {} and would be replaced, so give another `--out`",
            target.folder().display(),
            record.kind
        );
    }
    // A stage that shares its folder replaces nothing in it.
    if !config.stage().shares_folder() {
        target.check_way()?;
    }
    // The folder may be a stage's of a run that is going on.
    Lock::check_free(target.folder().parent().unwrap_or(Path::new("/")))
}

/// A version of a stage alone that is kept, is what a run would make, and that nobody has changed.
fn kept_alone(
    config: &StageConfig,
    target: &Target,
    inputs: &[InputRecord],
    device: Option<&str>,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<Option<(PathBuf, Record)>> {
    let now = current(config, inputs, device)?;
    for folder in target.complete(&Version::of(config, inputs)?) {
        if let Ok(Some(record)) = Record::read(&folder)
            && differences(&record, &now).is_empty()
            && damage(&folder, &record, cache, progress)?.is_empty()
        {
            return Ok(Some((folder, record)));
        }
    }
    Ok(None)
}

/// What a stage alone would be made from.
fn current(config: &StageConfig, inputs: &[InputRecord], device: Option<&str>) -> anyhow::Result<Current> {
    Ok(Current {
        stage_version: config.kind().version,
        config: serde_json::to_value(config)?,
        inputs: inputs.to_vec(),
        device: device.filter(|_| config.kind().traits.uses_device).map(str::to_owned),
    })
}

/// The record of a stage's folder that is what a run would make; none if there is none.
fn unchanged(
    config: &StageConfig,
    target: &Target,
    inputs: &[InputRecord],
    device: Option<&str>,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<Option<Record>> {
    let shown = target.folder().display();
    let advice =
        "give another `--out`, or `--force` to replace it: what is there is then kept as an earlier version";
    let record = match Record::read(target.folder()) {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(None),
        Err(error) => bail!("{shown} is there, and its record cannot be read ({error:#}); {advice}"),
    };
    let now = current(config, inputs, device)?;
    let mut reasons = differences(&record, &now);
    let damaged = damage(target.folder(), &record, cache, progress)?;
    let goes_on = damaged.is_empty() && extends(&record, config, inputs, device.unwrap_or(CPU))?;
    let advice = match goes_on {
        true => {
            "`--force` goes on from there, and keeps what is there as an earlier version; or give another `--out`"
        }
        false => advice,
    };
    reasons.extend(damaged);
    match reasons.as_slice() {
        [] => Ok(Some(record)),
        [reason, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            bail!("{shown} is there, made otherwise: {reason}{more}; {advice}")
        }
    }
}
