//! Devices by name.

use std::{fmt, ops::Deref, str::FromStr};

use candle_core::{DType, Tensor};

pub use crate::kernels::Math;
use crate::{NnError, Result, cpu::Cpu, kernels::Kernels};
use dcgan_vectors as vectors;

/// No machine has as many.
const MOST_DEVICES: usize = 64;

impl Math {
    const ALL: [(Self, &str); 3] = [(Self::F32, "f32"), (Self::Tf32, "tf32"), (Self::Bf16, "bf16")];
}

/// The device that networks run on: `cpu` or `cpu/bf16`, `cuda` (the first GPU) or `cuda:N`, the latter two also with `/f32`,
/// `/tf32` (the default) or `/bf16` behind. `cuda:0-3`, or `cpu:0-1`, are several for a training; all else runs on the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// The same, with maps and products of bf16 in training and for features.
    CpuBf16,
    /// A CUDA GPU by its index.
    Cuda(usize, Math),
    /// So many processes on this machine's cores, each of which trains on its part of every minibatch: a way to try it.
    Cpus(usize),
    /// The same on the GPUs from one index to another.
    Cudas(usize, usize, Math),
}

impl DeviceChoice {
    /// Those that a training takes a part on each; one for most.
    pub fn each(self) -> Vec<Self> {
        match self {
            Self::Cpus(n) => vec![Self::Cpu; n],
            Self::Cudas(first, last, math) => {
                (first..=last).map(|ordinal| Self::Cuda(ordinal, math)).collect()
            }
            one => vec![one],
        }
    }

    /// Opens the device, of several the first; the same one each time.
    ///
    /// # Errors
    /// [`NnError::Device`] if the program was built without CUDA, there is no such GPU, or the processor cannot multiply bf16.
    pub fn open(self) -> Result<Device> {
        let refused = |reason| NnError::Device { name: self.to_string(), reason };
        match self {
            Self::Cpu | Self::Cpus(_) => Ok(Device::CPU),
            Self::CpuBf16 => {
                vectors::multiplies_bf16().map_err(refused)?;
                Ok(Device { candle: candle_core::Device::Cpu, is_bf16: true })
            }
            Self::Cuda(ordinal, math) | Self::Cudas(ordinal, _, math) => {
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
            Self::Cpus(n) => write!(f, "cpu:0-{}", n - 1),
            Self::Cuda(ordinal, math) => write!(f, "cuda:{ordinal}{}", behind(math)),
            Self::Cudas(first, last, math) => write!(f, "cuda:{first}-{last}{}", behind(math)),
        }
    }
}

/// What stands behind a GPU's name.
fn behind(math: &Math) -> String {
    match Math::ALL.iter().find(|(of, _)| of == math && *of != Math::default()) {
        Some((_, name)) => format!("/{name}"),
        None => String::new(),
    }
}

/// `FIRST-LAST`, of two at least.
fn range(text: &str) -> Option<(usize, usize)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first < last && last < MOST_DEVICES).then_some((first, last))
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "expected `cpu`, `cpu/bf16`, `cuda`, `cuda:N` or, for a training, several as `cuda:N-M` (these three also with `/f32`, `/tf32` or \
                 `/bf16`), found `{text}`"
            )
        };
        let (place, math) = match text.split_once('/') {
            None => (text, Some(Math::default())),
            Some((place, name)) => (place, Math::ALL.iter().find(|(_, n)| *n == name).map(|(math, _)| *math)),
        };
        if let (Some((first, last)), Some(math)) = (place.strip_prefix("cuda:").and_then(range), math) {
            return Ok(Self::Cudas(first, last, math));
        }
        if let Some((0, last)) = text.strip_prefix("cpu:").and_then(range) {
            return Ok(Self::Cpus(last + 1));
        }
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
        let several = ["cpu:0-1", "cuda:0-3", "cuda:2-3/bf16"];
        for name in
            ["cpu", "cpu/bf16", "cuda:0", "cuda:3", "cuda:1/f32", "cuda:0/bf16"].into_iter().chain(several)
        {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0, Math::Tf32)));
        assert_eq!("cuda/tf32".parse(), Ok(DeviceChoice::Cuda(0, Math::Tf32)));
        let each = |name: &str| name.parse::<DeviceChoice>().unwrap().each();
        assert_eq!(
            each("cuda:2-3/f32"),
            [DeviceChoice::Cuda(2, Math::F32), DeviceChoice::Cuda(3, Math::F32)]
        );
        assert_eq!(
            (each("cpu:0-2"), each("cuda")),
            (vec![DeviceChoice::Cpu; 3], vec![DeviceChoice::Cuda(0, Math::Tf32)])
        );
        let ranges = ["cuda:3-1", "cuda:1-1", "cpu:1-2", "cpu:0-1/bf16", "cuda:0-", "cuda:0-99999999999"];
        for name in ["gpu", "cuda:x", "cuda:", "cuda/f16", "cpu/f32", "cuda:-1"].into_iter().chain(ranges) {
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
