//! DataFusion in this process finds what one machine finds without it.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Rooms, bytes, go, local, random_codes, write_codes, write_keyed_codes};
use dcgan_cluster::group::{GroupJob, group};
use dcgan_cluster::hash::{HashJob, hash};
use dcgan_cluster::remove::{RemoveJob, remove};
use dcgan_cluster::session::{Place, Session};
use dcgan_dedup::group::{
    GROUPS, GroupConfig, MAP_CSV, MAP_PARQUET, Mirrored, Rule, UnionFind, equal_codes, group_images,
    near_pairs, read_groups,
};
use dcgan_dedup::hash::{HashConfig, hash as hash_set};
use dcgan_dedup::regenerate::{Target, regenerate};
use dcgan_dedup::{Autoencoder, Code, Preprocessing};
use dcgan_engine::cluster::LOCK;
use dcgan_engine::interrupt::Interrupt;
use dcgan_files::columns::{Column, Writer};
use dcgan_images::Source;
use dcgan_synthetic::{DigitsConfig, write_digits};

/// What `group_duplicates` writes, byte for byte.
const SAME: [&str; 3] = [GROUPS, MAP_CSV, MAP_PARQUET];

#[test]
fn pictures_are_grouped_and_listed_as_on_one_machine() {
    let rooms = Rooms::new();
    let session = rooms.session();
    let exact = GroupConfig::default();
    let near = GroupConfig { rule: Rule::Near, ..exact.clone() };
    let mirrored = GroupConfig { mirrored: Mirrored::Group, radius: 3, ..near.clone() };
    // A search of one part.
    let narrow = GroupConfig { radius: 0, crops: false, squeezed: false, ..near.clone() };
    let mut n_groups = Vec::new();
    for (name, config) in [("exact", exact), ("near", near), ("mirrored", mirrored), ("narrow", narrow)] {
        let expected = rooms.grouped(&config, &format!("{name}-one"));
        let job = GroupJob { hashed: rooms.hashed(), config, out: rooms.at(name), work: rooms.at("work") };
        let report = group(&session, &job).unwrap();
        assert!(bytes(&job.out, &SAME) == bytes(&expected, &SAME), "{name}: {report:?}");
        assert!(!job.work.exists(), "stages are deleted when all is done");
        n_groups.push(report.counts().n_groups);
    }
    assert!(n_groups[0] > 0 && n_groups[1..3].iter().all(|&n| n > n_groups[0]), "{n_groups:?}");

    let groups = rooms.at("near");
    let one = rooms.at("lists-one");
    fs_err::create_dir(&one).unwrap();
    let members = read_groups(&groups.join(GROUPS)).unwrap();
    regenerate(&rooms.source(), &members, &Default::default(), Target::Lists, &one, &mut go).unwrap();
    let job = RemoveJob {
        hashed: rooms.hashed(),
        groups,
        tars: None,
        out: rooms.at("lists"),
        work: rooms.at("work"),
    };
    let report = remove(&session, &job).unwrap();
    let lists = ["keep.txt", "remove.txt", "bad.csv"];
    assert_eq!(bytes(&job.out, &lists), bytes(&one, &lists));
    assert_eq!(report.n_kept + report.n_removed, 210);
}

#[test]
fn digits_in_a_crowd_are_grouped_as_on_one_machine() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_digits(&at("digits"), &DigitsConfig { n_train: 500, n_test: 10, seed: 2 }).unwrap();
    let source = Source::Svhn { path: at("digits/train_32x32.mat") };
    let model = Autoencoder::random(Preprocessing { standardise: true }, 3).unwrap();
    ["codes", "one"].iter().for_each(|name| fs_err::create_dir(at(name)).unwrap());
    hash_set(&source, &model, &HashConfig::default(), &at("codes"), &mut go).unwrap();
    let config = GroupConfig { rule: Rule::Near, radius: 24, pixel_distance: 0.55, ..GroupConfig::default() };
    let one = group_images(&at("codes"), &config, &at("one"), &mut go).unwrap();
    assert!(one.n_crowded > 0 && one.near.n_groups > 0, "{one:?}");
    let job = GroupJob { hashed: at("codes"), config, out: at("groups"), work: at("work") };
    let report = group(&local(&at("spill"), 256 << 20), &job).unwrap();
    assert!(bytes(&job.out, &SAME) == bytes(&at("one"), &SAME), "{report:?} {one:?}");
}

