use dcgan_files::columns::{Column, Kind, read};
use tempfile::TempDir;

use super::*;
use crate::{
    ArchitectureName,
    supervised::{TABLE, n_kept, testing::Corners, write_table},
};

fn config() -> SearchConfig {
    SearchConfig {
        architecture: ArchitectureName::Svhn32,
        width: 0.03,
        n_trials: 5,
        learning_rate: [1e-3, 1e-2],
        beta1: [0.5, 0.9],
        l2: [1e-6, 1e-2],
        dropout: [0.0, 0.7],
        batch_sizes: vec![8, 16],
        epochs: 4,
        patience: 2,
        check_every: 1,
        seed: 2,
    }
}

fn on(n_threads: usize, corners: &Corners, config: &SearchConfig, folder: &Path) -> Result<Found> {
    let mut observe = |_: &[Trial], _| ControlFlow::Continue(());
    let search = || search(&corners.examples(), config, folder, &Device::CPU, &mut observe);
    pool(n_threads).unwrap().install(search)
}

/// Without the times.
fn timeless(found: &Found) -> Vec<Trial> {
    found.trials.iter().map(|trial| Trial { seconds: 0.0, ..trial.clone() }).collect()
}

#[test]
fn threads_interruptions_and_damage_change_nothing() {
    let (corners, dir) = (Corners::new(80), TempDir::new().unwrap());
    let [whole, again] = ["whole", "again"].map(|name| dir.path().join(name).join("trials"));
    let expected = on(1, &corners, &config(), &whole).unwrap();
    assert_eq!(expected.trials.len(), 5);
    let best = expected.trials[expected.best as usize].trained().unwrap().validation;
    assert!(expected.trials.iter().all(|t| t.trained().unwrap().validation.error_rate >= best.error_rate));

    // Stopped after two trials.
    let mut stop = |trials: &[Trial], n: u64| {
        assert_eq!(n, 5);
        if trials.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let stopped =
        pool(1).unwrap().install(|| search(&corners.examples(), &config(), &again, &Device::CPU, &mut stop));
    assert!(matches!(stopped, Err(GanError::Interrupted)), "{stopped:?}");
    let n_done = n_kept(again.parent().unwrap(), 5);
    assert!((2..5).contains(&n_done), "{n_done}");
    // One is cut, one is another search's.
    std::fs::write(again.join("trial_0000.json"), "{\"trial\": 0, \"par").unwrap();
    std::fs::copy(whole.join("trial_0004.json"), again.join("trial_0001.json")).unwrap();
    let found = on(3, &corners, &config(), &again).unwrap();
    assert_eq!(timeless(&found), timeless(&expected));
    assert_eq!(found.best, expected.best);

    // More trials go on with these; the time of each stays as it was.
    let more = on(2, &corners, &SearchConfig { n_trials: 7, ..config() }, &again).unwrap();
    assert_eq!(more.trials[..5], found.trials[..]);
    assert_eq!(more.trials.len(), 7);
    // What is trained again is what was found.
    let mut observe = || ControlFlow::Continue(());
    let network = config().train_again(&corners.examples(), found.best, &Device::CPU, &mut observe).unwrap();
    assert_eq!(network.validation, best);
}

#[test]
fn trials_that_diverge_are_listed_and_passed_over() {
    let (corners, dir) = (Corners::new(48), TempDir::new().unwrap());
    let wild = SearchConfig { learning_rate: [1e-3, 1e38], n_trials: 12, ..config() };
    let found = on(2, &corners, &wild, &dir.path().join("some")).unwrap();
    let n_diverged = found.trials.iter().filter(|trial| trial.trained().is_none()).count();
    assert!((1..12).contains(&n_diverged), "{n_diverged}");
    assert!(found.trials[found.best as usize].trained().is_some());

    let path = dir.path().join(TABLE);
    write_table(&found.trials, &path).unwrap();
    let wanted = [
        ("trial", Kind::U32),
        ("learning_rate", Kind::F32),
        ("validation_error", Kind::MaybeF32),
        ("best_epoch", Kind::MaybeU32),
        ("diverged_at", Kind::MaybeU64),
    ];
    let mut columns = Vec::new();
    read(&path, &wanted, |group| columns = group).unwrap();
    let [
        Column::U32(trial),
        Column::F32(rate),
        Column::MaybeF32(error),
        Column::MaybeU32(epoch),
        Column::MaybeU64(at),
    ] = &columns[..]
    else {
        panic!("{columns:?}")
    };
    for (i, expected) in found.trials.iter().enumerate() {
        assert_eq!((trial[i], rate[i]), (i as u32, expected.parameters.learning_rate as f32));
        let trained = expected.trained();
        assert_eq!(error[i], trained.map(|t| t.validation.error_rate as f32));
        assert_eq!(epoch[i].map(u64::from), trained.map(|t| t.best_epoch));
        assert_eq!(at[i].is_some(), trained.is_none());
    }

    let all = SearchConfig { learning_rate: [1e37, 1e38], n_trials: 2, ..config() };
    let error = on(1, &corners, &all, &dir.path().join("all")).unwrap_err().to_string();
    assert!(error.starts_with("all 2 trials diverged: expected a finite cross-entropy"), "{error}");
}
