use std::collections::BTreeMap;

use dcgan_nn::inference::Maps;

use super::graph::{Branch, Conv, Graph, Module, a, b, c, d, e};
use super::weights::{self, Ready, expected, fold};
use super::*;

/// Names and shapes.
type Tensors = BTreeMap<String, Vec<usize>>;

/// frac(0.37 + 0.618034·i)·2 − 1, from the `skipped`th on.
fn values(n: usize, skipped: usize) -> Vec<f32> {
    (skipped..skipped + n).map(|i| (((0.37 + 0.618034 * i as f64).fract()) * 2.0 - 1.0) as f32).collect()
}

/// A module with weights by formula, in PyTorch as
/// ```python
/// def values(n, skip=0): return torch.tensor((np.modf(0.37+0.618034*np.arange(skip, skip+n))[0]*2-1).astype(np.float32))
/// def fill(module):
///     for i, conv in enumerate(m for m in module.modules() if isinstance(m, BasicConv2d)):
///         w = conv.conv.weight; o = w.shape[0]
///         w.data = values(w.numel(), i).reshape(w.shape) * (3 / w[0].numel()) ** 0.5
///         conv.bn.weight.data, conv.bn.bias.data = 1 + values(o, i) / 2, values(o, i + 1) / 2
///         conv.bn.running_mean, conv.bn.running_var = values(o, i + 2) / 2, 1 + values(o, i + 3) / 2
///     return module.eval()
/// def summary(t):
///     t = t.permute(0, 2, 3, 1).double().flatten()
///     return (t * torch.arange(1, t.numel() + 1) / t.numel()).sum(), t.sum(), t[-1]
/// x = values(2*9*7*16).reshape(2, 9, 7, 16).permute(0, 3, 1, 2)
/// for m in [FIDInceptionA(16, 8), InceptionB(16), FIDInceptionC(16, 32), InceptionD(16), FIDInceptionE_1(16), FIDInceptionE_2(16)]:
///     print(summary(fill(m)(x)))
/// ```
/// with the modules of pytorch-fid and, where it has none of its own, of torchvision.
fn filled(module: Module<Conv>) -> Module<Ready> {
    let mut i = 0;
    let graph = Graph { stem: [vec![], vec![]], modules: vec![module] };
    let ready = graph.try_map(&mut |conv, finish| {
        let n: usize = conv.shape.iter().product();
        let o = conv.shape[0];
        let scale = (3.0 / (n / o) as f32).sqrt();
        let kernel = values(n, i).iter().map(|value| value * scale).collect();
        let halves =
            |skipped: usize| values(o, i + skipped).iter().map(|value| value / 2.0).collect::<Vec<f32>>();
        let more = |skipped: usize| halves(skipped).iter().map(|value| 1.0 + value).collect::<Vec<f32>>();
        let made = weights::made(&conv, finish, kernel, [&more(0), &halves(1), &halves(2), &more(3)]);
        i += 1;
        made
    });
    ready.unwrap().modules.remove(0)
}

#[test]
fn modules_agree_with_pytorch() {
    let cases = [
        (a("m", 16, 8), [4805.44744, 9603.39325, 0.2968]),
        (b("m", 16), [1601.03343, 3227.09738, 0.86284]),
        (c("m", 16, 32), [16972.03322, 33681.34282, 0.58196]),
        (d("m", 16), [2460.56625, 4955.76366, 0.86284]),
        (e("m", 16, Branch::Average), [41135.70591, 82223.42349, 0.0]),
        (e("m", 16, Branch::Max), [41165.14017, 82286.29374, 0.02685]),
    ];
    let mut source = Maps::new();
    source.reshape(2, [9, 7], 16);
    source.values_mut().copy_from_slice(&values(2 * 9 * 7 * 16, 0));
    for (case, (module, expected)) in cases.into_iter().enumerate() {
        let (mut inner, mut target) = (Default::default(), Maps::new());
        filled(module).run(&source, &mut inner, &mut target).unwrap();
        let n = target.values().len() as f64;
        let all = || target.values().iter().map(|&value| f64::from(value));
        let weighted: f64 = all().enumerate().map(|(i, value)| value * (i + 1) as f64 / n).sum();
        let ours = [weighted, all().sum(), all().next_back().unwrap()];
        for (ours, expected) in ours.into_iter().zip(expected) {
            let difference: f64 = ours - expected;
            assert!(
                difference.abs() < 2e-5 * f64::max(1.0, expected),
                "case {case}: {ours}, expected {expected}"
            );
        }
    }
}

