//! Lists of what stays and of what does not, by anti-join and semi-join.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use dcgan_dedup::DedupError;
use dcgan_dedup::group::GROUPS;
use dcgan_dedup::hash::files::{BAD, CODES};
use dcgan_dedup::regenerate::files::{KEEP, REMOVE, TARS};
use dcgan_files::columns::{Column, Kind, Writer, read};
use dcgan_files::key;
use dcgan_images::{Source, archives, read_bad};
use serde::Serialize;
use serde_json::json;

use crate::error::there;
use crate::functions::TarSpec;
use crate::near::json as json_literal;
use crate::session::{Session, texts};
use crate::work::Work;
use crate::{ClusterError, Result, codes, out};

/// What is listed, and where to.
#[derive(Clone, Debug)]
pub struct RemoveJob {
    /// What `hash_images` or `dcgan-cluster hash` filled.
    pub hashed: PathBuf,
    /// The folder of `groups.parquet`.
    pub groups: PathBuf,
    /// The set, where it is one of tars and these are to be written again.
    pub tars: Option<Source>,
    /// Where the lists go.
    pub out: PathBuf,
    /// Where stages are kept until all is done.
    pub work: PathBuf,
}

/// What is in the lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoveReport {
    /// Images that stay.
    pub n_kept: u64,
    /// Images that do not.
    pub n_removed: u64,
}

const SCHEMA: &str = "message keys {
    REQUIRED INT32 image (INTEGER(32, false));
    REQUIRED BYTE_ARRAY key (STRING);
}";

/// Writes `keep.txt` and `remove.txt`, in the order of the set, what could not be hashed as `bad.csv`, and, where the set's tars are given,
/// `tars/`: each under its name without what does not stay.
///
/// # Errors
/// Where the groups name what is not in the set, a file cannot be read or written, or the engine gives up.
pub fn remove(session: &Session, job: &RemoveJob) -> Result<RemoveReport> {
    out::check_beside(&job.out, &job.work)?;
    let groups =
        there(&job.groups.join(GROUPS), "groups, by `dcgan-cluster group` or the stage group_duplicates")?;
    // Executors run elsewhere.
    let here = std::env::current_dir()?;
    let source = job.tars.as_ref().map(|source| source.within(&here));
    let set = source.as_ref().map(codes::stamps).transpose()?;
    let about = json!({
        "remove": codes::identity(&job.hashed)?, "groups": groups, "stamp": codes::stamp(&groups)?, "tars": source, "set": set,
    });
    let mut work = Work::open(session, &job.work, &about)?;
    work.make("keys", &mut |path| {
        let codes = job.hashed.join(CODES);
        codes::check_keys(session, &codes)?;
        number(&codes, path)
    })?;
    session.table("groups", std::slice::from_ref(&groups))?;
    work.stage("removed", "SELECT key FROM groups WHERE elsewhere <> 0 OR key <> representative")?;
    refuse_strangers(&work, &groups)?;
    let tars = source.map(|source| rewrite(&mut work, &source, &job.hashed)).transpose()?.unwrap_or_default();
    for (list, join) in [("keep", "ANTI"), ("remove", "SEMI")] {
        work.stage(
            list,
            &format!("SELECT k.image, k.key FROM keys AS k LEFT {join} JOIN removed AS r ON k.key = r.key"),
        )?;
    }
    let report = out::folder(&job.out, &mut |dir| {
        let report = RemoveReport {
            n_kept: write(&work, "keep", &dir.join(KEEP))?,
            n_removed: write(&work, "remove", &dir.join(REMOVE))?,
        };
        let bad = job.hashed.join(BAD);
        if bad.exists() {
            fs_err::copy(bad, dir.join(BAD))?;
        }
        if !tars.is_empty() {
            fs_err::create_dir(dir.join(TARS))?;
        }
        for tar in &tars {
            let to = dir.join(TARS).join(tar.file_name().unwrap_or_default());
            if fs_err::hard_link(tar, &to).is_err() {
                fs_err::copy(tar, &to)?;
            }
        }
        Ok(report)
    })?;
    for tar in &tars {
        fs_err::remove_file(tar)?;
    }
    if let Some(folder) = tars.first().and_then(|tar| tar.parent()) {
        fs_err::remove_dir(folder)?;
    }
    work.finish()?;
    Ok(report)
}

const ARCHIVE: &str =
    "message archive { REQUIRED BYTE_ARRAY name (STRING); REQUIRED BYTE_ARRAY path (STRING); }";
const KEY: &str = "message key { REQUIRED BYTE_ARRAY key (STRING); }";

