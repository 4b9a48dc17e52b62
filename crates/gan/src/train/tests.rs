use dcgan_images::batches;
use dcgan_nn::pixels::{to_activations, to_pixels};

use super::testing::{Fixture, small};
use super::*;
use crate::ArchitectureName;

#[test]
fn an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one() {
    let fixture = Fixture::new();
    for schedule in [Schedule::Alternate, Schedule::Both] {
        let config = TrainConfig { schedule, ema_decay: Some(0.9), score_every_steps: 4, ..small(2) };
        let name = |part: &str| format!("{schedule:?}-{part}");
        let whole = fixture.train(&name("whole"), &config, u64::MAX).unwrap();
        assert_eq!((whole.n_steps, whole.steps_per_epoch), (12, 6));
        for stop in [5, 8] {
            let stopped = fixture.train(&name("parts"), &config, stop);
            assert!(matches!(stopped, Err(GanError::Interrupted)));
        }
        let resumed = fixture.train(&name("parts"), &config, u64::MAX).unwrap();
        assert_eq!(resumed.resumed_from, 8);
        let images = ["samples/step_0000012.png", "samples_ema/step_0000012.png"];
        let networks = [files::GENERATOR, files::DISCRIMINATOR, files::GENERATOR_EMA, files::GENERATOR_BEST];
        for file in networks.into_iter().chain(images) {
            assert!(fixture.bytes(&name("whole"), file) == fixture.bytes(&name("parts"), file), "{file}");
        }
        let steps = |name: &str| -> Vec<u64> {
            fixture.lines(name).iter().map(|line| line["step"].as_u64().unwrap()).collect()
        };
        assert_eq!(steps(&name("parts")), (1..=12).collect::<Vec<_>>());
        let curve = |name: &str| {
            let mut lines = fixture.lines(name);
            for key in ["images_per_s", "elapsed_s"] {
                lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove(key)));
            }
            lines
        };
        assert_eq!(curve(&name("parts")), curve(&name("whole")));
        assert_table_is_that_of_the_lines(&fixture, &name("parts"));
        let scores = |key: &str| -> Vec<f64> {
            fixture.lines(&name("whole")).iter().filter_map(|line| line[key].as_f64()).collect()
        };
        assert_eq!(scores("score").len(), 3);
        let lowest = scores("score").into_iter().fold(f64::INFINITY, f64::min);
        assert_eq!(whole.best.unwrap().1, lowest);
        assert_eq!((resumed.best, resumed.collapsed_at), (whole.best, None));
    }
}

/// Each number of `metrics.parquet` is that of `metrics.jsonl`, to the last bit.
fn assert_table_is_that_of_the_lines(fixture: &Fixture, name: &str) {
    use dcgan_files::columns::{Column, Kind, read};
    let lines = fixture.lines(name);
    let path = fixture.folder(name).join(files::METRICS_TABLE);
    let names: Vec<&String> = lines.last().unwrap().as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 12, "{names:?}");
    for name in names {
        let kind = if name == "step" { Kind::U64 } else { Kind::MaybeF64 };
        let mut found = Vec::new();
        read(&path, &[(name, kind)], |columns| found.extend(columns)).unwrap();
        let expected = match kind {
            Kind::U64 => Column::U64(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect()),
            _ => Column::MaybeF64(lines.iter().map(|line| line[name].as_f64()).collect()),
        };
        assert_eq!(found, [expected], "{name}");
    }
}

#[test]
fn histograms_are_written_on_request_and_change_no_weight() {
    let fixture = Fixture::new();
    let config = TrainConfig { histograms_every_steps: Some(5), ..small(2) };
    fixture.train("plain", &small(2), u64::MAX).unwrap();
    fixture.train("whole", &config, u64::MAX).unwrap();
    assert!(matches!(fixture.train("parts", &config, 8), Err(GanError::Interrupted)));
    fixture.train("parts", &config, u64::MAX).unwrap();
    for name in ["whole", "parts"] {
        fixture.assert_same_networks("plain", name);
        let steps = events::steps_with_histograms(&fixture.folder(name), "discriminator/conv0.kernel");
        assert_eq!(steps, [5, 10, 12], "{name}");
    }
    assert!(events::steps_with_histograms(&fixture.folder("plain"), "discriminator/conv0.kernel").is_empty());
}

