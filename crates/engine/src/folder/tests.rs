use crate::toy::TOYS;
use serde_json::json;

use super::*;
use crate::record::Environment;

/// A complete stage's folder at `folder`: one file, and a record that tells one version from another by its seed.
fn make(folder: &Path, seed: u64) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("a"), seed.to_string()).unwrap();
    record(seed).write(folder, folder).unwrap();
}

fn record(seed: u64) -> Record {
    Record {
        id: "stage".to_owned(),
        cell: Vec::new(),
        kind: "synthesize".to_owned(),
        stage_version: 1,
        config: json!({"synthesize": {"shapes": {"seed": seed}}}),
        inputs: Vec::new(),
        outputs: std::collections::BTreeMap::new(),
        seed: Some(seed),
        environment: Environment::here("cpu"),
        started: "2026-01-01T00:00:00Z".to_owned(),
        seconds: 1.0,
        cpu_seconds: None,
        peak_memory_bytes: None,
        metrics: json!({}),
        differences: Vec::new(),
        not_checked: Vec::new(),
        equal: Vec::new(),
    }
}

fn version(seed: u64) -> Version {
    Version::of_record(&record(seed), &TOYS)
}

fn content(folder: &Path) -> String {
    fs::read_to_string(folder.join("a")).unwrap()
}

/// A folder with nothing in it, and a stage's place in it.
fn place() -> (tempfile::TempDir, Target) {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::at(&dir.path().join("stage")).unwrap();
    target.open().unwrap();
    (dir, target)
}

/// Writes a version beside the stage's folder and puts it there.
fn replace(target: &Target, seed: u64) -> Option<PathBuf> {
    let work = target.new_work(&version(seed)).unwrap();
    make(&work, seed);
    target.put_in_place(&work, &TOYS).unwrap()
}

