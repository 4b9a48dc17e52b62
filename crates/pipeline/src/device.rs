//! `--device cpu` or `cuda:N`.

use crate::manifest::nearest;

pub use dcgan_nn::device::DeviceChoice;

/// The device of a name.
///
/// # Errors
/// What is expected, and the nearest name.
pub fn parse(text: &str) -> Result<DeviceChoice, String> {
    text.parse().map_err(|expected: String| {
        let help = nearest(text, ["cpu", "cuda"]).map(|help| format!("; {help}")).unwrap_or_default();
        format!("{expected}{help}")
    })
}
