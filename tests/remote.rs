//! Shards that lie at addresses: read as those of a folder, from real servers on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../crates/fetch/tests/server/mod.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use assert_cmd::Command;
use common::Place;
use server::{Asked, Reply, Server, honest};

/// Labelled pictures in a store `shapes`, written as tars in `set/tars` and as Parquet in `set/parquet`.
fn shared() -> Place {
    let place = Place::new("");
    place.stdout(&["stage", "synthesize", "--out", "data", "shapes.n_train=50", "shapes.n_test=10"]);
    let source = ["from=data", "source.cifar10.path=cifar-10-batches-bin", "source.cifar10.split=train"];
    place.stdout(&[&["stage", "import_images", "--out", "shapes"][..], &source].concat());
    for (form, out) in [("webdataset", "tars"), ("parquet", "parquet")] {
        let (out, form) = (format!("set/{out}"), format!("form={form}"));
        place.stdout(&["stage", "export_images", "--out", &out, "images=shapes", &form, "per_file=20"]);
    }
    place
}

/// `dcgan stage import_images` of a source into a folder, with the cache in the place.
fn import(place: &Place, out: &str, source: &str) -> Command {
    let mut command = place.dcgan(&["stage", "import_images", "--out", out, source]);
    command.env("DCGAN_CACHE", place.path("cache")).env("NO_PROXY", "127.0.0.1");
    without_credentials(&mut command);
    command
}

fn without_credentials(command: &mut Command) {
    for name in [
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "STORAGE_EMULATOR_HOST",
        "GOOGLE_OAUTH_ACCESS_TOKEN",
        "CLOUDSDK_AUTH_ACCESS_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_QUOTA_PROJECT",
    ] {
        command.env_remove(name);
    }
}

fn said(command: &mut Command, code: i32) -> String {
    String::from_utf8(command.assert().code(code).get_output().stderr.clone()).unwrap()
}

fn same(place: &Place, one: &str, other: &str) {
    for name in ["images.npy", "index.parquet", "meta.json", "bad.csv"] {
        let read = |folder: &str| std::fs::read(place.path(folder).join(name)).unwrap();
        assert!(read(one) == read(other), "{name} of {one} and {other}");
    }
}

/// Serves a folder's files as they are, each with an `ETag` of its length.
fn serve(folder: PathBuf) -> Server {
    Server::start(move |asked| file(&folder, &asked.path, asked))
}

fn file(folder: &Path, path: &str, asked: &Asked) -> Reply {
    match std::fs::read(folder.join(path.trim_start_matches('/'))) {
        Ok(bytes) => honest(&bytes, &format!("\"{}\"", bytes.len()), asked),
        Err(_) => Reply::new(404, b""),
    }
}

#[test]
fn shards_at_addresses_give_the_bytes_of_those_in_a_folder() {
    let place = shared();
    let server = serve(place.path("set"));
    let at = &server.address;
    said(&mut import(&place, "local", "source.tar.path=set/tars"), 0);
    // Labels are read, too.
    let index = std::fs::read(place.path("local/index.parquet")).unwrap();
    let known = std::fs::read(place.path("shapes/index.parquet")).unwrap();
    assert!(index != known);
    said(&mut import(&place, "pattern", &format!("source.tar.path={at}/tars/train-{{00000..00002}}.tar")), 0);
    same(&place, "local", "pattern");
    let n_asked = server.asked().len();
    assert_eq!(n_asked, 3);
    // What is here is not fetched again: the server says that it is the same.
    said(&mut import(&place, "again", &format!("source.tar.path={at}/tars/train-{{00000..00002}}.tar")), 0);
    let probes = server.asked().split_off(n_asked);
    assert!(probes.len() == 3 && probes.iter().all(|asked| asked.is_probe), "{probes:?}");
    same(&place, "local", "again");
    let parquet = format!("source.parquet.path={at}/parquet/train-{{00000..00002}}-of-00003.parquet");
    said(&mut import(&place, "local-parquet", "source.parquet.path=set/parquet"), 0);
    said(&mut import(&place, "parquet", &parquet), 0);
    same(&place, "local-parquet", "parquet");
    // A list there, whose lines are relative to it, and one here.
    std::fs::write(
        place.path("set/tars.txt"),
        "# the shards\ntars/train-00001.tar\n\ntars/train-{00000..00000}.tar\ntars/train-00002.tar\n",
    )
    .unwrap();
    said(&mut import(&place, "list", &format!("source.tar.path={at}/tars.txt")), 0);
    same(&place, "local", "list");
    std::fs::write(place.path("tars.txt"), format!("{at}/tars/train-{{00000..00002}}.tar\n")).unwrap();
    said(&mut import(&place, "here", "source.tar.path=tars.txt"), 0);
    same(&place, "local", "here");
    // One file.
    said(&mut import(&place, "local-one", "source.tar.path=set/tars/train-00001.tar"), 0);
    said(&mut import(&place, "one", &format!("source.tar.path={at}/tars/train-00001.tar")), 0);
    same(&place, "local-one", "one");
}

