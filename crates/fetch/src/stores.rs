//! Object stores: which of them an address leads to, and what is sent to it.

use std::time::SystemTime;

use ureq::Agent;

use crate::gcs::{self, Gcs};
use crate::google_token::NoToken;
use crate::s3::{self, S3};

/// A request as it is sent: its address, and the headers that sign it.
pub(crate) type Signed = (String, Vec<(&'static str, String)>);

/// The object stores that addresses may lead to, and who asks there.
#[derive(Debug, Clone, Default)]
pub struct Stores {
    /// For addresses `s3://bucket/key`.
    pub s3: S3,
    /// For addresses `gs://bucket/name`.
    pub gcs: Gcs,
}

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Gcs,
    Http,
}

/// The kind of an address.
pub(crate) fn kind_of(address: &str) -> Kind {
    match () {
        () if address.starts_with(s3::SCHEME) => Kind::S3,
        () if address.starts_with(gcs::SCHEME) => Kind::Gcs,
        () => Kind::Http,
    }
}

/// Whether an address is an object's, whose name stands in it as it is.
pub(crate) fn is_object(address: &str) -> bool {
    kind_of(address) != Kind::Http
}

/// Bucket, key and query of `bucket/key` or `bucket?query`.
pub(crate) fn parts_of(rest: &str) -> (&str, &str, &str) {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (bucket, rest) = rest.split_at(end);
    match rest.strip_prefix('?') {
        Some(query) => (bucket, "", query),
        None => (bucket, rest.strip_prefix('/').unwrap_or(rest), ""),
    }
}

impl Stores {
    /// As the environment says: [`S3::from_environment`], [`Gcs::from_environment`].
    pub fn from_environment() -> Self {
        Self { s3: S3::from_environment(), gcs: Gcs::from_environment() }
    }

    /// Whether what an address stands for is asked for by https alone.
    pub(crate) fn is_https(&self, address: &str) -> bool {
        match kind_of(address) {
            Kind::S3 => self.s3.is_https(),
            Kind::Gcs => self.gcs.is_https(),
            Kind::Http => address.starts_with("https://"),
        }
    }

    /// The request for an address: of an object store for an object, or, `scheme://bucket?query`, for a list. With `unchanged` an object
    /// must still have this tag.
    pub(crate) fn request(
        &self,
        agent: &Agent,
        address: &str,
        unchanged: Option<&str>,
    ) -> Result<Signed, NoToken> {
        let tag = unchanged.map(|tag| ("if-range", tag.to_owned()));
        let (url, mut headers) = match kind_of(address) {
            Kind::S3 => self.s3.request(address, SystemTime::now()),
            Kind::Gcs => return self.gcs.request(agent, address, unchanged),
            Kind::Http => (address.to_owned(), Vec::new()),
        };
        headers.extend(tag);
        Ok((url, headers))
    }

    /// Whether a refusal may end with another token, which is then asked for.
    pub(crate) fn may_renew(&self, address: &str, status: u16) -> bool {
        status == 401 && kind_of(address) == Kind::Gcs && self.gcs.forget_token()
    }

    /// What to say beside a refusal: that nobody in particular asked.
    pub(crate) fn advice(&self, address: &str, status: u16) -> &'static str {
        let is_refused = matches!(status, 401 | 403);
        match kind_of(address) {
            Kind::S3 if is_refused && self.s3.credentials.is_none() => {
                " (asked without a key: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set)"
            }
            Kind::Gcs if is_refused && self.gcs.is_anonymous() => {
                " (asked without credentials: neither GOOGLE_OAUTH_ACCESS_TOKEN nor GOOGLE_APPLICATION_CREDENTIALS is set)"
            }
            _ => "",
        }
    }
}

/// What the body of a store's refusal says, in one line: the message in Amazon's XML or Google's JSON, or a short text.
pub(crate) fn message_of(body: &str) -> Option<String> {
    const MOST: usize = 300;
    let xml =
        || body.split_once("<Message>")?.1.split_once("</Message>").map(|(message, _)| message.to_owned());
    let json = || {
        let value: serde_json::Value = serde_json::from_str(body).ok()?;
        Some(value.pointer("/error/message")?.as_str()?.to_owned())
    };
    let plain = || (!body.trim_start().starts_with(['<', '{'])).then(|| body.to_owned());
    let message = xml().or_else(json).or_else(plain)?;
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
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
        assert!(is_object("gs://b/k") && is_object("s3://b/k") && !is_object("https://h/gs://b"));
    }

    #[test]
    fn refusals_are_said_in_the_stores_words() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access\n Denied</Message></Error>";
        assert_eq!(message_of(xml).unwrap(), "Access  Denied");
        let json = r#"{"error": {"code": 401, "message": "Anonymous caller does not have access."}}"#;
        assert_eq!(message_of(json).unwrap(), "Anonymous caller does not have access.");
        assert_eq!(message_of("No such object: b/a.tar\n").unwrap(), "No such object: b/a.tar");
        for none in ["", "<html><body>no</body></html>", "{\"a\": 1}", " \n"] {
            assert_eq!(message_of(none), None, "{none}");
        }
        assert_eq!(message_of(&"x".repeat(1000)).unwrap().len(), 300);
    }
}
