//! Addresses `gs://bucket/name`: Google Cloud Storage, by its JSON interface.
//!
//! Objects: <https://cloud.google.com/storage/docs/json_api/v1/objects>.

use serde::Deserialize;
use ureq::Agent;

use crate::encoding::encoded;
use crate::google_token::{GoogleCredentials, Tokens};
use crate::object::{Signed, is_private, parts_of};
use crate::refusal::NoToken;

/// What addresses of objects begin with.
pub(crate) const SCHEME: &str = "gs://";
/// Google's own address.
const ENDPOINT: &str = "https://storage.googleapis.com";
/// Where the interface lies below an address.
const INTERFACE: &str = "/storage/v1";
/// What is told of each object in a list.
const FIELDS: &str = "nextPageToken,items(name,size,generation,md5Hash,contentEncoding)";

/// Which Google Cloud Storage, and who asks.
#[derive(Debug, Clone, Default)]
pub struct Gcs {
    /// The store's address, where it is not Google's: an emulator's.
    pub endpoint: Option<String>,
    /// Whose request it is; none: nobody's, which is enough for public buckets.
    pub credentials: Option<GoogleCredentials>,
    /// The project that pays, where buckets ask for one.
    pub payer: Option<String>,
    tokens: Tokens,
}

impl Gcs {
    /// A store and who asks it.
    pub fn new(endpoint: Option<String>, credentials: Option<GoogleCredentials>) -> Self {
        Self { endpoint, credentials, ..Self::default() }
    }

    /// As `STORAGE_EMULATOR_HOST`, `GOOGLE_OAUTH_ACCESS_TOKEN` (or `CLOUDSDK_AUTH_ACCESS_TOKEN`), `GOOGLE_APPLICATION_CREDENTIALS` and
    /// `GOOGLE_CLOUD_QUOTA_PROJECT` say. Who asks is not told to a store that is asked without TLS, unless it is on this machine.
    pub fn from_environment() -> Self {
        let any = |names: &[&str]| {
            names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let token = any(&["GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"]);
        let file = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty());
        let credentials = token
            .map(|token| GoogleCredentials::Token(token.trim().to_owned()))
            .or(file.map(|path| GoogleCredentials::File(path.into())));
        let payer = any(&["GOOGLE_CLOUD_QUOTA_PROJECT"]);
        let mut gcs = Self { payer, ..Self::new(any(&["STORAGE_EMULATOR_HOST"]), credentials) };
        if !is_private(&gcs.base()) {
            gcs.credentials = None;
        }
        gcs
    }

    /// Where the interface is, without `/` at its end. Google's clients take an emulator's host also without `http://`.
    fn base(&self) -> String {
        let Some(endpoint) = &self.endpoint else { return format!("{ENDPOINT}{INTERFACE}") };
        let endpoint = endpoint.trim_end_matches('/');
        let endpoint = endpoint.strip_suffix(INTERFACE).unwrap_or(endpoint).trim_end_matches('/');
        let scheme = if endpoint.contains("://") { "" } else { "http://" };
        format!("{scheme}{endpoint}{INTERFACE}")
    }

    /// Whether it is asked by https alone.
    pub(crate) fn is_https(&self) -> bool {
        self.base().starts_with("https://")
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.credentials.is_none()
    }

    /// Forgets the token; false where there is no other to be had.
    pub(crate) fn forget_token(&self) -> bool {
        let is_renewable = matches!(self.credentials, Some(GoogleCredentials::File(_)));
        is_renewable && self.tokens.forget()
    }

    /// The request for an address: `gs://bucket/name` for an object, `gs://bucket?query` for a list. With `unchanged` the object must
    /// still be of this generation.
    pub(crate) fn request(
        &self,
        agent: &Agent,
        address: &str,
        unchanged: Option<&str>,
    ) -> Result<Signed, NoToken> {
        let url = self.url(address, unchanged);
        let mut headers = Vec::new();
        if let Some(credentials) = &self.credentials {
            let token = self.tokens.of(credentials, agent)?;
            headers.push(("authorization", format!("Bearer {token}")));
            // Nobody has no project.
            headers.extend(self.payer.iter().map(|payer| ("x-goog-user-project", payer.clone())));
        }
        Ok((url, headers))
    }

    fn url(&self, address: &str, unchanged: Option<&str>) -> String {
        let (bucket, name, query) = parts_of(address.strip_prefix(SCHEME).unwrap_or(address));
        let bucket = format!("{}/b/{}/o", self.base(), encoded(bucket));
        if name.is_empty() {
            return format!("{bucket}?{query}");
        }
        let generation =
            unchanged.map(|tag| format!("&ifGenerationMatch={}", encoded(tag.trim_matches('"'))));
        format!("{bucket}/{}?alt=media{}", encoded(name), generation.unwrap_or_default())
    }
}

