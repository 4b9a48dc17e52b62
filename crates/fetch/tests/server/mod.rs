//! A real HTTP server on the loopback interface, whose every answer a test decides.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// 0 for the first request.
    pub(crate) number: usize,
    pub(crate) path: String,
    /// First byte of the range asked for.
    pub(crate) start: Option<u64>,
    pub(crate) if_range: Option<String>,
    /// Only the first byte is asked for.
    pub(crate) is_probe: bool,
    pub(crate) authorization: Option<String>,
    /// What is sent, of a POST.
    pub(crate) body: String,
}

/// What the server does.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection is closed after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Bytes sent at a time, and the pause after them.
    pub(crate) pace: Option<(usize, Duration)>,
    /// What `Content-Length` says instead of the truth; `None` in it: no such header.
    pub(crate) length: Option<Option<usize>>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: body.to_vec(), cut: None, pace: None, length: None }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn cut(mut self, n_bytes: usize) -> Self {
        self.cut = Some(n_bytes);
        self
    }

    pub(crate) fn pace(mut self, n_bytes: usize, pause: Duration) -> Self {
        self.pace = Some((n_bytes, pause));
        self
    }

    pub(crate) fn length(mut self, length: Option<usize>) -> Self {
        self.length = Some(length);
        self
    }
}

/// An honest answer: the file, or the part of it that was asked for if the file is still the one.
pub(crate) fn honest(file: &[u8], etag: &str, asked: &Asked) -> Reply {
    let same = asked.if_range.as_ref().is_none_or(|if_range| if_range == etag);
    let reply = match asked.start {
        Some(start) if same && start < file.len() as u64 => {
            let range = format!("bytes {start}-{}/{}", file.len() - 1, file.len());
            Reply::new(206, &file[start as usize..]).header("Content-Range", range)
        }
        Some(_) if same => Reply::new(416, b"").header("Content-Range", format!("bytes */{}", file.len())),
        _ => Reply::new(200, file),
    };
    reply.header("ETag", etag)
}

pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Starts a server on a free port; it ends with the process.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || {
                    // A client that goes away in the middle is part of the tests.
                    let _ = serve(stream.unwrap(), &log, &*answer);
                });
            }
        });
        Self { address, asked }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut start, mut if_range, mut is_probe) = (None, None, false);
    let (mut authorization, mut n_bytes) = (None, 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" if value == "bytes=0-0" => is_probe = true,
            "range" => {
                start =
                    value.strip_prefix("bytes=").and_then(|range| range.trim_end_matches('-').parse().ok())
            }
            "if-range" => if_range = Some(value.to_owned()),
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => n_bytes = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = String::new();
    reader.take(n_bytes).read_to_string(&mut body)?;
    let asked = {
        let mut log = log.lock().unwrap();
        let asked = Asked { number: log.len(), path, start, if_range, is_probe, authorization, body };
        log.push(asked.clone());
        asked
    };
    send(stream, &answer(&asked))
}

fn send(mut stream: TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", reply.status);
    if let Some(length) = reply.length.unwrap_or(Some(reply.body.len())) {
        head += &format!("Content-Length: {length}\r\n");
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    let (n, pause) = reply.pace.unwrap_or((body.len().max(1), Duration::ZERO));
    for chunk in body.chunks(n) {
        stream.write_all(chunk)?;
        stream.flush()?;
        std::thread::sleep(pause);
    }
    Ok(())
}