/// Writes each archive of a set again where there is room; returns where they are.
fn rewrite(work: &mut Work<'_>, source: &Source, hashed: &Path) -> Result<Vec<PathBuf>> {
    let archives = archives(source).map_err(DedupError::from)?;
    if archives.is_empty() {
        return Err(ClusterError::setting("tars", "a set of tars", &source.to_string()));
    }
    let mut lists = Vec::new();
    for (index, archive) in archives.iter().enumerate() {
        // A file each, so that each can be a task.
        lists.push(work.list(&format!("archive-{index:06}"), &mut |path| {
            let name = key::of_path(Path::new(archive.file_name().unwrap_or_default()));
            let mut writer = Writer::create(path, ARCHIVE)?;
            writer.write(&[
                Column::Strings(vec![name]),
                Column::Strings(vec![archive.display().to_string()]),
            ])?;
            Ok(writer.finish()?)
        })?);
    }
    work.session().table("archives", &lists)?;
    let bad = hashed.join(BAD);
    work.make("bad", &mut |path| {
        let bad = if bad.exists() { read_bad(&bad).map_err(DedupError::from)? } else { Vec::new() };
        let mut writer = Writer::create(path, KEY)?;
        writer.write(&[Column::Strings(bad.into_iter().map(|(key, _)| key).collect())])?;
        Ok(writer.finish()?)
    })?;
    let spec = TarSpec { folder: work.path("tars") };
    work.stage(
        "rewritten",
        &format!(
            "SELECT a.name, rewrite_tar(a.path, coalesce(g.keys, ''), {}) AS n_kept FROM archives AS a LEFT JOIN (
                 SELECT split_part(key, '/', 1) AS name, string_agg(key, chr(10)) AS keys
                 FROM (SELECT key FROM removed UNION ALL SELECT key FROM bad) GROUP BY 1
             ) AS g ON a.name = g.name",
            json_literal(&spec)
        ),
    )?;
    refuse_other_tars(work, source)?;
    Ok(archives.iter().map(|archive| spec.copy(archive)).collect())
}

/// Refuses archives in which there are not as many pictures that stay as among the codes.
fn refuse_other_tars(work: &Work<'_>, source: &Source) -> Result<()> {
    let query = "
        SELECT coalesce(r.name, k.name) FROM rewritten AS r FULL JOIN (
            SELECT split_part(k.key, '/', 1) AS name, count(*) AS n FROM keys AS k LEFT ANTI JOIN removed AS d ON k.key = d.key GROUP BY 1
        ) AS k ON r.name = k.name WHERE coalesce(r.n_kept, 0) <> coalesce(k.n, 0) ORDER BY 1 LIMIT 1";
    let mut other = None;
    work.session().each_text("tars", query, &mut |name| {
        other = Some(name.to_owned());
        Ok(())
    })?;
    match other {
        None => Ok(()),
        Some(name) => {
            let path = source.paths().first().copied().unwrap_or(Path::new(""));
            let found = format!("{name} with other pictures, or only in one of the two");
            Err(ClusterError::file(path, "the archives that were hashed", found))
        }
    }
}

/// The keys of the set with their numbers.
fn number(codes: &Path, path: &Path) -> Result<()> {
    let mut writer = Writer::create(path, SCHEMA)?;
    let (mut n, mut written) = (0, Ok(()));
    read(codes, &[("key", Kind::Strings)], |columns| {
        let n_rows = match columns.first() {
            Some(Column::Strings(keys)) => keys.len() as u32,
            _ => 0,
        };
        let images = Column::U32((n..n + n_rows).collect());
        n += n_rows;
        if written.is_ok() {
            written = writer.write(&std::iter::once(images).chain(columns).collect::<Vec<_>>());
        }
    })?;
    written?;
    Ok(writer.finish()?)
}

/// Groups of another set are refused, and those of which nobody would stay.
fn refuse_strangers(work: &Work<'_>, groups: &Path) -> Result<()> {
    let looks = [
        (
            "SELECT r.key FROM removed AS r LEFT ANTI JOIN keys AS k ON r.key = k.key ORDER BY r.key LIMIT 1",
            "which is not in it",
        ),
        (
            "SELECT g.representative FROM groups AS g LEFT ANTI JOIN keys AS k ON g.representative = k.key
             WHERE g.elsewhere = 0 ORDER BY 1 LIMIT 1",
            "which is to stay for others, but is not in it",
        ),
        (
            "SELECT g.representative FROM groups AS g JOIN removed AS r ON g.representative = r.key
             WHERE g.elsewhere = 0 AND g.key <> g.representative ORDER BY 1 LIMIT 1",
            "which is to stay for others, but is itself removed",
        ),
    ];
    for (query, what) in looks {
        let mut found = None;
        work.session().each_text("lists", query, &mut |key| {
            found = Some(format!("{key}, {what}"));
            Ok(())
        })?;
        if let Some(found) = found {
            return Err(ClusterError::file(groups, "groups of the set", found));
        }
    }
    Ok(())
}

/// Writes the keys of a table in the order of the set.
fn write(work: &Work<'_>, list: &str, path: &Path) -> Result<u64> {
    let mut file = BufWriter::new(fs_err::File::create(path)?);
    let mut n = 0;
    work.session().read_in_order(
        "lists",
        &format!("SELECT key FROM {list} ORDER BY image"),
        &mut |batch| {
            n += batch.num_rows() as u64;
            texts(batch, 0)?.iter().flatten().try_for_each(|key| Ok(writeln!(file, "{key}")?))
        },
    )?;
    file.flush()?;
    Ok(n)
}
