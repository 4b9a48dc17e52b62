//! Named f32 tensors of a file: PyTorch's `.pth` (a zip, and the form from before version 1.6, in which the released weights are)
//! and `.safetensors`. A tensor is read when it is asked for, so that the file is never in memory as a whole.

mod entry;
mod pickle;
mod pth;
mod safetensors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err::File;
use zip::ZipArchive;

pub(crate) use self::entry::wrong;
use self::entry::{Entry, Place};
use self::pth::{LEGACY, of_legacy, of_zip};
use self::safetensors::of_safetensors;
use crate::error::Result;

/// The tensors of a file.
pub(crate) struct StateDict {
    path: PathBuf,
    file: BufReader<File>,
    tensors: BTreeMap<String, Entry>,
}

impl StateDict {
    /// Reads which tensors there are.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !fs_err::metadata(path)?.is_file() {
            return Err(wrong(path, "a file of weights", "a folder or a device"));
        }
        let mut file = BufReader::new(File::open(path)?);
        let start = file.fill_buf()?.to_vec();
        let tensors = if start.starts_with(b"PK\x03\x04") {
            of_zip(path, &mut file)?
        } else if start.starts_with(&LEGACY) {
            of_legacy(path, &mut file)?
        } else if start.get(8) == Some(&b'{') {
            of_safetensors(path, &mut file)?
        } else {
            return Err(wrong(path, "a state dict that PyTorch saved (.pth), or .safetensors", "neither"));
        };
        Ok(Self { path: path.to_owned(), file, tensors })
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Fails unless there is a tensor of this name and shape.
    pub(crate) fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
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
    pub(crate) fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.check(name, shape)?;
        let place = self.tensors.get(name).map(|entry| entry.place.clone());
        let mut bytes = vec![0; shape.iter().product::<usize>() * 4];
        let cut = |error: std::io::Error| {
            wrong(&self.path, format!("the numbers of `{name}`"), format!("a damaged file: {error}"))
        };
        match place {
            Some(Place::At(offset)) => {
                self.file.seek(SeekFrom::Start(offset))?;
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
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
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
