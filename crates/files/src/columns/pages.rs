//! Pages whose numbers of values can be true.
//!
//! The `parquet` crate takes memory for as many values as a page's header claims before it looks at the page's bytes, so that a
//! file of some hundred bytes could ask for gigabytes.

use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

/// The pages of a column chunk; an error in place of one that claims what cannot be.
pub(super) struct CheckedPages {
    pages: Box<dyn PageReader>,
    /// Bytes that a value of a dictionary takes at least.
    least_bytes: usize,
    /// Rows of the row group that no page was read of yet.
    n_left: usize,
}

impl CheckedPages {
    /// Those of a column without lists, of `n_rows` rows.
    pub(super) fn new(pages: Box<dyn PageReader>, physical: Type, n_rows: usize) -> Self {
        let least_bytes = match physical {
            Type::INT64 | Type::DOUBLE => 8,
            // Text is preceded by its length.
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            _ => 1,
        };
        Self { pages, least_bytes, n_left: n_rows }
    }

    fn check(&mut self, page: &Page) -> Result<()> {
        let n_values = page.num_values() as usize;
        if !page.is_data_page() {
            let is_plain = matches!(page.encoding(), Encoding::PLAIN | Encoding::PLAIN_DICTIONARY);
            let most = page.buffer().len() / self.least_bytes;
            return match is_plain && n_values > most {
                true => Err(damaged("dictionary", most, n_values)),
                false => Ok(()),
            };
        }
        match self.n_left.checked_sub(n_values) {
            Some(n_left) => self.n_left = n_left,
            None => return Err(damaged("page", self.n_left, n_values)),
        }
        Ok(())
    }
}

fn damaged(what: &str, most: usize, found: usize) -> ParquetError {
    ParquetError::General(format!("damaged: expected a {what} of at most {most} values, found {found}"))
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(Option<Page>);

    impl PageReader for One {
        fn get_next_page(&mut self) -> Result<Option<Page>> {
            Ok(self.0.take())
        }

        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
            Ok(None)
        }

        fn skip_next_page(&mut self) -> Result<()> {
            Ok(())
        }
    }

    impl Iterator for One {
        type Item = Result<Page>;

        fn next(&mut self) -> Option<Self::Item> {
            self.0.take().map(Ok)
        }
    }

    fn read(page: Page, n_rows: usize) -> std::result::Result<(), String> {
        let mut pages = CheckedPages::new(Box::new(One(Some(page))), Type::INT64, n_rows);
        pages.get_next_page().map(|_| ()).map_err(|error| error.to_string())
    }

    fn dictionary(num_values: u32) -> Page {
        Page::DictionaryPage {
            buf: vec![0; 24].into(),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        }
    }

    #[test]
    fn a_dictionary_has_no_more_values_than_its_bytes() {
        read(dictionary(3), 0).unwrap();
        let error = read(dictionary(1 << 31), 0).unwrap_err();
        assert!(error.contains("expected a dictionary of at most 3 values, found 2147483648"), "{error}");
    }

    #[test]
    fn a_page_has_no_more_values_than_the_group_has_rows() {
        let page = |num_values| Page::DataPage {
            buf: vec![0; 24].into(),
            num_values,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        read(page(3), 3).unwrap();
        let error = read(page(4), 3).unwrap_err();
        assert!(error.contains("expected a page of at most 3 values, found 4"), "{error}");
    }
}
