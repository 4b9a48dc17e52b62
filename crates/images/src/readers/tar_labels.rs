//! Labels in a WebDataset's tars: members beside the pictures, `17.cls` beside `17.png`.
//!
//! Members belong together that have the same name up to the first full stop behind the last `/`.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::members::Members;
use super::tar_members::{self, Kind, Member};
use super::{folder, name_of};
use crate::{ImagesError, Result};

/// Members of a WebDataset's tar that are labels, of the picture that has the same name up to its first full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TarLabel {
    /// `17.cls`: an integer.
    Cls,
    /// `17.json`: the integer `label` in it.
    Json,
    /// None.
    None,
}

/// The longest member that is read as a label.
const MAX_BYTES: u64 = 1 << 20;

/// What the members of a picture have in common.
pub(crate) fn sample(key: &str) -> &str {
    split(key).0
}

/// A key's sample, and the ending behind it, without its full stop.
fn split(key: &str) -> (&str, &str) {
    let name = key.rfind('/').map_or(0, |slash| slash + 1);
    match key[name..].find('.') {
        Some(stop) => (&key[..name + stop], &key[name + stop + 1..]),
        None => (key, ""),
    }
}

fn ending(label: TarLabel) -> Option<&'static str> {
    match label {
        TarLabel::Cls => Some("cls"),
        TarLabel::Json => Some("json"),
        TarLabel::None => None,
    }
}

/// Whether a member is a label.
pub(crate) fn is_label(member: &Path, label: TarLabel) -> bool {
    let ending = ending(label);
    ending.is_some() && member.to_str().map(|key| split(key).1) == ending
}

