//! Keeping memory between training steps, and giving it back after them.

/// Has the C library keep freed memory for the next allocation. Without, glibc gives every tensor of over 32 MiB back to the
/// system, and each step of a training waits for the same pages to be zeroed again. To be called once, before other
/// threads start; does nothing where the C library is another.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: mallopt only sets limits of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        // One heap: those of further threads are of 64 MiB at most.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives freed memory that [`keep_freed`] kept back to the system; does nothing where the C library is another.
pub fn release_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: malloc_trim returns pages to the system that nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
}
