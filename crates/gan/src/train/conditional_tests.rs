use dcgan_images::{Picture, StoreDescription, StoreWriter};

use super::*;
use crate::{ArchitectureName, Guidelines};

/// Narrow networks of 16×16 grey pictures with three labels, which learn more slowly from the second epoch on.
fn small() -> TrainConfig {
    let own = Guidelines {
        channels: 1,
        base: 4,
        z: 6,
        hidden: 9,
        classes: 3,
        output: crate::Output::Sigmoid,
        gain_and_bias: false,
        ..Guidelines::of_size(16)
    };
    TrainConfig {
        batch_size: Some(8),
        epochs: Some(4),
        decay_epochs: Some(3),
        log_every: 1,
        score_every_steps: 4,
        ema_decay: Some(0.9),
        ..TrainConfig::paper(ArchitectureName::Own(own))
    }
}

/// 20 pictures of 16×16 with these labels in turn.
fn store(folder: &Path, labels: &[Option<u32>]) -> ImageStore {
    fs_err::create_dir_all(folder).unwrap();
    let mut writer = StoreWriter::create(folder).unwrap();
    for i in 0..20 {
        let pixels = (0..256).map(|k| (k * (i + 3) % 251) as u8).collect();
        let picture = Picture { channels: 1, height: 16, width: 16, pixels };
        writer.append(&i.to_string(), labels[i % labels.len()], "waves", &picture).unwrap();
    }
    writer.finish(StoreDescription::default()).unwrap();
    ImageStore::open(folder).unwrap()
}

fn trained(store: &ImageStore, config: &TrainConfig, folder: &Path, stop: u64) -> Result<TrainSummary> {
    fs_err::create_dir_all(folder).unwrap();
    train(store, config, folder, &Device::CPU, &mut |event| match event {
        Event::Minibatch { done, .. } if done >= stop => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
}

#[test]
fn an_interrupted_conditional_training_ends_with_the_bits_of_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"), &[Some(0), Some(2), Some(1)]);
    for schedule in [Schedule::Alternate, Schedule::Both] {
        let config = TrainConfig { schedule, ..small() };
        let [whole, parts] =
            ["whole", "parts"].map(|name| dir.path().join(format!("{schedule:?}")).join(name));
        trained(&store, &config, &whole, u64::MAX).unwrap();
        for stop in [3, 6] {
            assert!(matches!(trained(&store, &config, &parts, stop), Err(GanError::Interrupted)));
        }
        assert_eq!(trained(&store, &config, &parts, u64::MAX).unwrap().resumed_from, 6);
        let networks = [files::GENERATOR, files::DISCRIMINATOR, files::GENERATOR_EMA, files::GENERATOR_BEST];
        for file in networks.into_iter().chain(["samples/step_0000008.png"]) {
            let [a, b] = [&whole, &parts].map(|folder| fs_err::read(folder.join(file)).unwrap());
            assert!(a == b, "{file}");
        }
        // Width and height stand at bytes 16 and 20 of a PNG.
        let png = fs_err::read(whole.join("samples/step_0000008.png")).unwrap();
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((number(16), number(20)), (10 * 18 - 2, 3 * 18 - 2), "a row a label");
    }
}

#[test]
fn the_learning_rate_falls_to_zero_over_the_last_epochs() {
    let settings = TrainConfig { epochs: Some(6), decay_epochs: Some(4), ..small() }.resolve().unwrap();
    let rates: Vec<f64> = (0..6).map(|epoch| settings.learning_rate_in(epoch) / 2e-4).collect();
    // The released code takes a part off after an epoch: the first that is counted still has the whole rate.
    let expected = [1.0, 1.0, 1.0, 0.75, 0.5, 0.25];
    assert!(rates.iter().zip(expected).all(|(ours, rate)| (ours - rate).abs() < 1e-12), "{rates:?}");
    let paper = TrainConfig::paper(ArchitectureName::Mnist28);
    let defaults = paper.resolve().unwrap();
    assert_eq!((defaults.epochs, defaults.decay_epochs, defaults.l2), (200, 100, 2.5e-5));
    assert_eq!(defaults.learning_rate_in(100), 2e-4);
    assert!((defaults.learning_rate_in(199) - 2e-6).abs() < 1e-12);
    let short = TrainConfig { epochs: Some(7), ..paper }.resolve().unwrap();
    assert_eq!((short.epochs, short.decay_epochs), (7, 3));
    let constant = TrainConfig::paper(ArchitectureName::Svhn32).resolve().unwrap();
    assert_eq!((constant.decay_epochs, constant.learning_rate_in(199)), (0, 5e-4));
    let wrong = TrainConfig { epochs: Some(2), decay_epochs: Some(3), ..small() }.resolve().unwrap_err();
    assert_eq!(wrong.to_string(), "`decay_epochs`: expected at most `epochs`, 2, found 3");
}

#[test]
fn the_learning_rate_of_an_epoch_decides_its_weights_and_a_checkpoint_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"), &[Some(0), Some(2), Some(1)]);
    let network = |name: &str| fs_err::read(dir.path().join(name).join(files::GENERATOR)).unwrap();
    let one = |name: &str, decay_epochs| {
        let config = TrainConfig { epochs: Some(2), decay_epochs: Some(decay_epochs), ..small() };
        trained(&store, &config, &dir.path().join(name), u64::MAX).unwrap();
    };
    // Two minibatches an epoch; the first of the decaying epochs still has the whole rate.
    one("constant", 0);
    one("late", 1);
    one("early", 2);
    assert!(network("constant") == network("late"));
    assert!(network("constant") != network("early"));
    // Other epochs would be another course of the rate; without a decay they are free.
    let folder = dir.path().join("early");
    let longer = TrainConfig { epochs: Some(3), decay_epochs: Some(2), ..small() };
    let message = trained(&store, &longer, &folder, u64::MAX).unwrap_err().to_string();
    assert!(message.contains("`epochs` is 2 there, not 3"), "{message}");
    let constant = TrainConfig { epochs: Some(2), decay_epochs: Some(0), ..small() };
    let message = trained(&store, &constant, &folder, u64::MAX).unwrap_err().to_string();
    assert!(message.contains("`decay_epochs` is 2 there, not null"), "{message}");
    assert!(longer.free_settings().unwrap().iter().all(|key| *key != "epochs"));
    assert!(constant.free_settings().unwrap().contains(&"epochs"));
    let longer = TrainConfig { epochs: Some(3), ..constant };
    assert_eq!(trained(&store, &longer, &dir.path().join("constant"), u64::MAX).unwrap().resumed_from, 4);
}

