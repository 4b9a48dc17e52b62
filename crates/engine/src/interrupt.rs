//! Ctrl-C, seen by the stage that runs.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that asks the running stage to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks to stop; false if it was asked before.
    pub fn request(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// True once it has been asked to stop.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The flag as walks through folders hear it.
    pub fn stop(&self) -> dcgan_files::walk::Stop {
        self.0.clone().into()
    }

    /// What an observer returns.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// A run was stopped on request; says how to go on.
#[derive(Debug, Clone)]
pub struct Interrupted {
    /// The stage that was running.
    pub stage: String,
    /// True if what it had done is kept and taken up by the next run.
    pub is_resumable: bool,
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "interrupted in stage `{}`; run the same command again to ", self.stage)?;
        if self.is_resumable {
            write!(f, "resume it from its last checkpoint")
        } else {
            write!(f, "start this stage afresh (finished stages are kept)")
        }
    }
}

impl std::error::Error for Interrupted {}
