//! One attempt to download a file, or the rest of it, from one address.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ureq::Agent;

use crate::event::{Action, Observe, progress};
use crate::http::{self, Head, Message, Request};
use crate::part::{Origin, Part};
use crate::watch::{Growth, Stall};
use crate::{FetchError, Options, RemoteFile, Result, space};

/// How often the caller is asked whether to go on while nothing arrives.
const TICK: Duration = Duration::from_millis(100);

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// All bytes that the server announced are there.
    Complete,
    /// It may go better next time; what has arrived is kept.
    Failed { why: String, wait: Option<Duration> },
    /// It will not go better at this address.
    Hopeless { why: String },
}

fn failed(why: impl Into<String>) -> Attempt {
    Attempt::Failed { why: why.into(), wait: None }
}

fn hopeless(why: impl Into<String>) -> Attempt {
    Attempt::Hopeless { why: why.into() }
}

/// Makes one attempt.
///
/// # Errors
/// [`FetchError::Interrupted`], and what cannot be mended by trying again: no room, or a file that cannot be written.
pub(crate) fn attempt(
    agent: &Agent,
    url: &str,
    file: &RemoteFile,
    part: &mut Part,
    options: &Options,
    observe: &mut Observe<'_>,
) -> Result<Attempt> {
    if !may_go_on(part, url, file) {
        part.clear()?;
    }
    let start = part.n_bytes();
    if start > 0 && part.origin().total.or(file.bytes) == Some(start) {
        return Ok(Attempt::Complete);
    }
    let if_range = (part.origin().url == url).then(|| part.origin().validator().map(str::to_owned)).flatten();
    let messages = http::send(
        agent,
        Request { url: url.to_owned(), start, if_range, only_head: false, stores: options.stores.clone() },
    )?;
    let mut stall = Stall::new(options.stall);
    match next(&messages, file, part, &mut stall, observe)? {
        Some(Message::Head(head)) => {
            if let Some(outcome) = begin(&head, url, file, part, options)? {
                return Ok(outcome);
            }
        }
        Some(Message::Failed(why)) => return Ok(failed(why)),
        Some(Message::Hopeless(why)) => return Ok(hopeless(why)),
        Some(Message::Bytes(_) | Message::End) => return Ok(failed("an answer without a head")),
        None => return Ok(failed(stall.to_string())),
    }
    receive(&messages, file, part, options, &mut stall, observe)
}

/// Whether what is there can be continued from this address: only where the same file is certain, because the server can
/// compare its validator, or because the checksum will tell.
fn may_go_on(part: &Part, url: &str, file: &RemoteFile) -> bool {
    let is_too_long = file.bytes.is_some_and(|n_bytes| part.n_bytes() > n_bytes);
    let same_server = part.origin().url == url && part.origin().validator().is_some();
    part.n_bytes() > 0 && !is_too_long && (same_server || file.checksum.is_some())
}

/// Judges the head; none if the bytes that follow are to be appended.
fn begin(
    head: &Head,
    url: &str,
    file: &RemoteFile,
    part: &mut Part,
    options: &Options,
) -> Result<Option<Attempt>> {
    let start = part.n_bytes();
    match head.status {
        // Also the answer to a range, where the server does not know ranges or the file has changed.
        200 => part.begin(Origin::new(url, head))?,
        206 if start > 0 => {
            if let Some(why) = wrong_range(head, url, start, part.origin()) {
                part.clear()?;
                return Ok(Some(failed(why)));
            }
        }
        416 if start > 0 => {
            let total = head.range.and_then(|range| range.total);
            if total == Some(start) {
                return Ok(Some(Attempt::Complete));
            }
            part.clear()?;
            return Ok(Some(failed(format!("the server has no byte {start}; beginning anew"))));
        }
        412 if start > 0 => {
            part.clear()?;
            return Ok(Some(failed("the file has changed meanwhile; beginning anew")));
        }
        408 | 425 | 429 | 500..=599 => {
            return Ok(Some(Attempt::Failed { why: head.refusal(), wait: head.retry_after }));
        }
        _ => return Ok(Some(hopeless(head.refusal()))),
    }
    if let Some(encoding) = head.encoding.as_deref().filter(|_| !is_compressed(&file.name)) {
        part.clear()?;
        return Ok(Some(hopeless(format!(
            "expected the file as it is, the server sends it compressed (Content-Encoding: {encoding}); store it without"
        ))));
    }
    let total = match head.status {
        200 => head.n_bytes,
        _ => part.origin().total.or(head.range.and_then(|range| range.total)),
    };
    if let (Some(expected), Some(total)) = (file.bytes, total)
        && expected != total
    {
        part.clear()?;
        return Ok(Some(hopeless(format!("expected {expected} bytes, the server offers {total}"))));
    }
    if let Some(total) = total {
        if let Some(why) = Growth::new(file, Some(total), options).over(total) {
            part.clear()?;
            return Ok(Some(hopeless(format!("the server offers {total} bytes, {why}"))));
        }
        let folder = part.path().parent().unwrap_or(part.path());
        space::check(folder, &file.name, total.saturating_sub(part.n_bytes()))?;
    }
    Ok(None)
}