/// Which members of a set's archives are labels: as given, or else those that the first archive has. A `.json` is one where the first
/// holds an integer `label`.
pub(crate) fn of_set(shards: &[PathBuf], given: Option<TarLabel>) -> TarLabel {
    let (Some(first), None) = (shards.first(), given) else { return given.unwrap_or(TarLabel::None) };
    let (mut found, mut has_json) = (TarLabel::None, None);
    // What is broken the reader says, in its place.
    let _ = tar_members::visit_headers(first, false, &mut |mut member| {
        if member.kind != Kind::File {
            return Ok(ControlFlow::Continue(()));
        }
        match split(&member.key).1 {
            "cls" => {
                found = TarLabel::Cls;
                return Ok(ControlFlow::Break(()));
            }
            "json" if has_json.is_none() => has_json = Some(of_json(&text(first, &mut member)?).is_some()),
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    });
    if found == TarLabel::None && has_json == Some(true) { TarLabel::Json } else { found }
}

/// The labels of an archive's pictures by their samples; every picture has one, or, where labels are not read, none.
pub(crate) fn of(path: &Path, label: TarLabel) -> Result<HashMap<String, u32>> {
    let (mut labels, mut pictures, mut members) = (HashMap::new(), Vec::new(), Members::default());
    let Some(ending) = ending(label) else { return Ok(labels) };
    tar_members::visit_headers(path, false, &mut |mut member| {
        let (sample, found) = split(&member.key);
        if member.kind == Kind::File && found == ending {
            members.note(path, &member.name, member.offset)?;
            let (sample, key) = (sample.to_owned(), member.key.clone());
            let text = text(path, &mut member)?;
            let parsed = match label {
                TarLabel::Json => of_json(&text),
                _ => std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()),
            };
            let expected = match label {
                TarLabel::Json => "an integer `label`, from 0,",
                _ => "an integer, from 0,",
            };
            let Some(parsed) = parsed else {
                let shown: String = String::from_utf8_lossy(&text).chars().take(60).collect();
                let expected = format!("{expected} in {key} (`source.tar.label = \"none\"` reads no labels)");
                return Err(ImagesError::malformed(
                    path,
                    member.contents_offset,
                    expected,
                    format!("`{}`", shown.trim()),
                ));
            };
            labels.insert(sample, parsed);
        } else if member.kind != Kind::Folder && is_picture(&member) {
            pictures.push(sample.to_owned());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let lacking: HashSet<&String> = pictures.iter().filter(|sample| !labels.contains_key(*sample)).collect();
    match pictures.iter().find(|sample| lacking.contains(sample)) {
        None => Ok(labels),
        Some(first) => Err(ImagesError::layout(
            path,
            format!("a label, .{ending}, for each picture (`source.tar.label = \"none\"` reads no labels)"),
            format!("none for {} of {}, the first {}/{first}", lacking.len(), pictures.len(), name_of(path)),
        )),
    }
}

pub(super) fn is_picture(member: &Member<'_>) -> bool {
    folder::has_image_ending(member.path()) && !tar_members::is_hidden(member.path())
}

fn text(archive: &Path, member: &mut Member<'_>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    member.contents.take(MAX_BYTES).read_to_end(&mut text).map_err(|error| {
        ImagesError::malformed(
            archive,
            member.contents_offset,
            format!("the label {}", member.key),
            error.to_string(),
        )
    })?;
    Ok(text)
}

fn of_json(text: &[u8]) -> Option<u32> {
    let value: Value = serde_json::from_slice(text).ok()?;
    value.get("label")?.as_u64().and_then(|label| u32::try_from(label).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    fn shard(path: &Path, members: &[(&str, &str)]) {
        let mut archive = tar::Builder::new(fs_err::File::create(path).unwrap());
        for (name, contents) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, contents.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
    }

    /// The labels that are read of a set of archives.
    fn read(
        shards: &[&[(&str, &str)]],
        label: Option<TarLabel>,
    ) -> std::result::Result<Vec<Option<u32>>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (i, members) in shards.iter().enumerate() {
            shard(&folder.path().join(format!("{i}.tar")), members);
        }
        let source = Source::Tar { path: folder.path().to_path_buf(), label };
        let records = source.records().map_err(|error| error.to_string())?;
        records.map(|record| record.map(|record| record.label).map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn labels_are_those_of_the_pictures_sample() {
        let first: &[_] =
            &[("a.png", ""), ("a.cls", "3\n"), ("x.y/b.seg.jpg", ""), ("x.y/b.cls", "0"), ("x.y/b.jpg", "")];
        let json: &[_] = &[("a.json", "{\"label\": 7, \"key\": \"k\"}"), ("a.png", ""), ("a.txt", "a cat")];
        assert_eq!(read(&[first], None).unwrap(), [Some(3), Some(0), Some(0)]);
        // In whatever order, and of other archives too.
        assert_eq!(
            read(&[&[("a.cls", "1"), ("a.png", "")], &[("b.png", ""), ("b.cls", "4294967295")]], None)
                .unwrap(),
            [Some(1), Some(u32::MAX)]
        );
        assert_eq!(read(&[json], None).unwrap(), [Some(7)]);
        assert_eq!(read(&[json], Some(TarLabel::Json)).unwrap(), [Some(7)]);
        assert_eq!(read(&[json], Some(TarLabel::None)).unwrap(), [None]);
        // Of captions and the like no label is made.
        assert_eq!(read(&[&[("a.png", ""), ("a.json", "{\"label\": \"cat\"}")]], None).unwrap(), [None]);
        assert_eq!(read(&[&[("a.1.cls", "3"), ("a.1.png", "")]], None).unwrap(), [None]);
    }

    #[test]
    fn what_has_no_label_or_two_or_another_is_an_error_that_names_it() {
        let some: &[_] = &[("a.png", ""), ("a.cls", "3"), ("b.png", ""), ("c.png", "")];
        let message = read(&[some], None).unwrap_err();
        assert!(
            message.ends_with("found none for 2 of 3, the first 0.tar/b") && message.contains(".cls"),
            "{message}"
        );
        assert!(read(&[&some[..2], &some[2..]], None).unwrap_err().contains("1.tar"), "the second archive");
        let message = read(&[&[("a.png", ""), ("a.cls", "3"), ("./a.cls", "4")]], None).unwrap_err();
        assert!(
            message.contains("expected each member once, found") && message.contains("a.cls"),
            "{message}"
        );
        for wrong in ["cat", "-1", "4294967296", "", "1.0"] {
            let message = read(&[&[("a.png", ""), ("a.cls", wrong)]], None).unwrap_err();
            assert!(message.contains("an integer, from 0, in a.cls"), "{message}");
            assert!(
                message.contains(&format!("found `{wrong}`")) && message.contains("label = \"none\""),
                "{message}"
            );
        }
        let message = read(&[&[("a.png", ""), ("a.json", "{}")]], Some(TarLabel::Json)).unwrap_err();
        assert!(message.contains("an integer `label`, from 0, in a.json"), "{message}");
    }
}
