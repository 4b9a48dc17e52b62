//! Archives where a data set's own files are wanted: named, with the command that unpacks them.

use std::io::Read;
use std::path::Path;

use super::{name_of, read_up_to};
use crate::source::Source;
use crate::{ImagesError, Result};

/// How an archive is recognised, what it is, and what unpacks it.
const KINDS: [(&[u8], &str, &str); 7] = [
    (b"\x1f\x8b", "a gzip archive", "tar -xzf"),
    (b"PK\x03\x04", "a zip archive", "unzip"),
    (b"\xfd7zXZ\0", "an xz archive", "tar -xJf"),
    (b"BZh", "a bzip2 archive", "tar -xjf"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "tar --zstd -xf"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
    (b"Rar!\x1a\x07", "a rar archive", "unrar x"),
];
/// Where a tar says what it is.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// Refuses an archive that stands where `source` has its files.
///
/// # Errors
/// [`ImagesError::Layout`] with the command that unpacks it. What cannot be read is left to the reader.
pub(crate) fn refuse(source: &Source) -> Result<()> {
    let expected = match source {
        Source::Cifar10 { .. } => "the folder cifar-10-batches-bin",
        Source::Svhn { .. } => "one of SVHN's *_32x32.mat",
        Source::Folder { .. } => "a folder of pictures",
        Source::ImageNetFolder { .. } => "a folder of synsets",
        Source::Lsun { .. } => "a folder with data.mdb",
        Source::ImageNetTar { .. } | Source::Tar { .. } => "a plain tar",
        Source::Parquet { .. } => "Parquet files",
        Source::Store { .. } => "an image store",
        // These may be compressed.
        Source::Mnist { .. } => return Ok(()),
    };
    let is_tar_wanted = matches!(source, Source::ImageNetTar { .. } | Source::Tar { .. });
    for path in source.paths() {
        let Some(head) = head(path) else { continue };
        let name = name_of(path);
        let found = match KINDS.iter().find(|(magic, ..)| head.starts_with(magic)) {
            Some((_, kind, _)) if is_tar_wanted && *kind == "a gzip archive" => {
                format!("a compressed one; unpack it (gunzip {name}) and name what comes out")
            }
            Some((_, kind, command)) => {
                format!("{kind}; unpack it ({command} {name}) and name what comes out")
            }
            None if !is_tar_wanted && head.get(TAR_MAGIC) == Some(&b"ustar"[..]) => {
                let instead = match source {
                    Source::Folder { .. } => ", or read it as it is with source.tar.path",
                    Source::ImageNetFolder { .. } => ", or read it as it is with source.imagenet_tar.path",
                    _ => "",
                };
                format!("a tar archive; unpack it (tar -xf {name}) and name what comes out{instead}")
            }
            None => continue,
        };
        return Err(ImagesError::layout(path, expected, found));
    }
    Ok(())
}

/// The first bytes of a plain file.
fn head(path: &Path) -> Option<Vec<u8>> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut head = vec![0; TAR_MAGIC.end];
    let n_read = read_up_to(&mut fs_err::File::open(path).ok()? as &mut dyn Read, &mut head).ok()?;
    head.truncate(n_read);
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    fn complaint(source: &Source) -> String {
        let message = source.n_images().and_then(|_| source.records().map(|_| ())).unwrap_err().to_string();
        message.split_once(": expected ").unwrap().1.to_owned()
    }

    #[test]
    fn archives_are_named_with_what_unpacks_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let path = put("cifar-10-python.tar.gz", b"\x1f\x8b\x08\0");
        assert_eq!(
            complaint(&Source::Cifar10 { path: path.clone(), split: Split::Train }),
            "the folder cifar-10-batches-bin, found a gzip archive; unpack it (tar -xzf cifar-10-python.tar.gz) and name \
             what comes out"
        );
        assert_eq!(
            complaint(&Source::Tar { path, label: None }),
            "a plain tar, found a compressed one; unpack it (gunzip cifar-10-python.tar.gz) and name what comes out"
        );
        let path = put("bedroom_val_lmdb.zip", b"PK\x03\x04\0");
        assert_eq!(
            complaint(&Source::Lsun { path }),
            "a folder with data.mdb, found a zip archive; unpack it (unzip bedroom_val_lmdb.zip) and name what comes out"
        );
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        tar.append_data(&mut header, "a.jpg", &b"x"[..]).unwrap();
        let path = put("photos.tar", &tar.into_inner().unwrap());
        let message = complaint(&Source::Folder { path: path.clone(), classes: false });
        assert!(
            message.contains("unpack it (tar -xf photos.tar)") && message.ends_with("with source.tar.path"),
            "{message}"
        );
        assert!(Source::Tar { path, label: None }.records().is_ok());
    }
}
