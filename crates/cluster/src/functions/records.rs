//! `records(image, word0, word1)`: the codes of a group, one after another, in bytes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, LargeBinaryBuilder};
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::{internal_err, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use dcgan_dedup::Code;

use super::arrays::values;
use super::record::Record;

pub(super) fn function() -> AggregateUDF {
    let signature = Signature::exact(vec![DataType::UInt64; 3], Volatility::Immutable);
    AggregateUDF::new_from_impl(Records { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Records {
    signature: Signature,
}

impl AggregateUDFImpl for Records {
    fn name(&self) -> &str {
        "records"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::LargeBinary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("`records` without GROUP BY")
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }
}

/// The bytes of each group. Bytes of their capacities are counted as they grow: asking all groups each time would cost more than
/// the rest.
#[derive(Default)]
struct Groups {
    groups: Vec<Vec<u8>>,
    n_bytes: usize,
}

impl Groups {
    fn append(&mut self, group: usize, bytes: &[u8]) -> Result<()> {
        let Some(all) = self.groups.get_mut(group) else { return internal_err!("no group {group}") };
        let before = all.capacity();
        all.extend_from_slice(bytes);
        self.n_bytes += all.capacity() - before;
        Ok(())
    }

    fn take(&mut self, emit_to: EmitTo) -> ArrayRef {
        let taken = emit_to.take_needed(&mut self.groups);
        let n_bytes = taken.iter().map(Vec::len).sum();
        let mut builder = LargeBinaryBuilder::with_capacity(taken.len(), n_bytes);
        for bytes in taken {
            self.n_bytes -= bytes.capacity();
            builder.append_value(bytes);
        }
        Arc::new(builder.finish())
    }
}

/// A record a row.
fn records(columns: &[ArrayRef]) -> Result<impl Iterator<Item = Record>> {
    let [images, low, high] = [0, 1, 2].map(|column| values::<UInt64Type>(columns, column));
    let rows = images?.iter().zip(low?).zip(high?);
    Ok(rows.map(|((&image, &low), &high)| Record { image, code: Code([low, high]) }))
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(n_groups, Vec::new);
        for (row, (record, &group)) in records(columns)?.zip(groups).enumerate() {
            if filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                self.append(group, &record.to_bytes())?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, columns: &[ArrayRef], groups: &[usize], n_groups: usize) -> Result<()> {
        self.groups.resize_with(n_groups, Vec::new);
        let Some(parts) = columns.first().and_then(|column| column.as_binary_opt::<i64>()) else {
            return internal_err!("expected the bytes of groups");
        };
        parts.iter().zip(groups).try_for_each(|(bytes, &group)| self.append(group, bytes.unwrap_or_default()))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.take(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.take(emit_to)])
    }

    fn convert_to_state(&self, columns: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut builder = LargeBinaryBuilder::new();
        for (row, record) in records(columns)?.enumerate() {
            match filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                true => builder.append_value(record.to_bytes()),
                false => builder.append_value([]),
            }
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn size(&self) -> usize {
        self.n_bytes + self.groups.capacity() * size_of::<Vec<u8>>()
    }
}
