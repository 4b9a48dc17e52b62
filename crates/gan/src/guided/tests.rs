use std::ops::ControlFlow;

use dcgan_images::{Picture, StoreDescription, StoreWriter};
use dcgan_nn::conv::from_pytorch;
use dcgan_nn::device::Device;

use super::*;
use crate::{
    Architecture, ArchitectureName, Discriminator,
    networks_tests::{fill, values},
};

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
// pictures / 127.5 − 1:
//   class Guided(torch.autograd.Function):
//       @staticmethod
//       def forward(ctx, x): ctx.save_for_backward(x); return F.leaky_relu(x, 0.2)
//       @staticmethod
//       def backward(ctx, dy): x, = ctx.saved_tensors; return dy.clamp(min=0) * (x > 0)
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
    let discriminator = Discriminator::random(config, 0, &Device::CPU).unwrap();
    fill(discriminator.parameters());
    let mut observe = |_, _| ControlFlow::Continue(());
    let extractor = FeatureExtractor::infer(&discriminator, &store, &Device::CPU, &mut observe).unwrap();
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
fn guided_gradients_known_by_hand() {
    let convolution = Convolution { stride: 1, padding: 0, transposed: None };
    let kernel = Tensor::ones((1, 1, 1, 1), candle_core::DType::F32, &Device::CPU).unwrap();
    let layer = Guided { convolution, kernel: &kernel, norm: None };
    let row = |values: [f32; 5]| Tensor::from_slice(&values, (1, 1, 5, 1), &Device::CPU).unwrap();
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let x = row([3.0, 3.0, -3.0, -3.0, 0.0]);
    let y = layer.forward(&x).unwrap();
    assert_eq!(flat(&y), [3.0, 3.0, -0.6, -0.6, 0.0]);
    let dx = layer.backward(&x, &y, &row([2.0, -2.0, 2.0, -2.0, 2.0])).unwrap();
    assert_eq!(flat(&dx), [2.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(unit(&y, [0, 5, 0]).unwrap_err().to_string().contains("column 5 of 1x5 maps of 1"));
}

// PyTorch 2.15, float64; values(n, k) as in `networks_tests`, Guided as above:
//   x = values(2*8*8, 0).view(1, 2, 8, 8); w1 = values(3*2*25, 1).view(3, 2, 5, 5); w2 = values(4*3*25, 2).view(4, 3, 5, 5)
//   h = Guided.apply(F.conv2d(x, w1, stride=2, padding=2)); h = Guided.apply(F.conv2d(h, w2, stride=2, padding=2))
//   h[0, 0, 1, 0].backward(); g = x.grad.permute(0, 2, 3, 1).flatten()
//   print(h[0, 0, 1, 0], (g != 0).sum(), g.sum(), (g * torch.arange(1, 129) / 128).sum())
#[test]
fn guided_gradients_agree_with_pytorch() {
    let planes = |shape: [usize; 4], k: usize| {
        Tensor::from_vec(values(shape.iter().product(), k), &shape, &Device::CPU).unwrap()
    };
    let convolution = Convolution { stride: 2, padding: 2, transposed: None };
    let kernels = [planes([3, 2, 5, 5], 1), planes([4, 3, 5, 5], 2)].map(|k| from_pytorch(&k).unwrap());
    let layers = kernels.each_ref().map(|kernel| Guided { convolution, kernel, norm: None });
    let x = planes([1, 2, 8, 8], 0).permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    let hidden = layers[0].forward(&x).unwrap();
    let out = layers[1].forward(&hidden).unwrap();
    let dhidden = layers[1].backward(&hidden, &out, &unit(&out, [1, 0, 0]).unwrap()).unwrap();
    let gradient = layers[0].backward(&x, &hidden, &dhidden).unwrap();
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (gradient, value) = (flat(&gradient), flat(&out)[2 * 4]);
    let weighted: f32 = gradient.iter().enumerate().map(|(i, g)| g * (i + 1) as f32 / 128.0).sum();
    let non_zero = gradient.iter().filter(|&&g| g != 0.0).count();
    let ours = [value, non_zero as f32, gradient.iter().sum(), weighted];
    for (ours, expected) in ours.iter().zip([3.030_024_2_f32, 80.0, -4.481_623_4, -1.501_781_2]) {
        assert!((ours - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{ours}, {expected}");
    }
}

#[test]
fn receptive_fields_known_by_hand() {
    let field = |name| ReceptiveField::of(&Architecture::paper(name).discriminator());
    // 1 + 4·(1 + 2 + 4), −2·(1 + 2 + 4).
    assert_eq!(field(ArchitectureName::Svhn32), ReceptiveField { size: 29, stride: 8, first: -14 });
    assert_eq!(field(ArchitectureName::Faces64), ReceptiveField { size: 61, stride: 16, first: -30 });
    // 1 + 2·(1 + 1 + 2 + 2 + 4 + 4), −(1 + 1 + 2 + 2 + 4 + 4).
    assert_eq!(field(ArchitectureName::Imagenet32), ReceptiveField { size: 29, stride: 8, first: -14 });
}
