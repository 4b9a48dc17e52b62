//! `search_key(part, word0, word1, settings)`: in which group of a part of a search a code is looked at.

use std::sync::Arc;

use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::datatypes::{DataType, UInt32Type, UInt64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_dedup::Code;

use super::NearSpec;
use super::arrays::{columns, settings, values};

pub(super) fn function() -> ScalarUDF {
    let arguments = vec![DataType::UInt32, DataType::UInt64, DataType::UInt64, DataType::Utf8];
    create_udf("search_key", arguments, DataType::UInt32, Volatility::Immutable, Arc::new(keys))
}

fn keys(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let NearSpec { search } = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let (low, high) = (values::<UInt64Type>(&columns, 1)?, values::<UInt64Type>(&columns, 2)?);
    let rows = values::<UInt32Type>(&columns, 0)?.iter().zip(low).zip(high);
    let keys = rows.map(|((&part, &low), &high)| search.key(part as usize, Code([low, high])));
    Ok(ColumnarValue::Array(Arc::new(UInt32Array::from_iter_values(keys))))
}
