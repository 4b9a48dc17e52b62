//! Text in CSV files that people open in a spreadsheet.

use std::borrow::Cow;

/// A field that a spreadsheet takes for text, whatever it begins with.
///
/// A field that begins with `=`, `+`, `-`, `@`, a tabulator or a carriage return would be run as a formula. It gets a `'` before
/// it, as one writes text into a spreadsheet by hand; so does one that begins with `'`. Whoever reads the file by a program takes
/// one leading `'` away, as [`text`] does.
///
/// ```
/// use dcgan_files::csv::field;
/// assert_eq!(field("=HYPERLINK(0).jpg"), "'=HYPERLINK(0).jpg");
/// assert_eq!(field("'70s.jpg"), "''70s.jpg");
/// assert_eq!(field("a=b.jpg"), "a=b.jpg");
/// ```
pub fn field(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// The text of a field that [`field`] wrote.
///
/// ```
/// use dcgan_files::csv::{field, text};
/// assert_eq!(text(&field("'70s.jpg")), "'70s.jpg");
/// assert_eq!(text("a'b.jpg"), "a'b.jpg");
/// ```
pub fn text(field: &str) -> &str {
    field.strip_prefix('\'').unwrap_or(field)
}