/// An object store as far as it is asked: its list in two pages, its objects by path. It does not check signatures; that they are
/// Amazon's, a test beside the code holds.
fn object_store(folder: PathBuf) -> Server {
    Server::start(move |asked| {
        let Some(query) = asked.path.strip_prefix("/bucket/?") else {
            return match asked.path.strip_prefix("/bucket/") {
                Some(path) => file(&folder, &path.replace("my%20sets", "."), asked),
                None => Reply::new(404, b""),
            };
        };
        assert!(
            query.contains("delimiter=%2F&encoding-type=url&list-type=2&prefix=my%20sets%2Ftars%2F"),
            "{query}"
        );
        let is_second = query.contains("continuation-token=a%2Bb");
        let names: &[&str] = if is_second {
            &["train-00002.tar"]
        } else {
            &["train-00000.tar", "train-00001.tar", "stage.json"]
        };
        let contents: String = names
            .iter()
            .map(|name| {
                let n = std::fs::metadata(folder.join("tars").join(name)).unwrap().len();
                format!("<Contents><Key>my+sets/tars/{name}</Key><ETag>&quot;{n}&quot;</ETag><Size>{n}</Size></Contents>")
            })
            .collect();
        let end = match is_second {
            true => "<IsTruncated>false</IsTruncated>",
            false => "<IsTruncated>true</IsTruncated><NextContinuationToken>a+b</NextContinuationToken>",
        };
        let xml = format!(
            "<?xml version=\"1.0\"?><ListBucketResult><Name>bucket</Name><EncodingType>url</EncodingType>{contents}{end}</ListBucketResult>"
        );
        Reply::new(200, xml.as_bytes())
    })
}

#[test]
fn a_folder_of_an_object_store_is_listed_and_read() {
    let place = shared();
    let server = object_store(place.path("set"));
    said(&mut import(&place, "local", "source.tar.path=set/tars"), 0);
    let from_store = |out: &str, path: &str| {
        let mut command = import(&place, out, &format!("source.tar.path={path}"));
        command
            .env("AWS_ENDPOINT_URL", &server.address)
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "s");
        command
    };
    said(&mut from_store("folder", "s3://bucket/my sets/tars/"), 0);
    same(&place, "local", "folder");
    said(&mut from_store("pattern", "s3://bucket/my sets/tars/train-{00000..00002}.tar"), 0);
    same(&place, "local", "pattern");
    let told = said(&mut from_store("none", "s3://other/tars/a.tar"), 1);
    assert!(told.contains("s3://other/tars/a.tar: the server answers 404 Not Found"), "{told}");
}

