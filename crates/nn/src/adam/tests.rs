use candle_core::Device;

use super::*;
use crate::testing::{assert_close, flat, values, var};

fn quadratic_steps(adam: &mut Adam, p: &Var, n_steps: usize) {
    let weights = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu).unwrap();
    for _ in 0..n_steps {
        let loss = (p.as_tensor().sqr().unwrap() * &weights).unwrap().sum_all().unwrap();
        adam.step(&loss.backward().unwrap()).unwrap();
    }
}

// p = torch.tensor(values(4), dtype=torch.float64, requires_grad=True)   # values: crate::testing::values
// o = torch.optim.Adam([p], lr=0.01, betas=(0.5, 0.999), eps=1e-8, weight_decay=0.1)
// for _ in range(3):
//     o.zero_grad(); (p**2 * torch.tensor([1., 2., 3., 4.])).sum().backward(); o.step()
#[test]
fn agrees_with_pytorch() {
    let config = AdamConfig { learning_rate: 0.01, l2: 0.1, ..AdamConfig::default() };
    let p = var(&[4]);
    assert_close(&flat(&p), &values(4), 0.0, "start");
    let mut adam = Adam::new(vec![("p".into(), p.clone())], config);
    quadratic_steps(&mut adam, &p, 3);
    assert_close(&flat(&p), &[-0.230_242_88, 0.946_129_9, 0.182_437_83, -0.521_906_84], 1e-6, "p");
}

#[test]
fn a_saved_state_continues_with_the_same_bits() {
    let config = AdamConfig::default();
    let p = var(&[4]);
    let mut adam = Adam::new(vec![("p".into(), p.clone())], config);
    quadratic_steps(&mut adam, &p, 5);
    let mut checkpoint = Checkpoint::default();
    adam.save("d", &mut checkpoint).unwrap();
    let resumed_p = Var::from_tensor(&p.as_tensor().copy().unwrap()).unwrap();
    let mut resumed = Adam::new(vec![("p".into(), resumed_p.clone())], config);
    resumed.load("d", &checkpoint, std::path::Path::new("c")).unwrap();

    quadratic_steps(&mut adam, &p, 5);
    quadratic_steps(&mut resumed, &resumed_p, 5);
    assert_eq!(flat(&p), flat(&resumed_p));
    assert_eq!(resumed.n_steps(), 10);
    assert!(resumed.load("g", &checkpoint, std::path::Path::new("c")).is_err());
}
