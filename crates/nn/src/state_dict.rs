//! State dicts of PyTorch: named tensors in a `.pth` or `.safetensors` file.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, pickle::PthTensors};

use crate::checkpoint::Checkpoint;
use crate::{NnError, Result};

/// Reads the floating-point tensors of a state dict, as f32 on the CPU; numbers of batches and the like are left out. What a
/// wrapper for several GPUs puts before names, `module.`, is taken off.
///
/// # Errors
/// Where the file cannot be read, is neither, or a tensor is a view of another, shorter than it says, or not finite.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let is_safetensors = path.extension().is_some_and(|ending| ending == "safetensors");
    let tensors = match is_safetensors {
        true => Checkpoint::load(path, &Device::Cpu)?.into_tensors(),
        false => read_pth(path)?,
    };
    let mut named = BTreeMap::new();
    for (name, tensor) in tensors.into_iter().filter(|(_, tensor)| tensor.dtype().is_float()) {
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        // The sum is not finite where a value is not.
        let total = tensor.abs()?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
        if !total.is_finite() {
            return Err(wrong(path, &format!("finite numbers in `{name}`"), "NaN or infinity".into()));
        }
        named.insert(name.strip_prefix("module.").unwrap_or(&name).to_owned(), tensor);
    }
    match named.is_empty() {
        true => Err(wrong(
            path,
            "a state dict, as `torch.save(network.state_dict(), …)` writes it",
            "no tensors".into(),
        )),
        false => Ok(named),
    }
}

fn wrong(path: &Path, expected: &str, found: String) -> NnError {
    NnError::Checkpoint { path: path.to_path_buf(), expected: expected.into(), found }
}

fn read_pth(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let size = fs_err::File::open(path)?.metadata()?.len();
    let expected = "a .pth file of PyTorch 1.6 or later, or .safetensors";
    let file = PthTensors::new(path, None).map_err(|e| wrong(path, expected, e.to_string()))?;
    let mut tensors = Vec::new();
    for (name, info) in file.tensor_infos() {
        // candle takes an offset for bytes that counts values.
        if info.layout.start_offset() > 0 {
            let expected = format!("`{name}` with its own values");
            return Err(wrong(path, &expected, "a part of another tensor".into()));
        }
        let n_bytes = info.layout.dims().iter().try_fold(info.dtype.size_in_bytes() as u64, |n, &side| {
            n.checked_mul(side as u64).filter(|&n| n <= size)
        });
        if n_bytes.is_none() {
            let expected = format!("`{name}` within the file's {size} bytes");
            return Err(wrong(path, &expected, format!("shape {:?}", info.layout.dims())));
        }
        let tensor =
            file.get(name).map_err(|e| wrong(path, &format!("the values of `{name}`"), e.to_string()))?;
        tensors.extend(tensor.map(|tensor| (name.clone(), tensor)));
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file: `torch.save({"module.a.weight": torch.arange(6.).reshape(2, 3) / 2, "n": torch.tensor(3)}, "state_dict.pth")`,
    /// and `views.pth` of `x = torch.arange(4.); torch.save({"b": x[1:]}, …)`, by PyTorch 2.
    fn file(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testdata").join(name)
    }

    #[test]
    fn a_state_dict_is_read_and_a_view_refused() {
        let read_one = read(&file("state_dict.pth")).unwrap();
        assert_eq!(read_one.keys().collect::<Vec<_>>(), ["a.weight"]);
        assert_eq!(read_one["a.weight"].to_vec2::<f32>().unwrap(), [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]);
        let error = read(&file("views.pth")).unwrap_err().to_string();
        assert!(
            error.ends_with("expected `b` with its own values, found a part of another tensor"),
            "{error}"
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.pth");
        fs_err::write(&path, b"not a zip file").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("net.pth: expected a .pth file of PyTorch 1.6 or later"), "{error}");
        let path = folder.path().join("net.safetensors");
        let mut checkpoint = Checkpoint::default();
        checkpoint.insert("x", &Tensor::new(&[1.0_f32, f32::NAN], &Device::Cpu).unwrap());
        checkpoint.save(&path).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("expected finite numbers in `x`, found NaN or infinity"), "{error}");
    }
}