/// Google's object store as far as it is asked, by its JSON interface.
fn google(folder: PathBuf) -> Server {
    Server::start(move |asked| {
        let Some(rest) = asked.path.strip_prefix("/storage/v1/b/bucket/o") else {
            return Reply::new(
                404,
                br#"{"error": {"code": 404, "message": "The specified bucket does not exist."}}"#,
            );
        };
        if let Some(query) = rest.strip_prefix('?') {
            let below = if query.contains("prefix=my%20sets%2Ftars%2F") { "tars" } else { "parquet" };
            let mut names: Vec<String> = std::fs::read_dir(folder.join(below))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            let item = |name: &String| {
                let n = std::fs::metadata(folder.join(below).join(name)).unwrap().len();
                format!(r#"{{"name": "my sets/{below}/{name}", "size": "{n}", "generation": "{n}"}}"#)
            };
            let items: Vec<String> = names.iter().map(item).collect();
            return Reply::new(200, format!(r#"{{"items": [{}]}}"#, items.join(", ")).as_bytes());
        }
        let path = rest.split('?').next().unwrap().replace("%2F", "/").replace("my%20sets", ".");
        let reply = file(&folder, &path, asked);
        let generation =
            std::fs::metadata(folder.join(path.trim_start_matches('/'))).map_or(0, |file| file.len());
        reply.header("x-goog-generation", generation.to_string())
    })
}

#[test]
fn a_folder_of_googles_store_is_listed_and_read() {
    let place = shared();
    let server = google(place.path("set"));
    for form in ["tar", "parquet"] {
        let (folder, out) = (if form == "tar" { "tars" } else { "parquet" }, format!("out-{form}"));
        said(&mut import(&place, &format!("local-{form}"), &format!("source.{form}.path=set/{folder}")), 0);
        let mut command = import(&place, &out, &format!("source.{form}.path=gs://bucket/my sets/{folder}/"));
        said(command.env("STORAGE_EMULATOR_HOST", &server.address), 0);
        same(&place, &format!("local-{form}"), &out);
    }
    let mut command = import(&place, "none", "source.tar.path=gs://other/tars/");
    let told = said(command.env("STORAGE_EMULATOR_HOST", &server.address), 1);
    assert!(told.contains("gs://other?") && told.contains("404 Not Found: The specified bucket"), "{told}");
}

/// A part of a set fetches its own files, of tars the first one too, by which labels are recognised; together the parts are the set.
#[test]
fn parts_fetch_their_own_files_and_are_the_whole_together() {
    let place = shared();
    // Something to be told of that is no picture.
    let notes = place.path("notes.txt");
    std::fs::write(&notes, "notes").unwrap();
    for name in ["train-00000.tar", "train-00001.tar"] {
        let path = place.path("set/tars").join(name);
        let inner: Vec<(PathBuf, Vec<u8>)> = tar::Archive::new(std::fs::File::open(&path).unwrap())
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                (entry.path().unwrap().into_owned(), bytes)
            })
            .collect();
        let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in inner {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        archive.append_path_with_name(&notes, "notes.txt").unwrap();
        archive.finish().unwrap();
    }
    for (form, folder) in [("tar", "tars"), ("parquet", "parquet")] {
        let server = google(place.path("set"));
        let source = format!("source.{form}.path=gs://bucket/my sets/{folder}/");
        let at = |out: &str, cache: &str, shard: Option<&str>| {
            let mut command = import(&place, out, &source);
            command.args(shard.map(|shard| format!("shard={shard}")));
            command.env("STORAGE_EMULATOR_HOST", &server.address).env("DCGAN_CACHE", place.path(cache));
            command
        };
        let whole = format!("whole-{form}");
        said(&mut at(&whole, "cache", None), 0);
        let mut parts = Vec::new();
        for index in 1..=3 {
            let (out, cache) = (format!("{form}-{index}"), format!("machine-{form}-{index}"));
            let n_asked = server.asked().len();
            said(&mut at(&out, &cache, Some(&format!("{index}/3"))), 0);
            let asked = server.asked().split_off(n_asked);
            let fetched: Vec<&str> = asked
                .iter()
                .filter(|asked| asked.path.contains("alt=media"))
                .map(|asked| asked.path.split(['-', '.']).nth(1).unwrap())
                .collect();
            let own = format!("0000{}", index - 1);
            let expected = match (form, index) {
                ("tar", 2 | 3) => vec!["00000", own.as_str()],
                _ => vec![own.as_str()],
            };
            assert_eq!(fetched, expected, "{form} {index}");
            parts.push(format!("\"{out}\""));
        }
        // On one machine nothing is fetched twice.
        let n_asked = server.asked().len();
        said(&mut at(&format!("{form}-again"), &format!("machine-{form}-2"), Some("2/3")), 0);
        assert_eq!(server.asked().len(), n_asked + 1);
        let merged = format!("merged-{form}");
        place.stdout(&["stage", "merge", "--out", &merged, &format!("parts=[{}]", parts.join(","))]);
        same(&place, &whole, &merged);
        let not_read = |out: &str| {
            let record = std::fs::read(place.path(out).join("stage.json")).unwrap();
            let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
            record["metrics"]["not_read"].clone()
        };
        assert_eq!(not_read(&whole), not_read(&merged));
        assert_eq!(not_read(&whole).is_null(), form == "parquet");
    }
}

#[test]
fn parts_of_lists_that_differ_are_no_whole() {
    let place = shared();
    let server = google(place.path("set"));
    let part = |out: &str, shard: &str| {
        let mut command = import(&place, out, "source.tar.path=gs://bucket/my sets/tars/");
        command.arg(format!("shard={shard}")).env("STORAGE_EMULATOR_HOST", &server.address);
        command
    };
    said(&mut part("first", "1/2"), 0);
    std::fs::copy(place.path("set/tars/train-00002.tar"), place.path("set/tars/train-00003.tar")).unwrap();
    said(&mut part("second", "2/2"), 0);
    let told = place.fails(1, &["stage", "merge", "--out", "merged", "parts=[\"first\", \"second\"]"]);
    assert!(told.contains("what it read as `list of files` is not the same"), "{told}");
    let told = said(&mut part("many", "1/5"), 1);
    assert!(
        told.contains("tars/: expected at least 5 tar archives, of which each part has some, found 4"),
        "{told}"
    );
}

/// Parquet files of other splits are not fetched; fewer files than parts are divided by rows.
#[test]
fn of_parquet_only_the_split_is_fetched() {
    let place = shared();
    let set = place.path("set/parquet");
    for entry in std::fs::read_dir(&set).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".parquet") {
            std::fs::copy(entry.path(), set.join(name.replace("train", "test"))).unwrap();
        }
    }
    let server = google(place.path("set"));
    let run = |out: &str, more: &[&str]| {
        let mut command = import(&place, out, "source.parquet.path=gs://bucket/my sets/parquet/");
        command.args(more).env("STORAGE_EMULATOR_HOST", &server.address);
        command
    };
    let told = said(&mut run("none", &[]), 1);
    assert!(
        told.contains("expected files of one split (`source.parquet.split` chooses among several)"),
        "{told}"
    );
    assert_eq!(server.asked().len(), 1);
    said(&mut run("test", &["source.parquet.split=test"]), 0);
    let media: Vec<String> =
        server.asked().iter().map(|asked| asked.path.clone()).filter(|path| path.contains("alt=")).collect();
    assert!(media.len() == 3 && media.iter().all(|path| path.contains("test-")), "{media:?}");
    let parts: Vec<String> = (1..=4).map(|index| format!("part-{index}")).collect();
    for (index, part) in (1..=4).zip(&parts) {
        said(&mut run(part, &["source.parquet.split=test", &format!("shard={index}/4")]), 0);
    }
    let listed: Vec<String> = parts.iter().map(|part| format!("\"{part}\"")).collect();
    place.stdout(&["stage", "merge", "--out", "merged", &format!("parts=[{}]", listed.join(","))]);
    same(&place, "test", "merged");
    // Another machine finds another file.
    let [one, other] = [0, 2].map(|k| set.join(format!("test-{k:05}-of-00003.parquet")));
    std::fs::copy(one, other).unwrap();
    let shard = ["source.parquet.split=test", "shard=4/4"];
    said(run("other", &shard).env("DCGAN_CACHE", place.path("another cache")), 0);
    let parts = r#"parts=["part-1", "part-2", "part-3", "other"]"#;
    let told = place.fails(1, &["stage", "merge", "--out", "mixed", parts]);
    assert!(told.contains("what it read as `list of files` is not the same"), "{told}");
}

