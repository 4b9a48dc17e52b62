//! What is watched while a file comes: that it is not too much, and not too little.

use std::time::{Duration, Instant};

use crate::part::Part;
use crate::{Options, RemoteFile, Result, space};

/// Bytes after which the room on the disk is checked again.
const LOOK_EVERY: u64 = 32 << 20;

/// Watches that a file of unpublished size stays within its limit, and that the disk has room for what is to come.
pub(crate) struct Growth<'a> {
    file: &'a RemoteFile,
    total: Option<u64>,
    most: u64,
    keep_free: u64,
    /// Size at which room is checked next.
    next_look: u64,
}

impl<'a> Growth<'a> {
    pub(crate) fn new(file: &'a RemoteFile, total: Option<u64>, options: &Options) -> Self {
        let most = file.bytes.or(options.max_bytes).unwrap_or_else(|| file.most_bytes());
        Self { file, total, most, keep_free: options.keep_free, next_look: 0 }
    }

    /// What is wrong with so many bytes, if something is; a published size is compared elsewhere.
    pub(crate) fn over(&self, n_bytes: u64) -> Option<String> {
        let most = self.most;
        (self.file.bytes.is_none() && n_bytes > most).then(|| {
            format!(
                "more than {most}, the limit for a file whose size is not published; `max_bytes` raises it"
            )
        })
    }

    /// Fails where others have filled the disk meanwhile, or where a file of unknown length does.
    pub(crate) fn check_room(&mut self, part: &Part) -> Result<()> {
        let n_bytes = part.n_bytes();
        if n_bytes < self.next_look {
            return Ok(());
        }
        self.next_look = n_bytes + LOOK_EVERY;
        let needed = self.total.map_or(self.keep_free, |total| total.saturating_sub(n_bytes));
        space::check(part.path().parent().unwrap_or(part.path()), &self.file.name, needed)
    }
}

/// Watches that enough arrives.
pub(crate) struct Stall {
    limit: Duration,
    since: Instant,
    n_bytes: u64,
}

impl Stall {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: Instant::now(), n_bytes: 0 }
    }

    pub(crate) fn saw(&mut self, n_bytes: u64) {
        self.n_bytes += n_bytes;
        if self.n_bytes >= Options::STALL_BYTES {
            (self.since, self.n_bytes) = (Instant::now(), 0);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed() >= self.limit
    }
}

impl std::fmt::Display for Stall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.limit.as_secs_f64();
        write!(f, "fewer than {} bytes came in {seconds} s", Options::STALL_BYTES)
    }
}
