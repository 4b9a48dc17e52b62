//! What a training holds in memory, at the least.

use super::config::TrainSettings;
use crate::architecture::Shapes;
use crate::{GanError, Result};

/// Of each parameter: itself, its gradient, Adam's two moments.
const PER_PARAMETER: usize = 4;

impl TrainSettings {
    /// Bytes that do not grow with the minibatch, and bytes for each of its pictures: parameters with what their updates take,
    /// and what each layer of both networks gives, which backpropagation goes back through. A training holds more beside.
    fn bytes(&self) -> (u64, u64) {
        let (g, d) = (self.architecture.generator(), self.architecture.discriminator());
        let n =
            |shapes: &Shapes| shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>();
        let (of_g, of_d) = (n(&g.shapes()), n(&d.shapes()));
        let average = if self.ema_decay.is_some() { of_g } else { 0 };
        let fixed = PER_PARAMETER * (of_g + of_d) + average;
        let each = g.n_activations() + d.n_activations();
        ((fixed * size_of::<f32>()) as u64, (each * size_of::<f32>()) as u64)
    }

    /// Refuses a training that needs more than `most` bytes, naming the minibatch that would fit.
    ///
    /// # Errors
    /// [`GanError::Setting`] for `batch_size`; for `architecture` where no minibatch fits.
    pub fn check_memory(&self, most: u64) -> Result<()> {
        let (fixed, each) = self.bytes();
        let needed = fixed + each * self.batch_size as u64;
        if needed <= most {
            return Ok(());
        }
        let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        let found = format!("{}, with which they are {} at the least", self.batch_size, gb(needed));
        let fits = most.saturating_sub(fixed) / each;
        Err(match fits {
            0 | 1 => GanError::Setting {
                key: "architecture",
                expected: format!("networks whose weights and activations fit the {} of memory", gb(most)),
                found: format!("some of {} at the least, and no minibatch that fits", gb(fixed + 2 * each)),
            },
            _ => GanError::Setting {
                key: "batch_size",
                expected: format!(
                    "at most {fits}, with which weights and activations may fit the {} of memory",
                    gb(most)
                ),
                found,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::ArchitectureName;
    use crate::train::TrainConfig;

    /// faces64: 18,850,304 and 17,298,304 parameters with gains and biases, 258,048 and 245,761 activations a picture.
    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let settings = TrainConfig::paper(ArchitectureName::Faces64).resolve().unwrap();
        let (g, d) = (settings.architecture.generator(), settings.architecture.discriminator());
        let n = |shapes: &[(String, Vec<usize>)]| {
            shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>() as u64
        };
        let fixed = 16 * (n(&g.shapes()) + n(&d.shapes()));
        let each = 4 * (258_048 + 245_761);
        assert_eq!(settings.bytes(), (fixed, each));
        settings.check_memory(fixed + 128 * each).unwrap();
        let message = |most| settings.check_memory(most).unwrap_err().to_string();
        let told = message(fixed + 128 * each - 1);
        assert!(told.starts_with("`batch_size`: expected at most 127, with which"), "{told}");
        assert!(told.contains("found 128, with which they are 0.8 GB at the least"), "{told}");
        let told = message(fixed);
        assert!(told.starts_with("`architecture`: expected networks whose"), "{told}");
    }
}
