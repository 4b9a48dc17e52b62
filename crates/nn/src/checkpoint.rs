//! Named tensors and their configuration in one `.safetensors` file.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    path::Path,
};

use candle_core::{Device, Tensor, safetensors::Load};
use safetensors::{SafeTensors, View};

use crate::{NnError, Result};

/// The one key of the file's own metadata. The format's map of metadata has no order, so that a file with several keys
/// would have different bytes each time; ours holds them in order as one JSON object.
const METADATA: &str = "dcgan";
/// The metadata under which a file says what its tensors' bytes hash to: the format itself has no checksum.
const DIGEST: &str = "blake3";

/// Named tensors, in the order they were added, with text beside them.
#[derive(Debug, Default, Clone)]
pub struct Checkpoint {
    tensors: Vec<(String, Tensor)>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Adds a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: &Tensor) {
        self.tensors.push((name.into(), tensor.detach()));
    }

    /// Adds a piece of metadata: a configuration as JSON, a step.
    pub fn describe(&mut self, key: &str, value: impl Into<String>) {
        self.metadata.insert(key.to_string(), value.into());
    }

    /// The tensor called `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// The metadata under `key`, if there is any.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Writes the file whole: under a temporary name first, then renamed over `path`.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name, tensor));
        let digest = digest(self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.data())));
        let mut metadata = self.metadata.clone();
        metadata.insert(DIGEST.to_string(), digest);
        let metadata = serde_json::to_string(&metadata).map_err(std::io::Error::from)?;
        let metadata = HashMap::from([(METADATA.to_string(), metadata)]);
        let bytes =
            safetensors::serialize(tensors, Some(metadata)).map_err(candle_core::Error::SafeTensor)?;
        let partial = path.with_extension("safetensors.partial");
        let file = fs_err::File::create(&partial)?;
        std::io::Write::write_all(&mut &file, &bytes)?;
        file.sync_all()?;
        fs_err::rename(&partial, path)?;
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Where the file cannot be read, is no `.safetensors` file, or its tensors are not those that were written.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let kind = fs_err::metadata(path)?.file_type();
        if !kind.is_file() {
            return Err(NnError::Checkpoint {
                path: path.to_path_buf(),
                expected: "a safetensors file".into(),
                found: if kind.is_dir() { "a folder" } else { "a FIFO, a socket or a device" }.into(),
            });
        }
        let bytes = fs_err::read(path)?;
        let wrong = |found: String| NnError::Checkpoint {
            path: path.to_path_buf(),
            expected: "a safetensors file".into(),
            found,
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
        let metadata: BTreeMap<String, String> =
            match header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA)) {
                Some(json) => serde_json::from_str(json).map_err(|e| wrong(e.to_string()))?,
                None => BTreeMap::new(),
            };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
        let tensors = file.tensors();
        if let Some(expected) = metadata.get(DIGEST) {
            let found = digest(tensors.iter().map(|(name, view)| (name.as_str(), view.data().into())));
            if found != *expected {
                return Err(NnError::Checkpoint {
                    path: path.to_path_buf(),
                    expected: format!("tensors that hash to {expected}"),
                    found: format!("{found}: the file is damaged"),
                });
            }
        }
        let tensors =
            tensors.into_iter().map(|(name, view)| Ok((name, view.load(device)?))).collect::<Result<_>>()?;
        Ok(Self { tensors, metadata })
    }

    /// The tensor called `name` of the given shape.
    ///
    /// # Errors
    /// [`NnError::Checkpoint`], naming `path`, where it is missing or has another shape.
    pub fn require(&self, path: &Path, name: &str, shape: &[usize]) -> Result<Tensor> {
        let expected = format!("a tensor `{name}` of shape {shape:?}");
        let wrong = |found| NnError::Checkpoint { path: path.to_path_buf(), expected, found };
        match self.get(name) {
            None => Err(wrong("no tensor of that name".into())),
            Some(t) if t.dims() != shape => Err(wrong(format!("shape {:?}", t.dims()))),
            Some(t) => Ok(t.clone()),
        }
    }
}

/// BLAKE3 of tensors in the order of their names.
fn digest<'a>(tensors: impl Iterator<Item = (&'a str, Cow<'a, [u8]>)>) -> String {
    let mut hashes: Vec<_> = tensors
        .map(|(name, bytes)| (name, blake3::Hasher::new().update_rayon(&bytes).finalize().to_hex()))
        .collect();
    hashes.sort_unstable_by_key(|(name, _)| *name);
    let mut hasher = blake3::Hasher::new();
    for (name, hash) in hashes {
        hasher.update(format!("{name}\0{hash}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{flat, tensor};

    #[test]
    fn round_trip_and_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.safetensors");
        let mut saved = Checkpoint::default();
        saved.insert("conv0.kernel", &tensor(&[4, 3, 5, 5]));
        saved.describe("config", "{}");
        saved.save(&path).unwrap();

        let loaded = Checkpoint::load(&path, &Device::Cpu).unwrap();
        assert_eq!(loaded.metadata("config"), Some("{}"));
        let kernel = loaded.require(&path, "conv0.kernel", &[4, 3, 5, 5]).unwrap();
        assert_eq!(flat(&kernel), flat(&tensor(&[4, 3, 5, 5])));
        let message = loaded.require(&path, "conv0.kernel", &[4, 3, 3, 3]).unwrap_err().to_string();
        assert!(message.ends_with("of shape [4, 3, 3, 3], found shape [4, 3, 5, 5]"), "{message}");
        assert!(loaded.require(&path, "conv1.kernel", &[1]).is_err());

        let mut bytes = fs_err::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs_err::write(&path, &bytes).unwrap();
        let message = Checkpoint::load(&path, &Device::Cpu).unwrap_err().to_string();
        assert!(message.ends_with("the file is damaged"), "{message}");

        fs_err::write(&path, "not a checkpoint").unwrap();
        let message = Checkpoint::load(&path, &Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("d.safetensors: expected a safetensors file"), "{message}");
    }
}
