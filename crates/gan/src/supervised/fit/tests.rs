use dcgan_nn::{layer::Gradients, norm::norm};

use super::*;
use crate::{Architecture, ArchitectureName, supervised::testing::Corners};

fn narrow() -> DiscriminatorConfig {
    Architecture { name: ArchitectureName::Svhn32, width: 0.0625 }.discriminator()
}

fn parameters() -> Parameters {
    Parameters { learning_rate: 3e-3, beta1: 0.5, l2: 1e-5, dropout: 0.2, batch_size: 16, seed: 1 }
}

const STOPPING: Stopping = Stopping { epochs: 20, patience: 6, check_every: 2 };

fn train(examples: &Examples<'_>, parameters: &Parameters, stopping: Stopping) -> Result<Fitted> {
    fit(examples, &narrow(), parameters, stopping, &Device::CPU, &mut || ControlFlow::Continue(()))
}

// import torch
// x = torch.tensor([[2., -1., .5], [1., 0., -1.], [.1, .2, .3]], requires_grad=True); t = torch.tensor([0, 1, 2])
// l = torch.nn.functional.cross_entropy(x, t); l.backward(); print(l.item(), x.grad)
// x = torch.tensor([[2., -1., .5], [-300., 0., 300.], [.1, .2, .3]], requires_grad=True)
// l = torch.nn.functional.cross_entropy(x, t); l.backward(); print(l.item(), x.grad[1])
#[test]
fn loss_and_gradient_agree_with_pytorch_also_where_logits_are_large() {
    let of = |second: [f32; 3]| {
        let logits = Tensor::new(&[[2f32, -1.0, 0.5], second, [0.1, 0.2, 0.3]], &Device::CPU).unwrap();
        let (loss, gradient) = cross_entropy(&logits, &[0, 1, 2]).unwrap();
        (loss, gradient.to_vec2::<f32>().unwrap())
    };
    let near = |ours: &[f32], theirs: [f32; 3]| ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-6);
    let (loss, gradient) = of([1.0, 0.0, -1.0]);
    assert!((loss - 0.883_620_02).abs() < 1e-6, "{loss}");
    assert!(near(&gradient[0], [-0.071_467_66, 0.013_037_524, 0.058_430_13]), "{gradient:?}");
    assert!(near(&gradient[1], [0.221_747_01, -0.251_757_17, 0.030_010_194]), "{gradient:?}");
    assert!(near(&gradient[2], [0.100_203_2, 0.110_741_65, -0.210_944_88]), "{gradient:?}");
    let (loss, gradient) = of([-300.0, 0.0, 300.0]);
    assert!((loss - 100.414_421).abs() < 1e-4, "{loss}");
    assert!(near(&gradient[1], [0.0, -1.0 / 3.0, 1.0 / 3.0]), "{gradient:?}");
}

/// The loss of the first minibatch, dropout included, and its gradient by every parameter.
fn first_minibatch(network: &Network, corners: &Corners) -> (f64, Vec<Tensor>) {
    let still = AdamConfig { learning_rate: 0.0, ..AdamConfig::default() };
    let layers = (network.layers(), network.gradients().unwrap());
    let mut learner = Learner::new(layers, network.parameters(), still, 0.3);
    let rows: Vec<u32> = (0..16).collect();
    let pictures =
        Pictures { store: &corners.store, rows: &rows, batch_size: 16, output: network.output(), seed: 5 };
    let mut loss = 0.0;
    let mut gradient = |logits: Logits<'_>| {
        let found = cross_entropy(logits.values, &classes_of(logits.rows, &corners.classes))?;
        loss = found.0;
        Ok(found.1)
    };
    let mut observe = |_| ControlFlow::Continue(());
    learner.epoch(&pictures, 0, &Device::CPU, &mut gradient, &mut observe).unwrap();
    let gradients = learner.gradients().iter().flat_map(Gradients::tensors);
    let gradients = gradients.map(|gradient| gradient.copy().unwrap()).collect();
    (loss, gradients)
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    let corners = Corners::new(16);
    let network = Network::random(narrow(), 4, 3, &Device::CPU).unwrap();
    let (_, gradients) = first_minibatch(&network, &corners);
    assert_eq!(gradients.len(), network.parameters().len());
    for ((name, var), gradient) in network.parameters().iter().zip(&gradients) {
        // Along the gradient itself, where the slope is its norm. Short, for a leaky ReLU may turn on the way; the loss still changes by
        // some hundreds of its last digits.
        let slope = norm([gradient]).unwrap();
        let (start, size) = (var.as_tensor().copy().unwrap(), 2e-5 / slope);
        let loss = |step: f64| {
            let moved = (&start + gradient.affine(step / slope, 0.0).unwrap()).unwrap();
            var.set(&moved).unwrap();
            first_minibatch(&network, &corners).0
        };
        let found = (loss(size) - loss(-size)) / (2.0 * size);
        var.set(&start).unwrap();
        assert!((found / slope - 1.0).abs() < 0.02, "{name}: {found} {slope}");
    }
}

