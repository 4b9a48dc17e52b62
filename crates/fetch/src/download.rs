//! All attempts at all addresses until a file is there and verified.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::Rng as _;

use crate::checksum::{Digests, digest};
use crate::event::{Action, Observe, note, progress};
use crate::http::agent;
use crate::part::{self, Part};
use crate::place::measure;
use crate::transfer::{Attempt, attempt, copy};
use crate::{FetchError, Options, RemoteFile, Result};

/// An attempt that receives as much counts as one that went forward.
const PROGRESS_BYTES: u64 = 64 << 10;
/// Whole downloads from one address whose checksum may be wrong before it is given up.
const N_WRONG: u32 = 2;
const TICK: Duration = Duration::from_millis(100);

/// A file that has arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Where it is, within the folder of downloads.
    pub(crate) path: PathBuf,
    pub(crate) digests: Digests,
    pub(crate) origin: String,
    /// The server's `ETag` of it, or its date.
    pub(crate) version: Option<String>,
    /// True if it was downloaded by this program, so that it may be removed.
    pub(crate) is_ours: bool,
}

/// Where a file may be had.
enum Address {
    Url(String),
    File(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The mirrors, then the file's own addresses. A mirror that is a folder may also be laid out as a data folder.
fn addresses(file: &RemoteFile, options: &Options) -> Vec<Address> {
    let mut addresses = Vec::new();
    for mirror in &options.mirrors {
        if mirror.contains("://") {
            addresses.push(Address::Url(format!("{}/{}", mirror.trim_end_matches('/'), file.name)));
        } else {
            let folder = Path::new(mirror);
            let laid_out = folder.join(file.install.path());
            let plain = folder.join(&file.name);
            let is_laid_out = !plain.exists() && laid_out.is_file();
            addresses.push(Address::File(if is_laid_out { laid_out } else { plain }));
        }
    }
    if options.official {
        addresses.extend(file.urls.iter().cloned().map(Address::Url));
    }
    addresses
}

/// Brings a file into `folder` under its own name.
///
/// # Errors
/// [`FetchError::Unavailable`] with what every address said, [`FetchError::Space`], [`FetchError::Io`] and
/// [`FetchError::Interrupted`].
pub(crate) fn download(
    file: &RemoteFile,
    folder: &Path,
    options: &Options,
    observe: &mut Observe<'_>,
) -> Result<Arrived> {
    let path = folder.join(&file.name);
    if fs_err::symlink_metadata(&path).is_ok() {
        // It had arrived before, and what followed was cut short; or somebody put it there.
        let is_ours = part::is_ours(&path)?;
        if path.is_symlink() {
            return Err(part::foreign(&path));
        }
        let Some(digests) = measure(&path, observe)? else { return Err(part::foreign(&path)) };
        match wrong(file, &digests) {
            None => {
                let version = part::version_of(&path)?;
                return Ok(Arrived { path, digests, origin: "an earlier download".into(), version, is_ours });
            }
            Some(_) if is_ours => part::forget(&path)?,
            Some(_) => return Err(part::foreign(&path)),
        }
    }
    let mut part = Part::open(folder, &file.name)?;
    let mut tries = Vec::new();
    for address in addresses(file, options) {
        match from(&address, file, &mut part, options, observe)? {
            Ok(digests) => {
                let origin = address.to_string();
                let version = part.origin().validator().map(str::to_owned);
                part.finish(&path)?;
                return Ok(Arrived { path, digests, origin, version, is_ours: true });
            }
            Err(why) => tries.push(format!("{address}: {why}")),
        }
    }
    Err(FetchError::Unavailable { file: file.name.clone(), kept: folder.to_path_buf(), tries })
}

/// All attempts at one address; the inner error says why it was given up.
fn from(
    address: &Address,
    file: &RemoteFile,
    part: &mut Part,
    options: &Options,
    observe: &mut Observe<'_>,
) -> Result<std::result::Result<Digests, String>> {
    let agent = agent(options, matches!(address, Address::Url(url) if options.stores.is_https(url)));
    let (mut n_vain, mut n_wrong) = (0, 0);
    loop {
        let before = part.n_bytes();
        let outcome = match address {
            Address::Url(url) => attempt(&agent, url, file, part, options, observe)?,
            Address::File(path) => copy(path, file, part, observe)?,
        };
        let (why, wait) = match outcome {
            Attempt::Complete => {
                let digests = digest(part.path(), &file.name, observe)?;
                let Some(why) = wrong(file, &digests) else { return Ok(Ok(digests)) };
                part.clear()?;
                n_wrong += 1;
                if n_wrong == N_WRONG || matches!(address, Address::File(_)) {
                    return Ok(Err(why));
                }
                (why, None)
            }
            Attempt::Hopeless { why } => return Ok(Err(why)),
            Attempt::Failed { why, wait } => (why, wait),
        };
        n_vain = if part.n_bytes() >= before + PROGRESS_BYTES { 0 } else { n_vain + 1 };
        if n_vain >= options.attempts {
            return Ok(Err(format!("{why} (given up after {n_vain} attempts that brought nothing new)")));
        }
        let wait = wait.unwrap_or_else(|| back_off(n_vain, options));
        note(observe, format!("{address}: {why}; trying again in {:.1} s", wait.as_secs_f64()));
        sleep(wait, file, part.n_bytes(), observe)?;
    }
}

/// What is wrong with a file that has arrived, if something is.
fn wrong(file: &RemoteFile, digests: &Digests) -> Option<String> {
    if let Some(n_bytes) = file.bytes
        && n_bytes != digests.n_bytes
    {
        return Some(format!("expected {n_bytes} bytes, found {}", digests.n_bytes));
    }
    let expected = file.checksum.as_ref()?;
    let found = digests.of(expected.algorithm());
    (found != expected).then(|| format!("expected {expected}, found {found}"))
}

/// `first_wait`, doubled with every attempt in vain, times 0.5 to 1.5.
fn back_off(n_vain: u32, options: &Options) -> Duration {
    let doubled = options.first_wait.saturating_mul(1 << n_vain.saturating_sub(1).min(20));
    doubled.min(options.longest_wait).mul_f64(rand::rng().random_range(0.5..1.5))
}

fn sleep(wait: Duration, file: &RemoteFile, done: u64, observe: &mut Observe<'_>) -> Result<()> {
    let end = Instant::now() + wait;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        progress(observe, Action::Downloading, &file.name, done, file.bytes)?;
        std::thread::sleep(left.min(TICK));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary_by_half() {
        let options = Options::default();
        for (n_vain, seconds) in [(0, 1.0), (1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (4_000, 60.0)] {
            for _ in 0..100 {
                let wait = back_off(n_vain, &options).as_secs_f64();
                assert!((0.5 * seconds..=1.5 * seconds).contains(&wait), "{n_vain}: {wait}");
            }
        }
    }
}
