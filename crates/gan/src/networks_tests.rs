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

/// Sets parameter k to 0.25·values(n, k), in our order.
fn fill_in_order(parameters: &[(String, Var)]) {
    for (k, (_, var)) in parameters.iter().enumerate() {
        let filled: Vec<f32> = values(var.elem_count(), k).iter().map(|v| v * 0.25).collect();
        var.set(&Tensor::from_vec(filled, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
}

// The authors' networks for MNIST with every width / 32, in PyTorch and float64; param(k, *shape) is 0.25·values(n, k):
//   bn = lambda x: (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-8).sqrt()
//   bn4 = lambda x: (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-8).sqrt()
//   planes = lambda x, y: torch.cat([x, y[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
//   cat = lambda x, y: torch.cat([x, y], 1)
//   y = F.one_hot(torch.tensor([3, 0, 9, 3]), 10).double()
//   nhwc = lambda x: x.permute(0, 2, 3, 1).reshape(len(x), -1)
//   turned = lambda w: w.permute(3, 2, 0, 1)
//   h = bn(cat(z, y) @ param(0, 110, 32)).relu()
//   h = bn(cat(h, y) @ param(1, 42, 196)).relu().view(4, 7, 7, 4).permute(0, 3, 1, 2)
//   dec = lambda x, w: F.conv_transpose2d(x, turned(w), stride=2, padding=2, output_padding=1)
//   h = bn4(dec(planes(h, y), param(2, 5, 5, 2, 14))).relu()
//   x = dec(planes(h, y), param(3, 5, 5, 1, 12)).sigmoid()
//   t = x.permute(0, 2, 3, 1).flatten()
//   print((t * torch.arange(1, t.numel() + 1) / t.numel()).sum(), t.sum())
//   x = values(4 * 784, 0).view(4, 1, 28, 28)
//   conv = lambda x, w: F.conv2d(x, turned(w), stride=2, padding=2)
//   lrelu = lambda x: F.leaky_relu(x, 0.2)
//   h = lrelu(conv(planes(x, y), param(0, 5, 5, 11, 2)))
//   h = lrelu(bn4(conv(planes(h, y), param(1, 5, 5, 12, 4))))
//   h = lrelu(bn(cat(nhwc(h), y) @ param(2, 206, 32)))
//   print((cat(h, y) @ param(3, 42, 1)).flatten())
#[test]
fn conditional_networks_agree_with_pytorch() {
    let architecture = Architecture { name: ArchitectureName::Mnist28, width: 1.0 / 32.0 };
    let labels = dcgan_nn::labels::one_hot(&[3, 0, 9, 3], 10, &Device::Cpu).unwrap();
    let generator = Generator::random(architecture.generator(), 0, &Device::Cpu).unwrap();
    fill_in_order(generator.parameters());
    let z = Tensor::from_vec(values(400, 11), (4, 100), &Device::Cpu).unwrap();
    let pictures = generator.draw(&z, Some(&labels)).unwrap();
    assert_eq!(pictures.dims(), [4, 28, 28, 1]);
    let pictures = pictures.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let n = pictures.len() as f64;
    let weighted: f64 = pictures.iter().enumerate().map(|(i, &p)| f64::from(p) * (i + 1) as f64 / n).sum();
    let sum: f64 = pictures.iter().map(|&p| f64::from(p)).sum();
    assert!((weighted - 770.230419).abs() < 0.02, "{weighted}");
    assert!((sum - 1543.338518).abs() < 0.02, "{sum}");

    let discriminator = Discriminator::random(architecture.discriminator(), 0, &Device::Cpu).unwrap();
    fill_in_order(discriminator.parameters());
    let x = Tensor::from_vec(values(4 * 784, 0), (4, 28, 28, 1), &Device::Cpu).unwrap();
    let logits = discriminator.judge(&x, Some(&labels)).unwrap().flatten_all().unwrap();
    let expected = [1.364_032_8, -2.158_960_7, -1.555_274_7, 2.254_712];
    for (ours, expected) in logits.to_vec1::<f32>().unwrap().iter().zip(expected) {
        assert!((ours - expected).abs() < 1e-4, "{ours}, {expected}");
    }
    let message = discriminator.forward(&x).unwrap_err().to_string();
    assert!(message.contains("conditional on 10 classes: it needs labels"), "{message}");
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
