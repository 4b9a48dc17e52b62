//! `--device cpu` or `cuda:N`.

use dcgan_engine::context::Context;
use dcgan_engine::suggest::nearest;

pub use dcgan_nn::NnError;
pub use dcgan_nn::device::{Device, DeviceChoice};
pub use dcgan_vectors::description as vectors;

/// The device of a name.
///
/// # Errors
/// What is expected, and the nearest name.
pub fn parse(text: &str) -> Result<DeviceChoice, String> {
    text.parse().map_err(|expected: String| {
        let help =
            nearest(text, ["cpu", "cpu/bf16", "cuda"]).map(|help| format!("; {help}")).unwrap_or_default();
        format!("{expected}{help}")
    })
}

/// The device that a stage computes on.
///
/// # Errors
/// If it is not there.
pub(crate) fn open(ctx: &Context<'_>) -> anyhow::Result<Device> {
    let choice = parse(ctx.device()).map_err(anyhow::Error::msg)?;
    Ok(choice.open()?)
}
