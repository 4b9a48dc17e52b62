//! What fingerprints depend on, for any files: content and names, and nothing else.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use dcgan_engine::cache::FingerprintCache;
use dcgan_engine::fingerprint::{combine, content, stamp};
use dcgan_engine::interrupt::Interrupt;
use dcgan_engine::progress::{Progress, Verbosity};
use dcgan_files::walk::Stop;
use proptest::prelude::*;
use proptest::sample::Index;

/// Relative paths and contents; no path is the folder of another.
type Files = BTreeMap<String, Vec<u8>>;

fn files() -> impl Strategy<Value = Files> {
    let path = prop_oneof!["[a-z]{1,3}", "[d-f]{1}/[a-z]{1,3}", "[d-f]{1}/[g-h]{1}/[a-z]{1,3}"];
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::btree_map(path, bytes, 1..6).prop_filter("a file is no folder", |files| {
        files.keys().all(|path| !files.keys().any(|other| other.starts_with(&format!("{path}/"))))
    })
}

fn write<'a>(folder: &Path, files: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn print(path: &Path) -> String {
    content(path, &mut (), &Stop::default(), &mut |_| ControlFlow::Continue(())).unwrap()
}

fn of(files: &Files) -> String {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), files);
    print(dir.path())
}

fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_files_have_the_same_print_in_whatever_order_and_whenever_written(
        files in files(), seconds in 1_000_000_000_u64..2_000_000_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), files.iter().rev());
        for path in files.keys() {
            set_modified(&dir.path().join(path), seconds);
        }
        prop_assert_eq!(print(dir.path()), of(&files));
    }

    #[test]
    fn any_changed_byte_changes_it(files in files(), which in any::<Index>(), at in any::<Index>(), bit in 0_u32..8) {
        let mut changed = files.clone();
        let path = which.get(&files.keys().collect::<Vec<_>>()).to_string();
        let bytes = changed.get_mut(&path).unwrap();
        if bytes.is_empty() {
            bytes.push(0);
        } else {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        prop_assert_ne!(of(&changed), of(&files));
    }

    #[test]
    fn any_changed_name_changes_it(files in files(), which in any::<Index>()) {
        let path = which.get(&files.keys().collect::<Vec<_>>()).to_string();
        let mut renamed = files.clone();
        let bytes = renamed.remove(&path).unwrap();
        renamed.insert(format!("{path}0"), bytes);
        prop_assert_ne!(of(&renamed), of(&files));
    }

    #[test]
    fn a_byte_moved_to_the_next_file_changes_it(files in files(), bytes in prop::collection::vec(any::<u8>(), 1..20)) {
        // Names and contents must not run into each other.
        let of_two = |first: &[u8], second: &[u8]| {
            let mut both = files.clone();
            both.insert("x".to_owned(), first.to_vec());
            both.insert("y".to_owned(), second.to_vec());
            both.retain(|path, _| !path.starts_with("x/") && !path.starts_with("y/"));
            of(&both)
        };
        let (last, most) = bytes.split_last().unwrap();
        prop_assert_ne!(of_two(&bytes, &[]), of_two(most, &[*last]));
        prop_assert_ne!(of_two(&bytes, most), of_two(most, &bytes));
    }

    #[test]
    fn an_added_or_removed_file_changes_it(files in files(), bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut more = files.clone();
        more.insert("added".to_owned(), bytes);
        prop_assert_ne!(of(&more), of(&files));
    }

    #[test]
    fn combined_prints_depend_on_names_values_and_order(
        parts in prop::collection::vec(("[a-z]{1,4}", "[0-9a-f]{4}"), 1..6), which in any::<Index>(),
    ) {
        let of = |parts: &[(String, String)]| combine(parts.iter().map(|(name, print)| (name.as_str(), print.as_str())));
        let mut changed = parts.clone();
        which.get_mut(&mut changed).1.push('0');
        prop_assert_ne!(of(&changed), of(&parts));
        let mut renamed = parts.clone();
        which.get_mut(&mut renamed).0.push('z');
        prop_assert_ne!(of(&renamed), of(&parts));
        let mut turned = parts.clone();
        turned.reverse();
        prop_assert_eq!(of(&turned) == of(&parts), turned == parts);
    }

    /// Whatever is done to a file, in whatever order, the memory says what reading says.
    #[test]
    fn the_memory_agrees_with_the_content(
        steps in prop::collection::vec((0_u8..5, prop::collection::vec(any::<u8>(), 0..4), 0_u64..3), 1..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let mut cache = FingerprintCache::open(dir.path());
        let file = dir.path().join("file");
        std::fs::write(&file, "first").unwrap();
        // A day between any two changes: a later one is never in the tick of the one before.
        let mut day = 10_000;
        for (what, bytes, future) in steps {
            day += 1;
            match what {
                0 => std::fs::write(&file, &bytes).unwrap(),
                1 => {
                    std::fs::write(&file, &bytes).unwrap();
                    set_modified(&file, day * 86_400);
                }
                2 => {
                    // Another file in its place.
                    std::fs::write(dir.path().join("other"), &bytes).unwrap();
                    set_modified(&dir.path().join("other"), day * 86_400);
                    std::fs::rename(dir.path().join("other"), &file).unwrap();
                }
                3 => set_modified(&file, 4_000_000_000 + future),
                _ => {
                    cache.save(&progress);
                    cache = FingerprintCache::open(dir.path());
                }
            }
            prop_assert_eq!(cache.fingerprint(&file, &progress).unwrap(), print(&file));
        }
    }

    #[test]
    fn stamps_follow_names_sizes_and_times(files in files(), which in any::<Index>()) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files);
        let before = stamp(dir.path(), &Stop::default()).unwrap();
        prop_assert_eq!(&stamp(dir.path(), &Stop::default()).unwrap(), &before);
        let path = which.get(&files.keys().collect::<Vec<_>>()).to_string();
        set_modified(&dir.path().join(&path), 1_234_567_890);
        prop_assert_ne!(&stamp(dir.path(), &Stop::default()).unwrap().digest, &before.digest);
    }
}
