//! Binary cross-entropy on logits.

/// The mean over all logits x of max(x, 0) − x·t + ln(1 + e^−|x|), and its gradient (σ(x) − t)/n.
pub(super) fn bce(logits: &[f32], target: f32) -> (f32, Vec<f32>) {
    let term = |x: f64| x.max(0.0) - x * f64::from(target) + (-x.abs()).exp().ln_1p();
    let sum: f64 = logits.iter().map(|&x| term(f64::from(x))).sum();
    let scale = 1.0 / logits.len() as f32;
    let gradient = logits.iter().map(|&x| scale * (sigmoid(x) - target)).collect();
    ((sum / logits.len() as f64) as f32, gradient)
}

/// σ(x) = 1 / (1 + e^−x) without overflow.
fn sigmoid(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}
