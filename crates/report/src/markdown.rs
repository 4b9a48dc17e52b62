//! `report.md`.

use std::fmt::Write as _;

use dcgan_files::words::duration;
use dcgan_files::words::plain;

use super::data::{Departure, ReportData, Row, TableData};
use super::own::Own;
use super::picture::Picture;

/// The report as Markdown; pictures are the copies beside it.
pub fn markdown(report: &ReportData) -> String {
    let mut text = format!("# {}\n", escaped(&report.title));
    if let Some(own) = &report.own {
        own_section(own, &mut text);
    }
    for table in &report.tables {
        table_section(table, &mut text);
    }
    if report.compares {
        departures_section(report, &mut text);
    }
    if !report.pictures.is_empty() {
        text.push_str("\n## Pictures\n");
        report.pictures.iter().for_each(|picture| picture_section(picture, &mut text));
    }
    if !report.searches.is_empty() {
        text.push_str("\n## Choice of C\n");
        for found in &report.searches {
            let search = &found.search;
            let _ = writeln!(
                text,
                "\nStage {}, {}; chosen: {}\n",
                code(&found.stage),
                escaped(&search.name),
                search.chosen
            );
            text.push_str("| C | error (%) |\n| ---: | ---: |\n");
            for point in &search.points {
                let (mean, std) = (100.0 * point.mean_error, 100.0 * point.std);
                let _ = writeln!(text, "| {} | {mean:.2} ± {std:.2} |", point.c);
            }
        }
    }
    stages_section(report, &mut text);
    text
}

fn own_section(own: &Own, text: &mut String) {
    text.push_str("\n## Your pictures\n\n| | |\n| --- | --- |\n");
    for fact in &own.facts {
        let _ = writeln!(text, "| {} | {} |", escaped(&fact.question), escaped(&fact.answer));
    }
    own.pictures().for_each(|picture| picture_section(picture, text));
    text.push_str("\n### What to do next\n\n");
    for advice in &own.next {
        let command = advice.command.iter().map(|command| format!(" {}", code(command)));
        let _ = writeln!(text, "- {}{}", escaped(&advice.text), command.collect::<String>());
    }
}

fn picture_section(picture: &Picture, text: &mut String) {
    let (title, stage) = (escaped(&picture.title), code(&picture.stage));
    let _ = writeln!(text, "\n### {title} ({stage})\n\n![{}]({})", escaped(&picture.alt), picture.file);
    let _ = writeln!(text, "\n{}", escaped(&picture.caption));
}

fn table_section(table: &TableData, text: &mut String) {
    let _ = writeln!(text, "\n## {}\n\n{}\n", escaped(&table.name), escaped(&table.caption));
    let _ = writeln!(
        text,
        "| method | {} |",
        table.columns.iter().map(|text| escaped(text)).collect::<Vec<_>>().join(" | ")
    );
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(table.columns.len()));
    for row in &table.rows {
        let _ = writeln!(
            text,
            "| {} | {} |",
            method(row),
            row.texts.iter().map(|text| escaped(text)).collect::<Vec<_>>().join(" | ")
        );
    }
    for row in table.rows.iter().filter(|row| row.stage.is_none() && !row.note.is_empty()) {
        let _ = writeln!(text, "\n{}: {}", escaped(&row.method), escaped(&row.note));
    }
    for row in &table.rows {
        let Some(stage) = &row.stage else { continue };
        let _ = writeln!(
            text,
            "\n### {} (stage {})\n\n{}",
            escaped(&row.method),
            code(stage),
            escaped(&row.facts.join("; "))
        );
    }
}

fn departures_section(report: &ReportData, text: &mut String) {
    text.push_str("\n## How this differs from the paper\n\n");
    if report.departures.is_empty() {
        text.push_str("In what was compared no difference was found.\n");
    }
    list(&report.departures, text);
    for (heading, found) in [("Not checked", &report.not_checked), ("As in the paper", &report.equal)] {
        if !found.is_empty() {
            let _ = writeln!(text, "\n### {heading}\n");
            list(found, text);
        }
    }
}

fn list(departures: &[Departure], text: &mut String) {
    for departure in departures {
        let stages: Vec<String> = departure.stages.iter().map(|stage| code(stage)).collect();
        let rows = if departure.rows.is_empty() {
            String::new()
        } else {
            format!("; bears on {}", escaped(&departure.rows))
        };
        let _ = writeln!(text, "- {} ({}{rows})", escaped(&departure.text), stages.join(", "));
    }
}

fn method(row: &Row) -> String {
    match &row.stage {
        Some(stage) => format!("**{}** ({})", escaped(&row.method), code(stage)),
        None => escaped(&row.method),
    }
}

fn stages_section(report: &ReportData, text: &mut String) {
    text.push_str("\n## Stages\n\n| stage | kind | reads | time | cores | writes | memory | seed | device | started |\n");
    text.push_str("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |\n");
    for stage in &report.stages {
        let seed = stage.seed.map_or("–".to_owned(), |seed| seed.to_string());
        let time = duration(stage.seconds);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {time} | {} | {} | {} | {seed} | {} | {} |",
            escaped(&stage.id),
            stage.kind,
            escaped(&stage.reads.join(", ")),
            cores(stage.cores),
            rate(stage.written_bytes, stage.seconds),
            memory(stage.peak_memory_bytes),
            stage.device,
            stage.started
        );
    }
    text.push_str("\n## Environment\n\n");
    for environment in &report.environments {
        let _ = writeln!(text, "- {}", escaped(environment));
    }
}

/// Processors at work on the average, of how many; a dash where it is not known.
pub(super) fn cores(cores: Option<[f64; 2]>) -> String {
    cores.map_or("–".to_owned(), |[used, of]| format!("{used:.1} of {of}"))
}

/// Bytes a second; a dash where the time is too short to tell.
pub(super) fn rate(n_bytes: u64, seconds: f64) -> String {
    if seconds < 0.1 {
        return "–".to_owned();
    }
    let units = [("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)];
    let rate = n_bytes as f64 / seconds;
    let (unit, size) = units.into_iter().find(|(_, size)| rate >= *size).unwrap_or(("B/s", 1.0));
    format!("{:.1} {unit}", rate / size)
}

/// Memory in MiB; a dash where it is not known.
pub(super) fn memory(bytes: Option<u64>) -> String {
    bytes.map_or("–".to_owned(), |bytes| format!("{} MiB", bytes >> 20))
}

/// A text of which no character is taken for Markdown or HTML, in one line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = plain(text).replace('\n', " ").chars().collect::<Vec<_>>().into_iter().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        // Within a word it marks nothing.
        let is_within = before.is_alphanumeric() && chars.peek().is_some_and(|next| next.is_alphanumeric());
        if "\\`*[]<>&|#~$".contains(c) || (c == '_' && !is_within) {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A text between backticks.
fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('`', "'").replace('\n', " ").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_markdown() {
        assert_eq!(escaped("My own pictures, n_train = 3 (60 %)"), "My own pictures, n_train = 3 (60 %)");
        assert_eq!(escaped("<script>a</script>"), "\\<script\\>a\\</script\\>");
        assert_eq!(
            escaped("[x](javascript:y) # | `z` *b* _c_ a&lt;"),
            "\\[x\\](javascript:y) \\# \\| \\`z\\` \\*b\\* \\_c\\_ a\\&lt;"
        );
        assert_eq!(escaped("two\nlines \x1b[31m"), "two lines \\\\u{1b}\\[31m");
        assert_eq!(code("train@seed=`1`"), "`train@seed='1'`");
    }
}