#[test]
fn the_alternating_schedule_updates_one_network_a_minibatch_and_g_first() {
    let fixture = Fixture::new();
    let settings = small(1).resolve().unwrap();
    let mut trainer = Trainer::new(&settings, &Device::CPU).unwrap();
    let first = |parameters: &[(String, candle_core::Var)]| {
        parameters[0].1.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    };
    let weights = |t: &Trainer| (first(t.generator().parameters()), first(t.discriminator().parameters()));
    let start = weights(&trainer);
    let mut n_asked = 0;
    let mut batch = || {
        n_asked += 1;
        let pixels = &fixture.store.pixels()[..8 * 3072];
        let pictures = Some(to_activations(pixels, [8, 3, 32, 32], &Device::CPU)?);
        Ok(Minibatch { pictures, labels: None })
    };
    trainer.minibatch(&mut batch).unwrap();
    let after_g = weights(&trainer);
    assert!(after_g.0 != start.0 && after_g.1 == start.1);
    trainer.minibatch(&mut batch).unwrap();
    let after_d = weights(&trainer);
    assert_eq!(n_asked, 1);
    assert!(after_d.0 == after_g.0 && after_d.1 != after_g.1);
}

#[test]
fn another_configuration_does_not_go_on_from_a_checkpoint() {
    let fixture = Fixture::new();
    fixture.train("run", &small(1), u64::MAX).unwrap();
    let other = TrainConfig { learning_rate: Some(1e-3), ..small(1) };
    let message = fixture.train("run", &other, u64::MAX).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "step_0000006.safetensors: `learning_rate` is 0.0005 there, not 0.001; a training goes on only under its own settings"
        ),
        "{message}"
    );
    let longer = fixture.train("run", &small(3), u64::MAX).unwrap();
    assert_eq!((longer.resumed_from, longer.n_steps), (6, 18));
}

#[test]
fn settings_out_of_range_and_pictures_of_another_size_are_refused() {
    let fixture = Fixture::new();
    let message = |config: &TrainConfig| fixture.train("bad", config, u64::MAX).unwrap_err().to_string();
    let error = message(&TrainConfig { batch_size: Some(51), ..small(1) });
    assert_eq!(error, "`batch_size`: expected at most the number of pictures, 50, found 51");
    let error = message(&TrainConfig { learning_rate: Some(-1.0), ..small(1) });
    assert_eq!(error, "`learning_rate`: expected a number between 0 and 1, found -1");
    let error = message(&TrainConfig { architecture: ArchitectureName::Faces64, ..small(1) });
    assert!(error.contains("pictures of 3x64x64, the image store holds pictures of 3x32x32"), "{error}");
}

#[test]
fn the_newest_checkpoints_are_kept_and_a_damaged_one_is_passed_over() {
    let fixture = Fixture::new();
    let config = TrainConfig { checkpoint_steps: Some(3), keep_checkpoints: 2, ..small(2) };
    fixture.train("whole", &config, u64::MAX).unwrap();
    let names = ["best.safetensors", "step_0000009.safetensors", "step_0000012.safetensors"];
    assert_eq!(fixture.names("whole", files::CHECKPOINTS), names);

    assert!(matches!(fixture.train("parts", &config, 8), Err(GanError::Interrupted)));
    let newest = fixture.folder("parts").join("checkpoints/step_0000008.safetensors");
    let mut bytes = fs_err::read(&newest).unwrap();
    // What a run that was killed while it wrote leaves.
    fs_err::write(newest.with_extension("safetensors.partial"), &bytes[..100]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&newest, bytes).unwrap();
    let (trained, warnings) = fixture.train_with_warnings("parts", &config, u64::MAX);
    assert_eq!(trained.unwrap().resumed_from, 6);
    assert!(warnings[0].contains("step_0000008.safetensors: expected tensors that hash to"), "{warnings:?}");
    assert_eq!(warnings[1..], ["going on from minibatch 6"]);
    fixture.assert_same_networks("whole", "parts");
    assert_eq!(fixture.lines("parts").len(), 12);
    assert_eq!(fixture.names("parts", files::CHECKPOINTS), names);

    // With none that can be read, it starts again.
    for (name, keep) in [("step_0000009", 0), ("step_0000012", 100)] {
        let path = fixture.folder("parts").join(format!("checkpoints/{name}.safetensors"));
        let bytes = fs_err::read(&path).unwrap();
        fs_err::write(&path, &bytes[..keep]).unwrap();
    }
    let (trained, warnings) = fixture.train_with_warnings("parts", &config, u64::MAX);
    assert_eq!(trained.unwrap().resumed_from, 0);
    assert_eq!(warnings[2], "starting again from the first minibatch");
    fixture.assert_same_networks("whole", "parts");
}

