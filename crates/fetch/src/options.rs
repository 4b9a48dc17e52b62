//! How hard is tried, and where.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::stores::Stores;
use crate::{Checksum, FetchError, Result};

/// How files are fetched.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tried before a file's own addresses, in turn: an address or a folder that holds the files by their names.
    pub mirrors: Vec<String>,
    /// Whether a file's own addresses are tried too.
    pub official: bool,
    /// By file name, other checksums than the published ones; none: do not compare, only record.
    pub checksums: BTreeMap<String, Option<Checksum>>,
    /// Attempts at one address in a row that receive nothing new, at most.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles with every further one, and is made up to half longer or shorter by
    /// chance.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// A connection that receives fewer than [`Options::STALL_BYTES`] in this time is given up.
    pub stall: Duration,
    /// The most bytes of a file whose size is not published; none: [`crate::RemoteFile::most_bytes`].
    pub max_bytes: Option<u64>,
    /// Bytes of the disk that stay free while a file of unknown length grows.
    pub keep_free: u64,
    /// Whether archives stay in `.downloads` once they are unpacked.
    pub keep_archives: bool,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are heeded.
    pub proxy_from_environment: bool,
    /// Whether to say which files have no published checksum.
    pub tell_unpublished: bool,
    /// For addresses of objects, `s3://bucket/key` and `gs://bucket/name`.
    pub stores: Stores,
}

impl Options {
    /// See [`Options::stall`].
    pub const STALL_BYTES: u64 = 4096;

    /// For a set's shards, whose checksums nobody publishes, from stores as the environment says.
    pub fn of_shards() -> Self {
        Self { stores: Stores::from_environment(), tell_unpublished: false, ..Self::default() }
    }

    /// # Errors
    /// [`FetchError::Setting`].
    pub fn validate(&self) -> Result<()> {
        if self.attempts == 0 {
            return Err(FetchError::Setting {
                name: "attempts",
                expected: "at least 1".into(),
                found: "0".into(),
            });
        }
        if self.stall < Duration::from_millis(100) {
            return Err(FetchError::Setting {
                name: "stall",
                expected: "at least 0.1 s".into(),
                found: format!("{} s", self.stall.as_secs_f64()),
            });
        }
        for mirror in &self.mirrors {
            let scheme = mirror.split_once("://").map(|(scheme, _)| scheme);
            if mirror.is_empty() || scheme.is_some_and(|scheme| scheme != "http" && scheme != "https") {
                return Err(FetchError::Setting {
                    name: "mirrors",
                    expected: "addresses with http:// or https://, or folders".into(),
                    found: format!("{mirror:?}"),
                });
            }
        }
        if !self.official && self.mirrors.is_empty() {
            return Err(FetchError::Setting {
                name: "official",
                expected: "true where there are no mirrors".into(),
                found: "false".into(),
            });
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            official: true,
            checksums: BTreeMap::new(),
            attempts: 6,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            max_bytes: None,
            keep_free: 256 << 20,
            keep_archives: false,
            proxy_from_environment: true,
            tell_unpublished: true,
            stores: Stores::default(),
        }
    }
}
