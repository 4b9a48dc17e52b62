//! `near_in(view, part, records, settings)`: the pairs of a group within the radius, and what the search met.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt32Array, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Fields, UInt32Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_dedup::Code;
use dcgan_dedup::group::{Pair, SearchApart, SearchReport};
use serde::{Deserialize, Serialize};

use super::arrays::{columns, list_of, offsets, settings, values};
use super::record::Record;

/// A search.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NearSpec {
    pub(crate) search: SearchApart,
}

/// The number of a search of whole pictures among each other; that of views of kind `k` among whole pictures is `k + 1`.
pub(crate) const WHOLE: u32 = 0;

/// What is counted.
const COUNTS: [&str; 4] = ["n_compared", "largest_bucket", "n_hot_buckets", "n_skipped"];

fn pair_fields() -> Vec<Field> {
    ["first", "second", "distance"].map(|name| Field::new(name, DataType::UInt32, false)).to_vec()
}

fn fields() -> Fields {
    let counts = COUNTS.map(|name| Field::new(name, DataType::UInt64, false));
    counts.into_iter().chain([Field::new("pairs", list_of(pair_fields()), false)]).collect()
}

pub(super) fn function() -> ScalarUDF {
    let arguments = vec![DataType::UInt32, DataType::UInt32, DataType::LargeBinary, DataType::Utf8];
    let returned = DataType::Struct(fields());
    create_udf("near_in", arguments, returned, Volatility::Immutable, Arc::new(near_in))
}

fn near_in(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let spec: NearSpec = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let Some(groups) = columns.get(2).and_then(|column| column.as_binary_opt::<i64>()) else {
        return exec_err!("near_in: expected the bytes of groups");
    };
    let rows = values::<UInt32Type>(&columns, 0)?.iter().zip(values::<UInt32Type>(&columns, 1)?).zip(groups);
    let of_row = |((&view, &part), bytes): ((&u32, &u32), Option<&[u8]>)| {
        search(&spec.search, view, part as usize, bytes.unwrap_or_default())
    };
    let found: Vec<(Vec<Pair>, SearchReport)> = rows.map(of_row).collect();
    let count = |of: &dyn Fn(&SearchReport) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(found.iter().map(|(_, report)| of(report))))
    };
    let of_pairs = |of: &dyn Fn(&Pair) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(found.iter().flat_map(|(pairs, _)| pairs).map(of)))
    };
    let pairs =
        vec![of_pairs(&|pair| pair.first), of_pairs(&|pair| pair.second), of_pairs(&|pair| pair.distance)];
    let pairs = StructArray::try_new(pair_fields().into(), pairs, None)?;
    let lengths = offsets(found.iter().map(|(pairs, _)| pairs.len()))?;
    let item = Arc::new(Field::new("item", pairs.data_type().clone(), false));
    let pairs = ListArray::try_new(item, lengths, Arc::new(pairs), None)?;
    let all = vec![
        count(&|report| report.n_compared),
        count(&|report| report.largest_bucket as u64),
        count(&|report| report.n_hot_buckets as u64),
        count(&|report| report.n_skipped),
        Arc::new(pairs) as ArrayRef,
    ];
    Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields(), all, None)?)))
}

/// Pairs of the group by the numbers of their images; `second` is the one whose view was looked for.
fn search(search: &SearchApart, view: u32, part: usize, bytes: &[u8]) -> (Vec<Pair>, SearchReport) {
    let records = Record::all_of(bytes);
    let codes: Vec<Code> = records.iter().map(|record| record.code).collect();
    let (whole, views) = codes.split_at(records.partition_point(|record| !record.is_view()));
    let ((mut pairs, report), start) = match view {
        WHOLE => (search.pairs(part, whole), 0),
        _ => (search.queries(part, whole, views), whole.len()),
    };
    for pair in &mut pairs {
        pair.first = records[pair.first as usize].index();
        pair.second = records[start + pair.second as usize].index();
    }
    (pairs, report)
}