#[test]
fn a_shorter_training_goes_on_from_a_checkpoint_before_its_end() {
    let fixture = Fixture::new();
    let config =
        |max_steps| TrainConfig { checkpoint_steps: Some(4), max_steps: Some(max_steps), ..small(2) };
    fixture.train("long", &config(12), u64::MAX).unwrap();
    fixture.train("short", &config(9), u64::MAX).unwrap();
    let (trained, warnings) = fixture.train_with_warnings("long", &config(9), u64::MAX);
    let summary = trained.unwrap();
    assert_eq!((summary.resumed_from, summary.n_steps), (8, 9));
    assert!(warnings[0].ends_with("is beyond the 9 minibatches asked for"), "{warnings:?}");
    fixture.assert_same_networks("long", "short");
    let grids = ["step_0000006.png", "step_0000009.png"];
    assert_eq!(fixture.names("long", files::SAMPLES), grids);
}

#[test]
fn a_training_that_is_over_at_its_checkpoint_is_ended_like_an_uninterrupted_one() {
    let fixture = Fixture::new();
    let config = |max_steps| TrainConfig {
        max_steps: Some(max_steps),
        ema_decay: Some(0.9),
        score_every_steps: 5,
        ..small(2)
    };
    let whole = fixture.train("whole", &config(8), u64::MAX).unwrap();
    assert!(matches!(fixture.train("parts", &config(12), 8), Err(GanError::Interrupted)));
    for _again in 0..2 {
        let parts = fixture.train("parts", &config(8), u64::MAX).unwrap();
        assert_eq!((parts.resumed_from, parts.n_steps, parts.best), (8, 8, whole.best));
        fixture.assert_same_networks("whole", "parts");
        for file in [files::GENERATOR_BEST, files::GENERATOR_EMA] {
            assert!(fixture.bytes("whole", file) == fixture.bytes("parts", file), "{file}");
        }
        for grids in [files::SAMPLES, files::SAMPLES_EMA] {
            assert_eq!(fixture.names("whole", grids), fixture.names("parts", grids));
        }
        let scores = |name: &str| -> Vec<_> {
            fixture.lines(name).iter().map(|line| (line["step"].clone(), line["score"].clone())).collect()
        };
        assert_eq!(scores("whole"), scores("parts"));
        assert!(scores("parts")[7].1.is_number());
    }
}

#[test]
fn a_budget_of_time_ends_it_and_counts_earlier_runs() {
    let fixture = Fixture::new();
    let config = TrainConfig { max_minutes: Some(0.02), ..small(1_000_000) };
    let first = fixture.train("run", &config, u64::MAX).unwrap();
    assert!(first.n_steps > 0 && first.seconds >= 1.2, "{first:?}");
    let again = fixture.train("run", &config, u64::MAX).unwrap();
    assert_eq!((again.n_steps, again.resumed_from), (first.n_steps, first.n_steps));
    let longer = TrainConfig { max_minutes: Some((again.seconds + 2.0) / 60.0), ..config };
    let longer = fixture.train("run", &longer, u64::MAX).unwrap();
    assert!(longer.n_steps > first.n_steps && longer.seconds >= again.seconds + 2.0, "{longer:?}");
}

fn numbers(parameters: &[(String, candle_core::Var)]) -> Vec<f64> {
    let values = |var: &candle_core::Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    parameters.iter().flat_map(|(_, var)| values(var)).map(f64::from).collect()
}

