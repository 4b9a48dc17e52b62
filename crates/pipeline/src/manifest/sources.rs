//! The texts a manifest is put together from, laid end to end, so that one span names file and line.

use std::fmt;
use std::ops::Range;

/// Where a key or value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The manifest's path, or the command-line argument as it was given.
    pub source: String,
    /// Line in the file, from 1; none for an argument.
    pub line: Option<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => write!(f, "{}", self.source),
        }
    }
}

/// One text: the manifest file, or the value of one `K=V` argument.
#[derive(Debug)]
pub(crate) struct Part {
    name: String,
    pub(crate) text: String,
    /// Offset of the text's first byte among all texts.
    pub(crate) base: usize,
    /// Offsets of the newlines within the text.
    newlines: Vec<usize>,
    is_file: bool,
}

/// All texts. A span into part `i` is shifted by that part's `base`.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    parts: Vec<Part>,
}

impl Sources {
    /// Adds the manifest file; returns its index.
    pub(crate) fn add_file(&mut self, name: &str, text: String) -> usize {
        self.add(name, text, true)
    }

    /// Adds the value of an argument, shown in messages as `label`; returns its index.
    pub(crate) fn add_argument(&mut self, label: &str, text: &str) -> usize {
        self.add(label, text.to_owned(), false)
    }

    fn add(&mut self, name: &str, text: String, is_file: bool) -> usize {
        // One byte between texts, so that the end of one is not the start of the next.
        let base = self.parts.last().map_or(0, |part| part.base + part.text.len() + 1);
        let newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        self.parts.push(Part { name: name.to_owned(), text, base, newlines, is_file });
        self.parts.len() - 1
    }

    /// The text added as `idx`.
    pub(crate) fn part(&self, idx: usize) -> &Part {
        &self.parts[idx]
    }

    /// The text a span covers; empty where it lies in no text.
    pub(crate) fn text_at(&self, span: &Range<usize>) -> &str {
        let found = self.parts.iter().rev().find(|part| part.base <= span.start);
        found.and_then(|part| part.text.get(span.start - part.base..span.end - part.base)).unwrap_or_default()
    }

    /// The place a span starts at.
    pub(crate) fn locate(&self, span: &Range<usize>) -> Location {
        let found = self.parts.iter().rev().find(|part| part.base <= span.start);
        let Some(part) = found else {
            return Location { source: String::new(), line: None };
        };
        let offset = (span.start - part.base).min(part.text.len());
        let line = part.newlines.partition_point(|newline| *newline < offset) + 1;
        Location { source: part.name.clone(), line: part.is_file.then_some(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_traced_to_its_text() {
        let mut sources = Sources::default();
        let file = sources.add_file("a.toml", "x = 1\ny = 2\n".to_owned());
        let argument = sources.add_argument("--set a=3", "3");
        let base = sources.part(argument).base;
        assert_eq!(sources.part(file).base, 0);
        assert_eq!(sources.locate(&(6..7)).to_string(), "a.toml:2");
        assert_eq!(sources.locate(&(base..base + 1)).to_string(), "--set a=3");
    }
}
