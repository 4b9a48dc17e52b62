//! `--device cpu/bf16`: the same bits again, features near those of f32, and refused where the processor has no such products.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Place;

/// Its convolutions are wide enough for tiles.
const WIDE: &str = r#"
name = "m"
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 64
n_test = 10
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "train"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.5, batch_size = 16, epochs = 100, max_steps = 6, log_every = 1 }
"#;

const BF16: [&str; 2] = ["--device", "cpu/bf16"];

fn values(place: &Place, folder: &str) -> Vec<f32> {
    let bytes = std::fs::read(place.path(&format!("{folder}/features.npy"))).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

#[test]
fn bf16_gives_the_same_bits_again_and_features_near_those_of_f32() {
    let place = Place::new(WIDE);
    let is_there = dcgan_vectors::multiplies_bf16();
    let why = is_there.clone().err().unwrap_or_default();
    if dcgan_testing::needs("AVX512_BF16", is_there.ok(), &why).is_none() {
        return;
    }
    let train = |runs: &str, device: &[&str], threads: &str| {
        let arguments = [&["run", "m.toml", "--runs", runs], device].concat();
        place.dcgan(&arguments).env("RAYON_NUM_THREADS", threads).assert().success();
        std::fs::read(place.path(&format!("{runs}/m/train/generator.safetensors"))).unwrap()
    };
    let (first, again, wide) = (train("a", &BF16, "2"), train("b", &BF16, "1"), train("c", &[], "2"));
    assert!(first == again, "two trainings differ");
    assert!(first != wide, "bf16 is f32");
    let told = place.stdout(&["run", "m.toml", "--runs", "a", "--dry-run", "--device", "cpu"]);
    assert!(told.contains("device changed: cpu/bf16 → cpu"), "{told}");

    let features = |out: &str, device: &[&str]| {
        let of = ["images=a/m/images", "model=a/m/train", "statistics=a/m/images"];
        place.stdout(&[&["stage", "extract_features", "--out", out], &of[..], device].concat());
        values(&place, out)
    };
    let (narrow, wide) = (features("narrow", &BF16), features("wide", &[]));
    assert_eq!((narrow.len(), wide.len()), (64 * 3584, 64 * 3584));
    let squares =
        |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let apart =
        squares(&mut narrow.iter().zip(&wide).map(|(a, b)| a - b)) / squares(&mut wide.iter().copied());
    assert!(apart.sqrt() > 1e-4 && apart.sqrt() < 0.03, "{}", apart.sqrt());
}

#[test]
fn bf16_is_refused_without_its_instructions() {
    let place = Place::new(WIDE);
    let arguments = [&["run", "m.toml"], &BF16[..]].concat();
    let output = place.dcgan(&arguments).env("DCGAN_VECTORS", "scalar").assert().code(1).get_output().clone();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("device `cpu/bf16`: bf16 on the CPU takes AVX"), "{told}");
    assert!(!place.path("runs/m/train").exists());
}
