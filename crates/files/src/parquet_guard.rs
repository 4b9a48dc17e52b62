//! Parquet files that make the library panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;

/// Calls `read`, and makes an error of a panic: the `parquet` crate trusts some numbers in a file's footer and pages.
///
/// # Errors
/// What `read` returns; [`ParquetError::General`] with the panic's text.
pub(crate) fn without_panic<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    // What `read` was filling is thrown away with it.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        Err(ParquetError::General(format!("damaged: {text}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        assert_eq!(without_panic(|| Ok(3)).unwrap(), 3);
        let n = 5;
        let error = without_panic::<()>(|| panic!("size is {n}")).unwrap_err();
        assert!(error.to_string().contains("damaged: size is 5"), "{error}");
    }
}