#[test]
fn a_set_hashed_in_parts_is_one_hashed_as_a_whole() {
    let rooms = Rooms::new();
    let job = HashJob {
        source: rooms.source(),
        autoencoder: rooms.model(),
        config: HashConfig::default(),
        n_parts: 5,
        out: rooms.at("parts"),
        work: rooms.at("work"),
    };
    let summary = hash(&rooms.session(), &job).unwrap().summary;
    assert_eq!((summary.n_images, summary.n_bad), (210, 0));
    let files = ["codes.parquet", "pictures.npy", "bad.csv", "autoencoder.safetensors"];
    assert!(bytes(&job.out, &files) == bytes(&rooms.hashed(), &files));
    assert!(!job.work.exists(), "parts are deleted when all is done");
}

/// What becomes of work that is interrupted as soon as something is there.
fn stopped_when<T>(
    is_halfway: &(dyn Fn() -> bool + Sync),
    place: &Place,
    work: &dyn Fn(&Session) -> dcgan_cluster::Result<T>,
) -> dcgan_cluster::Result<T> {
    let interrupt = Interrupt::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_halfway() && !interrupt.is_requested() {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            interrupt.request();
        });
        let stopped = work(&Session::open(place, interrupt.clone()).unwrap());
        interrupt.request();
        stopped
    })
}

/// As of a set that is too large for the memory.
#[test]
fn pictures_are_grouped_in_shares_as_on_one_machine() {
    let rooms = Rooms::new();
    let few = GroupConfig { crops: false, squeezed: false, blurred: false, ..GroupConfig::default() };
    let config = GroupConfig { rule: Rule::Near, radius: 2, ..few };
    let expected = rooms.grouped(&config, "one");
    assert!(read_groups(&expected.join(GROUPS)).unwrap().len() > 10);
    let job = GroupJob { hashed: rooms.hashed(), config, out: rooms.at("groups"), work: rooms.at("work") };
    fs_err::create_dir(&job.work).unwrap();
    let keep = |name: &str, text: &str| fs_err::write(job.work.join(name), text).unwrap();
    keep(LOCK, "");
    keep("near_most.json", "80");
    (0..=8).for_each(|radius| keep(&format!("near_views_{radius}_most.json"), "150"));
    let place = Place::Local { memory: 256 << 20, spill: rooms.at("spill"), n_threads: 2 };
    let is_halfway = || job.work.join("pairs.parquet").exists();
    let stopped = stopped_when(&is_halfway, &place, &|session| group(session, &job));
    // Three shares of the pictures, as many of these and their views.
    let names = fs_err::read_dir(&job.work).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let of_views = names.iter().any(|name| name.starts_with("near_views_") && name.ends_with("_0_2.parquet"));
    assert!(stopped.is_err() && names.contains(&"near_0_2.parquet".to_owned()) && of_views, "{names:?}");
    group(&rooms.session(), &job).unwrap();
    assert!(bytes(&job.out, &SAME) == bytes(&expected, &SAME));
}

/// The keys of groups of images.
fn keys(groups: &[Vec<u32>]) -> Vec<Vec<String>> {
    groups.iter().map(|group| group.iter().map(|image| format!("picture-{image:08}")).collect()).collect()
}

fn grouped(codes: &[Code], config: GroupConfig, memory: usize) -> (Vec<Vec<String>>, serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    // What has a meaning elsewhere is a letter like any other here.
    let at = |name: &str| dir.path().join("a*b 100%25 [1]? 'ü' {x}").join(name);
    write_codes(&at("codes"), codes);
    let job = GroupJob { hashed: at("codes"), config, out: at("groups"), work: at("work") };
    let report = group(&local(&at("spill"), memory), &job).unwrap();
    let groups = read_groups(&job.out.join(GROUPS)).unwrap();
    let keys = groups.iter().map(|group| {
        let mut keys: Vec<String> = group.iter().map(|member| member.key.clone()).collect();
        keys.sort();
        keys
    });
    (keys.collect(), serde_json::to_value(report).unwrap())
}