#[test]
fn a_folder_is_replaced_as_a_whole_and_the_one_before_is_kept() {
    let (dir, target) = place();
    assert_eq!(replace(&target, 1), None);
    let aside = replace(&target, 2).unwrap();
    assert_eq!((content(target.folder()).as_str(), content(&aside).as_str()), ("2", "1"));
    assert_eq!(target.complete(&version(1)), [aside]);
    assert!(target.complete(&version(2)).is_empty());
    // The same version twice: both are there.
    replace(&target, 1);
    replace(&target, 2);
    assert_eq!(target.complete(&version(1)).len(), 2);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_kept_version_is_put_back() {
    let (_dir, target) = place();
    replace(&target, 1);
    let one = replace(&target, 2).unwrap();
    target.put_in_place(&one, &TOYS).unwrap();
    assert_eq!(content(target.folder()), "1");
    assert_eq!(target.complete(&version(2)).len(), 1);
    assert!(target.complete(&version(1)).is_empty());
}

#[test]
fn killed_between_the_renames_both_versions_are_found() {
    let (_dir, target) = place();
    replace(&target, 1);
    let work = target.new_work(&version(2)).unwrap();
    make(&work, 2);
    // Nothing renamed yet; then the old one set aside and the new one not in its place.
    assert_eq!(target.complete(&version(2)), std::slice::from_ref(&work));
    target.set_aside(&TOYS).unwrap();
    assert_eq!(target.complete(&version(2)), std::slice::from_ref(&work));
    assert_eq!(target.complete(&version(1)).len(), 1);
    target.put_in_place(&work, &TOYS).unwrap();
    assert_eq!(content(target.folder()), "2");
}

#[test]
fn what_no_stage_made_is_in_the_way_and_is_named() {
    let (_dir, target) = place();
    fs::write(target.folder(), "mine").unwrap();
    let message = target.check_way().unwrap_err().to_string();
    assert!(
        message.contains("stage is in the way: expected a stage's folder or nothing, found a file"),
        "{message}"
    );
    fs::remove_file(target.folder()).unwrap();
    fs::create_dir(target.folder()).unwrap();
    target.check_way().unwrap();
    fs::write(target.folder().join("thesis"), "mine").unwrap();
    let message = target.check_way().unwrap_err().to_string();
    assert!(message.contains("found a folder without stage.json that holds thesis"), "{message}");
    let work = target.new_work(&version(1)).unwrap();
    make(&work, 1);
    assert!(target.put_in_place(&work, &TOYS).is_err());
    assert!(target.folder().join("thesis").exists() && work.join("a").exists());
    fs::remove_file(target.folder().join("thesis")).unwrap();
    assert_eq!(target.put_in_place(&work, &TOYS).unwrap(), None);
}

#[test]
fn a_stage_whose_record_cannot_be_read_is_set_aside_whole() {
    let (_dir, target) = place();
    for n in 1..3 {
        make(target.folder(), n);
        fs::write(target.folder().join(record::FILE), "damaged").unwrap();
        let aside = replace(&target, 9).unwrap();
        assert_eq!(content(&aside), n.to_string());
        fs::remove_dir_all(target.folder()).unwrap();
    }
    assert_eq!(target.kept().len(), 2);
}

#[test]
fn half_done_work_stays_for_its_own_version() {
    let (_dir, target) = place();
    let (folder, has_begun) = target.resume(&version(1)).unwrap();
    assert!(!has_begun);
    fs::write(folder.join("checkpoint"), "1").unwrap();
    fs::write(folder.join(".checkpoint.123.tmp"), "half").unwrap();
    let (other, has_begun) = target.resume(&version(2)).unwrap();
    assert!(!has_begun && other != folder);
    let (folder, has_begun) = target.resume(&version(1)).unwrap();
    assert!(has_begun);
    assert_eq!(files_under(&folder).unwrap(), ["checkpoint"]);
    assert_eq!(target.half_done().len(), 2);
}

#[test]
fn a_complete_folder_is_taken_up_without_its_record() {
    let (_dir, target) = place();
    replace(&target, 1);
    fs::create_dir(target.folder().join("sub")).unwrap();
    fs::write(target.folder().join("sub/checkpoint"), "1").unwrap();
    target.take_up(target.folder(), &version(2)).unwrap();
    let (folder, has_begun) = target.resume(&version(2)).unwrap();
    assert!(has_begun && !folder.join(record::FILE).exists());
    fs::write(folder.join("sub/checkpoint"), "2").unwrap();
    assert_eq!(fs::read_to_string(target.folder().join("sub/checkpoint")).unwrap(), "1");
}

#[test]
fn folders_beside_it_are_left_alone_but_for_half_done_work_with_our_mark() {
    let (dir, target) = place();
    let old = dir.path().join("stage.old");
    let partial = dir.path().join("stage.partial");
    for (folder, file) in [(&old, "thesis"), (&partial, "checkpoint")] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join(file), "1").unwrap();
    }
    assert!(!target.resume(&version(1)).unwrap().1);
    replace(&target, 3);
    assert!(partial.join("checkpoint").exists() && old.join("thesis").exists());
    fs::write(partial.join(FINGERPRINT), &version(2).making).unwrap();
    assert!(!target.resume(&version(4)).unwrap().1);
    let (folder, has_begun) = target.resume(&version(2)).unwrap();
    assert!(has_begun && !partial.exists());
    assert_eq!(files_under(&folder).unwrap(), ["checkpoint"]);
}

#[cfg(unix)]
#[test]
fn a_link_is_kept_and_its_folder_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, link) = (dir.path().join("disk/there"), dir.path().join("stage"));
    make(&disk, 1);
    std::os::unix::fs::symlink(&disk, &link).unwrap();
    let target = Target::at(&link).unwrap();
    replace(&target, 2);
    assert!(link.is_symlink());
    assert_eq!((content(&link), content(&disk)), ("2".to_owned(), "2".to_owned()));
    assert!(!dir.path().join(hidden::NAME).exists());
    std::os::unix::fs::symlink("nowhere", dir.path().join("lost")).unwrap();
    assert!(Target::at(&dir.path().join("lost")).unwrap_err().to_string().contains("leads nowhere"));
}
