//! Sets at addresses: whoever hashes a part fetches its files, and nobody else does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../../fetch/tests/server/mod.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use assert_cmd::Command;
use common::processes::{Process, executor, free_port, scheduler, wait_for};
use common::{Rooms, bytes, go};
use dcgan_dedup::Autoencoder;
use dcgan_dedup::hash::{HashConfig, hash};
use dcgan_images::{Payload, Source};
use serde_json::Value;
use server::{Asked, Reply, Server, honest};

const FILES: [&str; 4] = ["codes.parquet", "pictures.npy", "bad.csv", "autoencoder.safetensors"];
const N_TARS: usize = 7;

/// The rooms in tars of thirty, each with labels, a picture that is none and a file that is none.
fn tars(rooms: &Rooms) -> PathBuf {
    let folder = rooms.at("set");
    fs_err::create_dir(&folder).unwrap();
    let records: Vec<_> = rooms.source().records().unwrap().map(Result::unwrap).collect();
    for (k, records) in records.chunks(30).enumerate() {
        let file = std::fs::File::create(folder.join(format!("rooms-{k:05}.tar"))).unwrap();
        let mut archive = tar::Builder::new(file);
        let mut add = |name: String, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).unwrap();
        };
        add("notes.txt".into(), b"notes");
        add("broken.jpg".into(), b"no picture");
        add("broken.cls".into(), b"3");
        for (i, record) in records.iter().enumerate() {
            let Payload::Encoded(bytes) = &record.payload else { panic!("{:?}", record.payload) };
            add(format!("{i:03}.webp"), bytes);
            add(format!("{i:03}.cls"), b"4");
        }
        archive.finish().unwrap();
    }
    folder
}

