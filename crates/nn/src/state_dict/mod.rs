//! Named f32 tensors of a file: PyTorch's `.pth` (a zip, and the form from before version 1.6, in which the released weights are)
//! and `.safetensors`. A tensor is read when it is asked for, so that the file is never in memory as a whole.

mod entry;
mod pickle;
mod pth;
mod safetensors;
mod tensors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use fs_err::File;
use zip::ZipArchive;

use self::entry::{Entry, Place, wrong};
use self::pth::{LEGACY, of_legacy, of_zip};
use self::safetensors::of_safetensors;
use crate::Result;

/// The tensors of a file.
#[derive(Debug)]
pub struct StateDict {
    path: PathBuf,
    file: BufReader<File>,
    tensors: BTreeMap<String, Entry>,
    /// The most significant byte of a number comes first.
    is_big_endian: bool,
}

impl StateDict {
    /// Reads which tensors there are.
    ///
    /// # Errors
    /// Where the file cannot be read, is none of the three, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_within(path, None)
    }

    /// The same of a checkpoint that holds several state dicts: of the one called `within`.
    ///
    /// # Errors
    /// As [`Self::open`]; where there is none of that name.
    pub fn open_within(path: &Path, within: Option<&str>) -> Result<Self> {
        if !fs_err::metadata(path)?.is_file() {
            return Err(wrong(path, "a file of weights", "a folder or a device"));
        }
        let mut file = BufReader::new(File::open(path)?);
        let start = file.fill_buf()?.to_vec();
        let mut is_big_endian = false;
        let tensors = if start.starts_with(b"PK\x03\x04") {
            let tensors;
            (tensors, is_big_endian) = of_zip(path, &mut file, within)?;
            tensors
        } else if start.starts_with(&LEGACY) {
            of_legacy(path, &mut file, within)?
        } else if start.get(8) == Some(&b'{') {
            if let Some(within) = within {
                let expected = format!("a .pth file, with a dictionary of tensors called `{within}`");
                return Err(wrong(path, expected, "a .safetensors file, which holds one state dict"));
            }
            of_safetensors(path, &mut file)?
        } else {
            return Err(wrong(path, "a state dict that PyTorch saved (.pth), or .safetensors", "neither"));
        };
        Ok(Self { path: path.to_owned(), file, tensors, is_big_endian })
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Fails unless there is a tensor of this name and shape.
    ///
    /// # Errors
    /// Naming the tensor.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let expected = format!("a tensor `{name}` of shape {shape:?}");
        match self.tensors.get(name) {
            None => Err(wrong(&self.path, expected, "none of that name")),
            Some(entry) if entry.shape != shape => {
                Err(wrong(&self.path, expected, format!("shape {:?}", entry.shape)))
            }
            Some(entry) if entry.dtype != "f32" => {
                Err(wrong(&self.path, format!("{expected} of f32"), &entry.dtype))
            }
            Some(entry) if !entry.is_in_rows => {
                Err(wrong(&self.path, format!("{expected} in rows"), "a transposed or expanded one"))
            }
            Some(_) => Ok(()),
        }
    }

    /// The finite numbers of a tensor.
    ///
    /// # Errors
    /// As [`Self::check`]; where one is not finite, or the file is damaged.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.check(name, shape)?;
        let place = self.tensors.get(name).map(|entry| entry.place.clone());
        let size = self.file.get_ref().metadata()?.len();
        let n_bytes = shape.iter().try_fold(4_u64, |n, &side| n.checked_mul(side as u64));
        let Some(n_bytes) = n_bytes.filter(|n_bytes| *n_bytes <= size) else {
            let expected = format!("`{name}` within the file's {size} bytes");
            return Err(wrong(&self.path, expected, format!("shape {shape:?}")));
        };
        let mut bytes = vec![0; n_bytes as usize];
        let cut = |error: std::io::Error| {
            wrong(&self.path, format!("the numbers of `{name}`"), format!("a damaged file: {error}"))
        };
        match place {
            Some(Place::At(storage)) => {
                let n_there = storage.end.saturating_sub(storage.start);
                if n_bytes > n_there {
                    let expected = format!("the {n_bytes} bytes of `{name}` within its storage");
                    return Err(wrong(&self.path, expected, format!("{n_there} bytes")));
                }
                self.file.seek(SeekFrom::Start(storage.start))?;
                self.file.read_exact(&mut bytes).map_err(cut)?;
            }
            Some(Place::Member(member, skipped)) => {
                let mut archive = ZipArchive::new(&mut self.file).map_err(|e| cut(e.into()))?;
                let mut member = archive.by_name(&member).map_err(|e| cut(e.into()))?;
                std::io::copy(&mut member.by_ref().take(skipped), &mut std::io::sink()).map_err(cut)?;
                member.read_exact(&mut bytes).map_err(cut)?;
                // To its end, where its checksum is compared.
                std::io::copy(&mut member, &mut std::io::sink()).map_err(cut)?;
            }
            None => {}
        }
        let (numbers, _) = bytes.as_chunks::<4>();
        let number = if self.is_big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
        let numbers: Vec<f32> = numbers.iter().map(|bytes| number(*bytes)).collect();
        match numbers.iter().position(|number| !number.is_finite()) {
            None => Ok(numbers),
            Some(i) => Err(wrong(
                &self.path,
                format!("finite numbers in `{name}`"),
                format!("{} at place {i}", numbers[i]),
            )),
        }
    }
}

/// All tensors of a file, or of the dictionary `within` in it, but counters of batches. What a wrapper for several GPUs puts before names,
/// `module.`, is taken off.
///
/// # Errors
/// As [`StateDict::open_within`] and [`StateDict::read`]; where there are none.
pub fn read(path: &Path, within: Option<&str>) -> Result<BTreeMap<String, Tensor>> {
    let mut file = StateDict::open_within(path, within)?;
    let names: Vec<String> =
        file.names().filter(|name| !name.ends_with("num_batches_tracked")).map(str::to_owned).collect();
    let mut tensors = BTreeMap::new();
    for name in names {
        let shape = file.shape(&name).unwrap_or_default().to_vec();
        let values = file.read(&name, &shape)?;
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        let short = name.strip_prefix("module.").unwrap_or(&name);
        if tensors.insert(short.to_owned(), tensor).is_some() {
            return Err(wrong(path, "one network", format!("`{short}` and `module.{short}`")));
        }
    }
    match tensors.is_empty() {
        true => {
            Err(wrong(path, "a state dict, as `torch.save(network.state_dict(), …)` writes it", "no tensors"))
        }
        false => Ok(tensors),
    }
}
