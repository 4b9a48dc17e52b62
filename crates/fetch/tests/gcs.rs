//! Shards in Google Cloud Storage, from a small one on the loopback interface that misbehaves as the real one may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod served;
mod server;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dcgan_fetch::{Event, FetchError, Gcs, GoogleCredentials, Options, Result, ShardSet, Shards, Stores};

use served::{contents, options};
use server::{Asked, Reply, Server};

const LIST: &str = "/storage/v1/b/bucket/o?";
const OBJECT: &str = "/storage/v1/b/bucket/o/";
/// python3 -c "import base64,hashlib,struct; print(base64.b64encode(hashlib.md5(b''.join(struct.pack('<I',i*2654435761%2**32)
/// for i in range(75000))).digest()).decode())"
const MD5: &str = "a5ZZbmKgjlr5wMdWqD6yyA==";

/// An object of these contents, as the store sends it.
fn object(bytes: &[u8], generation: u64, asked: &Asked) -> Reply {
    let is_other =
        asked.path.split("ifGenerationMatch=").nth(1).is_some_and(|wanted| wanted != generation.to_string());
    if is_other {
        return Reply::new(
            412,
            br#"{"error": {"code": 412, "message": "At least one precondition did not hold."}}"#,
        );
    }
    // This store has no If-Range, and its tags are no strong ones.
    assert_eq!(asked.if_range, None);
    let reply = server::honest(bytes, "CJ-weak", asked);
    reply.header("x-goog-generation", generation.to_string())
}

fn item(name: &str, n_bytes: usize, more: &str) -> String {
    format!(
        r#"{{"kind": "storage#object", "name": "{name}", "size": "{n_bytes}", "generation": "17"{more}}}"#
    )
}

fn list(items: &[String], next: &str) -> Reply {
    Reply::new(
        200,
        format!(r#"{{"kind": "storage#objects", "items": [{}]{next}}}"#, items.join(", ")).as_bytes(),
    )
}

/// Options for a store that this server is.
fn store(server: &Server, credentials: Option<GoogleCredentials>) -> Options {
    let gcs = Gcs::new(Some(server.address.clone()), credentials);
    Options { stores: Stores { gcs, ..Stores::default() }, ..options() }
}

fn shards(address: &str, options: &Options, cache: &Path) -> (Result<Shards>, String) {
    let mut notes = String::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Note(note) = event {
            notes += &(note + "\n");
        }
        ControlFlow::Continue(())
    };
    let set = ShardSet::list(address, "tar", options, cache, &mut observe);
    let shards = set.and_then(|set| set.fetch(&set.names(), &mut observe));
    (shards, notes)
}

fn error(address: &str, options: &Options) -> String {
    let cache = tempfile::tempdir().unwrap();
    shards(address, options, cache.path()).0.unwrap_err().to_string()
}

fn read(shards: &Shards, name: &str) -> Vec<u8> {
    fs_err::read(shards.path.join(name)).unwrap()
}