#[test]
fn labels_that_do_not_fit_the_network_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (labels, found) in [
        (&[Some(0), None][..], "10 of 20 pictures without a label"),
        (&[Some(0), Some(1), Some(2), Some(3)], "label 3 of picture 3"),
        (&[Some(0), Some(2)], "no picture with label 1"),
    ] {
        let store = store(&dir.path().join(found), labels);
        let message = trained(&store, &small(), &dir.path().join("run"), u64::MAX).unwrap_err().to_string();
        assert!(
            message.contains("is conditional on the labels 0 to 2: expected pictures of each"),
            "{message}"
        );
        assert!(message.ends_with(found), "{message}");
    }
}

#[test]
fn minibatches_bring_labels_also_where_only_g_is_updated() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"), &[Some(0), Some(2), Some(1)]);
    let settings = small().resolve().unwrap();
    let labels = labels::of(&store, settings.architecture).unwrap().unwrap();
    let work = prepare::Work {
        store: &store,
        labels: Some(&labels),
        settings: &settings,
        rows: 0..settings.batch_size,
        steps_per_epoch: 2,
        device: &Device::CPU,
        steps: 0..4,
    };
    let received: Vec<_> =
        std::thread::scope(|scope| prepare::start(scope, work).unwrap().into_iter().collect());
    assert_eq!(received.len(), 4);
    for (step, batch) in received.into_iter().enumerate() {
        let batch = batch.unwrap();
        assert_eq!(batch.pictures.is_some(), step % 2 == 1);
        let order = dcgan_images::batches::shuffled(20, 0, step as u64 / 2);
        let rows = batch.labels.unwrap().to_vec2::<f32>().unwrap();
        for (row, &idx) in rows.iter().zip(&order[step % 2 * 8..]) {
            let mut expected = [0.0; 3];
            expected[labels[idx as usize] as usize] = 1.0;
            assert_eq!(row[..], expected);
        }
        let Some(pictures) = batch.pictures else { continue };
        let first = pictures.flatten_all().unwrap().to_vec1::<f32>().unwrap()[1];
        let pixel = store.image(order[step % 2 * 8] as usize)[1];
        assert!((first - f32::from(pixel) / 255.0).abs() < 1e-6);
    }
}

/// With all that a training does on the way: labels, grids, a score, an average of G.
#[test]
fn a_conditional_training_on_a_gpu_is_near_the_cpus() {
    let choice = dcgan_nn::device::DeviceChoice::Cuda(0, dcgan_nn::device::Math::F32);
    let Some(gpu) = crate::device_tests::open(choice) else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("store"), &[Some(0), Some(2), Some(1)]);
    let config = TrainConfig { max_steps: Some(4), ..small() };
    let losses = |name: &str, device: &Device| {
        let folder = dir.path().join(name);
        fs_err::create_dir_all(&folder).unwrap();
        train(&store, &config, &folder, device, &mut |_| ControlFlow::Continue(())).unwrap();
        let text = fs_err::read_to_string(folder.join(files::METRICS)).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        ["d_loss", "g_loss", "score"].map(|key| line[key].as_f64().unwrap())
    };
    for (ours, expected) in losses("gpu", &gpu).into_iter().zip(losses("cpu", &Device::CPU)) {
        assert!((ours - expected).abs() <= 0.02 * expected.abs().max(0.1), "{ours} {expected}");
    }
}