#[test]
fn the_average_is_that_of_the_generators_after_its_updates() {
    let config = TrainConfig { ema_decay: Some(0.8), ..small(1) };
    let mut trainer = Trainer::new(&config.resolve().unwrap(), &Device::CPU).unwrap();
    let mut generators = vec![numbers(trainer.generator().parameters())];
    for _ in 0..4 {
        trainer.update_generator(None, true).unwrap();
        generators.push(numbers(trainer.generator().parameters()));
    }
    // By its definition, all terms written out: 0.8⁴·w₀ + Σ 0.2·0.8^(4−i)·wᵢ.
    let weights = [0.8f64.powi(4), 0.2 * 0.512, 0.2 * 0.64, 0.2 * 0.8, 0.2];
    let average = numbers(trainer.average().unwrap().parameters());
    for (i, &found) in average.iter().enumerate() {
        let expected: f64 = weights.iter().zip(&generators).map(|(weight, w)| weight * w[i]).sum();
        assert!((found - expected).abs() < 1e-6, "{i}: {found} {expected}");
    }
    assert_ne!(average, generators[4]);
}

#[test]
fn a_training_that_diverges_stops_and_leaves_its_checkpoints() {
    let fixture = Fixture::new();
    let config = small(2);
    assert!(matches!(fixture.train("run", &config, 5), Err(GanError::Interrupted)));
    let path = fixture.folder("run").join("checkpoints/step_0000005.safetensors");
    let settings = config.resolve().unwrap();
    let trainer = Trainer::resume(&settings, &path, &Device::CPU).unwrap();
    let kernel = &trainer.discriminator().parameters()[0].1;
    // Finite weights whose products are not.
    kernel.set(&kernel.ones_like().unwrap().affine(3e38, 0.0).unwrap()).unwrap();
    trainer.save(&path, &[]).unwrap();
    let before = fs_err::read(&path).unwrap();
    let message = fixture.train("run", &config, u64::MAX).unwrap_err().to_string();
    assert!(message.contains("training diverged at step 5: the discriminator's loss is NaN"), "{message}");
    assert!(message.ends_with(&format!("the last good checkpoint is {}", path.display())), "{message}");
    assert!(fs_err::read(&path).unwrap() == before);
    assert!(!fixture.folder("run").join(files::GENERATOR).exists());

    kernel.set(&kernel.ones_like().unwrap().affine(f64::NAN, 0.0).unwrap()).unwrap();
    let message = trainer.save(&path, &[]).unwrap_err().to_string();
    assert!(message.contains("the discriminator's weights' norm is NaN"), "{message}");
    assert!(fs_err::read(&path).unwrap() == before);
}

#[test]
fn pictures_are_prepared_in_the_order_of_the_epochs() {
    let fixture = Fixture::new();
    let settings = small(2).resolve().unwrap();
    // The last minibatches of an epoch of 6 and the first of the next; G's are passed over.
    let work = prepare::Work {
        store: &fixture.store,
        labels: None,
        settings: &settings,
        rows: 0..settings.batch_size,
        steps_per_epoch: 6,
        device: &Device::CPU,
        steps: 4..10,
    };
    let received: Vec<_> =
        std::thread::scope(|scope| prepare::start(scope, work).unwrap().into_iter().collect());
    assert_eq!(received.len(), 3);
    for (batch, step) in received.into_iter().zip([5, 7, 9]) {
        let order = batches::shuffled(50, 0, step / 6);
        let first = (step % 6) as usize * 8;
        let mut pixels = Vec::new();
        fixture.store.gather(&order[first..first + 8], &mut pixels);
        assert_eq!(to_pixels(&batch.unwrap().pictures.unwrap()).unwrap(), pixels);
    }
}

