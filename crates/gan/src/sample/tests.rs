use dcgan_nn::pixels::to_pixels;

use super::*;
use crate::{Architecture, ArchitectureName};

const NARROW: Architecture = Architecture { name: ArchitectureName::Svhn32, width: 0.1 };

fn on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn first_pictures_do_not_depend_on_how_many_are_drawn() {
    let generator = Generator::random(NARROW.generator(), 3, &Device::Cpu).unwrap();
    let z = first_z(generator.config(), 130, 5).unwrap();
    assert_eq!(z.dim(), (130, 100));
    assert_eq!(z.slice(s![..4, ..]), first_z(generator.config(), 4, 5).unwrap());
    let pixels = generate(&generator, 130, 5).unwrap();
    assert_eq!(pixels[..4 * 3072], generate(&generator, 4, 5).unwrap());
    // A short batch is filled up with the z that stand at its place under the seed.
    let sampler = Sampler::new(&generator, BatchStatistics::Batch, 5, &mut on).unwrap();
    assert_eq!(sampler.draw(&z, &mut on).unwrap(), pixels);
    let whole = Tensor::from_vec(z.iter().copied().take(12_800).collect(), (128, 100), &Device::Cpu).unwrap();
    let direct = to_pixels(&generator.draw(&whole, None).unwrap()).unwrap();
    assert_eq!(pixels[..128 * 3072], direct);
}

#[test]
fn with_inferred_statistics_a_picture_depends_on_its_z_alone() {
    let generator = Generator::random(NARROW.generator(), 3, &Device::Cpu).unwrap();
    let z = first_z(generator.config(), 40, 5).unwrap();
    let alone = z.slice(s![7..8, ..]).to_owned();
    let picture = |statistics, seed, z: &Array2<f32>, idx: usize| {
        let sampler = Sampler::new(&generator, statistics, seed, &mut on).unwrap();
        sampler.draw(z, &mut on).unwrap()[idx * 3072..(idx + 1) * 3072].to_vec()
    };
    let inferred = BatchStatistics::Inferred;
    assert_eq!(picture(inferred, 1, &z, 7), picture(inferred, 2, &alone, 0));
    assert_ne!(picture(BatchStatistics::Batch, 1, &z, 7), picture(BatchStatistics::Batch, 2, &alone, 0));
    // Statistics of 6,400 draws are nearly those of one batch.
    let pairs = picture(inferred, 1, &z, 7).into_iter().zip(picture(BatchStatistics::Batch, 1, &z, 7));
    let difference: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(b))).sum::<f64>() / 3072.0;
    assert!(difference < 10.0, "{difference}");
}

/// A conditional generator of 28×28 pictures, and D.
const DIGITS: Architecture = Architecture { name: ArchitectureName::Mnist28, width: 0.05 };

#[test]
fn a_grid_has_a_row_a_label_with_the_same_z_in_its_columns() {
    let generator = Generator::random(DIGITS.generator(), 3, &Device::Cpu).unwrap();
    let z = first_z(generator.config(), 3, 5).unwrap();
    let sampler = Sampler::new(&generator, BatchStatistics::Inferred, 5, &mut on).unwrap();
    let all = sampler.draw_each(&z, &(0..10).collect::<Vec<_>>(), &mut on).unwrap();
    assert_eq!(all.len(), 10 * 3 * 784);
    let some = sampler.draw_each(&z, &[7, 2], &mut on).unwrap();
    assert_eq!(some, [&all[7 * 3 * 784..8 * 3 * 784], &all[2 * 3 * 784..3 * 3 * 784]].concat());
    // One picture at a time.
    let second = z.slice(s![1..2, ..]).to_owned();
    let alone = sampler.draw_labelled(&second, &[7], &mut on).unwrap();
    assert_eq!(alone, all[(7 * 3 + 1) * 784..(7 * 3 + 2) * 784]);
    assert_eq!(sampler.clone().with_label(7).unwrap().draw(&second, &mut on).unwrap(), alone);
    assert_ne!(alone, sampler.draw_labelled(&second, &[6], &mut on).unwrap());
    // And by the batch's statistics, whatever else is asked for.
    let sampler = Sampler::new(&generator, BatchStatistics::Batch, 5, &mut on).unwrap();
    let all = sampler.draw_each(&z, &(0..10).collect::<Vec<_>>(), &mut on).unwrap();
    assert_eq!(sampler.draw_each(&z, &[4], &mut on).unwrap(), all[4 * 3 * 784..5 * 3 * 784]);
    assert_eq!(generate_classes(&generator, 3, 5).unwrap(), all);
    assert_eq!(generate(&generator, 140, 5).unwrap()[..784 * 5], generate(&generator, 5, 5).unwrap());
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let told = |result: Result<Vec<u8>>| result.unwrap_err().to_string();
    let generator = Generator::random(DIGITS.generator(), 3, &Device::Cpu).unwrap();
    let z = first_z(generator.config(), 2, 5).unwrap();
    let sampler = Sampler::new(&generator, BatchStatistics::Batch, 5, &mut on).unwrap();
    let message = told(sampler.draw(&z, &mut on));
    assert_eq!(message, "this generator is conditional on 10 classes: it needs labels");
    let message = told(sampler.draw_labelled(&z, &[3, 10], &mut on));
    assert_eq!(message, "`labels`: expected 0 to 9, the generator's, found 10");
    let message = told(sampler.draw_labelled(&z, &[3], &mut on));
    assert_eq!(message, "`labels`: expected 2, one for each z, found 1");
    let generator = Generator::random(NARROW.generator(), 3, &Device::Cpu).unwrap();
    let sampler = Sampler::new(&generator, BatchStatistics::Batch, 5, &mut on).unwrap();
    let message = told(sampler.draw_labelled(&z, &[0, 0], &mut on));
    assert_eq!(message, "`labels`: expected none, as the generator is not conditional, found 0");
}

#[test]
fn scores_are_the_discriminators() {
    let generator = Generator::random(NARROW.generator(), 3, &Device::Cpu).unwrap();
    let discriminator = Discriminator::random(NARROW.discriminator(), 4, &Device::Cpu).unwrap();
    let z = first_z(generator.config(), 128, 5).unwrap();
    let sampler = Sampler::new(&generator, BatchStatistics::Batch, 5, &mut on).unwrap();
    let (pixels, scores) = sampler.draw_scored(&z, &discriminator, &mut on).unwrap();
    assert_eq!(pixels, sampler.draw(&z, &mut on).unwrap());
    let whole = Tensor::from_vec(z.iter().copied().collect(), (128, 100), &Device::Cpu).unwrap();
    let logits = discriminator.judge(&generator.draw(&whole, None).unwrap(), None).unwrap();
    assert_eq!(scores, logits.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    let message = sampler.draw(&Array2::zeros((1, 7)), &mut on).unwrap_err().to_string();
    assert_eq!(message, "`z`: expected 100 numbers each, found 7");
    let stopped = sampler.draw(&z, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(GanError::Interrupted)));
}
