//! `view_codes(image, width, height, settings)`: the codes of the views of a picture, by the autoencoder that hashed it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray, StructArray, UInt32Array, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, UInt32Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_dedup::group::{is_grey_picture, shapes};
use dcgan_dedup::hash::Pictures;
use dcgan_dedup::{Autoencoder, Code, PICTURE_BYTES};
use serde::{Deserialize, Serialize};

use super::arrays::{columns, list_of, offsets, outer, settings, values};
use super::{LookSpec, WHOLE};

/// What is seen of pictures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ViewSpec {
    pub(crate) look: LookSpec,
    pub(crate) autoencoder: PathBuf,
    /// The sizes of the set's pictures, each once.
    pub(crate) sizes: Vec<[u32; 2]>,
}

/// A view: its kind as in [`WHOLE`], and its code. A grey picture has one of kind [`WHOLE`], which says so.
type View = (u32, Code);

fn fields() -> Vec<Field> {
    let field = |name: &str, of: DataType| Field::new(name, of, false);
    vec![field("view", DataType::UInt32), field("word0", DataType::UInt64), field("word1", DataType::UInt64)]
}

pub(super) fn function() -> ScalarUDF {
    let arguments = [vec![DataType::UInt32; 3], vec![DataType::Utf8]].concat();
    create_udf("view_codes", arguments, list_of(fields()), Volatility::Stable, Arc::new(view_codes))
}

fn view_codes(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let spec: ViewSpec = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let column = |k: usize| values::<UInt32Type>(&columns, k);
    let sizes: Vec<[u32; 2]> =
        column(1)?.iter().zip(column(2)?).map(|(&width, &height)| [width, height]).collect();
    let views = views(&spec, column(0)?, &sizes).map_err(outer)?;
    let of = |of: &dyn Fn(&View) -> u64| views.iter().flatten().map(of).collect::<Vec<u64>>();
    let kinds = UInt32Array::from_iter_values(views.iter().flatten().map(|(view, _)| *view));
    let word = |k: usize| Arc::new(UInt64Array::from(of(&|(_, code)| code.0[k]))) as ArrayRef;
    let rows = StructArray::try_new(fields().into(), vec![Arc::new(kinds), word(0), word(1)], None)?;
    let item = Arc::new(Field::new("item", rows.data_type().clone(), false));
    let lists = ListArray::try_new(item, offsets(views.iter().map(Vec::len))?, Arc::new(rows), None)?;
    Ok(ColumnarValue::Array(Arc::new(lists)))
}

fn views(spec: &ViewSpec, images: &[u32], sizes: &[[u32; 2]]) -> dcgan_dedup::Result<Vec<Vec<View>>> {
    let shapes: HashSet<[u32; 2]> = shapes(&spec.sizes);
    let model = Autoencoder::load(&spec.autoencoder)?;
    let bytes = Pictures::open(&spec.look.pictures, spec.look.n_images)?.read(images)?;
    let pictures: Vec<&[u8]> = bytes.chunks_exact(PICTURE_BYTES).collect();
    let grey = |picture: &&[u8]| match is_grey_picture(picture) {
        true => vec![(WHOLE, Code::default())],
        false => Vec::new(),
    };
    let mut views: Vec<Vec<View>> = pictures.iter().map(grey).collect();
    for (probe, view) in spec.look.config.probes().iter().zip(WHOLE + 1..) {
        let wanted: Vec<usize> = (0..images.len()).filter(|&i| probe.may_fit(sizes[i], &shapes)).collect();
        let chosen: Vec<u8> = wanted.iter().flat_map(|&i| pictures[i]).copied().collect();
        for (i, code) in wanted.into_iter().zip(probe.codes(&model, &chosen)?) {
            views[i].push((view, code));
        }
    }
    Ok(views)
}
