//! An object's address, and the request for it.

/// A request as it is sent: its address, and the headers that sign it.
pub(crate) type Signed = (String, Vec<(&'static str, String)>);

/// Bucket, key and query of `bucket/key` or `bucket?query`.
pub(crate) fn parts_of(rest: &str) -> (&str, &str, &str) {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (bucket, rest) = rest.split_at(end);
    match rest.strip_prefix('?') {
        Some(query) => (bucket, "", query),
        None => (bucket, rest.strip_prefix('/').unwrap_or(rest), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address_are_bucket_key_and_query() {
        assert_eq!(parts_of("b/k/a?b.tar"), ("b", "k/a?b.tar", ""));
        assert_eq!(parts_of("b//k.tar"), ("b", "/k.tar", ""));
        assert_eq!(parts_of("b?prefix=k"), ("b", "", "prefix=k"));
        assert_eq!(parts_of("b"), ("b", "", ""));
    }
}
