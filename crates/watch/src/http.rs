//! HTTP as far as a page needs it that asks again and again: GET, and one answer a connection.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a request's head, at most.
const MAX_HEAD: usize = 16 << 10;
/// Lines of it, at most.
const MAX_HEADERS: usize = 64;
/// Connections at once, at most; what is beyond is closed.
const MAX_CONNECTIONS: usize = 64;
/// How long a head may take, and an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for a connection, and whether to stop.
const LOOK: Duration = Duration::from_millis(20);
/// The page holds its script and style itself, asks for JSON and pictures here, and for nothing elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The media type.
    pub(crate) kind: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What was asked for.
    pub(crate) fn ok(kind: &'static str, body: Vec<u8>) -> Self {
        Self { status: 200, kind, body }
    }

    /// A refusal, with why.
    pub(crate) fn refusal(status: u16, why: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{why}\n").into_bytes() }
    }

    fn head(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            _ => "Error",
        };
        let allow = if self.status == 405 { "Allow: GET\r\n" } else { "" };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\
             Cache-Control: no-store\r\nContent-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n\r\n",
            self.status,
            self.kind,
            self.body.len(),
        )
    }
}

/// Answers the path of each request.
pub(crate) type Handler = dyn Fn(&str) -> Answer + Send + Sync;

/// Answers until `must_stop`.
pub(crate) fn serve(
    listener: &TcpListener,
    answer: Arc<Handler>,
    must_stop: &dyn Fn() -> bool,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let n_open = Arc::new(AtomicUsize::new(0));
    while !must_stop() {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // A client that went away, or no room for a connection at the moment, is no reason to end.
            Err(_) => {
                std::thread::sleep(LOOK);
                continue;
            }
        };
        if n_open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            n_open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (answer, n_open_here) = (answer.clone(), n_open.clone());
        let talk = move || {
            // Whoever closes the connection wants no answer.
            let _ = talk(stream, &*answer);
            n_open_here.fetch_sub(1, Ordering::SeqCst);
        };
        if std::thread::Builder::new().name("answer".into()).spawn(talk).is_err() {
            n_open.fetch_sub(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

fn talk(mut stream: TcpStream, answer: &Handler) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(head) = read_head(&mut stream)? else { return Ok(()) };
    let answer = match path_of(&head) {
        Ok(path) => answer(&path),
        Err(refusal) => refusal,
    };
    stream.write_all(answer.head().as_bytes())?;
    stream.write_all(&answer.body)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // Closed with something unread, a connection is torn down, and the answer may be lost.
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let _ = std::io::copy(&mut stream.take(1 << 20), &mut std::io::sink());
    Ok(())
}

/// The head of a request; none where nothing comes.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let (began, mut head, mut part) = (Instant::now(), Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = PATIENCE.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        let n = match stream.read(&mut part) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            n => n?,
        };
        if n == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&part[..n]);
        if head.len() > MAX_HEAD {
            break;
        }
    }
    Ok(Some(head))
}

/// The path that is asked for.
///
/// A page of another site can have its own name lead to this machine, and would then read what is served here: only the names
/// of this machine itself are answered.
pub(crate) fn path_of(head: &[u8]) -> Result<String, Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let is_whole = request.parse(head).is_ok_and(|status| status.is_complete());
    let (true, Some(method), Some(path)) = (is_whole, request.method, request.path) else {
        return Err(Answer::refusal(400, "expected a request of HTTP 1"));
    };
    let hosts: Vec<&[u8]> = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"))
        .map(|header| header.value)
        .collect();
    if !matches!(hosts[..], [host] if is_this_machine(host)) {
        return Err(Answer::refusal(403, "expected the host 127.0.0.1 or localhost"));
    }
    if method != "GET" {
        return Err(Answer::refusal(405, "expected GET"));
    }
    Ok(path.to_owned())
}

/// Whatever the port: a tunnel may end at another.
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.split_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) => return false,
        None => host,
    };
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        path_of(head.as_bytes()).map_or_else(|answer| answer.status, |_| 200)
    }

    #[test]
    fn only_get_for_this_machine_is_answered() {
        let path = path_of(b"GET /a%2Fb?c HTTP/1.1\r\nHost: localhost:80\r\n\r\n");
        assert_eq!(path.as_deref(), Ok("/a%2Fb?c"));
        for host in ["127.0.0.1", "127.0.0.1:8080", "LocalHost", "localhost:1"] {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")), 200, "{host}");
        }
        let others = [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost:x",
            "localhost@evil:80",
            "",
            "[::1]",
            "127.0.0.1:80:80",
        ];
        for host in others {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 403, "{host}");
        }
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 403);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"), 403);
        for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(status(&format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n")), 405, "{method}");
        }
        for head in ["", "GET /", "nonsense\r\n\r\n", "GET / HTTP/2\r\nHost: localhost\r\n\r\n"] {
            assert_eq!(status(head), 400, "{head}");
        }
        let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS));
        assert_eq!(status(&many), 400);
    }
}