#[test]
fn a_shard_that_has_changed_or_is_gone_is_named() {
    let place = shared();
    let has_changed = Arc::new(AtomicBool::new(false));
    let (folder, changed) = (place.path("set"), has_changed.clone());
    let server = Server::start(move |asked| {
        let is_other = changed.load(Ordering::SeqCst) && asked.path.contains("00001");
        let mut reply = file(&folder, &asked.path, asked);
        if is_other {
            reply.headers.retain(|(name, _)| *name != "ETag");
            reply = reply.header("ETag", "\"other\"");
        }
        reply
    });
    let at = &server.address;
    let source = format!("source.tar.path={at}/tars/train-{{00000..00002}}.tar");
    let told = said(
        &mut import(&place, "gone", &format!("source.tar.path={at}/tars/train-{{00000..00003}}.tar")),
        1,
    );
    assert!(told.contains(&format!("{at}/tars/train-00003.tar: the server answers 404 Not Found")), "{told}");
    assert!(!place.path("gone").exists());
    said(&mut import(&place, "first", &source), 0);
    has_changed.store(true, Ordering::SeqCst);
    let told = said(&mut import(&place, "second", &source), 1);
    assert!(
        told.contains(&format!("{at}/tars/train-00001.tar: expected what was fetched before (")),
        "{told}"
    );
    assert!(
        told.contains("ETag \"other\": the shard has changed; delete ") && told.contains("cache/shards"),
        "{told}"
    );
    assert!(!place.path("second").exists());
}

#[test]
fn addresses_are_refused_by_name_where_they_serve_nothing() {
    let place = Place::new("");
    for (source, expected) in [
        (
            "source.folder.path=https://host/photos",
            "shards alone are read from addresses, by source.tar and source.parquet",
        ),
        ("source.tar.path=https://host/photos/", "expected the address of a file *.tar"),
        ("source.tar.path=https://host/a.zip", "expected the address of a file *.tar"),
        ("source.tar.path=https://host/{1..x}.tar", "expected {first..last}, such as {00000..00099}"),
    ] {
        let output = import(&place, "out", source).assert().failure().get_output().clone();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(expected) && told.contains("https://host/"), "{told}");
    }
}
