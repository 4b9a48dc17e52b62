//! Scheduler and executors on the loopback find what one machine finds, whichever of them is killed.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::processes::{Process, executor, free_port, scheduler, wait_for};
use common::{Rooms, bytes};
use dcgan_cluster::group::{GroupJob, group};
use dcgan_cluster::hash::{HashJob, hash};
use dcgan_cluster::session::{Place, Session};
use dcgan_dedup::group::{GROUPS, GroupConfig, MAP_CSV, MAP_PARQUET, Rule};
use dcgan_dedup::hash::HashConfig;
use dcgan_engine::interrupt::Interrupt;

const SAME: [&str; 3] = [GROUPS, MAP_CSV, MAP_PARQUET];
struct Cluster {
    dir: PathBuf,
    port: u16,
    scheduler: Process,
    executors: Vec<Process>,
}

impl Cluster {
    fn start(dir: &Path) -> Self {
        let port = free_port();
        let scheduler = scheduler(dir, port);
        let executors = (0..2).map(|k| executor(dir, port, k, &[])).collect();
        Self { dir: dir.to_owned(), port, scheduler, executors }
    }

    fn session(&self) -> Session {
        let scheduler = format!("df://127.0.0.1:{}", self.port);
        let spill = self.dir.join("spill");
        let place = Place::Cluster { scheduler, n_partitions: 4, memory: 64 << 20, spill };
        Session::open(&place, Interrupt::default()).unwrap()
    }
}

/// With few kinds of views, as the engine plans each anew.
fn near() -> GroupConfig {
    GroupConfig { rule: Rule::Near, crops: false, squeezed: false, ..GroupConfig::default() }
}

fn group_job(rooms: &Rooms, config: GroupConfig, name: &str) -> GroupJob {
    let work = rooms.at(&format!("{name}.work"));
    GroupJob { hashed: rooms.hashed(), config, out: rooms.at(name), work }
}

#[test]
fn a_scheduler_ends_when_it_is_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["-INT", "-TERM"] {
        let mut scheduler = scheduler(dir.path(), free_port());
        assert_eq!(scheduler.stop(name), Some(0), "{name}");
    }
}

#[test]
fn an_executor_names_the_port_that_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let work = dir.path().join("work").display().to_string();
    let scheduler = format!("127.0.0.1:{}", free_port());
    let (free, log) = (free_port().to_string(), dir.path().join("log"));
    for ports in [[&port, &free], [&free, &port]] {
        let [data, tasks] = ports.map(String::as_str);
        let place =
            ["--host", "127.0.0.1", "--name", "127.0.0.1", "--work", &work, "--scheduler", &scheduler];
        let arguments = [&["executor", "--port", data, "--task-port", tasks][..], &place].concat();
        assert_eq!(Process::start(&arguments, &[], &log).wait(), Some(1));
        let told = fs_err::read_to_string(&log).unwrap();
        assert!(
            told.starts_with(&format!("error: executor at 127.0.0.1:{port}: Address already in use")),
            "{told}"
        );
    }
}

#[test]
fn a_cluster_finds_what_one_machine_finds() {
    let rooms = Rooms::new();
    let cluster = Cluster::start(rooms.dir.path());
    let session = cluster.session();
    for (name, config) in [("exact", GroupConfig::default()), ("near", near())] {
        let expected = rooms.grouped(&config, &format!("{name}-one"));
        let job = group_job(&rooms, config, name);
        let report = group(&session, &job).unwrap();
        assert!(bytes(&job.out, &SAME) == bytes(&expected, &SAME), "{name}: {report:?}");
    }
    // Both executors made codes of views and looked at pairs: what they passed on has these columns, and nothing else has both.
    for columns in [["view", "word1"], ["view", "pixel_distance"]] {
        assert_eq!(n_with(rooms.dir.path(), columns), 2, "{columns:?}");
    }
}

/// In how many executors' folders there is a file in Arrow's format that has columns of these names.
fn n_with(dir: &Path, columns: [&str; 2]) -> usize {
    fn has(path: &Path, columns: &[Vec<u8>]) -> bool {
        if path.is_dir() {
            return fs_err::read_dir(path).unwrap().any(|entry| has(&entry.unwrap().path(), columns));
        }
        let bytes = fs_err::read(path).unwrap();
        columns.iter().all(|name| bytes.windows(name.len()).any(|part| part == name))
    }
    // A name stands there behind its length.
    let columns = columns.map(|name| [&(name.len() as u32).to_le_bytes(), name.as_bytes()].concat());
    let folders = fs_err::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    folders
        .filter(|path| path.is_dir() && path.file_name().unwrap().to_str().unwrap().starts_with("executor-"))
        .filter(|path| has(path, &columns))
        .count()
}

