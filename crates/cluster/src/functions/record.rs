//! A code with whose it is, as bytes.

use dcgan_dedup::Code;

/// Bytes of a record.
pub(super) const RECORD_BYTES: usize = 24;
/// Set in the number of an image whose code is one of a view of it.
pub(crate) const VIEW: u64 = 1 << 32;

/// A code, and the number of its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) image: u64,
    pub(super) code: Code,
}

impl Record {
    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip([self.image, self.code.0[0], self.code.0[1]]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The records of a group, by their images.
    pub(super) fn all_of(bytes: &[u8]) -> Vec<Self> {
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        let record = |bytes: &[u8]| Self {
            image: word(&bytes[..8]),
            code: Code([word(&bytes[8..16]), word(&bytes[16..])]),
        };
        let mut all: Vec<Self> = bytes.chunks_exact(RECORD_BYTES).map(record).collect();
        all.sort_unstable_by_key(|record| record.image);
        all
    }

    /// The number of the image, whether the code is its own or one of a view.
    pub(super) fn index(self) -> u32 {
        (self.image & (VIEW - 1)) as u32
    }

    pub(super) fn is_view(self) -> bool {
        self.image & VIEW != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_by_their_images() {
        let record = |image, word| Record { image, code: Code([word, !word]) };
        let all = [record(VIEW + 3, 1), record(7, u64::MAX), record(3, 1 << 63)];
        let bytes: Vec<u8> = all.iter().flat_map(|record| record.to_bytes()).collect();
        let found = Record::all_of(&bytes);
        assert_eq!(found, [all[2], all[1], all[0]]);
        assert_eq!((found[2].index(), found[2].is_view(), found[0].is_view()), (3, true, false));
    }
}
