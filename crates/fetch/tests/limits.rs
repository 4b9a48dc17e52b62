//! Files too large for the disk or for their limit, by the length that a server states or as their bytes arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod served;
mod server;

use std::ops::ControlFlow;

use dcgan_fetch::{Event, FetchError, Options, RemoteFile, Result, Summary, fetch};

use served::{ETAG, contents, fetch_one, file, options};
use server::{Reply, Server, honest};

#[test]
fn too_little_room_is_an_error_before_anything_is_asked() {
    let server = Server::start(|asked| honest(&contents(), ETAG, asked));
    let folder = tempfile::tempdir().unwrap();
    let file = RemoteFile { estimate: 1 << 62, ..file(&server, true) };
    let error = fetch_one(&file, folder.path()).unwrap_err();
    assert!(matches!(error, FetchError::Space { .. }), "{error}");
    assert!(server.asked().is_empty());
}

/// Fetches a file of unpublished size from a server that states its length only where `states_length`.
fn without_length(options: &Options, states_length: bool) -> (Result<Summary>, tempfile::TempDir) {
    let server = Server::start(move |asked| {
        let reply = honest(&contents(), ETAG, asked);
        if states_length { reply } else { reply.length(None) }
    });
    let folder = tempfile::tempdir().unwrap();
    let observe = &mut |_: Event<'_>| ControlFlow::Continue(());
    (fetch(&[file(&server, false)], options, folder.path(), observe), folder)
}

#[test]
fn a_file_of_unknown_length_has_a_limit_which_the_error_names() {
    for states_length in [false, true] {
        let options = Options { max_bytes: Some(299_999), ..options() };
        let (outcome, folder) = without_length(&options, states_length);
        let error = outcome.unwrap_err().to_string();
        let expected =
            "more than 299999, the limit for a file whose size is not published; `max_bytes` raises it";
        assert!(error.contains(expected), "{error}");
        let part = folder.path().join(".downloads/file.bin.part");
        assert!(std::fs::metadata(part).map_or(0, |metadata| metadata.len()) <= 299_999);
        let options = Options { max_bytes: Some(300_000), ..options };
        without_length(&options, states_length).0.unwrap();
    }
}

#[test]
fn the_limit_follows_the_size_that_the_set_usually_has() {
    let limit =
        |likely_bytes| RemoteFile { likely_bytes, ..file(&Server::start(|_| Reply::new(404, b"")), false) };
    assert_eq!(limit(None).most_bytes(), 16 << 30);
    assert_eq!(limit(Some(46_000_000_000)).most_bytes(), 69_000_000_000 + (1 << 30));
    assert_eq!(limit(Some(u64::MAX)).most_bytes(), u64::MAX);
}

#[test]
fn a_file_of_unknown_length_does_not_fill_the_disk() {
    let (outcome, folder) = without_length(&Options { keep_free: 1 << 62, ..options() }, false);
    let error = outcome.unwrap_err();
    let expected = format!("expected {} bytes of free disk space for file.bin, found", 1u64 << 62);
    assert!(matches!(error, FetchError::Space { .. }) && error.to_string().contains(&expected), "{error}");
    assert!(!folder.path().join("set/file.bin").exists());
    // Where the length is known, that much room is enough.
    without_length(&Options { keep_free: 1 << 62, ..options() }, true).0.unwrap();
}