#[test]
fn codes_are_grouped_and_hot_buckets_reported_as_on_one_machine() {
    // A band of the third has slack; the last two have buckets of more codes than the cap.
    for (radius, n, n_originals, n_flipped, cap) in [
        (2, 5_000, 4_000, 3, 16384),
        (8, 5_000, 4_000, 9, 16384),
        (24, 12_000, 9_000, 9, 16384),
        (12, 3_000, 8, 4, 100),
        (2, 2_000, 5, 2, 20),
    ] {
        let codes = random_codes(n, n_originals, n_flipped, u64::from(radius));
        let config = GroupConfig { rule: Rule::Near, radius, bucket_cap: cap, ..GroupConfig::default() };
        let mut sets = UnionFind::new(n as u32);
        let mut n_pairs = 0;
        let expected = near_pairs(&codes, radius, cap, &mut |pairs| {
            n_pairs += pairs.len();
            pairs.iter().for_each(|pair| {
                sets.join(pair.first, pair.second);
            });
        });
        let (groups, report) = grouped(&codes, config, 256 << 20);
        assert_eq!(groups, keys(&sets.groups()));
        assert_eq!(report["search"], serde_json::to_value(&expected).unwrap(), "{radius} {cap}");
        assert_eq!(report["n_candidates"], n_pairs);
        assert!(cap > 100 || expected.n_hot_buckets > 0);
    }
}

/// With little memory a stage has some groups of a part of the search, with more it would have all of several parts.
#[test]
fn a_search_that_goes_on_with_more_memory_finds_all() {
    let codes = random_codes(200_000, 150_000, 9, 3);
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_codes(&at("codes"), &codes);
    let config = GroupConfig { rule: Rule::Near, ..GroupConfig::default() };
    let job = GroupJob { hashed: at("codes"), config: config.clone(), out: at("groups"), work: at("work") };
    let place = Place::Local { memory: 14 << 20, spill: at("spill"), n_threads: 2 };
    let is_halfway = || job.work.join("near_0_1.parquet").exists();
    let stopped = stopped_when(&is_halfway, &place, &|session| group(session, &job));
    assert!(stopped.is_err() && job.work.join("near_0_1.parquet").exists(), "{stopped:?}");
    let report = group(&local(&at("spill"), 1 << 30), &job).unwrap();
    let mut sets = UnionFind::new(codes.len() as u32);
    let met = near_pairs(&codes, config.radius, config.bucket_cap, &mut |pairs| {
        pairs.iter().for_each(|pair| {
            sets.join(pair.first, pair.second);
        });
    });
    let expected: usize = sets.groups().iter().map(Vec::len).sum();
    assert_eq!(report.counts().n_grouped, expected as u64);
    assert_eq!(serde_json::to_value(report).unwrap()["search"], serde_json::to_value(met).unwrap());
    assert!(!job.work.exists());
}

#[test]
fn equal_codes_are_grouped_with_little_memory() {
    let codes = random_codes(200_000, 150_000, 0, 1);
    let (groups, _) = grouped(&codes, GroupConfig::default(), 24 << 20);
    assert!(groups == keys(&equal_codes(&codes)) && groups.len() > 10_000);
}

/// Groups in which pairs of keys are one to go and the one that is to stay for it.
fn write_groups(dir: &Path, pairs: &[[&str; 2]]) {
    fs_err::create_dir_all(dir).unwrap();
    let schema = "message groups {
        REQUIRED INT32 group (INTEGER(32, false));
        REQUIRED BYTE_ARRAY key (STRING);
        REQUIRED BYTE_ARRAY representative (STRING);
        REQUIRED INT32 elsewhere (INTEGER(32, false));
    }";
    let mut writer = Writer::create(&dir.join(GROUPS), schema).unwrap();
    let keys = |k: usize| Column::Strings(pairs.iter().map(|pair| pair[k].to_owned()).collect());
    let zeros = || Column::U32(vec![0; pairs.len()]);
    writer.write(&[zeros(), keys(0), keys(1), zeros()]).unwrap();
    writer.finish().unwrap();
}