/// The address of a page of the list of the objects right below `prefix`.
pub(crate) fn page_address(bucket: &str, prefix: &str, token: Option<&str>) -> String {
    let token = token.map(|token| format!("&pageToken={}", encoded(token))).unwrap_or_default();
    let (prefix, fields) = (encoded(prefix), encoded(FIELDS));
    format!("{SCHEME}{bucket}?delimiter=%2F&fields={fields}&prefix={prefix}{token}")
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// Also with more pages behind it there may be none.
    #[serde(default)]
    pub(crate) items: Vec<Item>,
    #[serde(default)]
    pub(crate) next_page_token: Option<String>,
}

/// An object in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    pub(crate) name: String,
    #[serde(default)]
    size: Option<String>,
    #[serde(default)]
    generation: Option<String>,
    #[serde(default)]
    md5_hash: Option<String>,
    #[serde(default)]
    content_encoding: Option<String>,
}

impl Item {
    /// Whether its bytes arrive as they lie in the store: what is stored with `Content-Encoding: gzip` is decompressed on the way, and
    /// size and checksum are those of what is stored.
    fn is_as_stored(&self) -> bool {
        self.content_encoding.as_deref().is_none_or(|encoding| ["", "identity"].contains(&encoding))
    }

    /// Bytes that arrive, where that is known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.size.as_ref().filter(|_| self.is_as_stored())?.parse().ok()
    }

    /// The generation, as a tag: another one is another content.
    pub(crate) fn tag(&self) -> Option<String> {
        self.generation.as_ref().map(|generation| format!("\"{generation}\""))
    }

    /// Of what arrives; composed objects have none.
    pub(crate) fn md5(&self) -> Option<String> {
        use base64::Engine as _;
        let encoded = self.md5_hash.as_ref().filter(|_| self.is_as_stored())?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        (bytes.len() == 16).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_googles_client() {
        // urllib.parse.quote(name, safe=""), as google-cloud-storage's Blob.path has it.
        let google = Gcs::default();
        assert_eq!(
            google.url("gs://my-bucket/sets/a b+c%20?#ü.tar", None),
            "https://storage.googleapis.com/storage/v1/b/my-bucket/o/sets%2Fa%20b%2Bc%2520%3F%23%C3%BC.tar?alt=media"
        );
        assert_eq!(
            google.url("gs://b/a.tar", Some("\"17\"")),
            "https://storage.googleapis.com/storage/v1/b/b/o/a.tar?alt=media&ifGenerationMatch=17"
        );
        let page = google.url(&page_address("b", "sets/", Some("a+b=")), None);
        assert!(
            page.starts_with("https://storage.googleapis.com/storage/v1/b/b/o?delimiter=%2F&fields="),
            "{page}"
        );
        assert!(page.ends_with("&prefix=sets%2F&pageToken=a%2Bb%3D"), "{page}");
        for (host, base) in [
            ("localhost:9023", "http://localhost:9023/storage/v1"),
            ("http://h:1/", "http://h:1/storage/v1"),
            ("https://h/below/storage/v1/", "https://h/below/storage/v1"),
        ] {
            let emulator = Gcs::new(Some(host.into()), None);
            assert_eq!(emulator.base(), base);
            assert_eq!(emulator.is_https(), base.starts_with("https"));
        }
    }

    #[test]
    fn what_is_decompressed_on_the_way_has_neither_size_nor_checksum() {
        let item = |encoding: &str| -> Item {
            let text = format!(
                r#"{{"name": "a", "size": "5", "generation": "17", "md5Hash": "XUFAKrxLKna5cZ2REBfFkg=="{encoding}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        for plain in ["", r#", "contentEncoding": """#] {
            let item = item(plain);
            assert_eq!((item.bytes(), item.tag().as_deref()), (Some(5), Some("\"17\"")));
            assert_eq!(item.md5().as_deref(), Some("5d41402abc4b2a76b9719d911017c592"));
        }
        let zipped = item(r#", "contentEncoding": "gzip""#);
        assert_eq!((zipped.bytes(), zipped.md5(), zipped.tag().as_deref()), (None, None, Some("\"17\"")));
        let page: Page =
            serde_json::from_str(r#"{"kind": "storage#objects", "nextPageToken": "t"}"#).unwrap();
        assert!(page.items.is_empty() && page.next_page_token.as_deref() == Some("t"));
    }
}
