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
    // Where the limit is met half-way, an allocation of one that has been started may meet it first, and ends the program.
    if let Some(n_bytes) = address_space() {
        let (wanted, room) = (n_threads(), n_bytes / STACK);
        if wanted > room {
            return Err(no_more(&format!("address space for {room} of {wanted}")));
        }
    }
    rayon::ThreadPoolBuilder::new().build_global().map_err(|e| no_more(&e))
}

/// Bytes of address space that a thread takes for its stack.
const STACK: u64 = 2 << 20;

/// Threads that rayon starts.
fn n_threads() -> u64 {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok()).filter(|&n| n > 0);
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u64))
}

/// Bytes of address space that this process may still take; none where nothing limits them, or the system does not tell.
fn address_space() -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
    Some(limit(&read("limits")?)?.saturating_sub(taken(&read("status")?)?))
}

/// The limit of the address space, in bytes, as Linux tells it; none where there is none.
fn limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What of it is taken, in bytes.
fn taken(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// Says what was wanted when no thread can be started.
fn no_more(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!(
        "expected to start another thread, found {error}; `ulimit -u` limits how many, `ulimit -v` their memory"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_address_space_is_read_as_linux_tells_it() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max cpu time              unlimited            unlimited            seconds   \n\
                      Max address space         1024000000           2048000000           bytes     \n";
        assert_eq!(limit(limits), Some(1_024_000_000));
        assert_eq!(limit(&limits.replace("1024000000", "unlimited")), None);
        assert_eq!(limit(""), None);
        assert_eq!(taken("VmPeak:\t  20 kB\nVmSize:\t    3000 kB\n"), Some(3_072_000));
        assert_eq!(taken("Name:\tdcgan\n"), None);
    }
}
