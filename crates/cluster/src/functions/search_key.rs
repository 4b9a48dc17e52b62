//! `search_key(word0, word1, settings)`: in which group of one part of a search a code is looked at.

use std::sync::Arc;

use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_dedup::Code;
use dcgan_dedup::group::SearchApart;
use serde::{Deserialize, Serialize};

use super::arrays::{columns, settings, values};

/// What is searched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeySpec {
    pub(crate) search: SearchApart,
    /// The part of the search.
    pub(crate) part: usize,
}

pub(super) fn function() -> ScalarUDF {
    let arguments = vec![DataType::UInt64, DataType::UInt64, DataType::Utf8];
    create_udf("search_key", arguments, DataType::UInt32, Volatility::Immutable, Arc::new(key))
}

fn key(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let KeySpec { search, part } = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let (low, high) = (values::<UInt64Type>(&columns, 0)?, values::<UInt64Type>(&columns, 1)?);
    let keys = low.iter().zip(high).map(|(&low, &high)| search.key(part, Code([low, high])));
    Ok(ColumnarValue::Array(Arc::new(UInt32Array::from_iter_values(keys))))
}
