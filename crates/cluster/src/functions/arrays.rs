//! Arguments of functions, and what they return.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::buffer::{OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, Field};
use datafusion::common::{ScalarValue, exec_err, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use serde::de::DeserializeOwned;

use crate::error::Told;

/// An error of the library that a function calls.
pub(super) fn outer(error: impl std::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(Told::of(&error)))
}

/// The settings that a function is given as its last argument: JSON, the same for all rows.
pub(super) fn settings<T: DeserializeOwned>(argument: Option<&ColumnarValue>) -> Result<T> {
    match argument {
        Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)))) => {
            serde_json::from_str(text).map_err(outer)
        }
        other => exec_err!("expected settings in JSON, the same for all rows, found {other:?}"),
    }
}

/// The columns before the settings.
pub(super) fn columns(arguments: &[ColumnarValue]) -> Result<Vec<ArrayRef>> {
    let given = arguments.len().saturating_sub(1);
    ColumnarValue::values_to_arrays(&arguments[..given])
}

/// The values of a column of numbers; none may be missing.
pub(super) fn values<T: ArrowPrimitiveType>(columns: &[ArrayRef], column: usize) -> Result<&[T::Native]> {
    let found = columns.get(column).and_then(|column| column.as_primitive_opt::<T>());
    match found.filter(|values| values.null_count() == 0) {
        Some(values) => Ok(values.values()),
        None => internal_err!("expected {} in column {column}", T::DATA_TYPE),
    }
}

/// The type of lists of rows.
pub(super) fn list_of(fields: Vec<Field>) -> DataType {
    DataType::List(Arc::new(item(fields)))
}

fn item(fields: Vec<Field>) -> Field {
    Field::new("item", DataType::Struct(fields.into()), false)
}

/// The offsets of lists of so many rows each.
pub(super) fn offsets(lengths: impl IntoIterator<Item = usize>) -> Result<OffsetBuffer<i32>> {
    let (mut ends, mut end) = (vec![0], 0_i32);
    for length in lengths {
        let Some(next) = i32::try_from(length).ok().and_then(|length| end.checked_add(length)) else {
            return exec_err!("expected fewer than 2³¹ rows from one call");
        };
        end = next;
        ends.push(end);
    }
    Ok(OffsetBuffer::new(ScalarBuffer::from(ends)))
}
