//! A WebDataset's archive written again without some of its pictures; what stays is copied byte for byte.

use std::collections::{HashMap, HashSet};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::tar_members::{self, Kind};
use super::{name_of, tar_labels, tar_shards};
use crate::{ImagesError, Result, Source, regular};

/// What became of an archive's pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopiedTar {
    /// Pictures that are in the copy.
    pub n_kept: u64,
    /// Pictures that are not.
    pub n_left_out: u64,
}

/// The archives of a set of tars, by name; none for other sets.
///
/// # Errors
/// Where there is no archive, or a folder cannot be listed.
pub fn archives(source: &Source) -> Result<Vec<PathBuf>> {
    match source {
        Source::Tar { path, .. } => tar_shards::shards(path),
        _ => Ok(Vec::new()),
    }
}

/// A member: what it is, and where it ends; it begins where the one before it ends.
struct Span {
    key: String,
    is_picture: bool,
    is_file: bool,
    hard_link: Option<String>,
    end: u64,
}

/// Copies the archive `from` to `to`, which must not be there, without the pictures of whose keys (`shard.tar/path/in/it.jpg`) `is_gone` is
/// true. With the last picture of a sample (a WebDataset's members of one name) goes all else of it: labels, captions. All other members
/// stay, in their order.
///
/// # Errors
/// Where `from` is no archive, or breaks off, and where a file cannot be read or written.
pub fn copy_tar(from: &Path, to: &Path, is_gone: &dyn Fn(&str) -> bool) -> Result<CopiedTar> {
    let spans = spans(from)?;
    let source = name_of(from);
    let is_gone = |span: &&Span| span.is_picture && is_gone(&format!("{source}/{}", span.key));
    let mut n_pictures: HashMap<&str, u64> = HashMap::new();
    let mut copied = CopiedTar::default();
    for span in spans.iter().filter(|span| span.is_picture) {
        let n_left = n_pictures.entry(tar_labels::sample(&span.key)).or_default();
        match is_gone(&span) {
            true => copied.n_left_out += 1,
            false => {
                copied.n_kept += 1;
                *n_left += 1;
            }
        }
    }
    let gone: HashSet<&str> =
        n_pictures.into_iter().filter(|(_, n_left)| *n_left == 0).map(|(sample, _)| sample).collect();
    let goes = |span: &Span| match span.is_picture {
        true => is_gone(&span),
        false => span.is_file && gone.contains(tar_labels::sample(&span.key)),
    };
    let gone_keys: HashSet<&str> =
        spans.iter().filter(|span| goes(span)).map(|span| span.key.as_str()).collect();
    let dangles = |span: &&Span| {
        !goes(span) && span.hard_link.as_ref().is_some_and(|link| gone_keys.contains(link.as_str()))
    };
    if let Some(Span { key, hard_link: Some(link), .. }) = spans.iter().find(dangles) {
        let expected = format!("{key} with contents of its own; pack the archive with --hard-dereference");
        return Err(ImagesError::layout(from, expected, format!("a hard link to {link}, which goes")));
    }
    let (mut archive, mut copy) = (regular::open(from)?, fs_err::File::create_new(to)?);
    let mut start = 0;
    // Neighbours that stay are copied in one go; behind the last member the archive's end stays.
    let n_bytes = archive.metadata()?.len();
    for span in spans.iter().filter(|span| goes(span)).map(Some).chain([None]) {
        let begins = span.map_or(n_bytes, |gone| begin(&spans, gone));
        archive.seek(SeekFrom::Start(start))?;
        let n_copied = std::io::copy(&mut std::io::Read::take(&mut archive, begins - start), &mut copy)?;
        if n_copied != begins - start {
            let found = format!("{n_bytes} bytes, then {}", start + n_copied);
            return Err(ImagesError::layout(
                from,
                "an archive that does not change while it is copied",
                found,
            ));
        }
        start = span.map_or(n_bytes, |gone| gone.end);
    }
    copy.flush()?;
    Ok(copied)
}

/// Where a member begins: its names and headers come before its own header.
fn begin(spans: &[Span], span: &Span) -> u64 {
    let idx = spans.partition_point(|other| other.end < span.end);
    idx.checked_sub(1).map_or(0, |before| spans[before].end)
}

