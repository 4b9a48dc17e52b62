//! What the updates of both networks saw.

/// What an update of D saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscriminatorUpdate {
    /// Cross-entropy of the real minibatch against 1 plus that of the generated one against 0, in nats.
    pub loss: f64,
    /// Mean of σ(D(x)).
    pub real: f64,
    /// Mean of σ(D(G(z))).
    pub fake: f64,
    /// Share of the pictures of both kinds that D labels rightly.
    pub accuracy: f64,
    /// Euclidean norm of the loss's gradient over all of D's parameters, the l2 term left out.
    pub gradient_norm: f64,
}

/// What an update of G saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneratorUpdate {
    /// Cross-entropy of D(G(z)) against 1 (the non-saturating loss), in nats.
    pub loss: f64,
    /// Euclidean norm of the loss's gradient over all of G's parameters, the l2 term left out.
    pub gradient_norm: f64,
}

impl DiscriminatorUpdate {
    /// Before the first.
    pub(super) const NONE: Self =
        Self { loss: f64::NAN, real: f64::NAN, fake: f64::NAN, accuracy: f64::NAN, gradient_norm: f64::NAN };
}

impl GeneratorUpdate {
    /// Before the first.
    pub(super) const NONE: Self = Self { loss: f64::NAN, gradient_norm: f64::NAN };
}
