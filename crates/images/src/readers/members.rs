//! Members of an archive, each of which must be there once: programs disagree on which of two counts.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use crate::{ImagesError, Result, key};

/// The members of an archive so far: 24 bytes each.
#[derive(Default)]
pub(crate) struct Members {
    /// Where each begins, by two independent hashes of its name: that two names share both is not to be expected.
    seen: HashMap<[u64; 2], u64>,
    hashers: [RandomState; 2],
}

impl Members {
    /// Notes a member whose header is at byte `offset` of `archive`.
    pub(crate) fn note(&mut self, archive: &Path, name: &[u8], offset: u64) -> Result<()> {
        // `./a.jpg` and `a.jpg` are unpacked to one file.
        let parts: Vec<&[u8]> =
            name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        let hashes = [0, 1].map(|k| self.hashers[k].hash_one(&parts));
        match self.seen.insert(hashes, offset) {
            None => Ok(()),
            Some(first) => Err(ImagesError::layout(
                archive,
                "each member once",
                format!("{} at byte {first} and at byte {offset}", key::of(name)),
            )),
        }
    }
}
