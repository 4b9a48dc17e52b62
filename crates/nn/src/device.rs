//! Devices by name.

use std::{fmt, ops::Deref, str::FromStr};

use candle_core::{DType, Tensor};

pub use crate::kernels::Math;
use crate::{NnError, Result, cpu::Cpu, kernels::Kernels, vectors};

impl Math {
    const ALL: [(Self, &str); 3] = [(Self::F32, "f32"), (Self::Tf32, "tf32"), (Self::Bf16, "bf16")];
}

/// The device that networks run on: `cpu` or `cpu/bf16`, `cuda` (the first GPU) or `cuda:N`, the latter two also with `/f32`,
/// `/tf32` (the default) or `/bf16` behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// The same, with maps and products of bf16 in training and for features.
    CpuBf16,
    /// A CUDA GPU by its index.
    Cuda(usize, Math),
}

impl DeviceChoice {
    /// Opens the device; the same one each time.
    ///
    /// # Errors
    /// [`NnError::Device`] if the program was built without CUDA, there is no such GPU, or the processor cannot multiply bf16.
    pub fn open(self) -> Result<Device> {
        let refused = |reason| NnError::Device { name: self.to_string(), reason };
        match self {
            Self::Cpu => Ok(Device::CPU),
            Self::CpuBf16 => {
                vectors::multiplies_bf16().map_err(refused)?;
                Ok(Device { candle: candle_core::Device::Cpu, is_bf16: true })
            }
            Self::Cuda(ordinal, math) => {
                let candle = open_cuda(ordinal, math).map_err(refused)?;
                Ok(Device { candle, is_bf16: math == Math::Bf16 })
            }
        }
    }
}

/// An open device: where tensors are, and the type of networks' maps.
#[derive(Debug, Clone)]
pub struct Device {
    candle: candle_core::Device,
    is_bf16: bool,
}

impl Device {
    /// All cores, in f32.
    pub const CPU: Self = Self { candle: candle_core::Device::Cpu, is_bf16: false };

    /// An f32 tensor on the device as networks compute with it: bf16 where the device was opened so, else itself.
    ///
    /// # Errors
    /// If the tensor is elsewhere.
    pub fn network_input(&self, x: &Tensor) -> Result<Tensor> {
        let kernels = kernels(&self.candle)?;
        let dtype = if self.is_bf16 { DType::BF16 } else { DType::F32 };
        Ok(kernels.cast(&x.contiguous()?, dtype)?)
    }
}

impl Deref for Device {
    type Target = candle_core::Device;

    fn deref(&self) -> &Self::Target {
        &self.candle
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(ordinal: usize, math: Math) -> std::result::Result<candle_core::Device, String> {
    // Where the environment asks for it, candle's error has a backtrace below the first line.
    crate::cuda::open(ordinal, math).map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: usize, _: Math) -> std::result::Result<candle_core::Device, String> {
    Err("this `dcgan` was built without CUDA; leave out `--device` or give `--device cpu`".into())
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::CpuBf16 => f.write_str("cpu/bf16"),
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
        let wrong = || {
            format!(
                "expected `cpu`, `cpu/bf16`, `cuda` or `cuda:N` (the latter two also with `/f32`, `/tf32` or `/bf16`), found `{text}`"
            )
        };
        let (place, math) = match text.split_once('/') {
            None => (text, Some(Math::default())),
            Some((place, name)) => (place, Math::ALL.iter().find(|(_, n)| *n == name).map(|(math, _)| *math)),
        };
        match (place, place.strip_prefix("cuda:").map(str::parse), math) {
            ("cpu", ..) if place == text => Ok(Self::Cpu),
            ("cpu", _, Some(Math::Bf16)) => Ok(Self::CpuBf16),
            ("cuda", _, Some(math)) => Ok(Self::Cuda(0, math)),
            (_, Some(Ok(ordinal)), Some(math)) => Ok(Self::Cuda(ordinal, math)),
            _ => Err(wrong()),
        }
    }
}

/// What computes on `device`. This is the one place that knows which devices there are.
pub(crate) fn kernels(device: &candle_core::Device) -> candle_core::Result<&'static dyn Kernels> {
    match device {
        candle_core::Device::Cpu => Ok(&Cpu),
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => Ok(crate::cuda::Context::of(device)?),
        _ => candle_core::bail!("networks do not run on {:?}", device.location()),
    }
}

/// f32 values as a tensor; a GPU is not waited for.
///
/// # Errors
/// Where there are more or fewer values than the shape has.
pub fn tensor(values: Vec<f32>, shape: &[usize], device: &candle_core::Device) -> Result<Tensor> {
    Ok(kernels(device)?.tensor(values, shape)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["cpu", "cpu/bf16", "cuda:0", "cuda:3", "cuda:1/f32", "cuda:0/bf16"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0, Math::Tf32)));
        assert_eq!("cuda/tf32".parse(), Ok(DeviceChoice::Cuda(0, Math::Tf32)));
        for name in ["gpu", "cuda:x", "cuda:", "cuda/f16", "cpu/f32", "cuda:-1"] {
            assert!(name.parse::<DeviceChoice>().unwrap_err().contains("cuda:N"), "{name}");
        }
        assert!(DeviceChoice::Cpu.open().unwrap().is_cpu());
    }

    /// The variable and the processor are the same for all tests of a process.
    #[test]
    fn bf16_is_refused_by_what_is_missing() {
        match (DeviceChoice::CpuBf16.open(), vectors::multiplies_bf16()) {
            (Ok(device), Ok(())) => {
                let x = Tensor::zeros(3, DType::F32, &device).unwrap();
                assert_eq!(device.network_input(&x).unwrap().dtype(), DType::BF16);
            }
            (Err(error), Err(reason)) => {
                assert_eq!(error.to_string(), format!("device `cpu/bf16`: {reason}"));
                assert!(reason.contains("AVX"), "{reason}");
            }
            (opened, there) => panic!("{opened:?} where {there:?}"),
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        let message = DeviceChoice::Cuda(0, Math::Tf32).open().unwrap_err().to_string();
        assert!(message.starts_with("device `cuda:0`: this `dcgan` was built without CUDA"), "{message}");
    }
}
