//! What a network's products cost.

use super::Architecture;

/// Operations of one picture's products in a training step; what is not a product costs little beside them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operations {
    /// An update of D on one real and one generated picture.
    pub discriminator_update: f64,
    /// An update of G on one generated picture.
    pub generator_update: f64,
    /// The features of one picture.
    pub features: f64,
}

impl Architecture {
    /// Multiplications and additions that direct convolutions take, only those somebody needs: none for the gradients of
    /// pictures in D's update, of z, or of D's kernels in G's update.
    pub fn operations(&self) -> Operations {
        let (g, d) = (self.generator(), self.discriminator());
        let product = |size: usize, from: usize, to: usize, kernel: usize| {
            2.0 * (size * size * from * to * kernel * kernel) as f64
        };
        let (mut size, mut channels) = (d.image_size, d.channels);
        let mut layers = Vec::new();
        for layer in &d.layers {
            size /= layer.stride;
            layers.push(product(size, channels + d.classes, layer.channels, d.kernel));
            channels = layer.channels;
        }
        let features = layers.iter().sum();
        layers.push(product(1, channels * size * size + d.classes, d.hidden, 1));
        let (first, discriminator) = (layers[0], layers.iter().sum::<f64>());
        let units = g.base_channels * g.bottom * g.bottom;
        let (first_units, further) = match g.hidden {
            0 => (units, 0.0),
            hidden => (hidden, product(1, hidden + g.classes, units, 1)),
        };
        let project = product(1, g.nz + g.classes, first_units, 1);
        let (mut size, mut channels) = (g.bottom, g.base_channels);
        let mut generator = further;
        for layer in &g.layers {
            generator += product(size, layer.channels, channels + g.classes, g.kernel);
            size *= layer.stride;
            channels = layer.channels;
        }
        Operations {
            discriminator_update: project + generator + 2.0 * (3.0 * discriminator - first),
            generator_update: 2.0 * project + 3.0 * generator + 2.0 * discriminator,
            features,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ArchitectureName;
    use super::*;

    #[test]
    fn operations_of_svhn32() {
        // 3→64 @16, 64→128 @8, 128→256 @4, 5x5 each; G is D's mirror image behind 100 → 4096.
        let (first, other, project) =
            (2.0 * 16.0 * 16.0 * 75.0 * 64.0, 2.0 * 64.0 * 1600.0 * 128.0, 819_200.0);
        let d = first + 2.0 * other;
        let operations = Architecture::paper(ArchitectureName::Svhn32).operations();
        assert_eq!(operations.features, d);
        assert_eq!(operations.discriminator_update, project + d + 6.0 * d - 2.0 * first);
        assert_eq!(operations.generator_update, 2.0 * project + 5.0 * d);
    }
}