/// Pages of which one is empty, names of all kinds, a folder's own object, folders below, other endings, hidden files; objects below a
/// prefix that has to be encoded.
#[test]
fn a_folder_is_listed_over_pages_and_names_are_taken_as_they_are() {
    let server = Server::start(|asked| {
        if let Some(query) = asked.path.strip_prefix(LIST) {
            assert!(
                query.contains("delimiter=%2F") && query.contains("prefix=my%20sets%2F%2B%2F"),
                "{query}"
            );
            return match query.split("pageToken=").nth(1) {
                None => list(
                    &[item("my sets/+/", 0, ""), item("my sets/+/a b.tar", 3, "")],
                    r#", "nextPageToken": "p/1+""#,
                ),
                Some("p%2F1%2B") => Reply::new(
                    200,
                    br#"{"kind": "storage#objects", "nextPageToken": "p2", "prefixes": ["x/"]}"#,
                ),
                Some("p2") => list(
                    &[
                        item("my sets/+/a+b.tar", 3, ""),
                        item("my sets/+/100%25.tar", 3, ""),
                        item("my sets/+/below/c.tar", 3, ""),
                        item("my sets/+/.hidden.tar", 3, ""),
                        item("my sets/+/ü?#.tar", 3, ""),
                        item("my sets/+/notes.txt", 3, ""),
                    ],
                    // As emulators write it.
                    r#", "nextPageToken": """#,
                ),
                other => panic!("{other:?}"),
            };
        }
        let name = asked.path.strip_prefix(OBJECT).unwrap().strip_suffix("?alt=media").unwrap();
        let bytes = match name {
            "my%20sets%2F%2B%2Fa%20b.tar" => b"a b",
            "my%20sets%2F%2B%2Fa%2Bb.tar" => b"a+b",
            "my%20sets%2F%2B%2F100%2525.tar" => b"100",
            "my%20sets%2F%2B%2F%C3%BC%3F%23.tar" => b"u?#",
            other => panic!("{other}"),
        };
        object(bytes, 17, asked)
    });
    let cache = tempfile::tempdir().unwrap();
    let options = store(&server, None);
    let found = shards("gs://bucket/my sets/+/", &options, cache.path()).0.unwrap();
    assert_eq!((found.n_shards, found.n_downloaded, found.bytes), (4, 4, 12));
    for (name, bytes) in
        [("a b.tar", b"a b"), ("a+b.tar", b"a+b"), ("100%25.tar", b"100"), ("ü?#.tar", b"u?#")]
    {
        assert_eq!(read(&found, name), bytes);
    }
    // What the list says of generations and sizes is enough: nothing more is asked.
    let n_asked = server.asked().len();
    let again = shards("gs://bucket/my sets/+/", &options, cache.path()).0.unwrap();
    assert_eq!((again.n_downloaded, server.asked().len() - n_asked), (0, 3));
}

