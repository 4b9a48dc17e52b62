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

/// Whether secrets may be sent to an address: nobody else reads them on the way.
pub(crate) fn is_private(url: &str) -> bool {
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let is_here = |host: &str| {
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
        matches!(name.map_or(host, |(name, _)| name), "localhost" | "127.0.0.1" | "[::1]")
    };
    url.starts_with("https://") || host.is_some_and(is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_by_tls_or_stay_on_the_machine() {
        let private =
            ["https://h/x", "http://127.0.0.1:9023/storage", "http://localhost", "http://[::1]:80/"];
        assert!(private.into_iter().all(is_private));
        let open = [
            "http://h/x",
            "http://localhost.h/",
            "http://127.0.0.1@h/",
            "http://h:80/127.0.0.1",
            "ftp://localhost",
        ];
        assert!(!open.into_iter().any(is_private));
    }

    #[test]
    fn parts_of_an_address_are_bucket_key_and_query() {
        assert_eq!(parts_of("b/k/a?b.tar"), ("b", "k/a?b.tar", ""));
        assert_eq!(parts_of("b//k.tar"), ("b", "/k.tar", ""));
        assert_eq!(parts_of("b?prefix=k"), ("b", "", "prefix=k"));
        assert_eq!(parts_of("b"), ("b", "", ""));
    }
}
