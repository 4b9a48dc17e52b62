//! Stages that are handed to `dcgan-cluster`, the program that divides their work among machines.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::progress::Progress;
use crate::space::parse_bytes;

/// The program's name.
const PROGRAM: &str = "dcgan-cluster";
/// The file, in a folder of work, that whoever works there has locked.
pub const LOCK: &str = "dcgan-cluster.lock";
/// How long is waited for one who is about to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// The folder, within a stage's own, of what is half done.
const FOLDER: &str = "cluster";
/// The folder in that one, of stages.
const WORK: &str = "work";
/// The engine in a process of its own on this machine.
const LOCAL: &str = "local";
/// How often it is looked whether to stop.
const POLL: Duration = Duration::from_millis(100);

/// Where stages run whose work can be divided: the table `[cluster]` of a manifest, or `--cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The address of a scheduler, `df://host:50050`, or `local`: an engine on this machine that keeps to a limit of memory.
    pub scheduler: String,
    /// Parts that a data set is hashed in, each by one machine; 16 where it is not set.
    #[serde(default)]
    pub parts: Option<u32>,
    /// What the engine may hold in memory on this machine, such as 4GB, before it writes to `spill`.
    #[serde(default)]
    pub memory: Option<String>,
    /// A folder on this machine for what does not fit into memory; the system's for temporary files where it is not set.
    #[serde(default)]
    #[schemars(extend("format" = "folder"))]
    pub spill: Option<PathBuf>,
    /// The program `dcgan-cluster`, where it is neither beside this program nor on the path.
    #[serde(default)]
    #[schemars(extend("format" = "file"))]
    pub program: Option<PathBuf>,
}

impl Cluster {
    /// The one at an address, with all else left open.
    pub fn at(scheduler: String) -> Self {
        Self { scheduler, parts: None, memory: None, spill: None, program: None }
    }

    /// What is wrong with it: keys, each with a message.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| problems.push((key.to_owned(), message));
        let is_address = self.scheduler.strip_prefix("df://").and_then(|place| place.rsplit_once(':'));
        let is_address =
            is_address.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_address && self.scheduler != LOCAL {
            problem("scheduler", format!("expected `local` or df://HOST:PORT, found `{}`", self.scheduler));
        }
        if let Some(Err(message)) = self.memory.as_deref().map(parse_bytes) {
            problem("memory", message);
        }
        if self.parts == Some(0) {
            problem("parts", "expected at least 1, found 0".to_owned());
        }
        problems
    }

    /// Looks for the program, which must be of this one's version.
    ///
    /// # Errors
    /// If it is not there, or another one.
    pub fn check(&self) -> anyhow::Result<()> {
        let program = self.program();
        let asked = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let asked = asked.with_context(|| {
            format!(
                "a stage is to run on the cluster {}, for which {} is needed: `cargo install --path crates/cluster` installs it",
                self.scheduler,
                program.display()
            )
        })?;
        let found = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        let expected = format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"));
        if found != expected {
            bail!("{}: expected {expected}, found {found}", program.display());
        }
        Ok(())
    }

    fn program(&self) -> PathBuf {
        let beside = || {
            let path = std::env::current_exe().ok()?.with_file_name(PROGRAM);
            path.is_file().then_some(path)
        };
        // A path, never a name that is looked for elsewhere.
        let given = || std::path::absolute(self.program.as_ref()?).ok();
        given().or_else(beside).unwrap_or_else(|| PROGRAM.into())
    }

    /// True if a stage is half done, and not by a cluster.
    pub(crate) fn has_begun_elsewhere(out: &Path) -> anyhow::Result<bool> {
        for entry in fs_err::read_dir(out)? {
            if entry?.file_name() != FOLDER {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has `dcgan-cluster` do a stage's work: what it makes is then in the stage's folder `out`. Returns what it reports. Interrupted or
    /// killed, the stage goes on behind what was complete.
    ///
    /// # Errors
    /// What the program says went wrong.
    pub fn run(
        &self,
        out: &Path,
        progress: &Progress,
        (verb, arguments): (&str, Vec<OsString>),
    ) -> anyhow::Result<Value> {
        let folder = std::path::absolute(out.join(FOLDER))?;
        let found = folder.join("found");
        clear(&found)?;
        fs_err::create_dir_all(&folder)?;
        let mut command = Command::new(self.program());
        command.arg(verb).args(arguments).arg("--attended");
        command.arg("--cluster").arg(&self.scheduler).arg("--out").arg(&found);
        command.arg("--work").arg(folder.join(WORK));
        if let Some(spill) = &self.spill {
            command.arg("--spill").arg(spill);
        }
        command.args(self.memory.iter().flat_map(|memory| ["--memory", memory.as_str()]));
        let report = attend(command, progress)?;
        for entry in fs_err::read_dir(&found)? {
            let entry = entry?;
            fs_err::rename(entry.path(), out.join(entry.file_name()))?;
        }
        clear(&folder)?;
        Ok(report)
    }

    /// Parts that a data set is hashed in.
    pub fn parts(&self) -> u32 {
        self.parts.unwrap_or(16)
    }
}

/// Settings as `dcgan-cluster` takes them: KEY=VALUE, the value as JSON.
///
/// # Errors
/// If they cannot be written as JSON.
pub fn cluster_settings(settings: &impl Serialize) -> serde_json::Result<Vec<OsString>> {
    let settings = serde_json::to_value(settings)?;
    let settings = settings.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    Ok(settings.map(|(key, value)| format!("{key}={value}").into()).collect())
}

/// Deletes what a cluster left half done in a stage's folder, before the stage is made here instead.
///
/// # Errors
/// If somebody still works there after a minute, or it cannot be deleted.
pub(crate) fn forget(out: &Path) -> anyhow::Result<()> {
    let folder = out.join(FOLDER);
    let path = folder.join(WORK).join(LOCK);
    // The program that was started for a run that was killed stops a moment later.
    let _lock = match path.exists() {
        true => Some(lock(&path)?),
        false => None,
    };
    clear(&folder)
}

/// Locks a file, which is made where it is not there.
///
/// # Errors
/// If another holds it for a minute, or it cannot be made.
pub fn lock(path: &Path) -> anyhow::Result<fs_err::File> {
    let file = fs_err::File::create(path)?;
    let began = std::time::Instant::now();
    loop {
        match file.file().try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if began.elapsed() < PATIENCE => std::thread::sleep(POLL),
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!("{}: another {PROGRAM} works in this folder", path.display())
            }
            Err(std::fs::TryLockError::Error(error)) => bail!("{}: {error}", path.display()),
        }
    }
}