/// Whether a file's name says that it is compressed: some servers announce what it is as how they send it.
fn is_compressed(name: &str) -> bool {
    let name = name.to_lowercase();
    [".gz", ".tgz", ".z", ".bz2", ".xz", ".zst", ".br"].iter().any(|ending| name.ends_with(ending))
}

/// What is wrong with a partial answer, if something is.
fn wrong_range(head: &Head, url: &str, start: u64, origin: &Origin) -> Option<String> {
    let Some(range) = head.range else {
        return Some("a part of the file without saying which; beginning anew".into());
    };
    if range.start != Some(start) {
        let found = range.start.map_or("nothing".into(), |found| format!("the rest from byte {found}"));
        return Some(format!("expected the rest from byte {start}, found {found}; beginning anew"));
    }
    let has_changed = match (&origin.etag, &head.etag) {
        // Tags of different servers say nothing of each other: there the checksum decides.
        (Some(old), Some(new)) => origin.url == url && old != new,
        _ => false,
    };
    let other_size = range.total.is_some() && origin.total.is_some() && range.total != origin.total;
    (has_changed || other_size).then(|| "the file has changed meanwhile; beginning anew".into())
}

fn receive(
    messages: &Receiver<Message>,
    file: &RemoteFile,
    part: &mut Part,
    options: &Options,
    stall: &mut Stall,
    observe: &mut Observe<'_>,
) -> Result<Attempt> {
    let total = part.origin().total.or(file.bytes);
    let mut growth = Growth::new(file, total, options);
    let mut writer = part.writer()?;
    loop {
        match next(messages, file, part, stall, observe)? {
            Some(Message::Bytes(bytes)) => {
                stall.saw(bytes.len() as u64);
                if let Some(why) = growth.over(part.n_bytes() + bytes.len() as u64) {
                    return Ok(hopeless(format!("the file has {why}")));
                }
                growth.check_room(part)?;
                part.append(&mut writer, &bytes)?;
                if let Some(total) = total
                    && part.n_bytes() > total
                {
                    let why = format!("expected {total} bytes, found more");
                    part.clear()?;
                    return Ok(hopeless(why));
                }
            }
            Some(Message::End) => {
                writer.sync_all()?;
                return Ok(match total {
                    Some(total) if part.n_bytes() < total => {
                        failed(format!("the connection ended after {} of {total} bytes", part.n_bytes()))
                    }
                    _ => Attempt::Complete,
                });
            }
            Some(Message::Failed(why)) => return Ok(failed(why)),
            Some(Message::Hopeless(why)) => return Ok(hopeless(why)),
            Some(Message::Head(_)) => return Ok(failed("an answer with two heads")),
            None => return Ok(failed(stall.to_string())),
        }
    }
}

/// The next message; none once too little has come for too long.
fn next(
    messages: &Receiver<Message>,
    file: &RemoteFile,
    part: &Part,
    stall: &mut Stall,
    observe: &mut Observe<'_>,
) -> Result<Option<Message>> {
    loop {
        let total = part.origin().total.or(file.bytes);
        progress(observe, Action::Downloading, &file.name, part.n_bytes(), total)?;
        match messages.recv_timeout(TICK) {
            // Also where much waits to be read, a trickle is seen.
            _ if stall.is_over() => return Ok(None),
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Some(Message::Failed("the connection was lost".into())));
            }
        }
    }
}

/// Copies a file of a mirror that is a folder.
///
/// # Errors
/// As [`attempt`].
pub(crate) fn copy(
    source: &std::path::Path,
    file: &RemoteFile,
    part: &mut Part,
    observe: &mut Observe<'_>,
) -> Result<Attempt> {
    use std::io::Read as _;

    // A pipe would keep whoever opens it waiting.
    match fs_err::metadata(source) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(hopeless("expected a file, found a folder, a pipe or a device")),
        Err(e) => return Ok(hopeless(e.to_string())),
    }
    let mut reader = match fs_err::File::open(source) {
        Ok(reader) => reader,
        Err(e) => return Ok(hopeless(e.to_string())),
    };
    let total = reader.metadata()?.len();
    if let Some(expected) = file.bytes
        && expected != total
    {
        return Ok(hopeless(format!("expected {expected} bytes, found {total}")));
    }
    let origin = Origin { url: source.display().to_string(), total: Some(total), ..Origin::default() };
    part.begin(origin)?;
    space::check(part.path().parent().unwrap_or(source), &file.name, total)?;
    let mut writer = part.writer()?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        progress(observe, Action::Downloading, &file.name, part.n_bytes(), Some(total))?;
        match reader.read(&mut buffer).map_err(FetchError::from)? {
            0 => break,
            n => part.append(&mut writer, &buffer[..n])?,
        }
    }
    writer.sync_all()?;
    Ok(Attempt::Complete)
}
