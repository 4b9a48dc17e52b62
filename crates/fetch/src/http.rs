//! One HTTP request, on a thread of its own, so that a silent server cannot keep the caller from stopping.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::{HeaderMap, Response, header};

use crate::range::ContentRange;
use crate::s3::S3;
use crate::{Options, Result};

const CHUNK: usize = 256 << 10;
/// Chunks read ahead.
const N_AHEAD: usize = 8;
/// Longest wait that a server may ask for.
const LONGEST_RETRY_AFTER: u64 = 300;

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
    /// For addresses `s3://…`.
    pub(crate) s3: S3,
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
}

/// What comes, in this order.
#[derive(Debug)]
pub(crate) enum Message {
    Head(Head),
    Bytes(Vec<u8>),
    End,
    /// The connection failed, in words.
    Failed(String),
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
            let _ = sender.send(Message::Failed(error));
        }
    })?;
    Ok(receiver)
}

fn receive(
    agent: &Agent,
    request: &Request,
    sender: &SyncSender<Message>,
) -> std::result::Result<(), String> {
    let (url, signature) = request.s3.request(&request.url, SystemTime::now());
    let mut call = agent.get(&url).header(header::ACCEPT_ENCODING, "identity");
    for (name, value) in signature {
        call = call.header(name, value);
    }
    if request.only_head {
        call = call.header(header::RANGE, "bytes=0-0");
    } else if request.start > 0 {
        call = call.header(header::RANGE, format!("bytes={}-", request.start));
        if let Some(if_range) = &request.if_range {
            call = call.header(header::IF_RANGE, if_range);
        }
    }
    let response = call.call().map_err(|e| e.to_string())?;
    let head = head(&response);
    let is_file = matches!(head.status, 200 | 206);
    if sender.send(Message::Head(head)).is_err() || !is_file || request.only_head {
        return Ok(());
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut bytes = vec![0; CHUNK];
        let n = body.read(&mut bytes).map_err(|e| e.to_string())?;
        bytes.truncate(n);
        let message = if n == 0 { Message::End } else { Message::Bytes(bytes) };
        if sender.send(message).is_err() || n == 0 {
            return Ok(());
        }
    }
}

fn head<B>(response: &Response<B>) -> Head {
    let headers = response.headers();
    let seconds = text(headers, header::RETRY_AFTER).and_then(|value| value.trim().parse::<u64>().ok());
    Head {
        status: response.status().as_u16(),
        n_bytes: text(headers, header::CONTENT_LENGTH).and_then(|value| value.trim().parse().ok()),
        range: text(headers, header::CONTENT_RANGE).and_then(|value| ContentRange::parse(&value)),
        // Only a strong one promises the same bytes.
        etag: text(headers, header::ETAG).filter(|etag| etag.starts_with('"')),
        modified: text(headers, header::LAST_MODIFIED),
        retry_after: seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER))),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A status in words.
pub(crate) fn status(status: u16) -> String {
    let words = ureq::http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    format!("the server answers {status} {}", words.unwrap_or_default()).trim_end().to_owned()
}
