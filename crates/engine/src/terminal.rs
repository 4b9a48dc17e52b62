//! The one way to stdout and stderr: nothing that could steer a terminal, and no failure where nobody reads.
//!
//! What is said on stderr is lost where it cannot be written, and the run goes on. What is printed on stdout is data: a
//! reader that has closed the pipe wants no more of it, anything else that goes wrong is an error.

use std::fmt::{Display, Write as _};
use std::io::{ErrorKind, Write as _};

use console::Term;
use dcgan_files::words::{plain, steers_a_terminal};
use indicatif::TermLike;
use serde::Serialize;

/// Says a line on stderr.
pub fn say(line: impl Display) {
    let text = format!("{}\n", plain(&line.to_string()));
    // In one piece, so that lines of several threads do not mix.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints a text on stdout.
///
/// # Errors
/// If it cannot be written, but for a pipe that nobody reads any more.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(plain(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(std::io::Error::new(error.kind(), format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints a value as JSON, in which such characters are JSON's own escapes.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    let mut escaped = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // Outside of strings JSON has none of them.
        match steers_a_terminal(c) {
            true => _ = write!(escaped, "\\u{:04x}", u32::from(c)),
            false => escaped.push(c),
        }
    }
    escaped.push('\n');
    print(&escaped)
}

/// Says what a panic says by the same way as all else.
pub fn hook_panics() {
    std::panic::set_hook(Box::new(|info| {
        let backtrace = std::backtrace::Backtrace::capture();
        let thread = std::thread::current();
        say(format_args!("thread '{}' {info}", thread.name().unwrap_or("<unnamed>")));
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            say(backtrace);
        }
    }));
}

/// Columns of the terminal behind stderr; 80 where there is none.
pub(crate) fn width() -> usize {
    Term::stderr().size().1.into()
}

/// The terminal behind stderr for bars. What cannot be written is lost: a bar must not end a run.
#[derive(Debug)]
pub(crate) struct Bars(Term);

impl Bars {
    pub(crate) fn new() -> Self {
        Self(Term::buffered_stderr())
    }
}

/// Forgets a failure.
fn lost(_: std::io::Result<()>) -> std::io::Result<()> {
    Ok(())
}

impl TermLike for Bars {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        lost(self.0.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        lost(self.0.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        lost(self.0.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        lost(self.0.move_cursor_left(n))
    }

    fn write_line(&self, line: &str) -> std::io::Result<()> {
        lost(self.0.write_line(line))
    }

    fn write_str(&self, text: &str) -> std::io::Result<()> {
        lost(self.0.write_str(text))
    }

    fn clear_line(&self) -> std::io::Result<()> {
        lost(self.0.clear_line())
    }

    fn flush(&self) -> std::io::Result<()> {
        lost(self.0.flush())
    }
}
