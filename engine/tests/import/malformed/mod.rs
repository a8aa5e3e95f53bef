//! Input that cannot be read: each with the sentence that says why.

mod aws;
mod cloudformation;
mod terraform;

use vxtap::import::{ImportError, Imported, Input, Options};

type Import = fn(&[Input], &Options) -> Result<Imported, ImportError>;

const NAME: &str = "input";

fn input(bytes: &[u8]) -> Input {
    Input { name: NAME.to_owned(), bytes: bytes.to_owned() }
}

/// The error that the bytes have.
fn error(import: Import, bytes: &[u8]) -> String {
    match import(&[input(bytes)], &Options::default()) {
        Ok(imported) => panic!("{:?} has become\n{}", String::from_utf8_lossy(bytes), imported.toml),
        Err(error) => error.to_string(),
    }
}

fn assert_refused_bytes(import: Import, bytes: &[u8], expected: &str) {
    assert_eq!(error(import, bytes), format!("{NAME}: {expected}"));
}

fn assert_refused(import: Import, text: &str, expected: &str) {
    assert_refused_bytes(import, text.as_bytes(), expected);
}