#[test]
fn an_executor_that_is_killed_while_it_hashes_is_replaced() {
    let rooms = Rooms::new();
    let mut cluster = Cluster::start(rooms.dir.path());
    let job = HashJob {
        source: rooms.source(),
        autoencoder: rooms.model(),
        config: HashConfig::default(),
        n_parts: 12,
        out: rooms.at("parts"),
        work: rooms.at("work"),
    };
    let session = cluster.session();
    let summary = std::thread::scope(|scope| {
        let hashing = scope.spawn(|| hash(&session, &job));
        wait_for("part", || {
            hashing.is_finished() || (1..=12).any(|k| job.work.join(format!("parts-12/part-{k:05}")).exists())
        });
        cluster.executors[0].kill();
        hashing.join().unwrap().unwrap().summary
    });
    assert_eq!((summary.n_images, summary.n_bad), (210, 0));
    let files = ["codes.parquet", "pictures.npy", "bad.csv", "autoencoder.safetensors"];
    assert!(bytes(&job.out, &files) == bytes(&rooms.hashed(), &files));
}

#[test]
fn an_executor_that_is_killed_among_the_components_is_replaced() {
    let rooms = Rooms::new();
    let expected = rooms.grouped(&near(), "one");
    let mut cluster = Cluster::start(rooms.dir.path());
    let job = group_job(&rooms, near(), "near");
    let session = cluster.session();
    std::thread::scope(|scope| {
        let grouping = scope.spawn(|| group(&session, &job));
        wait_for("component", || grouping.is_finished() || job.work.join("edges.parquet").exists());
        cluster.executors[1].kill();
        grouping.join().unwrap().unwrap()
    });
    assert!(bytes(&job.out, &SAME) == bytes(&expected, &SAME));
}

#[test]
fn a_job_goes_on_after_its_scheduler_was_killed() {
    let rooms = Rooms::new();
    let expected = rooms.grouped(&near(), "one");
    let mut cluster = Cluster::start(rooms.dir.path());
    let job = group_job(&rooms, near(), "near");
    let session = cluster.session();
    let message = std::thread::scope(|scope| {
        let grouping = scope.spawn(|| group(&session, &job));
        wait_for("stage", || grouping.is_finished() || job.work.join("near_0.parquet").exists());
        cluster.scheduler.kill();
        grouping.join().unwrap().unwrap_err().to_string()
    });
    let told = format!("scheduler at df://127.0.0.1:{}: does not answer any more, in stage ", cluster.port);
    assert!(message.starts_with(&told), "{message}");
    // Executors do not outlive it either, and say so.
    cluster.executors.iter_mut().for_each(|executor| assert_eq!(executor.wait(), Some(1)));
    let logs = fs_err::read_dir(&cluster.dir).unwrap().map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("executor-"));
    let logs: Vec<String> =
        logs.filter(|path| path.is_file()).map(|path| fs_err::read_to_string(path).unwrap()).collect();
    assert!(
        logs.len() == 2 && logs.iter().all(|log| log.contains("it has lost the scheduler at ")),
        "{logs:?}"
    );
    assert!(!job.out.exists());
    let kept = fs_err::metadata(job.work.join("near_0.parquet")).unwrap().modified().unwrap();
    cluster.scheduler = scheduler(&cluster.dir, cluster.port);
    cluster.executors = (2..4).map(|k| executor(&cluster.dir, cluster.port, k, &[])).collect();
    // The stage is not made again.
    let again = std::thread::scope(|scope| {
        let session = cluster.session();
        let job = &job;
        let grouping = scope.spawn(move || group(&session, job));
        wait_for("later stage", || grouping.is_finished() || job.work.join("views.parquet").exists());
        let again = fs_err::metadata(job.work.join("near_0.parquet")).unwrap().modified().unwrap();
        grouping.join().unwrap().unwrap();
        again
    });
    assert_eq!(again, kept);
    assert!(bytes(&job.out, &SAME) == bytes(&expected, &SAME));
}
