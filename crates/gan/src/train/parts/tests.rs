use std::ops::ControlFlow;

use candle_core::Tensor;
use dcgan_nn::adam::{self, AdamConfig};
use dcgan_nn::layer::{Gradients, Trace, prepare, stack_backward, stack_trace};
use dcgan_nn::loss::bce_gradient;
use dcgan_nn::parts::Link;
use dcgan_nn::rng::Purpose;

use super::*;
use crate::sample::draw_z;
use crate::train::testing::{Fixture, small};
use crate::train::{Event, How, Minibatch, Schedule, StatisticsOver, TrainConfig, files, train_as};

/// The parts of a training in one process.
fn parts(n: usize) -> Vec<Part> {
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    for number in 1..n {
        let ((a, b), (c, d)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        firsts.push(Link { from: Box::new(a), to: Box::new(d) });
        others.push(Part::other(number, n, Link { from: Box::new(c), to: Box::new(b) }));
    }
    others.insert(0, Part::first(firsts));
    others
}

fn numbers(parameters: &[(String, candle_core::Var)]) -> Vec<Vec<f32>> {
    parameters.iter().map(|(_, var)| var.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// Gradients of each part of a minibatch by themselves, summed in the parts' order, divided by their number, and one update of Adam.
fn update(parameters: &[(String, candle_core::Var)], config: &AdamConfig, parts: &[Vec<Gradients>]) {
    let of = |gradients: &[Gradients]| -> Vec<Vec<f32>> {
        let tensors = gradients.iter().flat_map(Gradients::tensors);
        tensors.map(|tensor| tensor.flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    let mut sum = of(&parts[0]);
    for part in &parts[1..] {
        for (sum, term) in sum.iter_mut().flatten().zip(of(part).iter().flatten()) {
            *sum += term;
        }
    }
    sum.iter_mut().flatten().for_each(|value| *value /= parts.len() as f32);
    for ((_, var), gradient) in parameters.iter().zip(&sum) {
        let mut values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (mut mean, mut square) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        adam::update(config, 1, [&mut values, &mut mean, &mut square], gradient);
        var.set(&Tensor::from_vec(values, var.dims(), &Device::CPU).unwrap()).unwrap();
    }
}

/// A minibatch that updates both networks, in three parts, is to the bit what one process makes of the parts one after another.
#[test]
fn parts_update_as_one_process_that_sums_their_gradients_in_order() {
    let config = TrainConfig { batch_size: Some(12), schedule: Schedule::Both, ..small(1) };
    let settings = config.resolve().unwrap();
    let mut rng = dcgan_nn::rng::stream(7, Purpose::SampleZ, 0);
    let real = dcgan_nn::init::uniform(&[12, 32, 32, 3], &mut rng, &Device::CPU).unwrap();
    let (settings, real) = (&settings, &real);
    let trained: Vec<Trainer> = std::thread::scope(|scope| {
        let train = |part: Part| {
            scope.spawn(move || {
                let mut trainer = Trainer::new(settings, &Device::CPU).unwrap();
                let rows = part.rows(12);
                trainer.part = Some(Arc::new(part));
                let pictures = real.narrow(0, rows.start, rows.len()).unwrap();
                let mut next = || Ok(Minibatch { pictures: Some(pictures.clone()), labels: None });
                trainer.minibatch(&mut next).unwrap();
                trainer
            })
        };
        let threads: Vec<_> = parts(3).into_iter().map(train).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let alone = Trainer::new(settings, &Device::CPU).unwrap();
    let (g, d) = (alone.generator(), alone.discriminator());
    let adam = AdamConfig {
        learning_rate: settings.learning_rate,
        beta1: settings.beta1,
        l2: settings.l2,
        ..AdamConfig::default()
    };
    let z = |purpose, part: usize| {
        let z = draw_z(g.config(), 12, (settings.seed, purpose, 0), &Device::CPU).unwrap();
        z.narrow(0, 4 * part, 4).unwrap()
    };
    let of_discriminator = |part: usize| {
        let mut gradients = d.gradients().unwrap();
        let layers = prepare(d.layers().unwrap()).unwrap();
        let fake = g.draw(&z(Purpose::DiscriminatorZ, part), None).unwrap();
        for (pictures, target) in [(&real.narrow(0, 4 * part, 4).unwrap(), 1.0), (&fake, 0.0)] {
            let traces = stack_trace(&layers, pictures).unwrap();
            let dlogits = bce_gradient(traces.last().unwrap().output(), target).unwrap();
            stack_backward(&layers, traces, &dlogits, Some(&mut gradients), false).unwrap();
        }
        gradients
    };
    let gradients: Vec<_> = (0..3).map(of_discriminator).collect();
    update(d.parameters(), &adam, &gradients);
    let of_generator = |part: usize| {
        let mut gradients = g.gradients().unwrap();
        let (layers, critic) = (prepare(g.layers()).unwrap(), prepare(d.layers().unwrap()).unwrap());
        let traces = stack_trace(&layers, &z(Purpose::GeneratorZ, part)).unwrap();
        let critics = stack_trace(&critic, traces.last().map(Trace::output).unwrap()).unwrap();
        let dlogits = bce_gradient(critics.last().unwrap().output(), 1.0).unwrap();
        let dpictures = stack_backward(&critic, critics, &dlogits, None, true).unwrap().unwrap();
        stack_backward(&layers, traces, &dpictures, Some(&mut gradients), false).unwrap();
        gradients
    };
    let gradients: Vec<_> = (0..3).map(of_generator).collect();
    update(g.parameters(), &adam, &gradients);
    for trainer in &trained {
        assert!(numbers(trainer.discriminator().parameters()) == numbers(d.parameters()), "discriminator");
        assert!(numbers(trainer.generator().parameters()) == numbers(g.parameters()), "generator");
        assert_eq!(trainer.last_updates(), trained[0].last_updates());
    }
}

/// Trains in `n` parts, stopping when `stop` minibatches are done.
fn train(fixture: &Fixture, name: &str, config: &TrainConfig, n: usize, stop: u64) -> Result<()> {
    let mut all = parts(n).into_iter();
    let part = all.next().map(Arc::new);
    let folder = fixture.folder(name);
    std::thread::scope(|scope| {
        let others: Vec<_> = all.map(|part| scope.spawn(|| follow(part, &Device::CPU))).collect();
        let mut observe = |event: Event<'_>| match event {
            Event::Minibatch { done, .. } if done >= stop => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let how = How { part, ..How::default() };
        let trained = train_as(&how, &fixture.store, config, &folder, &Device::CPU, &mut observe);
        drop(how);
        others.into_iter().for_each(|other| other.join().unwrap().unwrap());
        trained.map(|_| ())
    })
}

#[test]
fn an_interrupted_training_in_parts_ends_with_the_bits_of_an_uninterrupted_one() {
    let fixture = Fixture::new();
    let config = TrainConfig { ema_decay: Some(0.5), max_steps: Some(7), ..small(10) };
    train(&fixture, "whole", &config, 2, 100).unwrap();
    assert!(matches!(train(&fixture, "cut", &config, 2, 3), Err(GanError::Interrupted)));
    train(&fixture, "cut", &config, 2, 100).unwrap();
    fixture.assert_same_networks("whole", "cut");
    assert!(fixture.bytes("whole", files::GENERATOR_EMA) == fixture.bytes("cut", files::GENERATOR_EMA));
    let names = fixture.names("cut", files::CHECKPOINTS);
    assert!(names.iter().all(|name| name.ends_with(".safetensors")), "{names:?}");

    // Not the training of one device, but near it: only batch norm's statistics and the order of sums differ.
    fixture.train("alone", &config, 100).unwrap();
    assert!(fixture.bytes("alone", files::DISCRIMINATOR) != fixture.bytes("whole", files::DISCRIMINATOR));
    let (alone, whole) = (fixture.lines("alone"), fixture.lines("whole"));
    for (a, b) in alone.iter().zip(&whole) {
        for key in ["d_loss", "g_loss"] {
            let of = |line: &serde_json::Value| line[key].as_f64();
            let (Some(a), Some(b)) = (of(a), of(b)) else { continue };
            assert!((a - b).abs() <= 0.15 * a, "{key}: {a} {b}");
        }
    }
}

#[test]
fn minibatches_that_cannot_be_cut_evenly_are_refused() {
    let fixture = Fixture::new();
    let part = Some(Arc::new(parts(3).swap_remove(0)));
    let how = How { part, ..How::default() };
    let mut observe = |_: Event<'_>| ControlFlow::Continue(());
    let folder = fixture.folder("uneven");
    let told = train_as(&how, &fixture.store, &small(1), &folder, &Device::CPU, &mut observe).unwrap_err();
    let expected = "`batch_size`: expected a multiple of 3, the number of devices, and at least 6, found 8";
    assert_eq!(told.to_string(), expected);
}

/// Through NCCL the weights are those that go through memory: what sums in another order (a real one may) is near.
#[test]
fn parts_on_gpus_end_near_those_that_go_through_memory() {
    use dcgan_nn::device::{DeviceChoice, Math};
    let choices = [0, 1].map(|ordinal| DeviceChoice::Cuda(ordinal, Math::F32));
    let Some(first) = crate::device_tests::open(choices[0]) else { return };
    // A machine with one GPU has nothing to show.
    let Ok(second) = choices[1].open() else { return };
    for statistics_over in [StatisticsOver::Part, StatisticsOver::Minibatch] {
        let config =
            TrainConfig { batch_size: Some(8), schedule: Schedule::Both, statistics_over, ..small(1) };
        let settings = &config.resolve().unwrap();
        let mut rng = dcgan_nn::rng::stream(7, Purpose::SampleZ, 0);
        let real = &dcgan_nn::init::uniform(&[8, 32, 32, 3], &mut rng, &Device::CPU).unwrap();
        let trained = |by_nccl: bool| -> Vec<Vec<Vec<f32>>> {
            std::thread::scope(|scope| {
                let train = |(part, device): (Part, Device)| {
                    scope.spawn(move || {
                        let mut trainer = Trainer::new(settings, &device).unwrap();
                        let pictures =
                            real.narrow(0, part.rows(8).start, 4).unwrap().to_device(&device).unwrap();
                        if by_nccl {
                            assert_eq!(part.join_gpus(&device).unwrap(), None);
                        }
                        trainer.part = Some(Arc::new(part));
                        for _ in 0..3 {
                            let mut next =
                                || Ok(Minibatch { pictures: Some(pictures.clone()), labels: None });
                            trainer.minibatch(&mut next).unwrap();
                        }
                        numbers(trainer.generator().parameters())
                    })
                };
                let threads: Vec<_> =
                    parts(2).into_iter().zip([first.clone(), second.clone()]).map(train).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            })
        };
        let (by_nccl, through_memory) = (trained(true), trained(false));
        assert!(by_nccl[0] == by_nccl[1] && through_memory[0] == through_memory[1], "parts have come apart");
        for (a, b) in by_nccl[0].iter().flatten().zip(through_memory[0].iter().flatten()) {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(0.1), "{statistics_over:?}: {a} {b}");
        }
    }
}

/// With the statistics of the whole minibatch, parts train as one device does: only the order of sums differs.
#[test]
fn statistics_over_the_minibatch_are_those_of_one_device() {
    let fixture = Fixture::new();
    for schedule in [Schedule::Alternate, Schedule::Both] {
        let config = |statistics_over| TrainConfig {
            max_steps: Some(6),
            schedule,
            statistics_over,
            learning_rate: Some(0.002),
            ..small(10)
        };
        let (shared, own) = (config(StatisticsOver::Minibatch), config(StatisticsOver::Part));
        let name = |of: &str| format!("{of} {schedule:?}");
        fixture.train(&name("alone"), &shared, 100).unwrap();
        train(&fixture, &name("shared"), &shared, 4, 100).unwrap();
        train(&fixture, &name("own"), &own, 4, 100).unwrap();
        let apart = |of: &str| {
            let lines = fixture.lines(&name("alone")).into_iter().zip(fixture.lines(&name(of)));
            let of = |line: &serde_json::Value, key| line[key].as_f64();
            let losses = |(a, b): (serde_json::Value, serde_json::Value)| {
                ["d_loss", "g_loss"].into_iter().filter_map(move |key| Some((of(&a, key)?, of(&b, key)?)))
            };
            lines.flat_map(losses).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max)
        };
        let (shared, own) = (apart("shared"), apart("own"));
        assert!(shared < 1e-3 && own > 10.0 * shared, "{schedule:?}: {shared} {own}");
    }
}
