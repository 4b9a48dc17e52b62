//! Tokens of Google's, which open what is not public: given, or asked for with a file of credentials.
//!
//! Service accounts: <https://developers.google.com/identity/protocols/oauth2/service-account#httprest> (RFC 7523).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::header::CONTENT_TYPE;

use crate::encoding::encoded;
use crate::object::is_private;
use crate::refusal::{NoToken, message_of, status_in_words};

/// What is asked for: to read.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";
/// Where tokens are, if a file does not say.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// How long a token shall serve, and does where the answer does not say.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Who asks Google Cloud Storage.
#[derive(Clone, PartialEq, Eq)]
pub enum GoogleCredentials {
    /// A token, such as `gcloud auth print-access-token` prints; it serves for an hour at most.
    Token(String),
    /// A JSON file that tokens are asked for with, of a service account, or of a user (`gcloud auth application-default login`).
    File(PathBuf),
}

impl fmt::Debug for GoogleCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The token that was asked for last, which all requests share.
#[derive(Clone, Default)]
pub(crate) struct Tokens(Arc<Mutex<Option<Token>>>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

struct Token {
    text: String,
    /// When another one is asked for: before this one ends.
    until: SystemTime,
}

impl Tokens {
    /// A token that serves now.
    pub(crate) fn of(&self, credentials: &GoogleCredentials, agent: &Agent) -> Result<String, NoToken> {
        let path = match credentials {
            GoogleCredentials::Token(token) => return Ok(token.clone()),
            GoogleCredentials::File(path) => path,
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        if let Some(token) = kept.as_ref().filter(|token| now < token.until) {
            return Ok(token.text.clone());
        }
        let answer = File::read(path).map_err(NoToken::Ever)?.ask(path, agent, now)?;
        let lifetime = answer.expires_in.map_or(LIFETIME, Duration::from_secs).min(LIFETIME);
        let token = Token { text: answer.access_token, until: now + lifetime * 4 / 5 };
        Ok(kept.insert(token).text.clone())
    }

    /// Forgets the token; false where there was none.
    pub(crate) fn forget(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

/// What Google answers.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// A file of credentials.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum File {
    ServiceAccount {
        client_email: String,
        private_key: String,
        #[serde(default)]
        private_key_id: Option<String>,
        #[serde(default)]
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        #[serde(default)]
        token_uri: Option<String>,
    },
}

/// What is wrong with a file of credentials; nothing of its contents is said.
fn wrong(path: &Path, found: impl fmt::Display) -> String {
    let expected = "the credentials of a service account or of an authorized user (JSON)";
    format!("{}: expected {expected}, found {found}", path.display())
}

impl File {
    fn read(path: &Path) -> Result<Self, String> {
        let text = fs_err::read(path).map_err(|error| error.to_string())?;
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|_| wrong(path, "what is no JSON"))?;
        let kind = value["type"].as_str().map(str::to_owned);
        // Of what stands there only what cannot be a secret is said.
        serde_json::from_value(value).map_err(|error| match kind.as_deref() {
            Some("service_account" | "authorized_user") => match error.to_string() {
                missing if missing.starts_with("missing field") => wrong(path, missing),
                _ => wrong(path, "a field that is no text"),
            },
            Some(kind) if kind.len() < 40 && kind.bytes().all(|c| c.is_ascii_lowercase() || c == b'_') => {
                wrong(path, kind)
            }
            Some(_) => wrong(path, "another `type`"),
            None => wrong(path, "no `type`"),
        })
    }

    /// Asks for a token.
    fn ask(&self, path: &Path, agent: &Agent, now: SystemTime) -> Result<Answer, NoToken> {
        let (uri, form) = match self {
            Self::ServiceAccount { client_email, private_key, private_key_id, token_uri } => {
                let uri = token_uri.as_deref().unwrap_or(TOKEN_URI);
                let signed = signed(client_email, private_key, private_key_id.as_deref(), uri, now)
                    .map_err(|found| NoToken::Ever(wrong(path, found)))?;
                let grant = encoded("urn:ietf:params:oauth:grant-type:jwt-bearer");
                (uri, format!("grant_type={grant}&assertion={signed}"))
            }
            Self::AuthorizedUser { client_id, client_secret, refresh_token, token_uri } => {
                let [id, secret, token] = [client_id, client_secret, refresh_token].map(|text| encoded(text));
                let form = format!(
                    "grant_type=refresh_token&client_id={id}&client_secret={secret}&refresh_token={token}"
                );
                (token_uri.as_deref().unwrap_or(TOKEN_URI), form)
            }
        };
        if !is_private(uri) {
            return Err(NoToken::Ever(wrong(path, "a `token_uri` without https")));
        }
        let failed = |why: String| format!("no token by {} from {uri}: {why}", path.display());
        let call = agent.post(uri).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = call.send(form.as_str()).map_err(|error| NoToken::ForNow(failed(error.to_string())))?;
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string();
        let text = text.map_err(|error| NoToken::ForNow(failed(error.to_string())))?;
        if status == 200 {
            let nothing = |_| NoToken::Ever(failed("an answer without a token".to_owned()));
            return serde_json::from_str(&text).map_err(nothing);
        }
        let said = said_of(&text).map_or_else(String::new, |said| format!(": {said}"));
        let why = failed(format!("{}{said}", status_in_words(status)));
        let may_pass = matches!(status, 408 | 425 | 429 | 500..=599);
        Err(if may_pass { NoToken::ForNow(why) } else { NoToken::Ever(why) })
    }
}

/// What an answer without a token says (RFC 6749, section 5.2).
fn said_of(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let said = value["error_description"].as_str().or(value["error"].as_str());
    said.map_or_else(|| message_of(text), message_of)
}

#[derive(Serialize)]
struct Head<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// A request for a token, signed by the service account: a JSON Web Token, by RS256.
fn signed(
    email: &str,
    private_key: &str,
    key_id: Option<&str>,
    audience: &str,
    now: SystemTime,
) -> Result<String, &'static str> {
    let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let head = serde_json::to_vec(&Head { alg: "RS256", typ: "JWT", kid: key_id });
    let exp = issued + LIFETIME.as_secs();
    let claims = serde_json::to_vec(&Claims { iss: email, scope: SCOPE, aud: audience, iat: issued, exp });
    let [head, claims] = [head, claims].map(|part| part.map(|text| URL_SAFE_NO_PAD.encode(text)));
    let unfit = |_| "what cannot be written as JSON";
    let text = format!("{}.{}", head.map_err(unfit)?, claims.map_err(unfit)?);
    let key = key_of(private_key)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| "a private key that signs nothing")?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The key in a PEM text, as Google writes it (PKCS #8), or as OpenSSL does (PKCS #1).
fn key_of(pem: &str) -> Result<RsaKeyPair, &'static str> {
    let wrong = "no RSA key in PEM as `private_key`";
    let lines = pem.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN "));
    let is_pkcs1 = pem.contains("-----BEGIN RSA PRIVATE KEY-----");
    let inner: String = lines.skip(1).take_while(|line| !line.starts_with("-----END ")).collect();
    let der = STANDARD.decode(inner).map_err(|_| wrong)?;
    let key = if is_pkcs1 { RsaKeyPair::from_der(&der) } else { RsaKeyPair::from_pkcs8(&der) };
    key.map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that opens nothing: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`.
    const KEY: &str = include_str!("../tests/served/key.pem");

    /// The signature is OpenSSL's: `printf %s "$text" | openssl dgst -sha256 -sign key.pem | basenc --base64url`, where `text` is what stands
    /// before the second full stop.
    #[test]
    fn signatures_are_those_of_openssl() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let email = "reader@p.iam.gserviceaccount.com";
        let signed = signed(email, KEY, Some("k1"), TOKEN_URI, now).unwrap();
        let expected = concat!(
            "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.",
            "eyJpc3MiOiJyZWFkZXJAcC5pYW0uZ3NlcnZpY2VhY2NvdW50LmNvbSIsInNjb3BlIjoiaHR0cHM6Ly93d3cuZ29vZ2xlYXBpcy5j",
            "b20vYXV0aC9kZXZzdG9yYWdlLnJlYWRfb25seSIsImF1ZCI6Imh0dHBzOi8vb2F1dGgyLmdvb2dsZWFwaXMuY29tL3Rva2VuIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDM2MDB9",
            ".XWgp6Y2Ca2I45Ye4x8f1Aj_qSS2iNnVLanZVKE9v4NS_8kkOYS4uBVntFLm4RQUAd5fIPV2UMdvLfUeps4RPFJ2CmpWGlbruP1IOGpK62xxg5iZX59CfAoqs1BW78YL8k3zoSVpHdMyV2lLvj4cKunSlbINuBmtRCkf8bspdsh7e",
            "2JhyLFzbvWaOOqHeHv4AjEizxYNyS_QnCdZJpUqDIjaMuzEPGuzyVVptyuNLjRkHU6tYFGW9hoTk_NWk2eg2Ltu3ZZzvtu-dz967m51NruMFGRdrpvYwqMEY4dbiW1JHIy20Sh0ZknH1ry3gOTsBVIPzIXOeJuDzbnPrti3Ihg"
        );
        assert_eq!(signed, expected);
    }

    #[test]
    fn keys_that_are_none_are_refused_without_being_shown() {
        let halved = KEY.replace("MII", "");
        let with_other = KEY.replace("PRIVATE", "RSA PRIVATE");
        for pem in
            ["", "-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----", &halved, &with_other]
        {
            assert_eq!(key_of(pem).err(), Some("no RSA key in PEM as `private_key`"));
        }
        let shown = format!("{:?}", GoogleCredentials::Token("secret".into()));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn files_of_other_kinds_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.json");
        for (text, found) in [
            ("{", "found what is no JSON"),
            ("{}", "found no `type`"),
            (r#"{"type": "external_account"}"#, "found external_account"),
            (r#"{"type": "service_account", "client_email": "a"}"#, "found missing field `private_key`"),
            (r#"{"type": "authorized_user", "client_id": 7}"#, "found a field that is no text"),
        ] {
            fs_err::write(&path, text).unwrap();
            let message = File::read(&path).err().unwrap();
            let expected =
                "key.json: expected the credentials of a service account or of an authorized user (JSON), ";
            assert!(message.contains(expected) && message.ends_with(found), "{message}");
        }
        assert!(File::read(&folder.path().join("none.json")).err().unwrap().contains("none.json"));
    }
}