fn spans(path: &Path) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    tar_members::visit_headers(path, true, &mut |member| {
        let (is_picture, is_file) = (tar_labels::is_picture(&member), member.kind != Kind::Folder);
        spans.push(Span {
            is_picture: is_picture && is_file,
            is_file,
            end: member.end,
            hard_link: member.hard_link,
            key: member.key,
        });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TarLabel;

    const MEMBERS: [(&str, &str); 9] = [
        ("readme.txt", "what it is"),
        ("a.jpg", "A"),
        ("a.cls", "1"),
        ("b.jpg", "BB"),
        ("b.cls", "2"),
        ("b.seg.jpg", "BS"),
        ("c.cls", "3"),
        ("c.jpg", "C"),
        ("d.jpg", "D"),
    ];

    fn archive(path: &Path, members: &[(&str, &str)]) {
        let mut archive = tar::Builder::new(fs_err::File::create(path).unwrap());
        for (name, contents) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, contents.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
    }

    fn copied(members: &[(&str, &str)], gone: &[&str]) -> (CopiedTar, Vec<u8>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        archive(&at("0.tar"), members);
        let counts = copy_tar(&at("0.tar"), &at("copy"), &|key| gone.contains(&key)).unwrap();
        // What stays, packed anew, is the same archive.
        let stays = |name: &str| match name {
            "readme.txt" => true,
            _ => !gone.contains(&format!("0.tar/{}", name.replace(".cls", ".jpg")).as_str()),
        };
        let left: Vec<_> = members.iter().filter(|(name, _)| stays(name)).copied().collect();
        archive(&at("left"), &left);
        (counts, fs_err::read(at("copy")).unwrap(), fs_err::read(at("left")).unwrap())
    }

    #[test]
    fn what_stays_is_the_same_to_the_byte() {
        for gone in [
            &["0.tar/a.jpg"][..],
            &["0.tar/a.jpg", "0.tar/c.jpg"],
            &["0.tar/d.jpg"],
            &[],
            &["0.tar/c.jpg", "0.tar/d.jpg", "1.tar/a.jpg"],
        ] {
            let (counts, copy, left) = copied(&MEMBERS, gone);
            assert!(copy == left, "{gone:?}");
            let n_gone = gone.iter().filter(|key| key.starts_with("0.tar")).count() as u64;
            assert_eq!(counts, CopiedTar { n_kept: 5 - n_gone, n_left_out: n_gone });
        }
        // A name of more than a header holds goes and stays with its member.
        let long = format!("{}/x.jpg", "deep/".repeat(60));
        let members = [("a.jpg", "A"), (long.as_str(), "L"), ("b.jpg", "B")];
        let (_, copy, left) = copied(&members, &[&format!("0.tar/{long}")]);
        assert!(copy == left);
        let (_, copy, left) = copied(&members, &["0.tar/a.jpg"]);
        assert!(copy == left && copy.len() > 2000);
    }

    #[test]
    fn a_sample_goes_with_its_last_picture() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        archive(&at("0.tar"), &MEMBERS);
        let names = |gone: &[&str], to: &str| {
            copy_tar(&at("0.tar"), &at(to), &|key| gone.contains(&key)).unwrap();
            let mut archive = tar::Archive::new(fs_err::File::open(at(to)).unwrap());
            let names =
                archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
            names.collect::<Vec<_>>()
        };
        let one = names(&["0.tar/b.jpg"], "one");
        assert!(one.contains(&"b.cls".to_owned()) && one.contains(&"b.seg.jpg".to_owned()), "{one:?}");
        let both = names(&["0.tar/b.jpg", "0.tar/b.seg.jpg"], "both");
        assert_eq!(both, ["readme.txt", "a.jpg", "a.cls", "c.cls", "c.jpg", "d.jpg"]);
        let source = Source::Tar { path: at("both"), label: Some(TarLabel::None) };
        assert_eq!(source.records().unwrap().count(), 3);
    }

    #[test]
    fn a_hard_link_to_what_goes_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut archive = tar::Builder::new(fs_err::File::create(at("0.tar")).unwrap());
        let mut member = |name: &str, link: Option<&str>| {
            let mut header = tar::Header::new_gnu();
            let contents = if link.is_some() { "" } else { name };
            header.set_size(contents.len() as u64);
            match link {
                Some(link) => {
                    header.set_entry_type(tar::EntryType::Link);
                    archive.append_link(&mut header, name, link).unwrap();
                }
                None => archive.append_data(&mut header, name, contents.as_bytes()).unwrap(),
            }
        };
        member("a.jpg", None);
        member("a.txt", None);
        member("b.jpg", None);
        member("b.txt", Some("a.txt"));
        archive.finish().unwrap();
        let copy = |gone: &str, to: &str| copy_tar(&at("0.tar"), &at(to), &|key| key == gone);
        let message = copy("0.tar/a.jpg", "one").unwrap_err().to_string();
        assert!(
            message.contains("b.txt") && message.contains("a hard link to a.txt, which goes"),
            "{message}"
        );
        assert!(!at("one").exists());
        assert_eq!(copy("0.tar/b.jpg", "two").unwrap(), CopiedTar { n_kept: 1, n_left_out: 1 });
    }

    #[test]
    fn a_file_that_is_there_stays_and_what_breaks_off_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        archive(&at("0.tar"), &MEMBERS);
        fs_err::write(at("there"), "mine").unwrap();
        assert!(copy_tar(&at("0.tar"), &at("there"), &|_| false).is_err());
        assert_eq!(fs_err::read_to_string(at("there")).unwrap(), "mine");
        let whole = fs_err::read(at("0.tar")).unwrap();
        fs_err::write(at("half.tar"), &whole[..1700]).unwrap();
        let message = copy_tar(&at("half.tar"), &at("copy"), &|_| false).unwrap_err().to_string();
        assert!(message.contains("half.tar"), "{message}");
        assert!(!at("copy").exists());
    }
}
