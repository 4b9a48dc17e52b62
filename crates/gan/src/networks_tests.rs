//! Networks against PyTorch, with weights that both sides can write down.

use candle_core::{Device, Module, Tensor, Var};
use dcgan_nn::conv::from_pytorch;

use crate::{Architecture, ArchitectureName, Discriminator, Generator};

/// frac(0.37 + 0.618034·(i + skip))·2 − 1.
pub(crate) fn values(n: usize, skip: usize) -> Vec<f32> {
    (skip..n + skip).map(|i| (((0.37 + 0.618034 * i as f64).fract()) * 2.0 - 1.0) as f32).collect()
}

/// Sets parameter k to 0.25·values(n, k), in PyTorch's order.
pub(crate) fn fill(parameters: &[(String, Var)]) {
    for (k, (name, var)) in parameters.iter().enumerate() {
        let filled = values(var.elem_count(), k).iter().map(|v| v * 0.25).collect::<Vec<_>>();
        let filled = Tensor::from_vec(filled, var.elem_count(), &Device::Cpu).unwrap();
        // Units of linear layers are in the order (c, y, x) there.
        let units = |filled: Tensor, n: usize, last: usize| {
            let split = filled.reshape((n, last / 16, 16)).unwrap().transpose(1, 2).unwrap();
            split.contiguous().unwrap().reshape(var.dims()).unwrap()
        };
        let filled = match (name.as_str(), var.dims()) {
            (_, &[kh, kw, inner, outer]) => {
                from_pytorch(&filled.reshape((outer, inner, kh, kw)).unwrap()).unwrap()
            }
            ("project.weight", &[nz, last]) => units(filled, nz, last),
            ("project.gain" | "project.bias", &[last]) | ("head.weight", &[last, _]) => {
                units(filled, 1, last)
            }
            (_, dims) => filled.reshape(dims).unwrap(),
        };
        var.set(&filled).unwrap();
    }
}

const NAMES: [ArchitectureName; 3] =
    [ArchitectureName::Svhn32, ArchitectureName::Imagenet32, ArchitectureName::Faces64];

// The generators of the test below are built as in PAPER's table with every width / 32, float64, in PyTorch:
//   h = bn_relu(z @ w0).view(-1, c, 4, 4); h = bn_relu(F.conv_transpose2d(h, w, stride=s, padding=k // 2,
//   output_padding=s - 1)) …; the last with torch.tanh instead. bn: biased variance, eps 1e-8.
//   t = h.permute(0, 2, 3, 1); print((t * torch.arange(1, t.numel() + 1).view(t.shape) / t.numel()).sum(), t.abs().sum())
#[test]
fn generators_agree_with_pytorch() {
    let expected = [(-7.85606, 731.77457), (-167.17572, 1092.77099), (3.12273, 2316.56948)];
    for (name, (weighted, absolute)) in NAMES.into_iter().zip(expected) {
        let config = Architecture { name, width: 1.0 / 32.0 }.generator();
        let z = Tensor::from_vec(values(4 * config.nz, 11), (4, config.nz), &Device::Cpu).unwrap();
        let generator = Generator::random(config, 0, &Device::Cpu).unwrap();
        fill(generator.parameters());
        let pictures = generator.forward(&z).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let n = pictures.len() as f64;
        let ours: f64 = pictures.iter().enumerate().map(|(i, &p)| f64::from(p) * (i + 1) as f64 / n).sum();
        let ours_absolute: f64 = pictures.iter().map(|&p| f64::from(p.abs())).sum();
        assert!((ours - weighted).abs() < 2e-4 * absolute, "{name:?}: {ours}, {weighted}");
        assert!((ours_absolute / absolute - 1.0).abs() < 1e-4, "{name:?}: {ours_absolute}, {absolute}");
    }
}

// x = bn_leaky(F.conv2d(x, w, stride=s, padding=k // 2)) …, the first without bn; x.flatten(1) @ wy
#[test]
fn discriminators_agree_with_pytorch() {
    let expected = [
        [-0.19532, -0.15524, -0.08929, 0.02834],
        [-0.15202, 0.31985, -0.19324, -0.08433],
        [0.00095, -0.26476, 0.05644, -0.18415],
    ];
    for (name, logits) in NAMES.into_iter().zip(expected) {
        let config = Architecture { name, width: 1.0 / 32.0 }.discriminator();
        let size = config.image_size;
        let x = Tensor::from_vec(values(4 * 3 * size * size, 0), (4, size, size, 3), &Device::Cpu).unwrap();
        let discriminator = Discriminator::random(config, 0, &Device::Cpu).unwrap();
        fill(discriminator.parameters());
        let ours = discriminator.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (ours, expected) in ours.iter().zip(logits) {
            assert!((ours - expected).abs() < 1e-4, "{name:?}: {ours}, {expected}");
        }
    }
}

#[test]
fn saved_networks_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let architecture = Architecture { name: ArchitectureName::Svhn32, width: 0.05 };
    let generator = Generator::random(architecture.generator(), 3, &Device::Cpu).unwrap();
    let path = dir.path().join("generator.safetensors");
    generator.save(&path).unwrap();
    let loaded = Generator::load(&path, &Device::Cpu).unwrap();
    assert_eq!(loaded.config(), generator.config());
    let pixels = |g: &Generator| crate::sample::generate(g, 3, 5).unwrap();
    assert_eq!(pixels(&loaded), pixels(&generator));
    let message = Discriminator::load(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(message.ends_with("found network Some(\"generator\")"), "{message}");
}
