//! Groups of near-duplicates.

use std::path::{Path, PathBuf};

use dcgan_dedup::group::{GroupConfig, GroupWriter, Mirrored, READABLE, Readable, Rule, RuleCounts};
use serde::Serialize;
use serde_json::json;

use crate::near::{self, Near};
use crate::session::Session;
use crate::work::Work;
use crate::{ClusterError, Result, codes, components, named, out};

/// What is grouped, and where to.
#[derive(Clone, Debug)]
pub struct GroupJob {
    /// What `hash_images` or `dcgan-cluster hash` filled.
    pub hashed: PathBuf,
    /// The rule, exact or near.
    pub config: GroupConfig,
    /// Where the groups go.
    pub out: PathBuf,
    /// Where stages are kept until all is done.
    pub work: PathBuf,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    /// Images in the set.
    pub n_images: u64,
    /// Groups by equal codes, where that is the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<RuleCounts>,
    /// Groups by near codes and a second look, where that is the rule.
    #[serde(rename = "near", skip_serializing_if = "Option::is_none")]
    pub near_groups: Option<RuleCounts>,
    /// Of the rule near: what the search met.
    #[serde(flatten)]
    pub(crate) met: Option<Near>,
}

impl GroupReport {
    /// What the rule found.
    pub fn counts(&self) -> RuleCounts {
        self.near_groups.clone().or_else(|| self.exact.clone()).unwrap_or_default()
    }
}

impl GroupJob {
    fn check(&self) -> Result<()> {
        self.config.validate()?;
        if self.config.rule == Rule::Phash {
            return Err(ClusterError::setting("rule", "exact or near", "phash"));
        }
        if self.config.mirrored == Mirrored::Report {
            return Err(ClusterError::setting("mirrored", "ignore or group", "report"));
        }
        out::check_beside(&self.out, &self.work)
    }
}

/// Finds the groups and writes `groups.parquet`, `map.csv`, `map.parquet` and `readable.json` as `group_duplicates` does, and
/// `groups.json` with the counts.
///
/// # Errors
/// Where a setting is out of range, a file cannot be read or written, or the engine gives up.
pub fn group(session: &Session, job: &GroupJob) -> Result<GroupReport> {
    job.check()?;
    let about = json!({"group": codes::identity(&job.hashed)?, "config": job.config});
    let mut work = Work::open(session, &job.work, &about)?;
    let n_images = codes::number(&mut work, &job.hashed)?;
    let (table, near) = match job.config.rule {
        Rule::Near => {
            let near = near::edges(&mut work, &job.hashed, &job.config, n_images)?;
            (components::components(&mut work)?, Some(near))
        }
        _ => {
            work.stage("doubled", DOUBLED)?;
            work.stage("exact", EXACT)?;
            ("exact".to_owned(), None)
        }
    };
    named::name(&mut work, &table, &job.hashed)?;
    let report = out::folder(&job.out, &mut |dir| {
        let counts = write(&work, job, dir)?;
        let (exact, near_groups) = match near {
            None => (Some(counts), None),
            Some(_) => (None, Some(counts)),
        };
        let report = GroupReport { n_images, exact, near_groups, met: near.clone() };
        write_json(&dir.join("groups.json"), &report)?;
        write_json(&dir.join(READABLE), &Readable::of_hashed(&job.hashed)?)?;
        Ok(report)
    })?;
    work.finish()?;
    Ok(report)
}

/// Codes that several images have, and the first of these. That there are few, as a rule, is known before they are joined: a join holds the
/// smaller side in memory.
const DOUBLED: &str =
    "SELECT word0, word1, min(image) AS first FROM codes GROUP BY word0, word1 HAVING count(*) > 1";

/// Each image with an equal code before it, and the first image of that code.
const EXACT: &str = "
    SELECT c.image AS a, d.first AS b FROM codes AS c JOIN doubled AS d ON c.word0 = d.word0 AND c.word1 = d.word1
    WHERE c.image > d.first";

/// Writes the groups, as on one machine: by their first images.
fn write(work: &Work<'_>, job: &GroupJob, dir: &Path) -> Result<RuleCounts> {
    let mut writer = GroupWriter::create(&job.hashed, &job.config, dir)?;
    let (mut group, mut group_first) = (Vec::new(), None);
    named::each(work, &mut |first, image| {
        if group_first.is_some_and(|last| last != first) {
            writer.write(std::mem::take(&mut group))?;
        }
        group_first = Some(first);
        group.push(image);
        Ok(())
    })?;
    if !group.is_empty() {
        writer.write(group)?;
    }
    Ok(writer.finish()?)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(std::io::Error::from)?;
    Ok(fs_err::write(path, text)?)
}
