//! Kills a process at its calls that rename, remove or make files and folders. A library loaded before the C library counts the
//! calls and kills.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Kills the process at the call of number `DCGAN_KILL_AT`, before it is made or after; without it, writes how many there were.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int n_calls;

static void count(int is_after) {
    const char *at = getenv("DCGAN_KILL_AT"), *after = getenv("DCGAN_KILL_AFTER");
    int n = is_after ? __atomic_load_n(&n_calls, __ATOMIC_SEQ_CST) : __atomic_add_fetch(&n_calls, 1, __ATOMIC_SEQ_CST);
    if (at && n >= atoi(at) && is_after == (after != NULL)) kill(getpid(), SIGKILL);
}

#define WRAP(name, parameters, arguments)                                   \
    int name parameters {                                                   \
        int (*real) parameters = (int (*) parameters)dlsym(RTLD_NEXT, #name); \
        count(0);                                                           \
        int result = real arguments;                                        \
        count(1);                                                           \
        return result;                                                      \
    }
WRAP(rename, (const char *a, const char *b), (a, b))
WRAP(unlink, (const char *a), (a))
WRAP(rmdir, (const char *a), (a))
WRAP(mkdir, (const char *a, mode_t b), (a, b))
WRAP(unlinkat, (int a, const char *b, int c), (a, b, c))
WRAP(link, (const char *a, const char *b), (a, b))
WRAP(linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e))

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("DCGAN_N_CALLS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) { fprintf(file, "%d", n_calls); fclose(file); }
}
"#;

/// The library, built in a folder of its own; none without a C compiler.
pub(crate) fn library(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("kill.c"), folder.join("kill.so"));
    std::fs::write(&source, LIBRARY).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no C compiler");
        return None;
    }
    Some(library)
}

/// `DCGAN_FAULT_EVERY`: at every how manieth call.
pub(crate) fn step(default: usize) -> usize {
    std::env::var("DCGAN_FAULT_EVERY").map_or(default, |text| text.parse().unwrap())
}

/// Lets `command` be killed at a call, before it is made or after.
pub(crate) fn kill_at(command: &mut Command, library: &Path, call: usize, is_after: bool) {
    command.env("LD_PRELOAD", library).env("DCGAN_KILL_AT", call.to_string());
    if is_after {
        command.env("DCGAN_KILL_AFTER", "1");
    }
}

/// Runs `command` to its end and returns how many calls it made.
pub(crate) fn count(command: &mut Command, library: &Path) -> usize {
    let told = tempfile::NamedTempFile::new().unwrap();
    let output = command.env("LD_PRELOAD", library).env("DCGAN_N_CALLS", told.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(told.path()).unwrap().parse().unwrap()
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}
