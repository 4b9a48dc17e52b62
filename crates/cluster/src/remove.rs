//! Lists of what stays and of what does not, by anti-join and semi-join.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use dcgan_dedup::DedupError;
use dcgan_dedup::group::GROUPS;
use dcgan_dedup::hash::files::{BAD, CODES};
use dcgan_dedup::regenerate::files::{KEEP, REMOVE};
use dcgan_files::columns::{Column, Kind, Writer, read};
use dcgan_images::read_bad;
use serde::Serialize;
use serde_json::json;

use crate::session::Session;
use crate::work::Work;
use crate::{ClusterError, Result, codes, out};

/// What is listed, and where to.
#[derive(Clone, Debug)]
pub struct RemoveJob {
    /// What `hash_images` or `dcgan-cluster hash` filled.
    pub hashed: PathBuf,
    /// The folder of `groups.parquet`.
    pub groups: PathBuf,
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
    /// Images that could not be hashed; `bad.csv` lists them.
    pub n_bad: u64,
}

const SCHEMA: &str = "message keys {
    REQUIRED INT32 image (INTEGER(32, false));
    REQUIRED BYTE_ARRAY key (STRING);
}";

/// Writes `keep.txt` and `remove.txt`, in the order of the set, and what could not be hashed as `bad.csv`.
///
/// # Errors
/// Where the groups name what is not in the set, a file cannot be read or written, or the engine gives up.
pub fn remove(session: &Session, job: &RemoveJob) -> Result<RemoveReport> {
    out::check(&job.out)?;
    let groups = fs_err::canonicalize(job.groups.join(GROUPS))?;
    let about = json!({"remove": codes::identity(&job.hashed)?, "groups": groups});
    let mut work = Work::open(session, &job.work, &about)?;
    work.make("keys", &mut |path| number(&job.hashed.join(CODES), path))?;
    session.table("groups", std::slice::from_ref(&groups))?;
    work.stage("removed", "SELECT key FROM groups WHERE elsewhere <> 0 OR key <> representative")?;
    refuse_strangers(&work, &groups)?;
    let report = out::folder(&job.out, &mut |dir| {
        let list = |name: &str, join: &str| {
            let query = format!(
                "SELECT k.key FROM keys AS k LEFT {join} JOIN removed AS r ON k.key = r.key ORDER BY k.image"
            );
            write(&work, &query, &dir.join(name))
        };
        let (n_kept, n_removed, mut n_bad) = (list(KEEP, "ANTI")?, list(REMOVE, "SEMI")?, 0);
        let bad = job.hashed.join(BAD);
        if bad.exists() {
            fs_err::copy(&bad, dir.join(BAD))?;
            n_bad = read_bad(&bad).map_err(DedupError::from)?.len() as u64;
        }
        Ok(RemoveReport { n_kept, n_removed, n_bad })
    })?;
    work.finish()?;
    Ok(report)
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

/// Groups of another set are refused.
fn refuse_strangers(work: &Work<'_>, groups: &Path) -> Result<()> {
    let query =
        "SELECT r.key FROM removed AS r LEFT ANTI JOIN keys AS k ON r.key = k.key ORDER BY r.key LIMIT 1";
    let mut stranger = None;
    work.session().each_text("lists", query, &mut |key| {
        stranger = Some(key.to_owned());
        Ok(())
    })?;
    match stranger {
        None => Ok(()),
        Some(key) => {
            Err(ClusterError::file(groups, "groups of the set", format!("{key}, which is not in it")))
        }
    }
}

fn write(work: &Work<'_>, query: &str, path: &Path) -> Result<u64> {
    let mut file = BufWriter::new(fs_err::File::create(path)?);
    let mut n = 0;
    work.session().each_text("lists", query, &mut |key| {
        n += 1;
        Ok(writeln!(file, "{key}")?)
    })?;
    file.flush()?;
    Ok(n)
}
