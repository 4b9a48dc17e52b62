//! By what it is seen whether a picture is still the one that was hashed.

use dcgan_images::{ImagesError, Payload};

/// What is kept of a picture's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) blake3: u64,
    /// Bytes of the encoded file, or of the pixels.
    pub(crate) n_bytes: u64,
    /// The file's bytes, where they had to be read.
    pub(crate) read: Option<Vec<u8>>,
}

/// The first 64 bits of the BLAKE3 hash of the encoded file, whose first 16 digits they are in hexadecimal; of pixels, of their three
/// sides (64 bits each, lowest byte first) and their bytes. With it how many bytes that are.
///
/// # Errors
/// [`ImagesError::BadPicture`] where the file cannot be read.
pub(crate) fn content(payload: &Payload) -> Result<Content, ImagesError> {
    let mut hasher = blake3::Hasher::new();
    let mut read = None;
    let n_bytes = match payload {
        Payload::Pixels(picture) => {
            for side in [picture.channels, picture.height, picture.width] {
                hasher.update(&(side as u64).to_le_bytes());
            }
            hasher.update(&picture.pixels);
            picture.pixels.len()
        }
        Payload::Encoded(bytes) => {
            hasher.update(bytes);
            bytes.len()
        }
        Payload::File(_) | Payload::Bad(_) => {
            let bytes = payload.clone().into_bytes()?.unwrap_or_default();
            hasher.update(&bytes);
            let n_bytes = bytes.len();
            read = Some(bytes);
            n_bytes
        }
    };
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Ok(Content { blake3: u64::from_be_bytes(first), n_bytes: n_bytes as u64, read })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcgan_images::Picture;

    #[test]
    fn a_file_and_its_bytes_have_the_digits_of_b3sum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        // b3sum of "abc": 6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85
        let expected = 0x6437_b3ac_3846_5133;
        let abc = |read| Content { blake3: expected, n_bytes: 3, read };
        assert_eq!(content(&Payload::Encoded(b"abc".into())).unwrap(), abc(None));
        assert_eq!(content(&Payload::File(path)).unwrap(), abc(Some(b"abc".into())));
        assert!(content(&Payload::File(dir.path().join("b"))).is_err());
        let pixels = |height, width| {
            let picture = Picture { channels: 1, height, width, pixels: vec![7; 6] };
            content(&Payload::Pixels(picture)).unwrap().blake3
        };
        assert_ne!(pixels(2, 3), pixels(3, 2));
    }
}