/// Deletes a folder within the half-done folder of a stage.
fn clear(folder: &Path) -> anyhow::Result<()> {
    match folder.is_dir() {
        true => Ok(fs_err::remove_dir_all(folder)?),
        false => Ok(()),
    }
}

/// Runs the program: passes on what it says, ends it when the run is interrupted, and reads the JSON that it prints.
fn attend(mut command: Command, progress: &Progress) -> anyhow::Result<Value> {
    let program = command.get_program().to_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C is passed on by this program, and once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    // The program stops when this end is closed, be it by the end of this process.
    let mut attention = child.stdin.take();
    let printed = reader(&mut child);
    let (sender, said) = channel();
    let stderr = child.stderr.take();
    std::thread::spawn(move || {
        let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines());
        lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let mut error = None;
    loop {
        if progress.interrupt().is_requested() {
            attention = None;
        }
        match said.recv_timeout(POLL) {
            Ok(line) => match line.strip_prefix("error: ") {
                Some(message) => error = Some(message.to_owned()),
                None => progress.note(format_args!("  {line}")),
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    drop(attention);
    let printed = printed.join().unwrap_or_default();
    match (status.success(), error) {
        (true, _) => serde_json::from_str(&printed)
            .with_context(|| format!("what {} printed, {printed:?}, is not its report", program.display())),
        (false, Some(error)) => bail!("{error}"),
        (false, None) => bail!("{} ended with {status}", program.display()),
    }
}

/// Reads what a program prints while it runs.
fn reader(child: &mut Child) -> std::thread::JoinHandle<String> {
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let mut text = String::new();
        // What cannot be read is missed below, by who parses it.
        let _ = stdout.map(|mut stdout| stdout.read_to_string(&mut text));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_none_are_refused_by_name() {
        let problems = |cluster: &Cluster| -> Vec<String> {
            cluster.problems().into_iter().map(|(key, message)| format!("{key}: {message}")).collect()
        };
        for place in ["local", "df://a:50050", "df://::1:7"] {
            assert!(problems(&Cluster::at(place.to_owned())).is_empty(), "{place}");
        }
        for place in ["", "a:50050", "df://a", "df://:5", "df://a:port", "http://a:50050"] {
            assert_eq!(
                problems(&Cluster::at(place.to_owned())),
                [format!("scheduler: expected `local` or df://HOST:PORT, found `{place}`")]
            );
        }
        let all = Cluster {
            parts: Some(0),
            memory: Some("4 bananas".to_owned()),
            ..Cluster::at("df://a:1".to_owned())
        };
        let keys: Vec<String> = all.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["memory", "parts"]);
    }

    #[test]
    fn a_program_that_is_missing_or_another_is_named() {
        let cluster =
            |program: &str| Cluster { program: Some(program.into()), ..Cluster::at("local".to_owned()) };
        let message = format!("{:#}", cluster("/nowhere/dcgan-cluster").check().unwrap_err());
        assert!(
            message.contains("/nowhere/dcgan-cluster is needed: `cargo install --path crates/cluster`"),
            "{message}"
        );
        let message = format!("{:#}", cluster("/bin/echo").check().unwrap_err());
        assert!(message.contains("/bin/echo: expected dcgan-cluster "), "{message}");
    }
}
