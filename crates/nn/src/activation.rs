//! What follows a layer's map, and its batch norm if there is one.

/// An activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// max(x, slope·x): 0.2 for LeakyReLU, 0 for ReLU, 1 for none.
    Leaky(f32),
    /// tanh.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
}
