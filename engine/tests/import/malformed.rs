//! Malformed inputs, each with its complete error message.

mod assembled;
mod aws;
mod aws_objects;
mod cloudformation;
mod terraform;
mod yaml;

use serde_json::Value;
use vxtap::import::ImportError;

use crate::{Source, input};

/// Name of the file in every error.
const FILE: &str = "in.json";

/// A wrong input, and the error.
type Case<'c> = (Vec<u8>, &'c str);

fn case(text: impl Into<Vec<u8>>, error: &str) -> Case<'_> {
    (text.into(), error)
}

/// Asserts the error of each case, which is refused as a whole, and shows all that differ at once.
fn check(source: Source, cases: &[Case<'_>]) {
    check_each(cases, |text| match source.import(&[input(FILE, text)]) {
        Ok(imported) => format!("accepted:\n{}", imported.toml),
        Err(error) => error.to_string(),
    });
}

/// Asserts, of each case, the one sentence that says what is left out of the file, and where.
/// Sentences about objects that refer to it do not count.
fn check_left_out(source: Source, cases: &[Case<'_>]) {
    check_each(cases, |text| {
        let left_out = match source.import(&[input(FILE, text)]) {
            Ok(imported) => {
                let list = imported.toml.replace("\n#   ", " ");
                for sentence in imported.left_out.iter().chain(&imported.notes) {
                    assert!(list.contains(&format!("\n# - {sentence}\n")), "{sentence}\n{list}");
                }
                imported.left_out
            }
            Err(ImportError::Nothing { left_out, .. }) => left_out,
            Err(error) => return format!("refused: {error}"),
        };
        let of_file: Vec<_> = left_out.iter().filter(|it| it.starts_with(FILE)).cloned().collect();
        of_file.join("\n")
    });
}

fn check_each(cases: &[Case<'_>], outcome: impl Fn(&[u8]) -> String) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let found = outcome(text);
        if found != *expected {
            let start = String::from_utf8_lossy(&text[..text.len().min(400)]);
            wrong.push(format!("{start}\n    found: {found}\n expected: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// The object with one property set to something else; null takes it away.
pub(crate) fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.clone();
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(key)),
        value => object[key] = value,
    }
    object
}
