//! Events for the caller while it waits.

use std::ops::ControlFlow;

use crate::{FetchError, Result};

/// What is being done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It comes over the network, or from a folder.
    Downloading,
    /// It is read and its checksum compared.
    Verifying,
    /// It is unpacked.
    Unpacking,
    /// It is copied to the disk that its place is on.
    Copying,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// So many bytes of a file are done; sent several times a second also while nothing moves.
    Progress {
        /// What is being done.
        action: Action,
        /// The file's name.
        file: &'a str,
        /// Bytes done.
        done: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
    },
    /// Something that people should know: a retry, a file taken as it is.
    Note(String),
}

/// Called with every event; breaks to stop.
pub type Observe<'a> = dyn FnMut(Event<'_>) -> ControlFlow<()> + 'a;

/// Reports progress.
///
/// # Errors
/// [`FetchError::Interrupted`] on a break.
pub(crate) fn progress(
    observe: &mut Observe<'_>,
    action: Action,
    file: &str,
    done: u64,
    total: Option<u64>,
) -> Result<()> {
    match observe(Event::Progress { action, file, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(FetchError::Interrupted),
    }
}

/// Says something; a break is seen at the next progress.
pub(crate) fn note(observe: &mut Observe<'_>, text: String) {
    let _ = observe(Event::Note(text));
}
