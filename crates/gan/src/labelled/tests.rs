use candle_core::DType;

use super::*;

fn learner(dropout: f64) -> Learner {
    Learner::new((Vec::new(), Vec::new()), Vec::new(), AdamConfig::default(), dropout)
}

#[test]
fn a_mask_drops_its_share_and_scales_the_rest() {
    let maps = Tensor::zeros((50, 4, 4, 25), DType::F32, &Device::CPU).unwrap();
    let mask = |seed, step| {
        let mask = learner(0.2).mask(&maps, seed, step).unwrap().unwrap();
        assert_eq!(mask.dims(), maps.dims());
        mask.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let values = mask(3, 7);
    let n_dropped = values.iter().filter(|&&value| value == 0.0).count();
    // Six standard deviations of 20,000 draws.
    assert!((n_dropped as f64 / 20_000.0 - 0.2).abs() < 6.0 * 0.4 / 20_000f64.sqrt(), "{n_dropped}");
    assert!(values.iter().all(|&value| value == 0.0 || value == 1.25));
    assert_eq!(values, mask(3, 7));
    assert_ne!(values, mask(3, 8));
    assert_ne!(values, mask(4, 7));
    assert!(learner(0.0).mask(&maps, 3, 7).unwrap().is_none());
}
