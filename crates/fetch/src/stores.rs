//! Object stores: which of them an address leads to, and what is sent to it.

use std::time::SystemTime;

use ureq::Agent;

use crate::gcs::{self, Gcs};
use crate::object::Signed;
use crate::refusal::NoToken;
use crate::s3::{self, S3};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_within_an_address_is_no_objects() {
        assert!(is_object("gs://b/k") && is_object("s3://b/k") && !is_object("https://h/gs://b"));
    }
}