#[test]
fn it_learns_and_comes_back_from_its_file() {
    let corners = Corners::new(160);
    let fitted = train(&corners.examples(), &parameters(), STOPPING).unwrap();
    assert!(fitted.validation.error_rate < 0.1, "{fitted:?}");
    // What is returned is the network of the best look, not the last.
    let again = score(&fitted.network, &corners.examples(), 0).unwrap();
    assert_eq!(again, fitted.validation);
    assert!(fitted.best_epoch.is_multiple_of(2) && fitted.best_epoch <= fitted.n_epochs, "{fitted:?}");

    let predicted = fitted.network.predict(&corners.store).unwrap();
    let wrong = |rows: &[u32]| {
        let is_wrong = |row: &&u32| predicted[**row as usize] != corners.classes[**row as usize];
        rows.iter().filter(is_wrong).count() as f64 / rows.len() as f64
    };
    assert_eq!(wrong(&corners.validation), fitted.validation.error_rate);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(crate::supervised::FILE);
    fitted.network.save(&path).unwrap();
    let loaded = Supervised::load(&path, &Device::CPU).unwrap();
    assert_eq!((loaded.n_classes(), loaded.predict(&corners.store).unwrap()), (4, predicted));
    assert!(crate::classifier::Classifier::load(&path, &Device::CPU).is_err());
}

#[test]
fn it_stops_once_the_validation_error_no_longer_falls() {
    let corners = Corners::new(160);
    let long = Stopping { epochs: 1000, ..STOPPING };
    let fitted = train(&corners.examples(), &parameters(), long).unwrap();
    assert_eq!(fitted.n_epochs, fitted.best_epoch + long.patience, "{fitted:?}");
    // The last pass is looked at whatever `check_every` says.
    let short = Stopping { epochs: 3, patience: 9, check_every: 50 };
    let fitted = train(&corners.examples(), &parameters(), short).unwrap();
    assert_eq!((fitted.n_epochs, fitted.best_epoch), (3, 3));
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let corners = Corners::new(32);
    let one: Vec<u32> = (0..16).step_by(4).collect();
    let told = |examples: Examples<'_>| train(&examples, &parameters(), STOPPING).unwrap_err().to_string();
    let message = told(Examples { rows: &one, ..corners.examples() });
    assert_eq!(message, "`rows`: expected pictures of two classes at least, found of one class only");
    let message = told(Examples { rows: &[], ..corners.examples() });
    assert!(message.contains("no picture to train on"), "{message}");
    let faces = Architecture { name: ArchitectureName::Faces64, width: 0.05 }.discriminator();
    let mut observe = || ControlFlow::Continue(());
    let error =
        fit(&corners.examples(), &faces, &parameters(), STOPPING, &Device::CPU, &mut observe).unwrap_err();
    assert!(matches!(error, GanError::ImageSize { .. }), "{error}");
    let rate = Parameters { learning_rate: 1e37, ..parameters() };
    let error = train(&corners.examples(), &rate, STOPPING).unwrap_err();
    assert!(matches!(error, GanError::Diverged { network: NETWORK, .. }), "{error}");
}

/// Dropout, the loss and the choice of the best network.
#[test]
fn training_with_labels_on_a_gpu_is_near_the_cpus() {
    let choice = dcgan_nn::device::DeviceChoice::Cuda(0, dcgan_nn::device::Math::F32);
    let Some(gpu) = crate::device_tests::open(choice) else { return };
    let corners = Corners::new(64);
    let stopping = Stopping { epochs: 2, patience: 2, check_every: 1 };
    let trained = |device: &Device| {
        let parameters = parameters();
        fit(&corners.examples(), &narrow(), &parameters, stopping, device, &mut || ControlFlow::Continue(()))
            .unwrap()
    };
    let (here, there) =
        (trained(&Device::CPU).validation.cross_entropy, trained(&gpu).validation.cross_entropy);
    assert!((here - there).abs() <= 0.05 * here, "{here} {there}");
}
