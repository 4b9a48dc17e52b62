use dcgan_images::{Picture, StoreDescription, StoreWriter};

use super::*;

// import torch
// x = torch.tensor([-2., .5, 3., 0.], requires_grad=True); t = torch.tensor([0., 1., 1., 0.])
// torch.nn.functional.binary_cross_entropy_with_logits(x, t).backward(); print(x.grad)
#[test]
fn the_gradient_agrees_with_pytorch() {
    let logits = Tensor::new(&[[-2f32], [0.5], [3.0], [0.0]], &Device::CPU).unwrap();
    let targets = [true, true, false, true, false, true];
    let logits_of = |values, rows, step| Logits { rows, values, step };
    let gradient = logit_gradient(&logits_of(&logits, &[4, 1, 3, 2], 0), &targets).unwrap();
    assert_eq!(gradient.dims(), [4, 1]);
    let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (ours, expected) in gradient.iter().zip([0.0298007, -0.0943852, -0.0118565, 0.125]) {
        assert!((ours - expected).abs() < 1e-6, "{gradient:?}");
    }
    let large = Tensor::new(&[[f32::NAN]], &Device::CPU).unwrap();
    assert!(matches!(
        logit_gradient(&logits_of(&large, &[0], 7), &targets),
        Err(GanError::Diverged { step: 7, .. })
    ));
}

/// A store of 32×32 pictures, each grey but for a bright square where `shows` says so; labels 3 and 1.
fn squares(folder: &Path, n: usize, seed: usize) -> ImageStore {
    let mut writer = StoreWriter::create(folder).unwrap();
    for i in 0..n {
        let shows = i % 2 == 0;
        let k = i / 2 + seed;
        let (x0, y0) = (k * 7 % 25, (k * 3 + k / 25 * 4) % 25);
        let value = |place: usize| {
            let (x, y) = (place % 32, place / 32 % 32);
            let inside = (x0..x0 + 8).contains(&x) && (y0..y0 + 8).contains(&y);
            let ground = 60 + (place * 13 + i * 29) % 40;
            if shows && inside { 220 } else { ground as u8 }
        };
        let picture = Picture { channels: 3, height: 32, width: 32, pixels: (0..3072).map(value).collect() };
        writer.append(&i.to_string(), Some(if shows { 3 } else { 1 }), "made up", &picture).unwrap();
    }
    writer.finish(StoreDescription::default()).unwrap();
    ImageStore::open(folder).unwrap()
}

fn config() -> ClassifierConfig {
    ClassifierConfig {
        architecture: ArchitectureName::Svhn32,
        width: 0.1,
        positive: vec![3],
        epochs: 20,
        seed: 1,
    }
}

fn observe(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn it_learns_what_the_labels_say_and_comes_back_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let (seen, new) = (squares(&dir.path().join("a"), 1024, 0), squares(&dir.path().join("b"), 100, 5));
    let classifier = train(&seen, &config(), &Device::CPU, &mut observe).unwrap();
    let targets = config().targets(&new).unwrap();
    let errors = classifier.errors(&new, &targets).unwrap();
    assert_eq!((errors.n_images, errors.n_positive), (100, 50));
    assert!(errors.error_rate <= 0.02, "{errors:?}");
    // Judged against the opposite of the truth, what was right is wrong.
    let opposite: Vec<bool> = targets.iter().map(|target| !target).collect();
    let swapped = classifier.errors(&new, &opposite).unwrap();
    assert!((swapped.error_rate - (1.0 - errors.error_rate)).abs() < 1e-9);

    let path = dir.path().join(FILE);
    classifier.save(&path).unwrap();
    let loaded = Classifier::load(&path, &Device::CPU).unwrap();
    let logits = classifier.logits(new.pixels()).unwrap();
    assert_eq!(loaded.logits(new.pixels()).unwrap(), logits);
    let alone = classifier.logits(new.image(7)).unwrap();
    assert!((alone[0] - logits[7]).abs() < 1e-4, "{} {}", alone[0], logits[7]);
    assert!(Discriminator::load(&path, &Device::CPU).is_err());
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = squares(&dir.path().join("a"), 8, 0);
    let told = |config: ClassifierConfig| {
        train(&store, &config, &Device::CPU, &mut observe).unwrap_err().to_string()
    };
    assert_eq!(
        told(ClassifierConfig { positive: vec![7], ..config() }),
        "`positive`: expected labels of some pictures and not of all, found labels [7], of 0 of 8 pictures"
    );
    let all = told(ClassifierConfig { positive: vec![1, 3], ..config() });
    assert!(all.contains("of 8 of 8 pictures"), "{all}");
    assert!(told(ClassifierConfig { positive: vec![], ..config() }).contains("at least one label"));
    assert!(told(ClassifierConfig { architecture: ArchitectureName::Faces64, ..config() }).contains("64x64"));
}
