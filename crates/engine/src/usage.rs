//! How much memory the process held and how long its processors ran while one stage ran, where the system tells (Linux).

use std::sync::{Mutex, PoisonError};

use crate::memory::{high_water_mark, release_freed};

/// Stages that are being measured now, and how many ever were.
static MEASURED: Mutex<(usize, u64)> = Mutex::new((0, 0));
/// Of a second, in what `/proc` tells of times.
const TICK: f64 = 0.01;

/// Measures from its making on. What it tells is the whole process's: it is a stage's only while no other stage runs.
#[derive(Debug)]
pub struct Usage {
    /// Its number, where it is alone.
    number: Option<u64>,
    /// Whether the mark of the memory could be reset.
    is_reset: bool,
    /// What the processors had run before, in seconds.
    cpu_seconds: Option<f64>,
}

impl Usage {
    /// Gives back what the process holds unused, and sets the high-water mark to what it holds now.
    pub fn start() -> Self {
        let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
        measured.0 += 1;
        measured.1 += 1;
        if measured.0 > 1 {
            return Self { number: None, is_reset: false, cpu_seconds: None };
        }
        release_freed();
        // man 5 proc_pid_clear_refs: 5 resets the peak of the resident set.
        let is_reset = fs_err::write("/proc/self/clear_refs", "5").is_ok();
        Self { number: Some(measured.1), is_reset, cpu_seconds: cpu_seconds() }
    }

    /// The most resident memory since the start, in bytes, mapped files among it; none if another stage ran beside it
    /// or the system does not tell.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        (self.is_alone() && self.is_reset).then(high_water_mark).flatten()
    }

    /// How long all processors together ran since the start, in seconds; none if another stage ran beside it or the system does not tell.
    pub fn cpu_seconds(&self) -> Option<f64> {
        let before = self.cpu_seconds.filter(|_| self.is_alone())?;
        Some(cpu_seconds()? - before)
    }

    fn is_alone(&self) -> bool {
        self.number == Some(MEASURED.lock().unwrap_or_else(PoisonError::into_inner).1)
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        MEASURED.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
    }
}

/// How long the processors ran for the process, its ended threads among it.
fn cpu_seconds() -> Option<f64> {
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    // man 5 proc_pid_stat: the name, in brackets, may hold anything; utime and stime are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Some(TICK * (user + system) as f64),
        _ => None,
    }
}
