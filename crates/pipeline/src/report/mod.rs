//! The report: tables with the paper's rows and ours, as Markdown, JSON and one HTML page.

pub mod data;
pub mod entry;
mod gather;
mod html;
mod markdown;
mod text;

pub use data::ReportData;
pub use gather::gather;
pub use html::html;
pub use markdown::markdown;
pub use text::summary;