#[test]
fn bits_depend_neither_on_threads_nor_on_the_batch() {
    let module = filled(c("m", 16, 32));
    let run = |values: &[f32], threads: usize| {
        let (mut source, mut inner, mut target) = (Maps::new(), Default::default(), Maps::new());
        source.reshape(values.len() / (9 * 7 * 16), [9, 7], 16);
        source.values_mut().copy_from_slice(values);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| module.run(&source, &mut inner, &mut target)).unwrap();
        target.values().to_vec()
    };
    let all = values(5 * 9 * 7 * 16, 0);
    let together = run(&all, 1);
    assert!(together == run(&all, 3));
    let alone: Vec<f32> = all.chunks_exact(9 * 7 * 16).flat_map(|picture| run(picture, 2)).collect();
    assert!(together == alone);
}

/// ```python
/// c = fill(BasicConv2d(3, 2, kernel_size=(1, 2))); s = c.bn.weight / torch.sqrt(c.bn.running_var + c.bn.eps)
/// print(c.conv.weight.flatten(), (c.conv.weight * s[:, None, None, None]).flatten(), c.bn.bias - c.bn.running_mean * s)
/// ```
#[test]
fn batch_norm_is_folded_into_the_convolution() {
    let mut kernel: Vec<f32> = values(12, 0).iter().map(|value| value * 0.5_f32.sqrt()).collect();
    let halves = |skipped: usize| values(2, skipped).iter().map(|value| value / 2.0).collect::<Vec<f32>>();
    let more = |skipped: usize| halves(skipped).iter().map(|value| 1.0 + value).collect::<Vec<f32>>();
    let bias = fold(&mut kernel, [&more(0), &halves(1), &halves(2), &more(3)]);
    let expected = [
        -0.1878356635570526,
        0.7051553130149841,
        0.15325656533241272,
        -0.3986422121524811,
        0.49434879422187805,
        -0.05754995718598366,
        -0.7658968567848206,
        0.3563288450241089,
        -0.33724477887153625,
        0.7849809527397156,
        0.09140734374523163,
        -0.6021662354469299,
    ];
    let close = |ours: &[f32], expected: &[f32]| ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(&kernel, &expected), "{kernel:?}");
    assert!(close(&bias, &[0.3796652555465698, 0.4603111147880554]), "{bias:?}");
}

/// `len(state)` and `sum(v.numel() for v in state.values())` of pytorch-fid's `fid_inception_v3().state_dict()` without the counters.
#[test]
fn the_graph_has_pytorch_fids_tensors() {
    let all: Tensors = expected().unwrap().into_iter().collect();
    assert_eq!(all.len(), 472);
    assert_eq!(all.values().map(|shape| shape.iter().product::<usize>()).sum::<usize>(), 23_885_392);
    assert_eq!(all["Mixed_6d.branch7x7dbl_3.conv.weight"], [160, 160, 1, 7]);
    assert_eq!(all["Mixed_7c.branch_pool.bn.running_var"], [192]);
}

/// Header of a `.safetensors` file of these tensors, and how many bytes of numbers follow.
fn header(tensors: &Tensors) -> (Vec<u8>, usize) {
    let mut end = 0;
    let entries = tensors.iter().map(|(name, shape)| {
        let start = end;
        end += shape.iter().product::<usize>() * 4;
        (name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}))
    });
    let json = serde_json::Value::Object(entries.collect()).to_string();
    ([&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat(), end)
}

