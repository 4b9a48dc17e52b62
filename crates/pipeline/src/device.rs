//! `--device cpu` or `cuda:N`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use candle_core::Device;

use crate::manifest::nearest;

/// The device that networks run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// A CUDA GPU by its index.
    Cuda(usize),
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// If the program was built without CUDA, or has no such GPU.
    pub fn open(self) -> anyhow::Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) if !candle_core::utils::cuda_is_available() => bail!(
                "this `dcgan` was built without CUDA, so it has no device {self}; leave out `--device` or \
                 give `--device cpu`"
            ),
            Self::Cuda(idx) => Device::new_cuda(idx).with_context(|| format!("cannot open device {self}")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(idx) => write!(f, "cuda:{idx}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", idx)) if idx.parse::<usize>().is_ok() => {
                Ok(Self::Cuda(idx.parse().unwrap_or_default()))
            }
            _ => {
                let help = nearest(text, ["cpu", "cuda"]).map(|help| format!("; {help}")).unwrap_or_default();
                Err(format!("expected `cpu`, `cuda` or `cuda:N`, found `{text}`{help}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert!("gpu".parse::<DeviceChoice>().unwrap_err().contains("cuda:N"));
    }
}
