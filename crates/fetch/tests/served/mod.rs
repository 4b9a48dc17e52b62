//! The file that the tests' server has, and how it is fetched.
#![allow(dead_code)]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use dcgan_fetch::{Install, Options, RemoteFile, Result, Summary, fetch};

use crate::server::Server;

/// What the server calls this version of the file.
pub(crate) const ETAG: &str = "\"v1\"";

/// 300,000 bytes of which no two places are alike.
pub(crate) fn contents() -> Vec<u8> {
    (0..75_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// The file, with its size and checksum where they are published.
pub(crate) fn file(server: &Server, is_known: bool) -> RemoteFile {
    let checksum = is_known.then(|| SHA256.parse().unwrap());
    RemoteFile {
        name: "file.bin".into(),
        urls: vec![format!("{}/file.bin", server.address)],
        bytes: is_known.then_some(300_000),
        likely_bytes: None,
        checksum,
        install: Install::File { path: "set/file.bin".into() },
        estimate: 0,
    }
}

/// python3 -c "import hashlib,struct; print(hashlib.sha256(b''.join(struct.pack('<I',i*2654435761%2**32)
/// for i in range(75000))).hexdigest())"
pub(crate) const SHA256: &str = "sha256:e496e24b4de3ed92e3247412ae0a588a002b2e209bff58a8a138020cc8e75fed";

/// Options that try again at once.
pub(crate) fn options() -> Options {
    Options {
        attempts: 3,
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_millis(40),
        stall: Duration::from_secs(2),
        proxy_from_environment: false,
        ..Options::default()
    }
}

/// Fetches the file into a data folder.
pub(crate) fn fetch_one(file: &RemoteFile, data: &Path) -> Result<Summary> {
    fetch(std::slice::from_ref(file), &options(), data, &mut |_| ControlFlow::Continue(()))
}
