//! `search_keys(view, word0, word1, settings)`: in which groups of which parts of a search a code is looked at.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray, StructArray, UInt32Array};
use datafusion::arrow::datatypes::{DataType, Field, UInt32Type, UInt64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_dedup::Code;
use dcgan_dedup::group::SearchApart;
use serde::{Deserialize, Serialize};

use super::WHOLE;
use super::arrays::{columns, list_of, offsets, settings, values};

/// What is searched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeysSpec {
    pub(crate) search: SearchApart,
    /// Kinds of views as in [`WHOLE`], with parts of the search.
    pub(crate) tasks: Vec<(u32, usize)>,
}

fn fields() -> Vec<Field> {
    ["view", "part", "key"].map(|name| Field::new(name, DataType::UInt32, false)).to_vec()
}

pub(super) fn function() -> ScalarUDF {
    let arguments = vec![DataType::UInt32, DataType::UInt64, DataType::UInt64, DataType::Utf8];
    create_udf("search_keys", arguments, list_of(fields()), Volatility::Immutable, Arc::new(keys))
}

/// Codes of whole pictures are in all searches, those of a view in the ones of its kind.
fn keys(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let KeysSpec { search, tasks } = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let kinds = values::<UInt32Type>(&columns, 0)?;
    let (low, high) = (values::<UInt64Type>(&columns, 1)?, values::<UInt64Type>(&columns, 2)?);
    let (mut lengths, mut rows) = (Vec::with_capacity(kinds.len()), [Vec::new(), Vec::new(), Vec::new()]);
    for ((&kind, &low), &high) in kinds.iter().zip(low).zip(high) {
        let before = rows[0].len();
        for &(view, part) in tasks.iter().filter(|(view, _)| kind == WHOLE || kind == *view) {
            let key = search.key(part, Code([low, high]));
            rows.iter_mut().zip([view, part as u32, key]).for_each(|(column, value)| column.push(value));
        }
        lengths.push(rows[0].len() - before);
    }
    let rows = rows.map(|column| Arc::new(UInt32Array::from(column)) as ArrayRef).to_vec();
    let rows = StructArray::try_new(fields().into(), rows, None)?;
    let item = Arc::new(Field::new("item", rows.data_type().clone(), false));
    let lists = ListArray::try_new(item, offsets(lengths)?, Arc::new(rows), None)?;
    Ok(ColumnarValue::Array(Arc::new(lists)))
}
