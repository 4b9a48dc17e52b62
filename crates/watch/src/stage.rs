//! What a stage's folder has to show, and where each file of it is served.

use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use dcgan_report::figure::Figure;
use serde::Serialize;

/// The curves of a training.
const CURVES: &str = "metrics.jsonl";
/// Folders of sample grids over time, with what they are called.
const GRIDS: [(&str, &str); 2] =
    [("samples", "Samples"), ("samples_ema", "Samples of the generator's average")];
/// The grid of a stage that draws samples.
const SAMPLES: &str = "samples.png";
/// A report's page.
const REPORT: &str = "report.html";

/// What is shown of a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub(crate) curves: Option<CurvesAt>,
    pub(crate) samples: Vec<Grids>,
    pub(crate) pictures: Vec<PictureAt>,
    /// The address of a report's page.
    pub(crate) report: Option<String>,
}

/// Where curves are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CurvesAt {
    pub(crate) address: String,
    /// Another one where there is more to see.
    pub(crate) revision: String,
}

/// Sample grids of one z over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Grids {
    title: &'static str,
    pub(crate) shots: Vec<Shot>,
}

/// A grid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Shot {
    /// Minibatches done.
    pub(crate) step: u64,
    pub(crate) address: String,
}

/// A picture and the words around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PictureAt {
    title: String,
    caption: String,
    alt: String,
    address: String,
}

/// What is served, by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Served {
    /// The curves of the stage with this id, of a folder.
    Curves(String, PathBuf),
    /// A file, which must lie in a folder.
    File {
        /// The file.
        file: PathBuf,
        /// The folder.
        within: PathBuf,
    },
}

/// A stage's folder.
struct Listing<'a> {
    id: &'a str,
    folder: &'a Path,
    served: Vec<(String, Served)>,
}

/// What there is to show in a stage's folder, and what is served of it.
pub(crate) fn shown(id: &str, folder: &Path) -> (Shown, Vec<(String, Served)>) {
    let mut listing = Listing { id, folder, served: Vec::new() };
    let shown = Shown {
        curves: listing.curves(),
        samples: GRIDS.iter().filter_map(|(name, title)| listing.grids(name, title)).collect(),
        pictures: listing.pictures(),
        report: folder.join(REPORT).is_file().then(|| listing.file(REPORT)),
    };
    (shown, listing.served)
}

impl Listing<'_> {
    fn curves(&mut self) -> Option<CurvesAt> {
        let metadata =
            fs_err::metadata(self.folder.join(CURVES)).ok().filter(|metadata| metadata.is_file())?;
        let address = format!("/stage/{}/curves", encoded(self.id));
        self.served.push((address.clone(), Served::Curves(self.id.to_owned(), self.folder.to_owned())));
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let revision = format!("{}-{}", metadata.len(), since.unwrap_or_default().as_nanos());
        Some(CurvesAt { address, revision })
    }

    /// The grids `step_NNNNNNN.png` of a folder.
    fn grids(&mut self, name: &str, title: &'static str) -> Option<Grids> {
        let entries = std::fs::read_dir(self.folder.join(name)).ok()?.flatten();
        let mut steps: Vec<(u64, String)> = entries
            .filter_map(|entry| {
                let file = entry.file_name().into_string().ok()?;
                Some((file.strip_prefix("step_")?.strip_suffix(".png")?.parse().ok()?, file))
            })
            .collect();
        steps.sort_unstable();
        let shot = |(step, file): (u64, String)| Shot { step, address: self.file(&format!("{name}/{file}")) };
        let shots: Vec<Shot> = steps.into_iter().map(shot).collect();
        (!shots.is_empty()).then_some(Grids { title, shots })
    }

    fn pictures(&mut self) -> Vec<PictureAt> {
        let samples = self.folder.join(SAMPLES).is_file().then(|| Figure {
            file: SAMPLES.to_owned(),
            title: "Samples".to_owned(),
            caption: "Samples of the generator.".to_owned(),
            alt: format!("A grid of small pictures, samples of the generator, drawn by stage {}", self.id),
        });
        let figures = Figure::read_all(self.folder).unwrap_or_default();
        let is_plain = |figure: &Figure| {
            Path::new(&figure.file).components().all(|part| matches!(part, Component::Normal(_)))
        };
        let figures = samples.into_iter().chain(figures.into_iter().filter(is_plain));
        figures
            .map(|Figure { file, title, caption, alt }| {
                let address = self.file(&file);
                PictureAt { title, caption, alt, address }
            })
            .collect()
    }

    /// The address of a file in the folder, served from now on.
    fn file(&mut self, name: &str) -> String {
        let address = format!("/stage/{}/file/{}", encoded(self.id), encoded(name));
        let file = self.folder.join(name);
        self.served.push((address.clone(), Served::File { file, within: self.folder.to_owned() }));
        address
    }
}

/// A text as a part of an address.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_shown_and_served_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let id = "train@seed=1";
        assert_eq!(shown(id, dir.path()), (Shown::default(), Vec::new()));
        fs_err::create_dir(dir.path().join("samples")).unwrap();
        for file in [
            "samples/step_0000020.png",
            "samples/step_0000003.png",
            "samples/step_x.png",
            "samples.png",
            "metrics.jsonl",
        ] {
            fs_err::write(dir.path().join(file), "x").unwrap();
        }
        let figure = |file: &str| Figure {
            file: file.to_owned(),
            title: "a".to_owned(),
            caption: "b".to_owned(),
            alt: "c".to_owned(),
        };
        let figures = ["../secret.png", "/etc/passwd", "a/b.png"].map(figure);
        fs_err::write(dir.path().join(Figure::FILE), serde_json::to_vec(&figures).unwrap()).unwrap();
        let (shown, served) = shown(id, dir.path());
        let steps: Vec<u64> = shown.samples[0].shots.iter().map(|shot| shot.step).collect();
        assert_eq!(steps, [3, 20]);
        let mut addresses: Vec<&str> = served.iter().map(|(address, _)| address.as_str()).collect();
        addresses.sort_unstable();
        let expected = [
            "curves",
            "file/a/b.png",
            "file/samples.png",
            "file/samples/step_0000003.png",
            "file/samples/step_0000020.png",
        ];
        assert_eq!(addresses, expected.map(|rest| format!("/stage/train%40seed%3D1/{rest}")));
    }
}
