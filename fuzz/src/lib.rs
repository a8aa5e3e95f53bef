//! Properties that hold for any bytes.

use vxtap::import::{ImportError, Imported, Input, Options};

/// Reads the bytes with an importer: it gives a valid configuration, or an error of one line.
pub fn import(read: fn(&[Input], &Options) -> Result<Imported, ImportError>, bytes: &[u8]) {
    let input = Input { name: "input".to_owned(), bytes: bytes.to_owned() };
    match read(&[input], &Options::default()) {
        // The importer has checked that it is valid.
        Ok(Imported { left_out, notes, .. }) => {
            assert!(left_out.iter().chain(&notes).all(|sentence| is_a_line(sentence)));
        }
        Err(error) => assert!(is_a_line(&error.to_string()), "{error:?}"),
    }
}

/// Returns whether the text is one line that is not empty.
pub fn is_a_line(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\n', '\r'])
}
