//! A limit on memory, so that a reader that trusts a number in a file fails where the number is wild.

/// Limits the address space of this process, so that an allocation beyond it ends the process. Where the system has no
/// such limit, nothing happens.
///
/// # Errors
/// If the system refuses.
pub fn limit(n_bytes: u64) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::As).maximum;
        setrlimit(Resource::As, Rlimit { current: Some(n_bytes), maximum })?;
    }
    #[cfg(not(unix))]
    let _ = n_bytes;
    Ok(())
}