#[test]
fn a_training_begins_with_the_weights_of_another() {
    let fixture = Fixture::new();
    fixture.train("first", &small(1), u64::MAX).unwrap();
    let file = |name: &str| Some(fixture.folder("first").join(name));
    let settings = TrainConfig { seed: 1, ..small(1) }.resolve().unwrap();
    let begun = |start: &Start| start.trainer(&settings, &Device::CPU).unwrap();
    let fresh = Trainer::new(&settings, &Device::CPU).unwrap();
    let g = crate::Generator::load(&file(files::GENERATOR).unwrap(), &Device::CPU).unwrap();
    let d = crate::Discriminator::load(&file(files::DISCRIMINATOR).unwrap(), &Device::CPU).unwrap();
    let both = Start { generator: file(files::GENERATOR), discriminator: file(files::DISCRIMINATOR) };
    let alone = Start { generator: None, ..both.clone() };
    let weights =
        |t: &Trainer| (numbers(t.generator().parameters()), numbers(t.discriminator().parameters()));
    assert!(weights(&begun(&both)) == (numbers(g.parameters()), numbers(d.parameters())));
    assert!(weights(&begun(&alone)) == (weights(&fresh).0, numbers(d.parameters())));
    assert!(weights(&begun(&Start::default())) == weights(&fresh));

    // It goes on from its own checkpoint then, to the bit.
    let config = TrainConfig { seed: 1, ..small(1) };
    let run = |name: &str, stop: u64| {
        train_from(&both, &fixture.store, &config, &fixture.folder(name), &Device::CPU, &mut |event| {
            match event {
                Event::Minibatch { done, .. } if done >= stop => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })
    };
    run("whole", u64::MAX).unwrap();
    assert!(matches!(run("parts", 3), Err(GanError::Interrupted)));
    assert_eq!(run("parts", u64::MAX).unwrap().resumed_from, 3);
    fixture.assert_same_networks("whole", "parts");

    // Tensor by tensor.
    let wide = TrainConfig { width: 1.0 / 8.0, ..small(1) }.resolve().unwrap();
    let message = alone.trainer(&wide, &Device::CPU).unwrap_err().to_string();
    assert!(message.contains("discriminator.safetensors: not the network of this training"), "{message}");
    assert!(
        message.contains("`conv0.kernel`: expected [5, 5, 3, 8], found [5, 5, 3, 4]; `conv1.kernel`"),
        "{message}"
    );
    let other = TrainConfig { architecture: ArchitectureName::Imagenet32, ..small(1) }.resolve().unwrap();
    let message = both.trainer(&other, &Device::CPU).unwrap_err().to_string();
    assert!(message.contains("generator.safetensors"), "{message}");
    assert!(message.contains("`deconv3.kernel`: expected [3, 3, 8, 16], found none"), "{message}");
    let swapped = Start { generator: file(files::DISCRIMINATOR), ..both };
    let message = swapped.trainer(&settings, &Device::CPU).unwrap_err().to_string();
    assert!(message.contains("expected a generator"), "{message}");
}

/// Likes the weights of one minibatch best.
struct Likes(std::cell::RefCell<Vec<f64>>);

impl Judge for Likes {
    fn score(&self, generator: &crate::Generator) -> Result<f64> {
        let value = generator.parameters()[0].1.flatten_all()?.to_vec1::<f32>()?[0];
        let mut seen = self.0.borrow_mut();
        seen.push(f64::from(value));
        Ok([3.0, 1.0, 2.0][(seen.len() - 1) % 3])
    }
}

#[test]
fn another_judge_ranks_the_checkpoints_and_kept_ones_are_read() {
    let fixture = Fixture::new();
    let config = TrainConfig {
        max_steps: Some(6),
        score_every_steps: 2,
        checkpoint_steps: Some(2),
        keep_checkpoints: 3,
        ema_decay: Some(0.5),
        ..small(10)
    };
    let folder = fixture.folder("judged");
    let (judge, start) = (Likes(Default::default()), Start::default());
    let mut observe = |_: Event<'_>| ControlFlow::Continue(());
    let device = Device::CPU;
    let summary = train_as(
        &How { start, judge: Some(&judge), part: None },
        &fixture.store,
        &config,
        &folder,
        &device,
        &mut observe,
    )
    .unwrap();
    assert_eq!(summary.best, Some((4, 1.0)));
    let scores: Vec<f64> = fixture.lines("judged").iter().filter_map(|line| line["score"].as_f64()).collect();
    assert_eq!(scores, [3.0, 1.0, 2.0]);
    // What was judged is what is kept: the averages of minibatches 2, 4 and 6.
    let kept = Kept::of(&folder).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.step).collect::<Vec<_>>(), [2, 4, 6]);
    let sizes = crate::Generator::load(&folder.join(files::GENERATOR), &device).unwrap();
    for (kept, seen) in kept.iter().zip(judge.0.borrow().iter()) {
        let generator = kept.generator(sizes.config(), true, &device).unwrap();
        assert_eq!(numbers(&generator.parameters()[..1])[0], *seen);
    }
    let last = kept[2].generator(sizes.config(), false, &device).unwrap();
    assert_eq!(numbers(last.parameters()), numbers(sizes.parameters()));
    assert_eq!(Kept::of(fixture.dir.path()).unwrap(), []);
}
