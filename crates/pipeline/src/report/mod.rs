//! The report: tables with the paper's rows and ours, as Markdown, JSON and one HTML page.

pub mod data;
pub mod entry;
pub mod figure;
mod gather;
mod html;
mod markdown;
mod means;
mod text;

pub use data::ReportData;
pub use gather::{Shown, gather};
pub use html::html;
pub use markdown::markdown;
pub use text::summary;
