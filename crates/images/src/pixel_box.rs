//! Boxes on pictures, and the CSV that holds those of a set of samples.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{ImagesError, Result, regular};

/// A rectangle of whole pixels: columns `x0..x1`, rows `y0..y1`, counted from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelBox {
    /// First column.
    pub x0: usize,
    /// First row.
    pub y0: usize,
    /// First column to the right of it.
    pub x1: usize,
    /// First row below it.
    pub y1: usize,
}

impl PixelBox {
    /// Whether the point (x, y), in pixels, lies in it.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        (self.x0 as f64..self.x1 as f64).contains(&x) && (self.y0 as f64..self.y1 as f64).contains(&y)
    }
}

/// A box on one of several samples; a line of the CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleBox {
    /// Number of the sample, from 0.
    pub sample: usize,
    /// Where on it.
    pub bounds: PixelBox,
}

const HEADER: [&str; 5] = ["sample", "x0", "y0", "x1", "y1"];

/// Reads a CSV with the columns `sample,x0,y0,x1,y1`, one box a line, of `n_samples` pictures of `height`×`width` pixels.
///
/// # Errors
/// [`ImagesError::Csv`] where it is no CSV; [`ImagesError::Layout`], naming file and line, where the header is another, a
/// value is no whole number, a sample does not exist, or a box is empty or reaches beyond its picture.
pub fn read_boxes(path: &Path, n_samples: usize, [height, width]: [usize; 2]) -> Result<Vec<SampleBox>> {
    let file = regular::open(path)?;
    let csv_error = |source| ImagesError::Csv { path: path.to_path_buf(), source };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(file);
    let header: Vec<String> = reader.headers().map_err(csv_error)?.iter().map(str::to_owned).collect();
    if header != HEADER {
        return Err(ImagesError::layout(path, format!("the header {}", HEADER.join(",")), header.join(",")));
    }
    let mut boxes = Vec::new();
    for record in reader.records() {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |expected: String, found: &str| {
            ImagesError::layout(path, format!("in line {line} {expected}"), format!("`{found}`"))
        };
        if record.len() != HEADER.len() {
            return Err(wrong("five values".to_owned(), &record.iter().collect::<Vec<_>>().join(",")));
        }
        let mut values = [0; 5];
        for ((value, text), name) in values.iter_mut().zip(&record).zip(HEADER) {
            *value = text.parse().map_err(|_| wrong(format!("a whole number of pixels as {name}"), text))?;
        }
        let [sample, x0, y0, x1, y1] = values;
        if sample >= n_samples {
            return Err(wrong(format!("a sample below {n_samples}"), &record[0]));
        }
        if x0 >= x1 || y0 >= y1 || x1 > width || y1 > height {
            let expected = format!("x0 < x1 up to {width} and y0 < y1 up to {height}");
            return Err(wrong(expected, &record.iter().skip(1).collect::<Vec<_>>().join(",")));
        }
        boxes.push(SampleBox { sample, bounds: PixelBox { x0, y0, x1, y1 } });
    }
    Ok(boxes)
}

/// Writes what [`read_boxes`] reads.
///
/// # Errors
/// [`ImagesError::Io`].
pub fn write_boxes(path: &Path, boxes: &[SampleBox]) -> Result<()> {
    let mut text = HEADER.join(",") + "\n";
    for SampleBox { sample, bounds: PixelBox { x0, y0, x1, y1 } } in boxes {
        text.push_str(&format!("{sample},{x0},{y0},{x1},{y1}\n"));
    }
    crate::grid::write_whole(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_survive_the_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("boxes.csv");
        let boxes = [
            SampleBox { sample: 0, bounds: PixelBox { x0: 0, y0: 1, x1: 32, y1: 2 } },
            SampleBox { sample: 7, bounds: PixelBox { x0: 3, y0: 4, x1: 5, y1: 16 } },
        ];
        write_boxes(&path, &boxes).unwrap();
        assert_eq!(read_boxes(&path, 8, [16, 32]).unwrap(), boxes);
        let bounds = boxes[1].bounds;
        assert!(bounds.contains(3.0, 15.9) && !bounds.contains(5.0, 5.0) && !bounds.contains(2.9, 5.0));
    }

    #[test]
    fn an_error_names_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("boxes.csv");
        for (text, expected) in [
            ("sample,x,y,w,h\n", "expected the header sample,x0,y0,x1,y1, found sample,x,y,w,h"),
            ("sample,x0,y0,x1,y1\n0,1,1,5,5\n8,1,1,5,5\n", "in line 3 a sample below 8, found `8`"),
            ("sample,x0,y0,x1,y1\n0,1,-1,5,5\n", "in line 2 a whole number of pixels as y0, found `-1`"),
            ("sample,x0,y0,x1,y1\n0,1,1,33,5\n", "in line 2 x0 < x1 up to 32"),
            ("sample,x0,y0,x1,y1\n0,5,1,5,5\n", "found `5,1,5,5`"),
            ("sample,x0,y0,x1,y1\n0,5,1\n", "in line 2 five values, found `0,5,1`"),
            ("sample,x0,y0,x1,y1\n0,5,1,6,6,9\n", "in line 2 five values, found `0,5,1,6,6,9`"),
        ] {
            fs_err::write(&path, text).unwrap();
            let message = read_boxes(&path, 8, [16, 32]).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("boxes.csv"), "{message}");
        }
    }
}