/// Google's object store as far as it is asked. The archive `slow` comes in drops when it is asked for the first time.
fn store(folder: PathBuf, slow: &'static str) -> Server {
    let was_slow = AtomicBool::new(false);
    Server::start(move |asked| {
        let rest = asked.path.strip_prefix("/storage/v1/b/bucket/o").unwrap();
        if rest.starts_with('?') {
            let mut names: Vec<_> = fs_err::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            let item = |name: &String| format!(r#"{{"name": "{name}", "generation": "17"}}"#);
            let items: Vec<String> = names.iter().map(item).collect();
            return Reply::new(200, format!(r#"{{"items": [{}]}}"#, items.join(", ")).as_bytes());
        }
        let name = rest.trim_start_matches('/').split('?').next().unwrap();
        let bytes = fs_err::read(folder.join(name)).unwrap();
        let reply = honest(&bytes, "weak", asked).header("x-goog-generation", "17");
        match name == slow && !was_slow.swap(true, Ordering::Relaxed) {
            true => reply.pace(1 << 10, Duration::from_secs(1)),
            false => reply,
        }
    })
}

/// The names of archives that were fetched, in order.
fn fetched(asked: &[Asked]) -> Vec<String> {
    let name = |asked: &Asked| Some(asked.path.split_once("/o/")?.1.split_once('?')?.0.to_owned());
    let mut names: Vec<String> = asked.iter().filter_map(name).collect();
    names.sort();
    names
}

/// Hashed on one machine, from the folder; what is no picture is listed.
fn hashed_here(rooms: &Rooms, folder: &Path) -> PathBuf {
    let codes = rooms.at("one");
    fs_err::create_dir(&codes).unwrap();
    let source = Source::Tar { path: folder.to_owned(), label: None };
    let model = Autoencoder::load(&rooms.model()).unwrap();
    hash(&source, &model, &HashConfig::default(), &codes, &mut go).unwrap();
    source.list_passed_over(&codes.join("bad.csv")).unwrap();
    codes
}

fn command(rooms: &Rooms, server: &Server, cluster: &str, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcgan-cluster"));
    command.args(["hash", "--source", "tar=gs://bucket/", "--parts", "5", "--cluster", cluster]);
    command.arg("--autoencoder").arg(rooms.at("model")).arg("--out").arg(rooms.at(out));
    command.env("STORAGE_EMULATOR_HOST", &server.address).env("DCGAN_CACHE", rooms.at("first"));
    for name in ["GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS"]
    {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1");
    command
}

fn report(command: &mut Command) -> Value {
    serde_json::from_slice(&command.assert().success().get_output().stdout).unwrap()
}

#[test]
fn a_set_at_an_address_is_hashed_as_one_in_a_folder() {
    let rooms = Rooms::new();
    let folder = tars(&rooms);
    let expected = hashed_here(&rooms, &folder);
    let server = store(folder.clone(), "");
    let found = report(&mut command(&rooms, &server, "local", "codes"));
    assert_eq!((&found["n_images"], &found["n_bad"]), (&210.into(), &7.into()));
    assert_eq!(found["not_read"], serde_json::json!({".txt": 7}));
    assert!(bytes(&rooms.at("codes"), &FILES) == bytes(&expected, &FILES));
    // Each once, as all is done on this machine.
    assert_eq!(fetched(&server.asked()).len(), N_TARS);
    // A set that has grown since the job began is another one.
    let work = rooms.at("again.work");
    let again = |command: &mut Command| command.arg("--work").arg(&work).assert().get_output().clone();
    fs_err::write(folder.join("rooms-00009.tar"), "no archive").unwrap();
    assert_eq!(again(&mut command(&rooms, &server, "local", "again")).status.code(), Some(1));
    fs_err::remove_file(folder.join("rooms-00009.tar")).unwrap();
    let told = again(&mut command(&rooms, &server, "local", "again"));
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(
        told.contains("rooms-00009.tar: expected shards that gs://bucket/ names, and no others"),
        "{told}"
    );
}

/// An executor with a cache of its own.
fn fetching(rooms: &Rooms, server: &Server, scheduler: u16, k: usize) -> Process {
    let (host, cache) = (PathBuf::from(&server.address), rooms.at(&format!("cache-{k}")));
    let variables: [(&str, &Path); 3] =
        [("STORAGE_EMULATOR_HOST", &host), ("DCGAN_CACHE", &cache), ("NO_PROXY", "127.0.0.1".as_ref())];
    executor(rooms.dir.path(), scheduler, k, &variables)
}

#[test]
fn an_executor_that_is_killed_while_it_fetches_is_replaced() {
    let rooms = Rooms::new();
    let folder = tars(&rooms);
    let expected = hashed_here(&rooms, &folder);
    let slow = "rooms-00004.tar";
    let server = store(folder, slow);
    let port = free_port();
    let _scheduler = scheduler(rooms.dir.path(), port);
    let mut first = fetching(&rooms, &server, port, 0);
    let n_fetched = || fetched(&server.asked()).iter().filter(|name| *name == slow).count();
    std::thread::scope(|scope| {
        let cluster = format!("df://127.0.0.1:{port}");
        let (rooms, server) = (&rooms, &server);
        let hashing = scope.spawn(move || report(&mut command(rooms, server, &cluster, "codes")));
        wait_for("fetch", || hashing.is_finished() || n_fetched() == 1);
        first.kill();
        let _second = fetching(rooms, server, port, 1);
        assert_eq!(hashing.join().unwrap()["n_images"], 210);
    });
    let told = fs_err::read_to_string(rooms.at("scheduler.log")).unwrap();
    assert!(told.contains(" is here\n") && told.contains(" is gone; others do its tasks\n"), "{told}");
    assert!(n_fetched() == 2 && bytes(&rooms.at("codes"), &FILES) == bytes(&expected, &FILES));
}

/// Each executor has a cache of its own; the folder with the archives nobody sees but the server.
#[test]
fn executors_fetch_what_they_hash_and_no_more() {
    let rooms = Rooms::new();
    let folder = tars(&rooms);
    let expected = hashed_here(&rooms, &folder);
    let server = store(folder, "");
    let port = free_port();
    let _scheduler = scheduler(rooms.dir.path(), port);
    let _executors: Vec<_> = (0..2).map(|k| fetching(&rooms, &server, port, k)).collect();
    let found = report(&mut command(&rooms, &server, &format!("df://127.0.0.1:{port}"), "codes"));
    assert_eq!((&found["n_images"], &found["n_bad"]), (&210.into(), &7.into()));
    assert!(bytes(&rooms.at("codes"), &FILES) == bytes(&expected, &FILES));
    // The first tells whoever divides the set how labels are read.
    let mut names: Vec<String> = (0..N_TARS).map(|k| format!("rooms-{k:05}.tar")).collect();
    names.insert(0, names[0].clone());
    assert_eq!(fetched(&server.asked()), names);
    // Both had something to do.
    assert!(rooms.at("cache-0").exists() && rooms.at("cache-1").exists());
    // What goes wrong there is told here in words.
    let broken = rooms.at("broken");
    fs_err::create_dir(&broken).unwrap();
    fs_err::write(broken.join("a.tar"), [b'x'; 1024]).unwrap();
    let source = format!("tar={}", broken.display());
    let cluster = format!("df://127.0.0.1:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcgan-cluster"));
    command.args(["hash", "--source", &source, "--cluster", &cluster]).arg("--autoencoder");
    let failed = command.arg(rooms.at("model")).arg("--out").arg(rooms.at("none")).assert().code(1);
    let told = String::from_utf8(failed.get_output().stderr.clone()).unwrap();
    let expected = format!("error: stage hashed_1, scheduler {cluster}: {}/a.tar: ", broken.display());
    assert!(told.contains(&expected) && !told.contains("DataFusionError"), "{told}");
}
