//! The texts a manifest is put together from, laid end to end, so that one span names file and line.

use std::cell::RefCell;
use std::collections::BTreeMap;
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
    /// Values into which an argument's was filled: their spans, and where the argument's begins.
    filled: RefCell<BTreeMap<(usize, usize), usize>>,
    /// What is wrong with values that were meant as TOML, by where they begin.
    syntax_errors: RefCell<BTreeMap<usize, String>>,
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
        let found = self.part_at(span.start);
        found.and_then(|part| part.text.get(span.start - part.base..span.end - part.base)).unwrap_or_default()
    }

    fn part_at(&self, offset: usize) -> Option<&Part> {
        self.parts.iter().rev().find(|part| part.base <= offset)
    }

    /// True if a span lies in an argument.
    pub(crate) fn is_argument(&self, span: &Range<usize>) -> bool {
        self.part_at(span.start).is_some_and(|part| !part.is_file)
    }

    /// Notes that the value at `written` has become, in part at least, that of the argument at `argument`, which is then to
    /// blame for it.
    pub(crate) fn note_filled(&self, written: &Range<usize>, argument: &Range<usize>) {
        self.filled.borrow_mut().insert((written.start, written.end), argument.start);
    }

    /// Notes what is wrong with a value that was meant as TOML and can be read as text.
    pub(crate) fn note_syntax_error(&self, span: &Range<usize>, message: String) {
        self.syntax_errors.borrow_mut().insert(span.start, message);
    }

    /// What was noted so.
    pub(crate) fn syntax_error(&self, span: &Range<usize>) -> Option<String> {
        self.syntax_errors.borrow().get(&span.start).cloned()
    }

    /// The place of a key: that of the argument which gave its value, if one did.
    pub(crate) fn locate_key(&self, key: &Range<usize>, value: &Range<usize>) -> Location {
        let is_given =
            self.is_argument(value) || self.filled.borrow().contains_key(&(value.start, value.end));
        self.locate(if is_given { value } else { key })
    }

    /// The place a span starts at; of a value that an argument gave, the argument.
    pub(crate) fn locate(&self, span: &Range<usize>) -> Location {
        let start = self.filled.borrow().get(&(span.start, span.end)).copied().unwrap_or(span.start);
        let Some(part) = self.part_at(start) else {
            return Location { source: String::new(), line: None };
        };
        let offset = (start - part.base).min(part.text.len());
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
