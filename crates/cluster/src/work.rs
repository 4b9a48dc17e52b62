//! Stages of a job: Parquet files in a folder, each there once it is whole. A job that was stopped goes on behind those that are.

use std::path::{Path, PathBuf};
use std::time::Instant;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use dcgan_engine::cluster::{self, LOCK};
use dcgan_engine::terminal::say;
use serde_json::{Value, json};

use crate::session::Session;
use crate::{ClusterError, Result};

/// What the job is, and the mark by which the folder is known as ours.
const JOB: &str = "dcgan-cluster.json";

/// Settings that are told, where there are many.
const MOST_DIFFERENCES: usize = 3;

/// In what two jobs differ.
fn differences(there: &Value, now: &Value, name: &str, found: &mut Vec<String>) {
    match (there, now) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let [a, b] = [a, b].map(|all| all.get(key).unwrap_or(&Value::Null));
                differences(a, b, key, found);
            }
        }
        _ if there != now => found.push(format!("{name} is {there} there, {now} now")),
        _ => {}
    }
}

/// A job's folder, on the engine.
pub(crate) struct Work<'a> {
    session: &'a Session,
    dir: PathBuf,
    /// Held as long as the job is worked on.
    _lock: fs_err::File,
    /// Files that are the job's.
    files: Vec<PathBuf>,
}

impl<'a> Work<'a> {
    /// Opens the folder of a job, or makes it.
    ///
    /// # Errors
    /// Where it holds another job, or something that is no job.
    pub(crate) fn open(session: &'a Session, dir: &Path, job: &Value) -> Result<Self> {
        let path = dir.join(JOB);
        let job = json!({"program": "dcgan-cluster", "version": 4, "job": job});
        if session.flow().is_break() {
            return Err(ClusterError::Interrupted);
        }
        let is_new = !dir.exists() || dir.read_dir()?.next().is_none();
        if !is_new && !path.exists() && !dir.join(LOCK).exists() {
            let expected = "an empty folder or one of the same job";
            return Err(ClusterError::file(dir, expected, format!("other files and no {JOB}")));
        }
        fs_err::create_dir_all(dir)?;
        let lock =
            cluster::lock(&dir.join(LOCK)).map_err(|error| std::io::Error::other(format!("{error:#}")))?;
        if path.exists() {
            let found = match fs_err::read(&path) {
                Ok(text) => serde_json::from_slice::<Value>(&text).unwrap_or_default(),
                Err(error) => return Err(error.into()),
            };
            if !found.is_null() && found != job {
                let mut differing = Vec::new();
                differences(&found, &job, "", &mut differing);
                differing.truncate(MOST_DIFFERENCES);
                let found =
                    format!("another ({}): give another --work, or delete that one", differing.join(", "));
                return Err(ClusterError::file(&path, "the same job", found));
            }
        }
        fs_err::write(&path, job.to_string())?;
        let dir = fs_err::canonicalize(dir)?;
        Ok(Self { session, files: vec![dir.join(LOCK), dir.join(JOB)], dir, _lock: lock })
    }

    /// The engine.
    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// Where a file of the job lies, or will.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes a stage's file by a function, unless it is there, and names it as a table.
    pub(crate) fn make(&mut self, name: &str, make: &mut dyn FnMut(&Path) -> Result<()>) -> Result<PathBuf> {
        let clock = Instant::now();
        let was_there = self.path(&format!("{name}.parquet")).exists();
        let path = self.list(name, make)?;
        self.name(name, std::slice::from_ref(&path), (!was_there).then_some(clock))?;
        Ok(path)
    }

    /// The same of a stage of so many files, which are made together: so many tasks can read it.
    pub(crate) fn make_parts(
        &mut self,
        name: &str,
        n_parts: usize,
        make: &mut dyn FnMut(&[PathBuf]) -> Result<()>,
    ) -> Result<()> {
        let clock = Instant::now();
        let paths = |ending: &str| -> Vec<PathBuf> {
            (1..=n_parts).map(|k| self.path(&format!("{name}-{k:03}.{ending}"))).collect()
        };
        let (partial, whole) = (paths("partial.parquet"), paths("parquet"));
        let was_there = whole.iter().all(|path| path.exists());
        if !was_there {
            make(&partial)?;
            for (partial, whole) in partial.iter().zip(&whole) {
                fs_err::rename(partial, whole)?;
            }
        }
        self.files.extend(whole.iter().cloned());
        self.name(name, &whole, (!was_there).then_some(clock))
    }

    /// Names files as a table, and says how many rows it has and, of a new one, how long it took.
    fn name(&self, name: &str, paths: &[PathBuf], clock: Option<Instant>) -> Result<()> {
        self.session.table(name, paths)?;
        let n_rows = self.count(&format!("SELECT count(*) FROM \"{name}\""))?;
        match clock {
            None => say(format_args!("{name}: {n_rows} rows, from an earlier run")),
            Some(clock) => {
                say(format_args!("{name}: {n_rows} rows in {:.1} s", clock.elapsed().as_secs_f64()))
            }
        }
        Ok(())
    }

    /// The same of a file that is no stage of its own: nothing is said of it, and it is no table.
    pub(crate) fn list(&mut self, name: &str, make: &mut dyn FnMut(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.path(&format!("{name}.parquet"));
        if !path.exists() {
            // The file is made anew where an earlier attempt left a part of it.
            let partial = self.path(&format!("{name}.partial.parquet"));
            make(&partial)?;
            fs_err::rename(&partial, &path)?;
        }
        self.files.push(path.clone());
        Ok(path)
    }

    /// A number that the job goes by, as it was when the job began.
    pub(crate) fn keep(&mut self, name: &str, number: usize) -> Result<usize> {
        let path = self.path(&format!("{name}.json"));
        if !path.exists() {
            let partial = self.path(&format!("{name}.partial.json"));
            fs_err::write(&partial, number.to_string())?;
            fs_err::rename(&partial, &path)?;
        }
        let text = fs_err::read_to_string(&path)?;
        self.files.push(path.clone());
        text.parse().map_err(|_| ClusterError::file(&path, "a number", text))
    }

    /// Makes a stage's file of what a query finds.
    pub(crate) fn stage(&mut self, name: &str, query: &str) -> Result<PathBuf> {
        let session = self.session;
        self.make(name, &mut |path| session.write(name, query, path))
    }

    /// A number that a query finds; 0 where it is of nothing.
    pub(crate) fn count(&self, query: &str) -> Result<u64> {
        let mut found = 0;
        self.session.read("count", query, &mut |batch| {
            let values = cast(batch.column(0), &DataType::Int64);
            let values = values.map_err(|error| ClusterError::engine("count", error.into()))?;
            found = values.as_primitive::<Int64Type>().iter().flatten().next().unwrap_or(0) as u64;
            Ok(())
        })?;
        Ok(found)
    }

    /// Deletes the job's files, all of which it made or knew by its mark, and the folder if nothing else is in it.
    pub(crate) fn finish(self) -> Result<()> {
        for file in self.files.iter().rev() {
            fs_err::remove_file(file)?;
        }
        // What else is there is somebody's.
        let _ = std::fs::remove_dir(&self.dir);
        Ok(())
    }
}
