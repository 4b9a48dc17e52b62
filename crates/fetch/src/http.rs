//! One HTTP request, on a thread of its own, so that a silent server cannot keep the caller from stopping.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use ureq::http::header::{self, HeaderName};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use crate::range::ContentRange;
use crate::refusal::{NoToken, message_of, status_in_words};
use crate::stores::{self, Kind, Stores};
use crate::{Options, Result};

const CHUNK: usize = 256 << 10;
/// Chunks read ahead.
const N_AHEAD: usize = 8;
/// Longest wait that a server may ask for.
const LONGEST_RETRY_AFTER: u64 = 300;
/// What bytes may have gone through on the way; other values of the header say nothing of them (`utf-8`, `aws-chunked`).
const ENCODINGS: [&str; 5] = ["gzip", "deflate", "compress", "br", "zstd"];
/// Bytes of a refusal that are read.
const MAX_SAID: u64 = 64 << 10;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) url: String,
    /// First byte wanted; 0 for the whole file.
    pub(crate) start: u64,
    /// The `ETag` or date that the file must still have for the rest to be sent.
    pub(crate) if_range: Option<String>,
    /// Only the first byte, to hear what the server says of the file.
    pub(crate) only_head: bool,
    /// For addresses of objects.
    pub(crate) stores: Stores,
}

/// What the server says before the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) n_bytes: Option<u64>,
    /// Of the header `Content-Range`; none also if it makes no sense.
    pub(crate) range: Option<ContentRange>,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// The header `Content-Encoding`, where the bytes are not the file's own.
    pub(crate) encoding: Option<String>,
    /// Of an object store that sends no object, what it says.
    pub(crate) said: String,
}

impl Head {
    /// Why there is no file.
    pub(crate) fn refusal(&self) -> String {
        format!("{}{}", status_in_words(self.status), self.said)
    }
}

/// What comes, in this order.
#[derive(Debug)]
pub(crate) enum Message {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    /// The connection failed, in words.
    Failed(String),
    /// Nothing can be asked, nor later, in words.
    Hopeless(String),
}

