//! The report: tables with the paper's rows and ours, plots and pictures, as Markdown, JSON and one HTML page.

mod charts;
pub mod curves;
pub mod data;
pub mod entry;
pub mod figure;
mod gather;
mod html;
mod markdown;
mod means;
pub mod plot;
mod text;

pub use data::ReportData;
pub use gather::{Shown, gather};
pub use html::html;
pub use markdown::markdown;
pub use text::summary;
