//! Many small pictures on one sheet.

use std::ffi::OsString;
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::{ImagesError, Picture, Result};

/// The black space between pictures, in pixels.
pub const GUTTER: usize = 2;

/// Writes pictures side by side, row after row, into one PNG with 2 black pixels between them.
///
/// `pixels` holds `shape` = (n, channels, height, width) values, with 1 or 3 channels. The last row may be short.
///
/// # Errors
/// [`ImagesError::Setting`] where `pixels` and `shape` disagree, for other numbers of channels, no picture or no
/// column; [`ImagesError::Io`] and [`ImagesError::Encode`] from writing.
pub fn write_grid(path: &Path, pixels: &[u8], shape: [usize; 4], n_columns: usize) -> Result<()> {
    let sheet = lay_out(pixels, shape, n_columns)?;
    let colour = if sheet.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    write_png(path, &sheet.to_interleaved(), [sheet.height, sheet.width], colour)
}

/// Writes interleaved values of `[height, width]` pixels as a PNG.
pub(crate) fn write_png(
    path: &Path,
    interleaved: &[u8],
    [height, width]: [usize; 2],
    colour: ExtendedColorType,
) -> Result<()> {
    write_whole(path, &encode(path, interleaved, [height, width], colour)?)
}

/// A picture as a PNG; `path` is what it is for.
pub(crate) fn encode_png(path: &Path, picture: &Picture) -> Result<Vec<u8>> {
    let colour = if picture.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    encode(path, &picture.to_interleaved(), [picture.height, picture.width], colour)
}

fn encode(
    path: &Path,
    interleaved: &[u8],
    [height, width]: [usize; 2],
    colour: ExtendedColorType,
) -> Result<Vec<u8>> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(interleaved, width as u32, height as u32, colour)
        .map_err(|source| ImagesError::Encode { path: path.to_path_buf(), source })?;
    Ok(png)
}

fn lay_out(pixels: &[u8], shape: [usize; 4], n_columns: usize) -> Result<Picture> {
    let [n, channels, height, width] = shape;
    let setting = |name, expected: &str, found: String| {
        Err(ImagesError::Setting { name, expected: expected.into(), found })
    };
    if n == 0 || !matches!(channels, 1 | 3) || height == 0 || width == 0 {
        return setting("grid shape", "at least one picture of 1 or 3 channels", format!("{shape:?}"));
    }
    if pixels.len() != shape.iter().product::<usize>() {
        return setting("grid pixels", &format!("the values of {shape:?}"), pixels.len().to_string());
    }
    if n_columns == 0 {
        return setting("grid columns", "at least 1", "0".into());
    }
    let n_columns = n_columns.min(n);
    let sheet_height = n.div_ceil(n_columns) * (height + GUTTER) - GUTTER;
    let sheet_width = n_columns * (width + GUTTER) - GUTTER;
    let mut sheet = vec![0; channels * sheet_height * sheet_width];
    for (i, row) in pixels.chunks_exact(width).enumerate() {
        let (image_idx, channel, y) = (i / (channels * height), i / height % channels, i % height);
        let top = image_idx / n_columns * (height + GUTTER) + y;
        let left = image_idx % n_columns * (width + GUTTER);
        let start = (channel * sheet_height + top) * sheet_width + left;
        sheet[start..start + width].copy_from_slice(row);
    }
    Ok(Picture { channels, height: sheet_height, width: sheet_width, pixels: sheet })
}

/// Writes a file under a temporary name beside it and renames it, so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut partial_name = OsString::from(".partial-");
    partial_name.push(path.file_name().unwrap_or_default());
    let partial = path.with_file_name(partial_name);
    let written = fs_err::write(&partial, bytes).and_then(|()| fs_err::rename(&partial, path));
    if written.is_err() {
        // Best effort: the first error is the one to report.
        let _ = fs_err::remove_file(&partial);
    }
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_rows_with_gutters() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        // Three grey pictures of 1×2 pixels in two columns.
        write_grid(&path, &[10, 11, 20, 21, 30, 31], [3, 1, 1, 2], 2).unwrap();
        let sheet = image::open(&path).unwrap().into_luma8();
        assert_eq!(sheet.dimensions(), (6, 4));
        assert_eq!(&sheet.as_raw()[..6], [10, 11, 0, 0, 20, 21]);
        assert_eq!(&sheet.as_raw()[6..18], [0; 12]);
        assert_eq!(&sheet.as_raw()[18..], [30, 31, 0, 0, 0, 0]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn colour_planes_are_interleaved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        write_grid(&path, &[1, 2, 3, 4, 5, 6], [1, 3, 1, 2], 8).unwrap();
        assert_eq!(image::open(&path).unwrap().into_rgb8().as_raw(), &[1, 3, 5, 2, 4, 6]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let path = Path::new("never-written.png");
        for (n_values, shape, n_columns) in [(6, [1, 2, 1, 3], 1), (5, [1, 3, 1, 2], 1), (6, [1, 3, 1, 2], 0)]
        {
            assert!(write_grid(path, &vec![0; n_values], shape, n_columns).is_err());
        }
    }
}
