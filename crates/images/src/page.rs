//! Contact sheets: pictures in rows on one HTML page, for people to judge.

use std::fmt::Write as _;

use base64::Engine as _;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::{ImagesError, Picture, Result};

/// A page that grows from top to bottom; its pictures are in it.
#[derive(Clone, Debug)]
pub struct Page(String);

impl Page {
    /// A page with a heading.
    pub fn new(title: &str) -> Self {
        Self(format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\n\
             body {{ font: 14px sans-serif; margin: 2em; }}\n\
             .row {{ display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 1em; padding: 8px; background: #f4f4f4; }}\n\
             figure {{ margin: 0; }} figcaption {{ font-size: 11px; color: #555; width: 160px; overflow-wrap: anywhere; }}\n\
             table {{ border-collapse: collapse; }} td, th {{ border: 1px solid #ccc; padding: 3px 8px; }}\n\
             </style></head><body>\n<h1>{title}</h1>\n",
            title = escaped(title)
        ))
    }

    /// Adds a heading of the second order.
    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "<h2>{}</h2>", escaped(text));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.0, "<p>{}</p>", escaped(text));
    }

    /// Adds HTML as it is.
    pub fn html(&mut self, html: &str) {
        self.0 += html;
    }

    /// Adds pictures side by side: JPEG files with key and caption; without a file it is said that it is not shown.
    pub fn row<'a>(&mut self, figures: impl IntoIterator<Item = (&'a str, String, Option<&'a [u8]>)>) {
        self.0 += "<div class=\"row\">";
        for (key, caption, jpeg) in figures {
            let (key, caption) = (escaped(key), escaped(&caption));
            let _ = match jpeg.map(|jpeg| base64::engine::general_purpose::STANDARD.encode(jpeg)) {
                Some(data) => write!(
                    self.0,
                    "<figure><img alt=\"{key}\" src=\"data:image/jpeg;base64,{data}\"><figcaption>{key}<br>{caption}</figcaption></figure>"
                ),
                None => {
                    write!(self.0, "<figure><figcaption>{key}: not shown<br>{caption}</figcaption></figure>")
                }
            };
        }
        self.0 += "</div>\n";
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.0 + "</body></html>\n"
    }
}

/// Text as it may stand in HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The picture as a JPEG file of a quality from 1 to 100.
///
/// # Errors
/// [`ImagesError::BadPicture`] for a side above 65,535.
pub fn jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>> {
    let colour = if picture.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(&picture.to_interleaved(), picture.width as u32, picture.height as u32, colour)
        .map_err(|e| ImagesError::bad(format!("cannot be encoded: {e}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_pictures_and_escapes_its_words() {
        let picture = Picture { channels: 1, height: 8, width: 8, pixels: vec![90; 64] };
        let file = jpeg(&picture, 90).unwrap();
        let decoded = crate::decode(&file, crate::DecodeConfig::default()).unwrap();
        assert_eq!((decoded.height, decoded.width, decoded.pixels[0]), (8, 8, 90));
        let mut page = Page::new("a & b");
        page.row([("k<1>", "caption".to_owned(), Some(file.as_slice())), ("k2", String::new(), None)]);
        let html = page.finish();
        assert!(
            html.contains("<h1>a &amp; b</h1>")
                && html.contains("alt=\"k&lt;1&gt;\" src=\"data:image/jpeg;base64,/9j/")
        );
        assert!(html.contains("k2: not shown") && html.ends_with("</body></html>\n"));
    }
}
