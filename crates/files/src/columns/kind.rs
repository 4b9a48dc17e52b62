//! What a column is read as.

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::schema::types::ColumnDescriptor;

/// What a column is read as. Integers of 32 and of 64 bits, signed or not, are read as either where they fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Column::Strings`](super::Column::Strings).
    Strings,
    /// [`Column::U32`](super::Column::U32).
    U32,
    /// [`Column::U64`](super::Column::U64).
    U64,
    /// [`Column::F32`](super::Column::F32).
    F32,
    /// [`Column::MaybeStrings`](super::Column::MaybeStrings).
    MaybeStrings,
    /// [`Column::MaybeU32`](super::Column::MaybeU32).
    MaybeU32,
    /// [`Column::MaybeU64`](super::Column::MaybeU64).
    MaybeU64,
    /// [`Column::MaybeF32`](super::Column::MaybeF32).
    MaybeF32,
    /// [`Column::MaybeF64`](super::Column::MaybeF64).
    MaybeF64,
    /// [`Column::MaybeBytes`](super::Column::MaybeBytes).
    MaybeBytes,
}

impl Kind {
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Strings | Self::MaybeStrings => "text",
            Self::U32 | Self::U64 | Self::MaybeU32 | Self::MaybeU64 => "integers",
            Self::F32 | Self::MaybeF32 => "32-bit floats",
            Self::MaybeF64 => "64-bit floats",
            Self::MaybeBytes => "bytes",
        }
    }

    pub(super) fn is_of(self, column: &ColumnDescriptor) -> bool {
        let (logical, converted) = (column.logical_type_ref(), column.converted_type());
        match self {
            Self::Strings | Self::MaybeStrings => {
                let is_text = matches!(logical, None | Some(LogicalType::String | LogicalType::Enum))
                    && matches!(converted, ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM);
                column.physical_type() == Type::BYTE_ARRAY && is_text
            }
            Self::U32 | Self::U64 | Self::MaybeU32 | Self::MaybeU64 => {
                matches!(column.physical_type(), Type::INT32 | Type::INT64)
                    && matches!(logical, None | Some(LogicalType::Integer(_)))
                    && (converted == ConvertedType::NONE || is_signed(converted) || is_unsigned(converted))
            }
            Self::F32 | Self::MaybeF32 => column.physical_type() == Type::FLOAT && logical.is_none(),
            Self::MaybeF64 => column.physical_type() == Type::DOUBLE && logical.is_none(),
            Self::MaybeBytes => column.physical_type() == Type::BYTE_ARRAY,
        }
    }
}

fn is_signed(converted: ConvertedType) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64};
    matches!(converted, INT_8 | INT_16 | INT_32 | INT_64)
}

pub(super) fn is_unsigned(converted: ConvertedType) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    matches!(converted, UINT_8 | UINT_16 | UINT_32 | UINT_64)
}
