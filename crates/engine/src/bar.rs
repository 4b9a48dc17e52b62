//! The text of a progress bar: one line that fits a terminal of any width.

use std::time::{Duration, Instant};

use console::{measure_text_width, truncate_str};
use dcgan_files::words::duration;
use dcgan_files::words::grouped;

use crate::pulse::Beat;

const SPINNER: [char; 4] = ['|', '/', '-', '\\'];
/// Columns below which a bar shows nothing.
const SHORTEST_BAR: usize = 10;
/// Columns above which it shows nothing more.
const LONGEST_BAR: usize = 60;

/// What a bar shows.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The words before the bar.
    pub(crate) what: String,
    unit: &'static str,
    done: u64,
    /// 0: unknown.
    total: u64,
    began: Instant,
    /// Where counting began: what an earlier run had done is not this one's pace.
    first: Option<(u64, Instant)>,
    last: Instant,
}

impl Shown {
    pub(crate) fn new(what: String, unit: &'static str) -> Self {
        let now = Instant::now();
        Self { what, unit, done: 0, total: 0, began: now, first: None, last: now }
    }

    /// Notes how far it is.
    pub(crate) fn observe(&mut self, done: u64, total: u64, now: Instant) {
        self.first.get_or_insert((done, now));
        if done != self.done {
            self.last = now;
        }
        (self.done, self.total) = (done, total);
    }

    /// Things a second, once some are done.
    fn rate(&self) -> Option<f64> {
        let (first, since) = self.first?;
        let n = self.done.checked_sub(first).filter(|n| *n > 0)? as f64;
        Some(n / self.last.duration_since(since).as_secs_f64()).filter(|rate| rate.is_finite() && *rate > 0.0)
    }

    /// "41/s, 12 s left", or how long it has taken so far, where the pace is not known yet.
    fn pace(&self, now: Instant) -> String {
        let Some(rate) = self.rate() else {
            let so_far = now.duration_since(self.began);
            return if so_far < Duration::from_secs(2) {
                String::new()
            } else {
                format!(" ({} so far)", duration(so_far.as_secs_f64()))
            };
        };
        let per_second = match rate {
            100.0.. => format!("{}/s", grouped(rate.round() as u64)),
            1.0.. => format!("{rate:.1}/s"),
            _ => format!("{} each", duration(1.0 / rate)),
        };
        match self.total {
            0 => format!(" ({per_second})"),
            total => {
                let left = total.saturating_sub(self.done) as f64 / rate;
                let left = (left - now.duration_since(self.last).as_secs_f64()).max(0.0);
                format!(" ({per_second}, {} left)", duration(left))
            }
        }
    }

    /// For a log: `train: training 1,200/3,900 minibatches (3.2/s, 14 min left)`.
    pub(crate) fn words(&self, now: Instant) -> String {
        let of_all = if self.total == 0 { String::new() } else { format!("/{}", grouped(self.total)) };
        format!("{} {}{of_all} {}{}", self.what, grouped(self.done), self.unit, self.pace(now))
    }

    /// For those who watch from elsewhere.
    pub(crate) fn beat(&self, now: Instant) -> Beat {
        Beat { words: self.words(now), done: self.done, total: self.total }
    }

    /// The line, in less than `width` columns: the last one stays free, for some terminals begin a new line behind it.
    pub(crate) fn line(&self, width: usize, now: Instant) -> String {
        let room = width.saturating_sub(1);
        let turn = now.duration_since(self.began).as_millis() as usize / 250 % SPINNER.len();
        let count = match self.total {
            0 if self.done == 0 => String::new(),
            0 => format!(" {}", grouped(self.done)),
            total => format!(" {}/{}", grouped(self.done), grouped(total)),
        };
        let unit = if count.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let pace = self.pace(now);
        let what = format!("{} {}", SPINNER[turn], self.what);
        // Shorter and shorter; the last is cut off.
        let long = [format!("{count}{unit}{pace}"), format!("{count}{pace}"), count.clone()];
        let columns = measure_text_width;
        let tail = long.iter().find(|tail| columns(&what) + columns(tail) <= room).unwrap_or(&long[2]);
        let left = room.saturating_sub(columns(&what) + columns(tail) + 3);
        if self.total > 0 && left >= SHORTEST_BAR {
            let length = left.min(LONGEST_BAR);
            let filled = (self.done.min(self.total) as f64 / self.total as f64 * length as f64) as usize;
            return format!("{what} [{}{}]{tail}", "=".repeat(filled), " ".repeat(length - filled));
        }
        let for_what = room.saturating_sub(columns(tail));
        let line = format!("{}{tail}", truncate_str(&what, for_what, "…"));
        truncate_str(&line, room, "").into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(done: u64, total: u64, seconds: u64) -> (Shown, Instant) {
        let mut shown = Shown::new("train: training".to_owned(), "minibatches");
        let now = shown.began + Duration::from_secs(seconds);
        shown.observe(0, total, shown.began);
        shown.observe(done, total, now);
        (shown, now)
    }

    #[test]
    fn a_log_gets_words() {
        let (shown, now) = shown(1200, 3900, 100);
        assert_eq!(shown.words(now), "train: training 1,200/3,900 minibatches (12.0/s, 3 min 45 s left)");
    }

    #[test]
    fn no_pace_is_told_before_there_is_one() {
        let (shown, now) = shown(0, 3012, 30);
        let line = shown.line(120, now);
        assert!(line.ends_with("] 0/3,012 minibatches (30 s so far)"), "{line}");
        assert!(!line.contains("0/s") && !line.contains("left"), "{line}");
    }

    #[test]
    fn the_pace_is_that_of_this_run() {
        let (mut shown, now) = shown(100, 400, 10);
        assert!(shown.line(120, now).ends_with("] 100/400 minibatches (10.0/s, 30 s left)"));
        // Gone on from 200: two a second, not twenty.
        shown.first = Some((200, shown.began));
        shown.observe(220, 400, now);
        assert!(shown.line(120, now).ends_with("(2.0/s, 90 s left)"), "{}", shown.line(120, now));
    }

    #[test]
    fn a_line_is_never_as_wide_as_the_terminal() {
        for (done, total) in [(0, 0), (5000, 0), (0, 400), (123_456, 1_000_000)] {
            let (mut shown, now) = shown(done, total, 60);
            for what in
                ["training", "a-stage@seed=1,c=0.0001: reading pictures of 日本 in a folder of a long name"]
            {
                shown.what = what.to_owned();
                for width in 0..200 {
                    let line = shown.line(width, now);
                    assert!(measure_text_width(&line) < width.max(1), "{width}: {line}");
                }
            }
        }
    }
}