/// Makes the client. Certificates are checked against Mozilla's list, which is built in; redirects are followed, but from
/// https never to http.
pub(crate) fn agent(options: &Options, is_https: bool) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(is_https)
        .max_redirects(10)
        .user_agent(concat!("dcgan/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(options.stall))
        .timeout_connect(Some(options.stall))
        .timeout_recv_response(Some(options.stall))
        .timeout_per_read(Some(options.stall));
    if !options.proxy_from_environment {
        config = config.proxy(None);
    }
    config.build().new_agent()
}

/// Sends a request; what comes back arrives through the channel. Dropping it ends the connection.
pub(crate) fn send(agent: &Agent, request: Request) -> Result<Receiver<Message>> {
    let (sender, receiver) = sync_channel(N_AHEAD);
    let agent = agent.clone();
    std::thread::Builder::new().name("download".into()).spawn(move || {
        if let Err(error) = receive(&agent, &request, &sender) {
            // A receiver that is gone has no use for the error.
            let _ = sender.send(match error {
                NoToken::ForNow(why) => Message::Failed(why),
                NoToken::Ever(why) => Message::Hopeless(why),
            });
        }
    })?;
    Ok(receiver)
}

/// Sends what comes; an error is why nothing, or nothing more, does.
fn receive(
    agent: &Agent,
    request: &Request,
    sender: &SyncSender<Message>,
) -> std::result::Result<(), NoToken> {
    let for_now = |error: String| NoToken::ForNow(error);
    let mut response = call(agent, request)?;
    if request.stores.may_renew(&request.url, response.status().as_u16()) {
        response = call(agent, request)?;
    }
    let mut head = head(&response, &request.url);
    let is_file = matches!(head.status, 200 | 206);
    if !is_file && stores::is_object(&request.url) {
        head.said = said(response, &request.stores, &request.url);
        let _ = sender.send(Message::Head(head));
        return Ok(());
    }
    if sender.send(Message::Head(head)).is_err() || !is_file || request.only_head {
        return Ok(());
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut bytes = vec![0; CHUNK];
        let n = body.read(&mut bytes).map_err(|e| for_now(e.to_string()))?;
        bytes.truncate(n);
        let message = if n == 0 { Message::End } else { Message::Bytes(bytes) };
        if sender.send(message).is_err() || n == 0 {
            return Ok(());
        }
    }
}

/// Asks, and follows redirects. Amazon's store also answers so without saying where to: that is a refusal. Where a request is signed it is
/// one too: the signature is the first host's, and a session's token is nobody else's.
fn call(agent: &Agent, request: &Request) -> std::result::Result<Response<Body>, NoToken> {
    if stores::kind_of(&request.url) == Kind::S3 {
        let response = call_once(agent, request, Some(0))?;
        let is_signed = request.stores.s3.credentials.is_some();
        let leads_on =
            response.status().is_redirection() && response.headers().contains_key(header::LOCATION);
        if is_signed || !leads_on {
            return Ok(response);
        }
    }
    call_once(agent, request, None)
}

fn call_once(
    agent: &Agent,
    request: &Request,
    max_redirects: Option<u32>,
) -> std::result::Result<Response<Body>, NoToken> {
    // Of what is asked for from its first byte there is nothing to compare with.
    let unchanged = request.if_range.as_deref().filter(|_| request.start > 0 && !request.only_head);
    let (url, headers) = request.stores.request(agent, &request.url, unchanged)?;
    let mut call = agent.get(&url).header(header::ACCEPT_ENCODING, "identity");
    for (name, value) in headers {
        call = call.header(name, value);
    }
    if request.only_head {
        call = call.header(header::RANGE, "bytes=0-0");
    } else if request.start > 0 {
        call = call.header(header::RANGE, format!("bytes={}-", request.start));
    }
    if let Some(max) = max_redirects {
        call = call.config().max_redirects(max).build();
    }
    call.call().map_err(|error| NoToken::ForNow(error.to_string()))
}

/// What an object store says where it sends no object.
fn said(response: Response<Body>, stores: &Stores, url: &str) -> String {
    let status = response.status().as_u16();
    let region = text(response.headers(), HeaderName::from_static("x-amz-bucket-region"));
    let mut body = Vec::new();
    // What breaks off says nothing, or enough.
    let _ = response.into_body().into_reader().take(MAX_SAID).read_to_end(&mut body);
    let message = message_of(&String::from_utf8_lossy(&body));
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    let is_elsewhere = matches!(status, 301 | 307 | 400) && region.as_deref() != Some(stores.s3.region());
    let region = region.filter(|_| is_elsewhere);
    let region = region.map(|region| format!(" (the bucket's region is {region}; set AWS_REGION)"));
    format!("{message}{}{}", region.unwrap_or_default(), stores.advice(url, status))
}

fn head<B>(response: &Response<B>, url: &str) -> Head {
    let headers = response.headers();
    let is_googles = stores::kind_of(url) == Kind::Gcs;
    // Google's `ETag` is not one of the bytes alone; a generation is.
    let generation = || Some(format!("\"{}\"", text(headers, HeaderName::from_static("x-goog-generation"))?));
    let seconds = text(headers, header::RETRY_AFTER).and_then(|value| value.trim().parse::<u64>().ok());
    Head {
        status: response.status().as_u16(),
        n_bytes: text(headers, header::CONTENT_LENGTH).and_then(|value| value.trim().parse().ok()),
        range: text(headers, header::CONTENT_RANGE).and_then(|value| ContentRange::parse(&value)),
        // Only a strong one promises the same bytes.
        etag: match is_googles {
            true => generation(),
            false => text(headers, header::ETAG).filter(|etag| etag.starts_with('"')),
        },
        modified: text(headers, header::LAST_MODIFIED).filter(|_| !is_googles),
        retry_after: seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER))),
        encoding: text(headers, header::CONTENT_ENCODING)
            .filter(|encoding| ENCODINGS.iter().any(|name| encoding.to_ascii_lowercase().contains(name))),
        said: String::new(),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
