//! How much memory the process held while one stage ran, where the system tells (Linux).

use std::sync::{Mutex, PoisonError};

/// Stages that are being measured now, and how many ever were.
static MEASURED: Mutex<(usize, u64)> = Mutex::new((0, 0));

/// The most memory that the process ever held, in bytes, or since it was last [reset](PeakMemory::start).
pub fn high_water_mark() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}

/// Measures from its making on. The mark is the whole process's: it is a stage's only while no other stage runs.
#[derive(Debug)]
pub struct PeakMemory {
    /// Its number, where it is alone and the mark could be reset.
    number: Option<u64>,
}

impl PeakMemory {
    /// Gives back what the process holds unused, and sets the high-water mark to what it holds now.
    pub fn start() -> Self {
        let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
        measured.0 += 1;
        measured.1 += 1;
        if measured.0 > 1 {
            return Self { number: None };
        }
        release_freed();
        // man 5 proc_pid_clear_refs: 5 resets the peak of the resident set.
        let is_reset = fs_err::write("/proc/self/clear_refs", "5").is_ok();
        Self { number: is_reset.then_some(measured.1) }
    }

    /// The most resident memory since the start, in bytes, mapped files among it; none if another stage ran beside it
    /// or the system does not tell.
    pub fn bytes(&self) -> Option<u64> {
        let measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
        (self.number == Some(measured.1)).then(high_water_mark).flatten()
    }
}

impl Drop for PeakMemory {
    fn drop(&mut self) {
        MEASURED.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
    }
}

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
