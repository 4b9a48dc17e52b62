//! Checksums, as `md5:…` and `sha256:…`.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::event::{Action, Observe, progress};
use crate::{FetchError, Result};

const CHUNK: usize = 1 << 20;

/// A way to compute checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, as most data sets publish it: good against accidents, not against attackers.
    Md5,
    /// SHA-256.
    Sha256,
}

/// A checksum, written `md5:` or `sha256:` and hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum {
    algorithm: Algorithm,
    /// Lower case.
    digits: String,
}

impl Checksum {
    /// What it is computed by.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.algorithm {
            Algorithm::Md5 => "md5",
            Algorithm::Sha256 => "sha256",
        };
        write!(f, "{name}:{}", self.digits)
    }
}

impl FromStr for Checksum {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self> {
        let known = [("md5:", Algorithm::Md5, 32), ("sha256:", Algorithm::Sha256, 64)];
        for (prefix, algorithm, n_digits) in known {
            if let Some(digits) = text.strip_prefix(prefix)
                && digits.len() == n_digits
                && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            {
                return Ok(Self { algorithm, digits: digits.to_ascii_lowercase() });
            }
        }
        Err(FetchError::Setting {
            name: "checksum",
            expected: "`md5:` and 32 or `sha256:` and 64 hexadecimal digits".into(),
            found: format!("{text:?}"),
        })
    }
}

impl TryFrom<String> for Checksum {
    type Error = FetchError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

/// What a file's bytes come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) n_bytes: u64,
    pub(crate) md5: Checksum,
    pub(crate) sha256: Checksum,
}

impl Digests {
    /// That of the algorithm.
    pub(crate) fn of(&self, algorithm: Algorithm) -> &Checksum {
        match algorithm {
            Algorithm::Md5 => &self.md5,
            Algorithm::Sha256 => &self.sha256,
        }
    }
}

/// Reads a file once. `label` names it in progress.
pub(crate) fn digest(path: &Path, label: &str, observe: &mut Observe<'_>) -> Result<Digests> {
    let mut file = fs_err::File::open(path)?;
    let total = file.metadata()?.len();
    let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
    let mut buffer = vec![0; CHUNK];
    let mut n_bytes = 0;
    loop {
        progress(observe, Action::Verifying, label, n_bytes, Some(total))?;
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        md5.update(&buffer[..n]);
        sha256.update(&buffer[..n]);
        n_bytes += n as u64;
    }
    Ok(Digests {
        n_bytes,
        md5: Checksum { algorithm: Algorithm::Md5, digits: hex(&md5.finalize()) },
        sha256: Checksum { algorithm: Algorithm::Sha256, digits: hex(&sha256.finalize()) },
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    #[test]
    fn digests_are_those_of_md5sum_and_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs_err::write(&path, "abc").unwrap();
        let digests = digest(&path, "abc", &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(digests.n_bytes, 3);
        assert_eq!(digests.md5.to_string(), "md5:900150983cd24fb0d6963f7d28e17f72");
        let sha256 = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digests.sha256.to_string(), sha256);
        assert_eq!(sha256.to_uppercase().replace("SHA", "sha").parse::<Checksum>().unwrap(), digests.sha256);
    }

    #[test]
    fn other_texts_are_no_checksums() {
        for text in ["", "md5:", "900150983cd24fb0d6963f7d28e17f72", "md5:zz0150983cd24fb0d6963f7d28e17f72"] {
            assert!(text.parse::<Checksum>().is_err(), "{text}");
        }
    }
}
