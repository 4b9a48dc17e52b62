//! Threads beside the one that works.

use std::io;
use std::thread::{Builder, Scope};

/// Starts a thread of a scope under a name; it ends with the scope at the latest.
///
/// # Errors
/// Where the system lets no more threads be started, which [`Scope::spawn`] answers with a panic.
pub fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    let started = Builder::new().name(name.to_owned()).spawn_scoped(scope, work);
    started.map(|_| ()).map_err(|e| no_more(&e))
}

/// Starts the threads that compute: one for each processor, or as many as `RAYON_NUM_THREADS` says. To be called once, before
/// anything is computed.
///
/// # Errors
/// Where the system lets so many not be started, which rayon answers with a panic when they are first needed.
pub fn start_all() -> io::Result<()> {
    rayon::ThreadPoolBuilder::new().build_global().map_err(|e| no_more(&e))
}

/// Says what was wanted when no thread can be started.
fn no_more(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!(
        "expected to start another thread, found {error}; `ulimit -u` limits how many, `ulimit -v` their memory"
    ))
}
