//! Addresses `s3://bucket/key`: where the object lies, and the signature that opens it.
//!
//! Signature: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

use std::fmt;
use std::time::SystemTime;

use dcgan_files::dates::rfc3339;
use sha2::{Digest, Sha256};

use crate::encoding::encoded_path;
use crate::object::{Signed, parts_of};

/// What addresses of objects begin with.
pub(crate) const SCHEME: &str = "s3://";
/// SHA-256 of nothing: what is asked for has no body.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BLOCK: usize = 64;

/// Which object store, and who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3 {
    /// The store's address, where it is not Amazon's; buckets are then the first part of the path.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` if empty.
    pub region: String,
    /// Whose request it is; none: nobody's, which is enough for public buckets.
    pub credentials: Option<Credentials>,
}

/// A key of an object store.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its name.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// Of a key that serves for a while.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl S3 {
    /// As `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    /// `AWS_SESSION_TOKEN` say.
    pub fn from_environment() -> Self {
        let any = |names: &[&str]| {
            names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        };
        let credentials = any(&["AWS_ACCESS_KEY_ID"]).zip(any(&["AWS_SECRET_ACCESS_KEY"])).map(
            |(access_key, secret_key)| Credentials {
                access_key,
                secret_key,
                session_token: any(&["AWS_SESSION_TOKEN"]),
            },
        );
        Self {
            endpoint: any(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
            region: any(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_default(),
            credentials,
        }
    }

    /// Whether it is asked by https alone.
    pub(crate) fn is_https(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.starts_with("https://"))
    }

    /// The request for an address: `s3://bucket/key` for an object, `s3://bucket?query` for a list.
    pub(crate) fn request(&self, address: &str, now: SystemTime) -> Signed {
        let (bucket, key, query) = parts_of(address.strip_prefix(SCHEME).unwrap_or(address));
        let (scheme, host, path) = match &self.endpoint {
            Some(endpoint) => {
                let endpoint = endpoint.trim_end_matches('/');
                let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
                let (host, below) = host.split_once('/').unwrap_or((host, ""));
                let below = if below.is_empty() { String::new() } else { format!("/{below}") };
                (scheme, host.to_owned(), format!("{below}/{bucket}/{}", encoded_path(key)))
            }
            None => {
                let host = format!("{bucket}.s3.{}.amazonaws.com", self.region());
                ("https", host, format!("/{}", encoded_path(key)))
            }
        };
        let question = if query.is_empty() { "" } else { "?" };
        let headers = self.headers(&host, &path, query, now);
        (format!("{scheme}://{host}{path}{question}{query}"), headers)
    }

    pub(crate) fn region(&self) -> &str {
        if self.region.is_empty() { "us-east-1" } else { &self.region }
    }

    /// The headers that sign a GET.
    fn headers(&self, host: &str, path: &str, query: &str, now: SystemTime) -> Vec<(&'static str, String)> {
        let Some(credentials) = &self.credentials else { return Vec::new() };
        let time = timestamp(now);
        let day = &time[..8];
        let mut headers = vec![
            ("host", host.to_owned()),
            ("x-amz-content-sha256", EMPTY.to_owned()),
            ("x-amz-date", time.clone()),
        ];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token.clone()));
        }
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let canonical = format!("GET\n{path}\n{query}\n{lines}\n{names}\n{EMPTY}");
        let scope = format!("{day}/{}/s3/aws4_request", self.region());
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let key = [day, self.region(), "s3", "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", credentials.secret_key).into_bytes(), |key, part| {
                hmac(&key, part.as_bytes())
            });
        let signature = hex(&hmac(&key, to_sign.as_bytes()));
        let access_key = &credentials.access_key;
        headers.push((
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={names},Signature={signature}"
            ),
        ));
        // The client sends the host itself.
        headers.remove(0);
        headers
    }
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    let hashed = Sha256::digest(key);
    let key = if key.len() > BLOCK { &hashed[..] } else { key };
    block[..key.len()].copy_from_slice(key);
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20130524T000000Z`.
fn timestamp(time: SystemTime) -> String {
    rfc3339(time).replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn example() -> S3 {
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        S3 { credentials: Some(credentials), ..S3::default() }
    }

    /// Amazon's signer:
    /// ```text
    /// from botocore.auth import S3SigV4Auth; from botocore.awsrequest import AWSRequest
    /// from botocore.credentials import Credentials; import datetime, unittest.mock as mock
    /// def sign(url, token=None):
    ///     now = datetime.datetime(2013, 5, 24, tzinfo=datetime.timezone.utc)
    ///     with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
    ///         request = AWSRequest("GET", url)
    ///         S3SigV4Auth(Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", token), "s3", "us-east-1").add_auth(request)
    ///         print(request.headers["Authorization"])
    /// ```
    #[test]
    fn signatures_are_those_of_amazons_own_library() {
        let signature = |s3: &S3, address: &str| {
            let (url, headers) = s3.request(address, at(1_369_353_600));
            let (_, value) = headers.into_iter().find(|(name, _)| *name == "authorization").unwrap();
            (url, value.split_once("Signature=").unwrap().1.to_owned())
        };
        let mut s3 = example();
        assert_eq!(
            signature(&s3, "s3://examplebucket/sets/a b+c.tar"),
            (
                "https://examplebucket.s3.us-east-1.amazonaws.com/sets/a%20b%2Bc.tar".into(),
                "52238b52a010dad9bcc6bd00bd6c4399320fd81d5fc59a353b41a20c606973f0".into()
            )
        );
        let list = "s3://examplebucket?encoding-type=url&list-type=2&prefix=sets%2F";
        assert_eq!(
            signature(&s3, list).1,
            "04dd22b61f4595361120e3cbe5aa1316f27c50e291ce1838aacb20b82fef820f"
        );
        s3.endpoint = Some("http://127.0.0.1:9000/".into());
        if let Some(credentials) = &mut s3.credentials {
            credentials.session_token = Some("a token".into());
        }
        assert_eq!(
            signature(&s3, "s3://examplebucket/a.tar"),
            (
                "http://127.0.0.1:9000/examplebucket/a.tar".into(),
                "93e653cdba9834bfc91ff94e48a5ea2b3057c645c5623a03f4b8632908d574c5".into()
            )
        );
        assert!(!s3.is_https() && example().is_https());
    }

    #[test]
    fn nobody_signs_nothing() {
        let public = S3 { region: "eu-west-1".into(), ..S3::default() };
        let (url, headers) = public.request("s3://sets/x/00000.tar", at(0));
        assert_eq!((url.as_str(), headers.len()), ("https://sets.s3.eu-west-1.amazonaws.com/x/00000.tar", 0));
        assert!(!format!("{:?}", example()).contains("wJalr"));
    }

    /// python3 -c "import datetime as d; print(*(d.datetime.fromtimestamp(t, d.timezone.utc).strftime('%Y%m%dT%H%M%SZ')
    /// for t in (0, 951782399, 951868799, 1709164800, 4107542399)))"
    #[test]
    fn dates_are_pythons() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_868_799, "20000229T235959Z"),
            (1_709_164_800, "20240229T000000Z"),
            (4_107_542_399, "21000228T235959Z"),
        ] {
            assert_eq!(timestamp(at(seconds)), expected);
        }
    }
}
