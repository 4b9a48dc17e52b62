//! Downloads from a real server that misbehaves in every way a server or a network can.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod served;
mod server;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dcgan_fetch::{Event, FetchError, LEDGER, Options, Set, fetch};

use served::{ETAG, SHA256, contents, fetch_one, file, options};
use server::{Asked, Reply, Server, honest};

/// As `contents`, and as long, but another file.
fn other() -> Vec<u8> {
    contents().iter().map(|byte| !byte).collect()
}

/// Fetches from a server that answers so, which must end well, and returns what was asked.
fn succeeds(is_known: bool, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Vec<Asked> {
    let (server, folder) = (Server::start(answer), tempfile::tempdir().unwrap());
    let summary = fetch_one(&file(&server, is_known), folder.path()).unwrap();
    assert_eq!((summary.n_downloaded, summary.bytes_downloaded), (1, 300_000));
    assert!(std::fs::read(folder.path().join("set/file.bin")).unwrap() == contents());
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() == 2 && names.iter().any(|name| name == LEDGER), "{names:?}");
    server.asked()
}

/// Fetches from a server that answers so, which must fail, and returns the error.
fn fails(is_known: bool, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (String, Vec<Asked>) {
    let (server, folder) = (Server::start(answer), tempfile::tempdir().unwrap());
    let error = fetch_one(&file(&server, is_known), folder.path()).unwrap_err();
    assert!(!folder.path().join("set/file.bin").exists());
    (error.to_string(), server.asked())
}

fn starts(asked: &[Asked]) -> Vec<Option<u64>> {
    asked.iter().map(|asked| asked.start).collect()
}

#[test]
fn a_plain_download_is_whole_verified_and_recorded() {
    let (server, folder) =
        (Server::start(|asked| honest(&contents(), ETAG, asked)), tempfile::tempdir().unwrap());
    let summary = fetch_one(&file(&server, false), folder.path()).unwrap();
    assert_eq!(summary.unpublished, ["file.bin"]);
    let ledger = std::fs::read_to_string(folder.path().join(LEDGER)).unwrap();
    assert!(ledger.contains(SHA256) && ledger.contains("\"set/file.bin\""), "{ledger}");
    assert_eq!(server.asked()[0].path, "/file.bin");
}

#[test]
fn inceptions_weights_are_taken_with_their_published_checksum_alone() {
    const NAME: &str = "pt_inception-2015-12-05-6726825d.pth";
    let server = Server::start(|asked| honest(&contents(), ETAG, asked));
    let folder = tempfile::tempdir().unwrap();
    let files = Set::Inception.files();
    assert_eq!(files[0].name, NAME);
    // Both releases' names, and the checksum, begin with the same digits.
    assert!(files[0].urls.len() == 2 && files[0].urls.iter().all(|url| url.ends_with("6726825d.pth")));
    assert!(files[0].checksum.as_ref().unwrap().to_string().starts_with("sha256:6726825d"));
    let mirror = Options { mirrors: vec![server.address.clone()], official: false, ..options() };
    let get = |options: &Options| fetch(&files, options, folder.path(), &mut |_| ControlFlow::Continue(()));
    let error = get(&mirror).unwrap_err().to_string();
    assert!(error.contains(NAME) && error.contains("95628359") && error.contains("300000"), "{error}");
    assert!(!folder.path().join("inception").join(NAME).exists());
    let known = [(NAME.to_owned(), Some(SHA256.parse().unwrap()))].into();
    get(&Options { checksums: known, ..mirror.clone() }).unwrap();
    assert!(std::fs::read(folder.path().join("inception").join(NAME)).unwrap() == contents());
    assert_eq!(server.asked()[0].path, format!("/{NAME}"));
}

#[test]
fn a_dropped_connection_goes_on_where_it_was() {
    for is_known in [true, false] {
        let asked = succeeds(is_known, |asked| {
            let reply = honest(&contents(), ETAG, asked);
            if asked.number < 2 { reply.cut(100_000) } else { reply }
        });
        assert_eq!(starts(&asked), [None, Some(100_000), Some(200_000)]);
        assert_eq!(asked[1].if_range.as_deref(), Some(ETAG));
    }
}

#[test]
fn a_connection_that_always_drops_is_given_up_with_the_reason() {
    let (error, asked) = fails(true, |asked| honest(&contents(), ETAG, asked).cut(1000));
    assert_eq!(starts(&asked), [None, Some(1000), Some(2000)]);
    assert!(error.contains("given up after 3 attempts that brought nothing new"), "{error}");
    assert!(error.contains("/file.bin: ") && error.contains(".downloads"), "{error}");
}

#[test]
fn attempts_that_get_on_are_not_counted() {
    let asked = succeeds(true, |asked| {
        let reply = honest(&contents(), ETAG, asked);
        let n = reply.body.len().min(70_000);
        reply.cut(n)
    });
    assert_eq!(asked.len(), 5);
}

#[test]
fn corrupt_bytes_are_found_and_fetched_again() {
    let asked = succeeds(true, |asked| match asked.number {
        0 => honest(&other(), ETAG, asked),
        _ => honest(&contents(), ETAG, asked),
    });
    assert_eq!(starts(&asked), [None, None]);
}

#[test]
fn bytes_that_stay_corrupt_are_an_error_with_both_checksums() {
    let (error, asked) = fails(true, |asked| honest(&other(), ETAG, asked));
    assert_eq!(asked.len(), 2);
    assert!(error.contains(&format!("expected {SHA256}, found sha256:")), "{error}");
}

#[test]
fn a_server_that_ignores_ranges_is_asked_from_the_beginning() {
    let asked = succeeds(true, |asked| {
        let reply = Reply::new(200, &contents());
        if asked.number == 0 { reply.cut(100_000) } else { reply }
    });
    assert_eq!(starts(&asked), [None, Some(100_000)]);
}

#[test]
fn without_validator_and_checksum_nothing_is_continued() {
    let asked = succeeds(false, |asked| {
        let mut reply = honest(&contents(), ETAG, asked);
        reply.headers.retain(|(name, _)| *name != "ETag");
        if asked.number == 0 { reply.cut(100_000) } else { reply }
    });
    assert_eq!(starts(&asked), [None, None]);
}

#[test]
fn a_partial_answer_from_another_place_is_not_taken() {
    let asked = succeeds(false, |asked| match asked.number {
        0 => honest(&contents(), ETAG, asked).cut(100_000),
        1 => Reply::new(206, &contents()[50_000..])
            .header("Content-Range", "bytes 50000-299999/300000")
            .header("ETag", ETAG),
        _ => honest(&contents(), ETAG, asked),
    });
    assert_eq!(starts(&asked), [None, Some(100_000), None]);
}

#[test]
fn a_partial_answer_that_says_no_place_is_not_taken() {
    let asked = succeeds(false, |asked| match asked.number {
        0 => honest(&contents(), ETAG, asked).cut(100_000),
        1 => Reply::new(206, &contents()[100_000..]),
        _ => honest(&contents(), ETAG, asked),
    });
    assert_eq!(starts(&asked), [None, Some(100_000), None]);
}

#[test]
fn a_range_that_is_refused_begins_anew() {
    let asked = succeeds(false, |asked| match asked.number {
        0 => honest(&contents(), ETAG, asked).cut(100_000),
        1 => Reply::new(416, b"").header("Content-Range", "bytes */50000"),
        _ => honest(&contents(), ETAG, asked),
    });
    assert_eq!(starts(&asked), [None, Some(100_000), None]);
}

#[test]
fn an_end_without_a_length_is_measured_by_the_published_size() {
    let asked = succeeds(true, |asked| match asked.number {
        0 => honest(&contents(), ETAG, asked).length(None).cut(299_999),
        _ => honest(&contents(), ETAG, asked),
    });
    assert_eq!(starts(&asked), [None, Some(299_999)]);
}

#[test]
fn a_file_that_changes_between_two_parts_is_begun_anew() {
    for is_honest in [true, false] {
        let asked = succeeds(false, move |asked| match (asked.number, is_honest) {
            (0, _) => honest(&other(), "\"v0\"", asked).cut(100_000),
            // A server that does not know If-Range sends the rest of the new file, with the new tag.
            (1, false) => honest(&contents(), ETAG, &Asked { if_range: None, ..asked.clone() }),
            _ => honest(&contents(), ETAG, asked),
        });
        assert_eq!(asked[1].if_range.as_deref(), Some("\"v0\""));
        assert_eq!(asked.len(), if is_honest { 2 } else { 3 });
    }
}

#[test]
fn server_errors_pass_and_retry_after_is_heeded() {
    let began = Instant::now();
    let asked = succeeds(true, |asked| match asked.number {
        0 => Reply::new(500, b"oops"),
        1 => Reply::new(503, b"").header("Retry-After", "1"),
        _ => honest(&contents(), ETAG, asked),
    });
    assert_eq!(asked.len(), 3);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_missing_file_is_not_asked_for_twice() {
    let (error, asked) = fails(true, |_| Reply::new(404, b"no"));
    assert_eq!(asked.len(), 1);
    assert!(error.contains("the server answers 404 Not Found"), "{error}");
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let asked = succeeds(true, |asked| match asked.path.as_str() {
        "/elsewhere" => honest(&contents(), ETAG, asked),
        _ => Reply::new(302, b"").header("Location", "/elsewhere"),
    });
    assert_eq!(asked.len(), 2);
    let (error, asked) = fails(true, |_| Reply::new(302, b"").header("Location", "/file.bin"));
    assert!(error.contains("redirect"), "{error}");
    assert!(asked.len() < 50, "{}", asked.len());
}

#[test]
fn a_slow_server_is_waited_for() {
    let asked =
        succeeds(true, |asked| honest(&contents(), ETAG, asked).pace(30_000, Duration::from_millis(100)));
    assert_eq!(asked.len(), 1);
}

#[test]
fn a_trickle_and_a_silence_are_given_up() {
    for pace in [(10, Duration::from_millis(50)), (1, Duration::from_secs(20))] {
        let asked = succeeds(true, move |asked| match asked.number {
            0 => honest(&contents(), ETAG, asked).pace(pace.0, pace.1),
            _ => honest(&contents(), ETAG, asked),
        });
        assert_eq!(asked.len(), 2);
        assert!(asked[1].start.is_some_and(|start| start < 4096), "{:?}", asked[1]);
    }
}

#[test]
fn a_length_that_is_a_lie_is_found() {
    // Too long: the connection ends early, and the rest is asked for.
    let asked = succeeds(false, |asked| match asked.number {
        0 => honest(&contents(), ETAG, asked).length(Some(400_000)),
        1 => Reply::new(416, b"").header("Content-Range", "bytes */300000"),
        _ => honest(&contents(), ETAG, asked),
    });
    assert_eq!(starts(&asked), [None, Some(300_000)]);
    // Too short, or another file altogether: not the size that is published.
    let (error, asked) = fails(true, |asked| honest(&contents(), ETAG, asked).length(Some(200_000)));
    assert_eq!(asked.len(), 1);
    assert!(error.contains("expected 300000 bytes, the server offers 200000"), "{error}");
    let (error, _) = fails(true, |asked| honest(b"<html>welcome to the hotel</html>", ETAG, asked));
    assert!(error.contains("expected 300000 bytes, the server offers 33"), "{error}");
    // None, and more than there should be.
    let longer = [contents(), contents()].concat();
    let (error, _) = fails(true, move |asked| honest(&longer, ETAG, asked).length(None));
    assert!(error.contains("expected 300000 bytes, found more"), "{error}");
}

#[test]
fn mirrors_come_first_and_the_next_one_takes_over_what_is_there() {
    let bad = Server::start(|asked| {
        honest(&contents(), "\"bad\"", asked).cut(if asked.number == 0 { 100_000 } else { 0 })
    });
    let good = Server::start(|asked| honest(&contents(), ETAG, asked));
    let folder = tempfile::tempdir().unwrap();
    let options = Options { mirrors: vec![format!("{}/", bad.address)], ..options() };
    fetch(&[file(&good, true)], &options, folder.path(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(std::fs::read(folder.path().join("set/file.bin")).unwrap() == contents());
    assert_eq!(bad.asked().len(), 4);
    // The tag is the other server's: the checksum decides.
    assert_eq!(starts(&good.asked()), [Some(100_000)]);
    assert_eq!(good.asked()[0].if_range, None);
}

#[test]
fn an_interruption_keeps_the_part_and_the_next_run_goes_on() {
    let is_slow = std::sync::Arc::new(AtomicBool::new(true));
    let slow = is_slow.clone();
    let server = Server::start(move |asked| {
        let reply = honest(&contents(), ETAG, asked);
        if slow.load(Ordering::SeqCst) { reply.pace(50_000, Duration::from_millis(300)) } else { reply }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut stop = |event: Event<'_>| match event {
        Event::Progress { done, .. } if done >= 100_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let error = fetch(&[file(&server, true)], &options(), folder.path(), &mut stop).unwrap_err();
    assert!(matches!(error, FetchError::Interrupted));
    is_slow.store(false, Ordering::SeqCst);
    fetch_one(&file(&server, true), folder.path()).unwrap();
    assert!(std::fs::read(folder.path().join("set/file.bin")).unwrap() == contents());
    let start = server.asked()[1].start.unwrap();
    assert!((100_000..300_000).contains(&start), "{start}");
}

#[test]
fn a_silent_server_does_not_keep_from_stopping() {
    let server = Server::start(|asked| {
        std::thread::sleep(Duration::from_secs(30));
        honest(&contents(), ETAG, asked)
    });
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let options = Options { stall: Duration::from_secs(60), ..options() };
    let mut stop = |_: Event<'_>| match began.elapsed() > Duration::from_millis(300) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let error = fetch(&[file(&server, true)], &options, folder.path(), &mut stop).unwrap_err();
    assert!(matches!(error, FetchError::Interrupted) && began.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_is_there_is_only_verified_and_mended_if_it_came_from_here() {
    let server = Server::start(|asked| honest(&contents(), ETAG, asked));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set/file.bin");
    for is_known in [true, false] {
        fetch_one(&file(&server, is_known), folder.path()).unwrap();
    }
    assert_eq!(server.asked().len(), 1);
    std::fs::write(&path, other()).unwrap();
    let mut notes = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Note(note) = event {
            notes.push(note);
        }
        ControlFlow::Continue(())
    };
    fetch(&[file(&server, false)], &options(), folder.path(), &mut observe).unwrap();
    assert!(notes[0].contains("has changed since it was fetched; fetching it again"), "{notes:?}");
    assert!(std::fs::read(&path).unwrap() == contents());
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn what_people_put_there_is_taken_if_it_is_right_and_never_replaced() {
    let server = Server::start(|asked| honest(&contents(), ETAG, asked));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set/file.bin");
    std::fs::create_dir(folder.path().join("set")).unwrap();
    std::fs::write(&path, other()).unwrap();
    let error = fetch_one(&file(&server, true), folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("set/file.bin: expected sha256:") && error.contains("so it is not replaced"),
        "{error}"
    );
    assert!(std::fs::read(&path).unwrap() == other());
    std::fs::write(&path, contents()).unwrap();
    let summary = fetch_one(&file(&server, true), folder.path()).unwrap();
    assert_eq!((summary.n_verified, summary.n_downloaded, server.asked().len()), (1, 0, 0));
}

#[test]
fn a_folder_serves_as_a_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let (mirror, data) = (folder.path().join("mirror"), folder.path().join("data"));
    std::fs::create_dir_all(mirror.join("set")).unwrap();
    std::fs::write(mirror.join("set/file.bin"), contents()).unwrap();
    let server = Server::start(|_| Reply::new(404, b""));
    let options = Options { mirrors: vec![mirror.display().to_string()], official: false, ..options() };
    let observe = &mut |_: Event<'_>| ControlFlow::Continue(());
    fetch(&[file(&server, true)], &options, &data, observe).unwrap();
    assert!(std::fs::read(data.join("set/file.bin")).unwrap() == contents());
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::write(mirror.join("set/file.bin"), other()).unwrap();
    let error = fetch(&[file(&server, true)], &options, &data, observe).unwrap_err().to_string();
    assert!(error.contains(&format!("set/file.bin: expected {SHA256}")), "{error}");
    assert!(server.asked().is_empty());
}
