//! `look(view, first, second, distance, width1, height1, width2, height2, settings)`: the second look at two pictures; nothing where
//! their shapes do not allow that one is the view of the other.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::Float32Array;
use datafusion::arrow::datatypes::{DataType, UInt32Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_dedup::group::{GroupConfig, Pair, compare};
use dcgan_dedup::hash::Pictures;
use serde::{Deserialize, Serialize};

use super::WHOLE;
use super::arrays::{columns, outer, settings, values};

/// Where pictures are, and what is done with them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LookSpec {
    /// `pictures.npy`, on every machine.
    pub(crate) pictures: PathBuf,
    /// Pictures in it.
    pub(crate) n_images: u64,
    pub(crate) config: GroupConfig,
}

pub(super) fn function() -> ScalarUDF {
    let arguments = [vec![DataType::UInt32; 8], vec![DataType::Utf8]].concat();
    create_udf("look", arguments, DataType::Float32, Volatility::Stable, Arc::new(look))
}

fn look(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let spec: LookSpec = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let column = |k: usize| values::<UInt32Type>(&columns, k);
    let (views, firsts, seconds, distances) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let (widths, heights) = ([column(4)?, column(6)?], [column(5)?, column(7)?]);
    let mut sizes: HashMap<u32, [u32; 2]> = HashMap::new();
    let mut rows_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for row in 0..views.len() {
        for (side, image) in [firsts[row], seconds[row]].into_iter().enumerate() {
            sizes.insert(image, [widths[side][row], heights[side][row]]);
        }
        rows_of.entry(views[row]).or_default().push(row);
    }
    let size = |image: u32| sizes.get(&image).copied().unwrap_or_default();
    let pictures = Pictures::open(&spec.pictures, spec.n_images).map_err(outer)?;
    let (probes, mut found) = (spec.config.probes(), vec![None; views.len()]);
    for (view, mut rows) in rows_of {
        let probe = match view {
            WHOLE => None,
            _ => match probes.get(view as usize - 1) {
                Some(probe) => Some(probe),
                None => return exec_err!("look: expected one of {} views, found {view}", probes.len()),
            },
        };
        rows.retain(|&row| probe.is_none_or(|probe| probe.fits(size(seconds[row]), size(firsts[row]))));
        let pair = |&row: &usize| Pair { first: firsts[row], second: seconds[row], distance: distances[row] };
        let pairs: Vec<Pair> = rows.iter().map(pair).collect();
        let compared = compare(&pictures, probe, &pairs, size).map_err(outer)?;
        for (row, pair) in rows.into_iter().zip(compared) {
            found[row] = Some(pair.pixel_distance);
        }
    }
    Ok(ColumnarValue::Array(Arc::new(Float32Array::from(found))))
}
