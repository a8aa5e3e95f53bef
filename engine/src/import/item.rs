//! Reads typed values out of JSON, and remembers the place of each for the error.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::Value;

use super::ImportError;

/// Most characters of a found value that an error repeats.
const FOUND_CHARS_MAX: usize = 60;

/// A value of the document with its place.
#[derive(Clone, Debug)]
pub(super) struct Item<'v> {
    value: &'v Value,
    file: &'v str,
    place: String,
}

impl<'v> Item<'v> {
    pub(super) const fn new(file: &'v str, value: &'v Value, place: String) -> Self {
        Self { value, file, place }
    }

    /// The same with the object's own name behind its place, once it is known.
    pub(super) fn named(mut self, name: &str) -> Self {
        self.place = if self.place.is_empty() {
            name.to_owned()
        } else {
            format!("{} ({name})", self.place)
        };
        self
    }

    pub(super) const fn file(&self) -> &'v str {
        self.file
    }

    pub(super) const fn value(&self) -> &'v Value {
        self.value
    }

    /// The property of an object, if it is there: null and the empty string stand for a property
    /// that is not set.
    pub(super) fn get(&self, key: &str) -> Result<Option<Self>, ImportError> {
        let Value::Object(object) = self.value else { return Err(self.expected("an object")) };
        let is_set = |value: &&Value| !value.is_null() && value.as_str() != Some("");
        let item = |value| Self { value, file: self.file, place: join(&self.place, key) };
        Ok(object.get(key).filter(is_set).map(item))
    }

    /// The property of an object that has to be there.
    pub(super) fn required(&self, key: &str) -> Result<Self, ImportError> {
        let place = join(&self.place, key);
        self.get(key)?.ok_or_else(|| self.error_at(&place, "missing"))
    }

    /// The elements of a list property; none if it is not there.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Self>, ImportError> {
        self.get(key)?.map_or(Ok(Vec::new()), |item| item.elements())
    }

    pub(super) fn elements(&self) -> Result<Vec<Self>, ImportError> {
        let Value::Array(array) = self.value else { return Err(self.expected("a list")) };
        let item =
            |(at, value)| Self { value, file: self.file, place: format!("{}[{at}]", self.place) };
        Ok(array.iter().enumerate().map(item).collect())
    }

    pub(super) fn string(&self) -> Result<&'v str, ImportError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// A string property that has to be there.
    pub(super) fn id(&self, key: &str) -> Result<String, ImportError> {
        Ok(self.required(key)?.string()?.to_owned())
    }

    pub(super) fn optional_string(&self, key: &str) -> Result<Option<String>, ImportError> {
        self.get(key)?.map(|item| Ok(item.string()?.to_owned())).transpose()
    }

    /// An integer, also one that is written as a string.
    pub(super) fn integer(&self, range: RangeInclusive<i64>) -> Result<i64, ImportError> {
        let number = match self.value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| {
            self.expected(format_args!("an integer from {} to {}", range.start(), range.end()))
        })
    }

    /// A boolean, also one that is written as a string.
    pub(super) fn boolean(&self) -> Result<bool, ImportError> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A string that says a value.
    pub(super) fn parsed<T: FromStr>(&self, expected: &str) -> Result<T, ImportError> {
        self.string()?.parse().ok().ok_or_else(|| self.expected(expected))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ImportError> {
        let known = words.iter().find(|(word, _)| self.value.as_str() == Some(word));
        let names: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        known.map(|(_, value)| *value).ok_or_else(|| self.expected(names.join(" or ")))
    }

    pub(super) fn expected(&self, expected: impl fmt::Display) -> ImportError {
        self.error(format_args!("found {}, expected {expected}", describe(self.value)))
    }

    pub(super) fn error(&self, message: impl fmt::Display) -> ImportError {
        self.error_at(&self.place, message)
    }

    fn error_at(&self, place: &str, message: impl fmt::Display) -> ImportError {
        if place.is_empty() {
            return ImportError::format(self.file, message);
        }
        ImportError::value(self.file, place, message)
    }
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// Names a value in an error: short ones as they stand, objects and lists by their type.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => shortened(&number.to_string()),
        Value::String(text) => format!("{:?}", shortened(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