#[test]
fn groups_of_which_nobody_would_stay_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_codes(&at("codes"), &random_codes(4, 4, 0, 1));
    let [a, b, c] = ["picture-00000000", "picture-00000001", "picture-00000002"];
    let session = local(&at("spill"), 64 << 20);
    for (number, (pairs, expected)) in [
        (vec![[a, b], [b, a]], "which is to stay for others, but is itself removed"),
        (vec![[a, b], [b, c]], "picture-00000001, which is to stay for others, but is itself removed"),
        (vec![[a, "x"]], "x, which is to stay for others, but is not in it"),
        (vec![["x", a]], "x, which is not in it"),
        (vec![[a, a], [b, a]], ""),
    ]
    .into_iter()
    .enumerate()
    {
        let groups = at(&format!("groups-{number}"));
        write_groups(&groups, &pairs);
        let out = at(&format!("out-{number}"));
        let work = at(&format!("work-{number}"));
        let job = RemoveJob { hashed: at("codes"), groups, tars: None, out, work };
        match remove(&session, &job) {
            Ok(report) => assert!(expected.is_empty() && (report.n_kept, report.n_removed) == (3, 1)),
            Err(error) => {
                let told = error.to_string();
                assert!(!expected.is_empty() && told.ends_with(expected), "{told}");
                // Other groups are another job.
                write_groups(&job.groups, &[[b, a]]);
                let told = remove(&session, &job).unwrap_err().to_string();
                assert!(told.contains("expected the same job, found another (stamp is "), "{told}");
            }
        }
    }
}

#[test]
fn a_set_that_changes_while_it_is_hashed_is_another_job() {
    let rooms = Rooms::new();
    let job = HashJob {
        source: rooms.source(),
        autoencoder: rooms.model(),
        config: HashConfig::default(),
        n_parts: 6,
        out: rooms.at("parts"),
        work: rooms.at("work"),
    };
    let place = Place::Local { memory: 64 << 20, spill: rooms.at("spill"), n_threads: 1 };
    let is_halfway = || job.work.join("parts-6/part-00001").exists();
    let stopped = stopped_when(&is_halfway, &place, &|session| hash(session, &job));
    assert!(stopped.is_err() && !job.out.exists());
    let data = rooms.at("rooms/rooms_lmdb/data.mdb");
    let (bytes_before, moved) = (fs_err::read(&data).unwrap(), rooms.at("rooms/moved.mdb"));
    fs_err::rename(&data, &moved).unwrap();
    fs_err::write(&data, &bytes_before).unwrap();
    let told = hash(&rooms.session(), &job).unwrap_err().to_string();
    assert!(told.contains("expected the same job, found another (set is "), "{told}");
    fs_err::rename(&moved, &data).unwrap();
}

#[test]
fn keys_are_refused_that_one_machine_refuses() {
    let rooms = Rooms::new();
    for key in ["a\0b", "a\u{2028}b", "a\nb", ""] {
        let dir = tempfile::tempdir().unwrap();
        let keys = ["first", key];
        write_keyed_codes(dir.path(), &[Code([1, 2]); 2], &|image| keys[image].to_owned());
        let at = |name: &str| dir.path().join(name);
        let hashed = dir.path().to_owned();
        let job = GroupJob { hashed, config: GroupConfig::default(), out: at("groups"), work: at("work") };
        let told = group(&rooms.session(), &job).unwrap_err().to_string();
        assert!(told.ends_with(&format!("expected keys of one line, found {key:?} in row 1")), "{told}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let rooms = Rooms::new();
    let session = rooms.session();
    let job =
        |config| GroupJob { hashed: rooms.hashed(), config, out: rooms.at("groups"), work: rooms.at("work") };
    let message = |job: &GroupJob| group(&session, job).unwrap_err().to_string();
    let refused = message(&job(GroupConfig { rule: Rule::Phash, ..GroupConfig::default() }));
    assert_eq!(refused, "`rule`: expected exact or near, found phash");
    let mut strange = job(GroupConfig::default());
    strange.hashed = rooms.at("none");
    assert!(message(&strange).contains("none/codes.parquet"), "{}", message(&strange));
    fs_err::create_dir(rooms.at("groups")).unwrap();
    fs_err::write(rooms.at("groups/mine"), "mine").unwrap();
    let refused = message(&job(GroupConfig::default()));
    assert!(refused.ends_with("groups: expected nothing or an empty folder, found files"), "{refused}");
    fs_err::remove_dir_all(rooms.at("groups")).unwrap();
    fs_err::create_dir(rooms.at("work")).unwrap();
    fs_err::write(rooms.at("work/mine"), "mine").unwrap();
    let refused = message(&job(GroupConfig::default()));
    assert!(
        refused.contains("expected an empty folder or one of the same job, found other files"),
        "{refused}"
    );
    assert_eq!(fs_err::read_to_string(rooms.at("work/mine")).unwrap(), "mine");
}
