use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use dcgan_nn::checkpoint::Checkpoint;
use dcgan_nn::device::Device;

use super::*;
use crate::{
    Architecture, ArchitectureName, BatchStatistics, Discriminator, FeatureExtractor, Generator, Guidelines,
    Sampler, ZDistribution,
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pytorch/testdata").join(name)
}

// The files and numbers of the next test, by PyTorch 2:
//
//   torch.manual_seed(0)
//   t = lambda i, o, s, p: nn.ConvTranspose2d(i, o, 4, s, p, bias=False)
//   c = lambda i, o, s, p: nn.Conv2d(i, o, 4, s, p, bias=False)
//   g.main = nn.Sequential(t(3, 4, 1, 0), nn.BatchNorm2d(4), nn.ReLU(), t(4, 2, 2, 1), nn.BatchNorm2d(2), nn.ReLU(),
//                          t(2, 1, 2, 1), nn.Tanh())
//   d.main = nn.Sequential(c(1, 2, 2, 1), nn.LeakyReLU(0.2), c(2, 4, 2, 1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), c(4, 1, 1, 0),
//                          nn.Sigmoid())
//   for net in (g, d):
//       for p in net.parameters(): nn.init.normal_(p, 0.3, 0.5)
//   z = torch.sin(torch.arange(12.)).reshape(4, 3)
//   x = g.train()(z[:, :, None, None]); logits = d.main[:-1](x).flatten()
#[test]
fn networks_of_pytorchs_example_give_what_they_give_there() {
    let (g, d) = (
        import_generator(&file("g.pth"), None, ZDistribution::Normal).unwrap(),
        import_discriminator(&file("d.pth"), None).unwrap(),
    );
    assert_eq!((g.config().picture(), d.config().picture()), ([1, 16, 16], [1, 16, 16]));
    let z: Vec<f32> = (0..12).map(|i| (i as f32).sin()).collect();
    let x = g.draw(&Tensor::from_vec(z, (4, 3), &Device::CPU).unwrap(), None).unwrap();
    let row =
        x.narrow(0, 1, 1).unwrap().narrow(1, 5, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let expected = [0.42286, 0.85023, 0.46374, 0.78155, 0.45162, 0.84949];
    assert!(row[4..10].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{row:?}");
    let mean = x.mean_all().unwrap().to_scalar::<f32>().unwrap();
    assert!((mean - 0.43843).abs() < 1e-4, "{mean}");
    let logits = d.judge(&x, None).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let expected = [10.31424, 11.82307, 10.45895, 11.69622];
    assert!(logits.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{logits:?}");
}

fn assert_equal(a: &[(String, candle_core::Var)], b: &[(String, candle_core::Var)]) {
    assert_eq!(a.len(), b.len());
    for ((name, a), (other, b)) in a.iter().zip(b) {
        assert_eq!((name, a.dims()), (other, b.dims()));
        let values = |var: &candle_core::Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(a), values(b), "{name}");
    }
}

fn exported(g: &Generator, d: &Discriminator) -> (Exported, Exported) {
    let sampler =
        Sampler::new(g, BatchStatistics::Inferred, 0, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let pixels: Vec<u8> =
        (0..8 * d.config().picture().iter().product::<usize>()).map(|i| (i * i % 251) as u8).collect();
    let features = FeatureExtractor::infer_on(d, &pixels, &Device::CPU).unwrap();
    (export_generator(g, sampler).unwrap(), export_discriminator(&features).unwrap())
}

#[test]
fn what_is_written_comes_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = Guidelines { channels: 1, base: 4, ..Guidelines::of_size(28) };
    let names = [ArchitectureName::Svhn32, ArchitectureName::Imagenet32, ArchitectureName::Own(hidden)];
    let mut networks: Vec<(Generator, Discriminator)> = names
        .map(|name| {
            let architecture = Architecture { name, width: 1.0 / 32.0 };
            let g = Generator::random(architecture.generator(), 1, &Device::CPU).unwrap();
            (g, Discriminator::random(architecture.discriminator(), 1, &Device::CPU).unwrap())
        })
        .into();
    let theirs = (
        import_generator(&file("g.pth"), None, ZDistribution::Normal).unwrap(),
        import_discriminator(&file("d.pth"), None).unwrap(),
    );
    networks.push(theirs);
    for (g, d) in &networks {
        let (g_out, d_out) = exported(g, d);
        let (g_path, d_path) = (folder.path().join("g.safetensors"), folder.path().join("d.safetensors"));
        g_out.save(&g_path).unwrap();
        d_out.save(&d_path).unwrap();
        let (g_in, d_in) = (
            import_generator(&g_path, None, ZDistribution::Normal).unwrap(),
            import_discriminator(&d_path, None).unwrap(),
        );
        assert_eq!((g_in.config(), d_in.config()), (g.config(), d.config()));
        assert_equal(g.parameters(), g_in.parameters());
        assert_equal(d.parameters(), d_in.parameters());
        assert!(states_generator(&g_path) && !states_generator(&d_path) && !states_generator(&file("g.pth")));
    }
    let (g, d) = networks.pop().unwrap();
    let (g, d) = exported(&g, &d);
    let python = |exported: &Exported, i: usize| exported.modules()[i].to_string();
    assert_eq!(python(&g, 0), "nn.ConvTranspose2d(3, 4, 4, stride=1, padding=0, bias=False)");
    assert_eq!(python(&g, 3), "nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1, bias=False)");
    assert_eq!(
        [python(&d, 2), python(&d, 3)],
        ["nn.Conv2d(2, 4, 4, stride=2, padding=1, bias=False)", "nn.BatchNorm2d(4, eps=1e-8)"]
    );
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let tensor = |dims: &[usize], value: f32| Tensor::full(value, dims, &Device::CPU).unwrap();
    let message = |tensors: &[(&str, Tensor)]| {
        let mut checkpoint = Checkpoint::default();
        tensors.iter().for_each(|(name, tensor)| checkpoint.insert(*name, tensor));
        checkpoint.save(&path).unwrap();
        let messages = [
            import_generator(&path, None, ZDistribution::Normal).map(|_| ()).unwrap_err().to_string(),
            import_discriminator(&path, None).map(|_| ()).unwrap_err().to_string(),
        ];
        messages.join("\n")
    };
    let named = message(&[("conv1.weight", tensor(&[2, 1, 4, 4], 0.1))]);
    assert!(
        named.contains("expected the state dict of an `nn.Sequential`")
            && named.contains("found `conv1.weight`"),
        "{named}"
    );
    let biased =
        message(&[("main.0.weight", tensor(&[2, 1, 4, 4], 0.1)), ("main.0.bias", tensor(&[2], 0.5))]);
    assert!(biased.contains("`main.0.bias`, behind which there is no batch norm, found 0.5"), "{biased}");
    let scaled = [("main.0.weight", tensor(&[2, 1, 4, 4], 0.1)), ("main.0.scale", tensor(&[2], 2.0))];
    let told = message(&scaled);
    assert!(told.contains("running statistics of `main.0`, found `main.0.scale`"), "{told}");
    let alone = message(&[("main.0.weight", tensor(&[2, 1, 4, 4], 0.1))]);
    assert!(!states_generator(&path), "a file of weights alone states nothing");
    assert!(alone.contains("expected at least one convolution between"), "{alone}");
    let layers = [
        ("0.weight", tensor(&[2, 1, 4, 4], 0.1)),
        ("1.weight", tensor(&[1, 2, 3, 3], 0.1)),
        ("2.weight", tensor(&[1, 1, 4, 4], 0.1)),
    ];
    let kernels = message(&layers);
    assert!(
        kernels.contains("expected `1.weight` with a kernel as before it, found shape [1, 2, 3, 3]"),
        "{kernels}"
    );
    let without = message(&[layers[0].clone(), ("1.weight", tensor(&[1, 2, 4, 4], 0.1)), layers[2].clone()]);
    assert!(without.contains("expected a batch norm behind `1`, found none"), "{without}");

    // A generator of grey pictures and its like, with one tensor of another size.
    let whole: Vec<(&str, Tensor)> = vec![
        ("0.weight", tensor(&[2, 4, 4, 4], 0.1)),
        ("1.weight", tensor(&[4], 1.0)),
        ("1.bias", tensor(&[4], 0.0)),
        ("1.running_mean", tensor(&[4], 0.0)),
        ("1.running_var", tensor(&[4], 1.0)),
        ("2.weight", tensor(&[4, 3, 4, 4], 0.1)),
    ];
    let with = |name: &str, dims: &[usize]| {
        let mut tensors = whole.clone();
        tensors.iter_mut().filter(|(of, _)| *of == name).for_each(|(_, value)| *value = tensor(dims, 0.1));
        message(&tensors).lines().next().unwrap().to_owned()
    };
    for (name, dims, expected) in [
        (
            "2.weight",
            [4, 5, 4, 4].as_slice(),
            "expected `2.weight` of pictures of 1 or 3 channels, found 5, shape [4, 5, 4, 4]",
        ),
        (
            "2.weight",
            &[4, 2, 4, 4],
            "expected `2.weight` of pictures of 1 or 3 channels, found 2, shape [4, 2, 4, 4]",
        ),
        (
            "2.weight",
            &[6, 3, 4, 4],
            "expected `2.weight` that takes 4, as `0.weight` gives, found 6, shape [6, 3, 4, 4]",
        ),
        (
            "1.weight",
            &[3],
            "expected the weight of the batch norm behind `0` of shape [4], as `0.weight` gives, found shape [3]",
        ),
        (
            "1.bias",
            &[5],
            "expected the bias of the batch norm behind `0` of shape [4], as `0.weight` gives, found shape [5]",
        ),
    ] {
        let found = with(name, dims);
        assert!(found.ends_with(expected), "{found}");
    }
    let d = message(&[("0.weight", tensor(&[2, 8, 4, 4], 0.1)), ("1.weight", tensor(&[1, 2, 4, 4], 0.1))]);
    assert!(
        d.lines()
            .nth(1)
            .unwrap()
            .ends_with("`0.weight` of pictures of 1 or 3 channels, found 8, shape [2, 8, 4, 4]"),
        "{d}"
    );

    let mnist = Architecture::paper(ArchitectureName::Mnist28).generator();
    let conditional = Generator::random(mnist, 0, &Device::CPU).unwrap();
    let sampler =
        Sampler::new(&conditional, BatchStatistics::Batch, 0, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let error = export_generator(&conditional, sampler).unwrap_err().to_string();
    assert!(error.contains("takes no labels, found one conditional on 10 classes"), "{error}");
}
