//! The whole way on made-up rooms with planted near-duplicates: training, hashing, grouping, judging, writing again.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use dcgan_dedup::evaluate::{Change, EvaluateConfig, Evaluated, evaluate, found_pairs};
use dcgan_dedup::group::{
    GROUPS, GroupConfig, Keep, Readable, Rule, group_against, group_images, read_groups,
};
use dcgan_dedup::hash::{HashConfig, hash};
use dcgan_dedup::regenerate::{Target, regenerate};
use dcgan_dedup::train::{TrainConfig, files::AUTOENCODER, train};
use dcgan_dedup::{Autoencoder, DedupError};
use dcgan_images::{ImageStore, ImportConfig, Source, import};
use dcgan_synthetic::{RoomsConfig, write_rooms};

fn go(_done: u64, _total: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The planted pairs: (original, duplicate, change).
fn planted(dir: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(dir.join("planted.csv")).unwrap();
    let row = |line: &str| {
        let mut fields = line.split(',').map(str::to_owned);
        (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn planted_near_duplicates_are_found_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let rooms = RoomsConfig { n_scenes: 120, n_planted: 40, size: 80, seed: 3 };
    write_rooms(&dir.path().join("rooms"), &rooms).unwrap();
    let source = Source::Lsun { path: dir.path().join("rooms/rooms_lmdb") };
    let import_config =
        ImportConfig { resize: "min_resize_centre_crop(64)".parse().unwrap(), ..Default::default() };
    import(&source, &import_config, &at("images"), &mut go).unwrap();
    let store = ImageStore::open(&at("images")).unwrap();
    let config = TrainConfig { epochs: 25, batch_size: 40, ..Default::default() };
    train(&store, &config, &at("model"), &mut go).unwrap();
    let model = Autoencoder::load(&at("model").join(AUTOENCODER)).unwrap();

    let summary = hash(&source, &model, &HashConfig::default(), &at("codes"), &mut go).unwrap();
    assert_eq!((summary.n_images, summary.n_bad), (160, 0));
    let grouping = GroupConfig { rule: Rule::Near, keep: Keep::LowestKey, ..Default::default() };
    let found = group_images(&at("codes"), &grouping, &at("groups"), &mut go).unwrap();
    assert!(found.exact.n_grouped <= found.near.n_grouped, "{found:?}");
    let groups = read_groups(&at("groups").join(GROUPS)).unwrap();
    assert_eq!(groups.len() as u64, found.near.n_groups);

    // Groups hold planted pairs alone, and most of them.
    let planted = planted(&dir.path().join("rooms"));
    let pairs: HashSet<(String, String)> =
        planted.iter().flat_map(|(a, b, _)| [(a.clone(), b.clone()), (b.clone(), a.clone())]).collect();
    for group in &groups {
        assert_eq!(group[0].key, group[0].representative);
        assert!(group[1..].iter().all(|member| member.key > group[0].key), "the lowest key stays");
        assert!(
            group.len() == 2 && pairs.contains(&(group[0].key.clone(), group[1].key.clone())),
            "{group:?}"
        );
    }
    assert!(groups.len() * 10 >= planted.len() * 8, "{} of {}", groups.len(), planted.len());
    let again = group_images(&at("codes"), &grouping, &at("groups-again"), &mut go).unwrap();
    assert_eq!(again, found);
    let bytes = |name: &str| std::fs::read(at(name).join(GROUPS)).unwrap();
    assert!(bytes("groups") == bytes("groups-again"));

    let changes = vec![Change::Jpeg(50), Change::Resize(50), Change::Crop(2), Change::Flip];
    let config = EvaluateConfig { n_changed: 30, changes, n_on_sheet: 5, ..Default::default() };
    let codes = at("codes");
    let pairs_found = found_pairs(&groups);
    let evaluated = Evaluated {
        source: &source,
        model: &model,
        hashed: &codes,
        groups: &groups,
        found: &pairs_found,
        grouping: &grouping,
    };
    let (evaluation, sheet) = evaluate(evaluated, &config, &[], &mut go).unwrap();
    let near = &evaluation.methods[2];
    assert!(near.method.contains("near") && near.recall[0].n == 30, "{near:?}");
    assert!(near.recall[0].share > 0.9 && near.recall[1].share > 0.9, "{near:?}");
    assert!(near.recall[3].share < 0.2 && near.false_positives.share < 0.05, "{near:?}");
    assert!(evaluation.methods[0].recall[0].share <= near.recall[0].share);
    assert_eq!((sheet.found.len(), sheet.n_found, sheet.pictures().count()), (5, groups.len(), 10));
    assert!(sheet.found.iter().all(|pair| pairs.contains(&(pair.first.clone(), pair.second.clone()))));
    assert!(evaluation.html().contains("<td>flip</td>"));
    assert_eq!(evaluation.markdown().lines().count(), 2 + 4 + 2);

    let target =
        Target::Store { resize: "min_resize_centre_crop(32)".parse().unwrap(), damaged: Default::default() };
    let readable = Readable::of_hashed(&at("codes")).unwrap();
    let written = regenerate(&source, &groups, &readable, target, &at("clean"), &mut go).unwrap();
    assert_eq!(written.n_kept as usize, 160 - groups.len());
    assert_eq!(ImageStore::open(&at("clean")).unwrap().len(), 160 - groups.len());

    // Held against its own first pictures: those are in both, and what is like them.
    let first = HashConfig { limit: Some(50), ..HashConfig::default() };
    hash(&source, &model, &first, &at("first"), &mut go).unwrap();
    for rule in [Rule::Exact, Rule::Near] {
        let grouping = GroupConfig { rule, ..GroupConfig::default() };
        let against = group_against(&at("codes"), &at("first"), &grouping, &at("against"), &mut go).unwrap();
        let n_found = against.n_found;
        assert!(
            (against.n_images, against.n_against) == (160, 50) && (50..75).contains(&n_found),
            "{against:?}"
        );
        let is_itself = |[key, other]: &[String; 2]| rule == Rule::Exact || key == other;
        assert!(against.found[..9].iter().all(is_itself), "{against:?}");
        let leaked = read_groups(&at("against").join(GROUPS)).unwrap();
        let lists = regenerate(&source, &leaked, &readable, Target::Lists, &at("without"), &mut go).unwrap();
        assert_eq!((lists.n_kept, lists.n_removed), (160 - n_found, n_found));
    }
    let other = Autoencoder::random(model.preprocessing, 9).unwrap();
    hash(&source, &other, &first, &at("other"), &mut go).unwrap();
    let refused = group_against(&at("codes"), &at("other"), &grouping, &at("against"), &mut go).unwrap_err();
    assert!(refused.to_string().contains("found codes by another autoencoder"), "{refused}");

    let stopped = group_images(&codes, &grouping, &at("stopped"), &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(DedupError::Interrupted)));
}
