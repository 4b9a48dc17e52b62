//! The report: rows beside the paper's tables, curves, figures and sheets, as Markdown, JSON and one HTML page. It is given
//! them, and knows nothing of the stages that they come from but their ids.
//!
//! | module | holds |
//! | --- | --- |
//! | [`entry`], [`figure`] | what a stage hands over: a row, a picture |
//! | [`picture`] | a picture of the report, with a file of its own |
//! | [`rows`], [`tables`] | rows with means over a matrix's cells, and tables with the paper's rows before ours |
//! | [`own`] | what one asks first of a report on pictures of one's own |
//! | [`departures`] | how stages compare with the paper, each phrase once |
//! | [`curves`], [`charts`], [`plot`], [`axis`] | plots of trainings and results |
//! | [`mod@drawn`] | plots as a page takes them |
//! | [`diagram`] | stages as a graph |
//! | [`data`], [`html()`], [`markdown()`], [`summary`] | all of it, and how it is written |

pub mod axis;
pub mod charts;
pub mod curves;
pub mod data;
pub mod departures;
pub mod diagram;
pub mod drawn;
pub mod entry;
pub mod figure;
mod html;
mod markdown;
mod means;
pub mod own;
pub mod picture;
pub mod plot;
pub mod rows;
pub mod tables;
mod text;

pub use data::ReportData;
pub use html::{STYLE, html};
pub use markdown::markdown;
pub use text::summary;