#[test]
fn lists_that_are_none_or_never_end_are_refused() {
    let server = Server::start(|asked| match () {
        () if asked.path.contains("prefix=html") => Reply::new(200, b"<html></html>"),
        () if asked.path.contains("prefix=round") => {
            list(&[item("round/a.tar", 3, "")], r#", "nextPageToken": "t""#)
        }
        // Two pages that lead to each other.
        () if asked.path.contains("prefix=circle") && asked.path.ends_with("Token=t") => {
            list(&[item("circle/a.tar", 3, "")], r#", "nextPageToken": "u""#)
        }
        () if asked.path.contains("prefix=circle") => {
            list(&[item("circle/b.tar", 3, "")], r#", "nextPageToken": "t""#)
        }
        () if asked.path.contains("prefix=odd") => list(&[item("odd/a\\\\b.tar", 3, "")], ""),
        () => Reply::new(200, b"{}"),
    });
    let options = store(&server, None);
    for (address, said) in [
        ("gs://bucket/html/", "gs://bucket/html/: expected a list of objects, found another answer"),
        ("gs://bucket/round/", "gs://bucket/round/: expected a list that ends, found the same page again"),
        ("gs://bucket/circle/", "gs://bucket/circle/: expected a list that ends, found the same page again"),
        ("gs://bucket/odd/", "gs://bucket/odd/: expected names that files can have, found `a\\b.tar`"),
        ("gs://bucket/none/", "gs://bucket/none/: expected files *.tar, found none"),
    ] {
        assert_eq!(error(address, &options), said);
    }
    let told = error("gs://bucket.tar", &options);
    assert!(told.ends_with("gs://bucket/folder/), found `bucket.tar` at its end"), "{told}");
}

/// Another object of the same size in its place, once it was listed: without a checksum the generation tells.
#[test]
fn an_object_that_is_replaced_between_list_and_download_is_refused_once() {
    let n_listed = AtomicUsize::new(0);
    let server = Server::start(move |asked| match asked.path.starts_with(LIST) {
        true if n_listed.fetch_add(1, Ordering::SeqCst) == 0 => list(&[item("a.tar", 3, "")], ""),
        true => list(&[item("a.tar", 3, "").replace("17", "18")], ""),
        false => object(b"new", 18, asked),
    });
    let (cache, options) = (tempfile::tempdir().unwrap(), store(&server, None));
    let told = shards("gs://bucket/", &options, cache.path()).0.unwrap_err().to_string();
    assert_eq!(
        told,
        "gs://bucket/a.tar: expected what the list says of it (3 bytes, ETag \"17\"), found another (3 bytes, ETag \"18\"): it was \
         replaced after it was listed"
    );
    let found = shards("gs://bucket/", &options, cache.path()).0.unwrap();
    assert_eq!((read(&found, "a.tar"), found.n_downloaded), (b"new".to_vec(), 0));
}

/// Cut off: the rest is asked for, of the same generation; the checksum of the list holds of the whole.
#[test]
fn a_download_goes_on_where_it_was_cut_off() {
    let server = Server::start(|asked| match asked.path.starts_with(LIST) {
        true => list(&[item("a.tar", 300_000, &format!(r#", "md5Hash": "{MD5}""#))], ""),
        false if asked.start.is_none() => object(&contents(), 17, asked).cut(200_000),
        false => object(&contents(), 17, asked),
    });
    let cache = tempfile::tempdir().unwrap();
    let found = shards("gs://bucket/", &store(&server, None), cache.path()).0.unwrap();
    assert!(read(&found, "a.tar") == contents());
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[2].path.ends_with("?alt=media&ifGenerationMatch=17"), "{}", asked[2].path);
    assert!(asked[2].start.is_some_and(|start| start > 0));
}

#[test]
fn an_object_that_changes_meanwhile_is_begun_anew() {
    let is_other = AtomicBool::new(false);
    let server = Server::start(move |asked| match is_other.load(Ordering::SeqCst) {
        false => {
            is_other.store(true, Ordering::SeqCst);
            object(&contents(), 17, asked).cut(200_000)
        }
        true => object(&vec![7; 250_000], 18, asked),
    });
    let cache = tempfile::tempdir().unwrap();
    let (found, notes) = shards("gs://bucket/a.tar", &store(&server, None), cache.path());
    assert!(fs_err::read(found.unwrap().path).unwrap() == vec![7; 250_000]);
    assert!(notes.contains("the file has changed meanwhile; beginning anew"), "{notes}");
    let starts: Vec<bool> = server.asked().iter().map(|asked| asked.start.is_some()).collect();
    assert_eq!(starts, [false, true, false]);
    // Another one now: the run is told.
    let later = Server::start(|asked| object(&vec![7; 250_000], 19, asked));
    let told = shards("gs://bucket/a.tar", &store(&later, None), cache.path()).0.unwrap_err();
    assert!(matches!(told, FetchError::Changed { .. }), "{told}");
    assert!(told.to_string().contains("ETag \"18\"") && told.to_string().contains("ETag \"19\""), "{told}");
}

/// An object other than the list's has the wrong checksum.
#[test]
fn bytes_other_than_the_lists_are_refused() {
    let server = Server::start(|asked| match asked.path.starts_with(LIST) {
        true => list(&[item("a.tar", 300_000, &format!(r#", "md5Hash": "{MD5}""#))], ""),
        false => object(&vec![7; 300_000], 17, asked),
    });
    let told = error("gs://bucket/", &store(&server, None));
    assert!(told.contains("gs://bucket/a.tar: expected md5:") && told.contains(", found md5:"), "{told}");
}

/// What is stored with `Content-Encoding: gzip` arrives decompressed: longer than its size in the list, without a length, whole also
/// where a range is asked for, and without the checksum of the list.
#[test]
fn objects_that_are_decompressed_on_the_way_arrive() {
    let server = Server::start(|asked| match asked.path.starts_with(LIST) {
        true => list(
            &[item("a.tar", 1234, r#", "md5Hash": "XUFAKrxLKna5cZ2REBfFkg==", "contentEncoding": "gzip""#)],
            "",
        ),
        false => Reply::new(200, &contents())
            .length(None)
            .header("x-goog-generation", "17")
            .header("x-goog-stored-content-encoding", "gzip")
            .header("x-goog-stored-content-length", "1234"),
    });
    let cache = tempfile::tempdir().unwrap();
    let options = store(&server, None);
    let found = shards("gs://bucket/", &options, cache.path()).0.unwrap();
    assert!(read(&found, "a.tar") == contents());
    // The list's size is not its own.
    assert_eq!(shards("gs://bucket/", &options, cache.path()).0.unwrap().n_downloaded, 0);
    // With `Cache-Control: no-transform` it comes as it lies.
    let server = Server::start(|_| Reply::new(200, b"packed").header("Content-Encoding", "gzip"));
    let told = error("gs://bucket/a.tar", &store(&server, None));
    assert!(
        told.contains("expected the file as it is, the server sends it compressed (Content-Encoding: gzip)"),
        "{told}"
    );
}

#[test]
fn refusals_are_said_and_not_tried_again() {
    let server = Server::start(|asked| {
        match () {
        () if asked.path.contains("/b/none/") => {
            Reply::new(404, br#"{"error": {"code": 404, "message": "The specified bucket does not exist."}}"#)
        }
        () if asked.path.contains("closed") => Reply::new(
            401,
            br#"{"error": {"code": 401, "message": "Anonymous caller does not have storage.objects.get access."}}"#,
        ),
        () => Reply::new(403, b"{}"),
    }
    });
    let anonymous = store(&server, None);
    for (address, said) in [
        ("gs://none/a/", "the server answers 404 Not Found: The specified bucket does not exist."),
        (
            "gs://bucket/closed.tar",
            "the server answers 401 Unauthorized: Anonymous caller does not have storage.objects.get access. (asked without \
             credentials: neither GOOGLE_OAUTH_ACCESS_TOKEN nor GOOGLE_APPLICATION_CREDENTIALS is set)",
        ),
        ("gs://bucket/a.tar", "the server answers 403 Forbidden (asked without credentials: "),
    ] {
        let n_asked = server.asked().len();
        let told = error(address, &anonymous);
        assert!(told.contains(said), "{told}");
        assert_eq!(server.asked().len(), n_asked + 1);
    }
    let told = error("gs://bucket/a.tar", &store(&server, Some(GoogleCredentials::Token("t".into()))));
    assert!(told.contains("403 Forbidden") && !told.contains("asked without"), "{told}");
    assert_eq!(server.asked().last().unwrap().authorization.as_deref(), Some("Bearer t"));
}

#[test]
fn busy_stores_are_asked_again_and_redirects_followed_without_the_token() {
    let elsewhere = Server::start(|asked| object(b"abc", 17, asked));
    let (n, at) = (AtomicUsize::new(0), elsewhere.address.clone());
    let server = Server::start(move |asked| match n.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::new(429, br#"{"error": {"message": "Slow down."}}"#).header("Retry-After", "0"),
        1 => list(&[item("a.tar", 3, "")], ""),
        2 => Reply::new(503, b"").header("Retry-After", "0"),
        _ => Reply::new(307, b"").header("Location", format!("{at}{}", asked.path)),
    });
    let cache = tempfile::tempdir().unwrap();
    let options = store(&server, Some(GoogleCredentials::Token("t".into())));
    let (found, notes) = shards("gs://bucket/", &options, cache.path());
    assert_eq!(read(&found.unwrap(), "a.tar"), b"abc");
    assert!(notes.contains("429 Too Many Requests: Slow down.; trying again in 0.0 s"), "{notes}");
    assert!(notes.contains("503 Service Unavailable; trying again in 0.0 s"), "{notes}");
    let asked = elsewhere.asked();
    assert_eq!((asked.len(), &asked[0].authorization), (1, &None));
}

/// A store behind a token that ends, and who gives such.
fn guarded(lifetime: u64) -> (Server, Arc<Mutex<String>>) {
    let (valid, n) = (Arc::new(Mutex::new(String::new())), AtomicUsize::new(0));
    let shared = valid.clone();
    let server = Server::start(move |asked| {
        if asked.path == "/token" {
            let token = format!("token-{}", n.fetch_add(1, Ordering::SeqCst));
            *valid.lock().unwrap() = token.clone();
            let answer =
                format!(r#"{{"access_token": "{token}", "expires_in": {lifetime}, "token_type": "Bearer"}}"#);
            return Reply::new(200, answer.as_bytes());
        }
        let is_open = asked.authorization == Some(format!("Bearer {}", valid.lock().unwrap()));
        match () {
            () if !is_open => Reply::new(401, br#"{"error": {"message": "Invalid Credentials"}}"#),
            () if asked.path.starts_with(LIST) => list(&[item("a.tar", 3, ""), item("b.tar", 3, "")], ""),
            () => object(b"abc", 17, asked),
        }
    });
    (server, shared)
}

fn key_file(folder: &Path, server: &Server) -> GoogleCredentials {
    let path = folder.join("key.json");
    let key = include_str!("served/key.pem");
    let file = serde_json::json!({
        "type": "service_account", "client_email": "reader@p.iam.gserviceaccount.com", "private_key_id": "k1",
        "private_key": key, "token_uri": format!("{}/token", server.address),
    });
    fs_err::write(&path, file.to_string()).unwrap();
    GoogleCredentials::File(path)
}

#[test]
fn a_service_account_asks_for_one_token_and_for_another_once_it_ends() {
    let (server, valid) = guarded(3600);
    let cache = tempfile::tempdir().unwrap();
    let options = store(&server, Some(key_file(cache.path(), &server)));
    shards("gs://bucket/", &options, cache.path()).0.unwrap();
    let asked = server.asked();
    // A token, the list, two objects.
    assert_eq!((asked.len(), asked[0].path.as_str()), (4, "/token"));
    let assertion = asked[0]
        .body
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    assert_eq!(assertion.unwrap().split('.').count(), 3);
    // It ends before its time, as where it is revoked.
    *valid.lock().unwrap() = "another".into();
    shards("gs://bucket/", &options, cache.path()).0.unwrap();
    let paths: Vec<String> = server.asked()[4..].iter().map(|asked| asked.path[..6].to_owned()).collect();
    assert_eq!(paths, ["/stora", "/token", "/stora"]);
    // One that has ended already is not used again.
    let (server, _) = guarded(0);
    let cache = tempfile::tempdir().unwrap();
    let options = store(&server, Some(key_file(cache.path(), &server)));
    shards("gs://bucket/", &options, cache.path()).0.unwrap();
    assert_eq!(server.asked().iter().filter(|asked| asked.path == "/token").count(), 3);
}

#[test]
fn an_authorized_user_has_a_token_by_a_refresh_token() {
    let (server, _) = guarded(3600);
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path().join("user.json");
    let uri = format!("{}/token", server.address);
    let user = serde_json::json!({
        "type": "authorized_user", "client_id": "i&d", "client_secret": "s", "refresh_token": "r/1", "token_uri": uri,
    });
    fs_err::write(&path, user.to_string()).unwrap();
    shards("gs://bucket/", &store(&server, Some(GoogleCredentials::File(path))), cache.path()).0.unwrap();
    let body = &server.asked()[0].body;
    assert_eq!(body, "grant_type=refresh_token&client_id=i%26d&client_secret=s&refresh_token=r%2F1");
}

#[test]
fn without_a_token_it_is_said_why() {
    let (n, cache) = (AtomicUsize::new(0), tempfile::tempdir().unwrap());
    let server = Server::start(move |_| match n.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::new(503, b""),
        _ => Reply::new(400, br#"{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}"#),
    });
    let options = store(&server, Some(key_file(cache.path(), &server)));
    let (told, notes) = shards("gs://bucket/a.tar", &options, &cache.path().join("cache"));
    let told = told.unwrap_err().to_string();
    assert!(told.contains("key.json from http://127.0.0.1:"), "{told}");
    assert!(told.contains("/token: the server answers 400 Bad Request: Invalid JWT Signature."), "{told}");
    assert!(notes.contains("503 Service Unavailable; trying again in "), "{notes}");
    assert_eq!(server.asked().len(), 2);
    let none = store(&server, Some(GoogleCredentials::File(cache.path().join("none.json"))));
    assert!(error("gs://bucket/a.tar", &none).contains("none.json"));
    assert_eq!(server.asked().len(), 2);
}