/// Weights of 0 make features of 0, whatever the pictures.
#[test]
fn pictures_are_run_until_asked_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zeros.safetensors");
    let (header, n) = header(&expected().unwrap().into_iter().collect());
    fs_err::write(&path, &header).unwrap();
    fs_err::OpenOptions::new().append(true).open(&path).unwrap().set_len((header.len() + n) as u64).unwrap();
    let inception = Inception::open(&path).unwrap();

    let picture = |channels: usize, n: usize| Picture { channels, height: 2, width: 3, pixels: vec![7; n] };
    let pictures: Vec<Picture> =
        (0..BATCH + 1).map(|i| if i == 2 { picture(1, 6) } else { picture(3, 18) }).collect();
    let mut heard = Vec::new();
    let mut observe = |done: u64, total: u64| {
        heard.push((done, total));
        ControlFlow::Continue(())
    };
    let rows = inception.run(&pictures, Resize::Clean, &mut observe).unwrap();
    let n = BATCH + 1;
    assert_eq!(
        [rows.features.len(), rows.logits.len(), rows.logits_unbiased.len()],
        [n * FEATURES, n * CLASSES, n * CLASSES]
    );
    assert!(rows.features.iter().chain(&rows.logits).all(|value| *value == 0.0));
    assert_eq!(heard, [(0, n as u64), (BATCH as u64, n as u64), (n as u64, n as u64)]);

    let stopped = inception.run(&pictures, Resize::Clean, &mut |done, _| match done {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    assert!(matches!(stopped, Err(MetricsError::Interrupted)));
    let mut bad = vec![picture(3, 18); BATCH];
    bad.push(picture(3, 17));
    let error = inception.run(&bad, Resize::Clean, &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    let expected = format!("picture {BATCH}: expected grey or colour pixels, found 17 numbers of 3×2×3");
    assert_eq!(error.to_string(), expected);
    let none = inception.run(&[], Resize::Clean, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(none, Rows::default());
}

#[test]
fn other_files_are_refused_by_what_they_lack_and_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let all: Tensors = expected().unwrap().into_iter().collect();
    let message = |bytes: &[u8]| {
        fs_err::write(&path, bytes).unwrap();
        Inception::open(&path).unwrap_err().to_string()
    };
    let lengthened = |(header, n): (Vec<u8>, usize)| {
        fs_err::write(&path, &header).unwrap();
        fs_err::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .set_len((header.len() + n) as u64)
            .unwrap();
        Inception::open(&path).unwrap_err().to_string()
    };
    let change = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = all.clone();
        change(&mut tensors);
        let message = lengthened(header(&tensors));
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        message
    };
    let missing = change(&|tensors| {
        tensors.remove("fc.bias");
        tensors.remove("Mixed_5b.branch1x1.bn.weight");
    });
    assert!(missing.contains("among them `Mixed_5b.branch1x1.bn.weight`, `fc.bias`, found 470"), "{missing}");
    let surplus = change(&|tensors| {
        for name in ["AuxLogits.fc.bias", "Mixed_5b.branch1x1.bn.num_batches_tracked", "fc.extra"] {
            tensors.insert(name.to_owned(), vec![1]);
        }
    });
    assert!(surplus.ends_with("alone, found also `fc.extra`"), "{surplus}");
    let shape = change(&|tensors| {
        tensors.insert("fc.bias".to_owned(), vec![1000]);
    });
    assert!(shape.ends_with("expected a tensor `fc.bias` of shape [1008], found shape [1000]"), "{shape}");
    let none = change(&|tensors| tensors.retain(|name, _| name == "AuxLogits.fc.bias"));
    assert!(none.contains("and 467 more, found 0 of them"), "{none}");

    let (mut bytes, n) = header(&all);
    let cut = message(&bytes);
    assert!(cut.ends_with(&format!("of {} bytes, found {} bytes", bytes.len() + n, bytes.len())), "{cut}");
    // The first tensor's third number.
    let at = bytes.len() + 8;
    bytes.resize(bytes.len() + n, 0);
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let nan = message(&bytes);
    assert!(
        nan.ends_with("expected finite numbers in `Conv2d_1a_3x3.bn.bias`, found NaN at place 2"),
        "{nan}"
    );

    assert!(message(b"not weights").ends_with("found neither"));
    assert!(message(b"").ends_with("found neither"));
    assert!(message(&[200, 0, 0, 0, 0, 0, 0, 0, b'{']).contains("a safetensors file"));
    assert!(message(&[255, 255, 255, 255, 255, 0, 0, 0, b'{']).contains("a header of"));
    assert!(Inception::open(folder.path()).unwrap_err().to_string().contains("a folder"));
    assert!(Inception::open(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
}
