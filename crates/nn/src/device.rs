//! Devices by name.

use candle_core::Device;

use crate::{NnError, Result};

/// The device called `cpu`, `cuda` (the first GPU) or `cuda:N`.
///
/// # Errors
/// [`NnError::Device`] for any other name, and for a GPU that this build or this machine does not have.
pub fn parse(name: &str) -> Result<Device> {
    let refuse = |reason: String| NnError::Device { name: name.to_string(), reason };
    let ordinal = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        _ => name
            .strip_prefix("cuda:")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| refuse("expected `cpu`, `cuda` or `cuda:N`".into()))?,
    };
    if !candle_core::utils::cuda_is_available() {
        return Err(refuse("this program was built without CUDA support; use `cpu`".into()));
    }
    Device::new_cuda(ordinal).map_err(|e| refuse(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(parse("cpu").unwrap().is_cpu());
        let message = parse("gpu").unwrap_err().to_string();
        assert_eq!(message, "device `gpu`: expected `cpu`, `cuda` or `cuda:N`");
        assert!(parse("cuda:x").is_err());
    }
}
