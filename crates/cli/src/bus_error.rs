//! Files are mapped into memory. Where one becomes shorter while it is read, or its disk fails, the system sends SIGBUS: it is
//! made an error as any other.

use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_void};

const MESSAGE: &[u8] = b"
error: a file that was being read became shorter meanwhile, or its disk failed or is full
  Finished stages are as they were. Let nothing write into files while they are read, look at the disk, and run the same command again.
";

/// Sees to it that the process ends with a message and [`crate::FAILED`], not by the signal.
pub(crate) fn explain() {
    // SAFETY: the action is zeroed, which is a valid one (no flags, no signals blocked), and its handler is a function that calls
    // nothing but what POSIX allows in a handler. It is installed before any other thread is there.
    #[allow(unsafe_code)]
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = end as *const () as libc::sighandler_t;
        // On the stack that the standard library keeps for handlers.
        action.sa_flags = libc::SA_ONSTACK;
        // Where it cannot be installed, the signal ends the process as before.
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
    }
}

extern "C" fn end(_: c_int) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    let is_said = IS_SAID.swap(true, Ordering::Relaxed);
    // SAFETY: `pause`, `write` and `_exit` may be called in a handler; the message is as long as is said and lives for ever.
    #[allow(unsafe_code)]
    unsafe {
        if is_said {
            // Another thread says it, and ends the process.
            loop {
                libc::pause();
            }
        }
        libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast::<c_void>(), MESSAGE.len());
        libc::_exit(crate::FAILED.into());
    }
}
