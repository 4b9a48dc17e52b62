use std::ops::ControlFlow;

use candle_core::Device;
use dcgan_images::{Picture, StoreDescription, StoreWriter};

use super::*;
use crate::{Architecture, ArchitectureName, Discriminator, networks_tests::fill};

/// Pictures of ⌊frac(0.37 + 0.618034·i)·256⌋, CHW.
fn store(folder: &std::path::Path, n: usize) -> ImageStore {
    let mut writer = StoreWriter::create(folder).unwrap();
    for image in 0..n {
        let value = |i: usize| ((0.37 + 0.618034 * i as f64).fract() * 256.0) as u8;
        let pixels = (image * 3072..(image + 1) * 3072).map(value).collect();
        let picture = Picture { channels: 3, height: 32, width: 32, pixels };
        writer.append(&image.to_string(), None, "test", &picture).unwrap();
    }
    writer.finish(StoreDescription::default()).unwrap();
    ImageStore::open(folder).unwrap()
}

// PyTorch 2.15, float64, D as in `discriminators_agree_with_pytorch` (`w`, `g`, `b` of each layer by `values`), x the store's
// pictures / 127.5 − 1; Guided as in `dcgan_nn::activation`:
//   stats = []; h = x
//   for i in range(3):
//       h = F.conv2d(h, w[i], stride=2, padding=2)
//       if i: m, v = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), unbiased=False, keepdim=True); stats.append((m, v))
//       if i: h = (h - m) / (v + 1e-8).sqrt() * g[i].view(1, -1, 1, 1) + b[i].view(1, -1, 1, 1)
//       h = F.leaky_relu(h, 0.2)
//   for f in range(2): r = h[:, f].flatten(1).max(1); print(f, r.values, r.indices)
//   … and again for the picture of the largest response alone, with these m and v and Guided, back from that unit:
//   print((G != 0).sum(), G.abs().sum(), (G.flatten() * torch.arange(1, 3073) / 3072).sum())
#[test]
fn responses_and_gradients_agree_with_pytorch() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 4);
    let config = Architecture { name: ArchitectureName::Svhn32, width: 1.0 / 32.0 }.discriminator();
    let discriminator = Discriminator::random(config, 0, &Device::Cpu).unwrap();
    fill(discriminator.parameters());
    let mut observe = |_, _| ControlFlow::Continue(());
    let extractor = FeatureExtractor::infer(&discriminator, &store, &Device::Cpu, &mut observe).unwrap();
    let strongest = strongest_responses(&extractor, &store, 2, 3, &mut observe).unwrap();
    for (feature, expected) in EXPECTED.iter().enumerate() {
        assert_eq!(strongest[feature].len(), 3);
        for (response, (image_idx, value, place)) in strongest[feature].iter().zip(expected.responses) {
            assert_eq!((response.image_idx, response.y * 4 + response.x), (image_idx, place), "{response:?}");
            assert!((response.value / value - 1.0).abs() < 1e-3, "{response:?}, {value}");
        }
        let first = strongest[feature][0];
        let gradient =
            guided_gradient(&extractor, store.image(first.image_idx), feature, (first.y, first.x)).unwrap();
        let non_zero = gradient.iter().filter(|&&g| g != 0.0).count();
        let absolute: f64 = gradient.iter().map(|&g| f64::from(g.abs())).sum();
        let weighted: f64 =
            gradient.iter().enumerate().map(|(i, &g)| f64::from(g) * (i + 1) as f64 / 3072.0).sum();
        assert_eq!(non_zero, expected.non_zero);
        assert!((absolute - expected.absolute).abs() < 1e-2, "{absolute}, {}", expected.absolute);
        assert!((weighted - expected.weighted).abs() < 1e-2, "{weighted}, {}", expected.weighted);
    }
    assert!(strongest_responses(&extractor, &store, 9, 3, &mut observe).is_err());
}

struct Expected {
    /// Picture, response and place of the three largest.
    responses: [(usize, f32, usize); 3],
    non_zero: usize,
    absolute: f64,
    weighted: f64,
}

/// Feature 0 responds to no picture: its responses are all below 0, and nothing passes back.
const EXPECTED: [Expected; 2] = [
    Expected {
        responses: [(1, -0.029416, 6), (2, -0.034658, 15), (3, -0.036691, 14)],
        non_zero: 0,
        absolute: 0.0,
        weighted: 0.0,
    },
    Expected {
        responses: [(0, 0.751805, 11), (3, 0.562414, 13), (2, 0.476111, 7)],
        non_zero: 1752,
        absolute: 10.443267,
        weighted: -0.090289,
    },
];

#[test]
fn receptive_fields_known_by_hand() {
    let field = |name| ReceptiveField::of(&Architecture::paper(name).discriminator());
    // 1 + 4·(1 + 2 + 4), −2·(1 + 2 + 4).
    assert_eq!(field(ArchitectureName::Svhn32), ReceptiveField { size: 29, stride: 8, first: -14 });
    assert_eq!(field(ArchitectureName::Faces64), ReceptiveField { size: 61, stride: 16, first: -30 });
    // 1 + 2·(1 + 1 + 2 + 2 + 4 + 4), −(1 + 1 + 2 + 2 + 4 + 4).
    assert_eq!(field(ArchitectureName::Imagenet32), ReceptiveField { size: 29, stride: 8, first: -14 });
}
