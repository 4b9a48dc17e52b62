//! The header of a `.safetensors` file.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use fs_err::File;
use safetensors::{Dtype, tensor::Metadata};

use super::entry::{Entry, MOST_HEADER, Place, wrong};
use crate::Result;

pub(super) fn of_safetensors(path: &Path, file: &mut BufReader<File>) -> Result<BTreeMap<String, Entry>> {
    let wrong_header = |e: &dyn ToString| wrong(path, "a safetensors file", e.to_string());
    let mut header = vec![0; 8];
    file.read_exact(&mut header)?;
    let len = header.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    if len > MOST_HEADER {
        return Err(wrong_header(&format!("a header of {len} bytes")));
    }
    header.resize(8 + len as usize, 0);
    file.read_exact(&mut header[8..]).map_err(|e| wrong_header(&e))?;
    let metadata: Metadata = serde_json::from_slice(&header[8..]).map_err(|e| wrong_header(&e))?;
    let end = metadata.tensors().values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    let (found, expected) = (file.get_ref().metadata()?.len(), (8 + len).saturating_add(end));
    if found != expected {
        return Err(wrong(path, format!("a safetensors file of {expected} bytes"), format!("{found} bytes")));
    }
    let entry = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let dtype = match info.dtype {
            Dtype::F32 => "f32".to_owned(),
            other => format!("{other:?}"),
        };
        let place = Place::At(8 + len + info.data_offsets.0 as u64..8 + len + info.data_offsets.1 as u64);
        (name, Entry { shape: info.shape.clone(), dtype, is_in_rows: true, place })
    };
    Ok(metadata.tensors().into_iter().map(entry).collect())
}
