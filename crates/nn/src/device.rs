//! Devices by name.

use std::{fmt, str::FromStr};

use candle_core::{Device, Tensor};

pub use crate::kernels::Math;
use crate::{NnError, Result, cpu::Cpu, kernels::Kernels};

impl Math {
    const ALL: [(Self, &str); 3] = [(Self::F32, "f32"), (Self::Tf32, "tf32"), (Self::Bf16, "bf16")];
}

/// The device that networks run on: `cpu`, `cuda` (the first GPU) or `cuda:N`, the latter two also with `/f32`, `/tf32` (the
/// default) or `/bf16` behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// A CUDA GPU by its index.
    Cuda(usize, Math),
}

impl DeviceChoice {
    /// Opens the device; the same one each time.
    ///
    /// # Errors
    /// [`NnError::Device`] if the program was built without CUDA, or there is no such GPU.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal, math) => {
                open_cuda(ordinal, math).map_err(|reason| NnError::Device { name: self.to_string(), reason })
            }
        }
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(ordinal: usize, math: Math) -> std::result::Result<Device, String> {
    // Where the environment asks for it, candle's error has a backtrace below the first line.
    crate::cuda::open(ordinal, math).map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: usize, _: Math) -> std::result::Result<Device, String> {
    Err("this `dcgan` was built without CUDA; leave out `--device` or give `--device cpu`".into())
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal, math) => {
                write!(f, "cuda:{ordinal}")?;
                match Math::ALL.iter().find(|(of, _)| of == math && *of != Math::default()) {
                    Some((_, name)) => write!(f, "/{name}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let wrong =
            || format!("expected `cpu`, `cuda` or `cuda:N` (and `/f32`, `/tf32` or `/bf16`), found `{text}`");
        let (place, math) = match text.split_once('/') {
            None => (text, Some(Math::default())),
            Some((place, name)) => (place, Math::ALL.iter().find(|(_, n)| *n == name).map(|(math, _)| *math)),
        };
        match (place, place.strip_prefix("cuda:").map(str::parse), math) {
            ("cpu", ..) if place == text => Ok(Self::Cpu),
            ("cuda", _, Some(math)) => Ok(Self::Cuda(0, math)),
            (_, Some(Ok(ordinal)), Some(math)) => Ok(Self::Cuda(ordinal, math)),
            _ => Err(wrong()),
        }
    }
}

/// What computes on `device`. This is the one place that knows which devices there are.
pub(crate) fn kernels(device: &Device) -> candle_core::Result<&'static dyn Kernels> {
    match device {
        Device::Cpu => Ok(&Cpu),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(crate::cuda::Context::of(device)?),
        _ => candle_core::bail!("networks do not run on {:?}", device.location()),
    }
}

/// f32 values as a tensor; a GPU is not waited for.
///
/// # Errors
/// Where there are more or fewer values than the shape has.
pub fn tensor(values: Vec<f32>, shape: &[usize], device: &Device) -> Result<Tensor> {
    Ok(kernels(device)?.tensor(values, shape)?)
}

/// A network's f32 input as its device computes with it: bf16 where the device was opened so, else itself.
pub fn network_input(x: &Tensor) -> Result<Tensor> {
    let kernels = kernels(x.device())?;
    Ok(kernels.cast(&x.contiguous()?, kernels.dtype())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["cpu", "cuda:0", "cuda:3", "cuda:1/f32", "cuda:0/bf16"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0, Math::Tf32)));
        assert_eq!("cuda/tf32".parse(), Ok(DeviceChoice::Cuda(0, Math::Tf32)));
        for name in ["gpu", "cuda:x", "cuda:", "cuda/f16", "cpu/f32", "cuda:-1"] {
            assert!(name.parse::<DeviceChoice>().unwrap_err().contains("cuda:N"), "{name}");
        }
        assert!(DeviceChoice::Cpu.open().unwrap().is_cpu());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        let message = DeviceChoice::Cuda(0, Math::Tf32).open().unwrap_err().to_string();
        assert!(message.starts_with("device `cuda:0`: this `dcgan` was built without CUDA"), "{message}");
    }
}
