//! Malformed inputs, each with its complete error message.

mod assembled;
mod aws;
mod cloudformation;
mod terraform;

use serde_json::Value;

use crate::{Source, input};

/// Name of the file in every error.
const FILE: &str = "in.json";

/// A wrong input, and the error.
type Case<'c> = (Vec<u8>, &'c str);

fn case(text: impl Into<Vec<u8>>, error: &str) -> Case<'_> {
    (text.into(), error)
}

/// Asserts the error of each case, and shows all that differ at once.
fn check(source: Source, cases: &[Case<'_>]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let found = match source.import(&[input(FILE, &text[..])]) {
            Ok(imported) => format!("accepted:\n{}", imported.toml),
            Err(error) => error.to_string(),
        };
        if found != *expected {
            let start = String::from_utf8_lossy(&text[..text.len().min(400)]);
            wrong.push(format!("{start}\n    found: {found}\n expected: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// The object with one property set to something else; null takes it away.
fn with(object: &Value, key: &str, value: Value) -> Value {
    let mut object = object.clone();
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(key)),
        value => object[key] = value,
    }
    object
}
