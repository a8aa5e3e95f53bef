//! Reads typed values from JSON and keeps the path of each for errors.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::Value;

use super::error::ImportError;

/// Maximum number of characters of a value that an error repeats.
const FOUND_CHARS_MAX: usize = 60;

/// The file and path that an object was read from. It is no part of the object: all places are
/// equal, so that two files may have the same object.
#[derive(Clone, Debug, Default)]
pub(super) struct Place(pub(super) String);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value of the document with its path.
#[derive(Clone, Debug)]
pub(super) struct Item<'v> {
    value: &'v Value,
    file: &'v str,
    path: String,
}

impl<'v> Item<'v> {
    pub(super) const fn new(file: &'v str, value: &'v Value, path: String) -> Self {
        Self { value, file, path }
    }

    /// Returns the item with the object's own name appended to its path.
    pub(super) fn named(mut self, name: &str) -> Self {
        self.path =
            if self.path.is_empty() { name.to_owned() } else { format!("{} ({name})", self.path) };
        self
    }

    /// Returns the item with the value of a property appended to its path, if that is a string.
    pub(super) fn named_by(self, key: &str) -> Self {
        match self.word_of(key) {
            Some(name) => self.named(name),
            None => self,
        }
    }

    pub(super) const fn file(&self) -> &'v str {
        self.file
    }

    /// Returns the file and the path of the value.
    pub(super) fn place(&self) -> Place {
        Place(format!("{}: {}", self.file, self.path))
    }

    pub(super) const fn value(&self) -> &'v Value {
        self.value
    }

    /// Returns a property of an object, if it is set; null and the empty string mean that it is
    /// not.
    pub(super) fn get(&self, key: &str) -> Result<Option<Self>, ImportError> {
        let Value::Object(object) = self.value else { return Err(self.expected("an object")) };
        let is_set = |value: &&Value| !value.is_null() && value.as_str() != Some("");
        let item = |value| Self { value, file: self.file, path: join(&self.path, key) };
        Ok(object.get(key).filter(is_set).map(item))
    }

    /// Returns a required property of an object.
    pub(super) fn required(&self, key: &str) -> Result<Self, ImportError> {
        let path = join(&self.path, key);
        self.get(key)?.ok_or_else(|| self.error_at(&path, "missing"))
    }

    /// Returns the elements of a list property; none if it is not set.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Self>, ImportError> {
        self.get(key)?.map_or(Ok(Vec::new()), |item| item.elements())
    }

    pub(super) fn elements(&self) -> Result<Vec<Self>, ImportError> {
        let Value::Array(array) = self.value else { return Err(self.expected("a list")) };
        let item =
            |(at, value)| Self { value, file: self.file, path: format!("{}[{at}]", self.path) };
        Ok(array.iter().enumerate().map(item).collect())
    }

    pub(super) fn string(&self) -> Result<&'v str, ImportError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// Returns a required string property.
    pub(super) fn id(&self, key: &str) -> Result<String, ImportError> {
        Ok(self.required(key)?.string()?.to_owned())
    }

    /// Returns a string property for messages, if it is there and a string.
    pub(super) fn word_of(&self, key: &str) -> Option<&'v str> {
        self.value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn optional_string(&self, key: &str) -> Result<Option<String>, ImportError> {
        self.get(key)?.map(|item| Ok(item.string()?.to_owned())).transpose()
    }

    /// Returns an integer, which may be written as a string.
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

    /// Returns a boolean, which may be written as a string.
    pub(super) fn boolean(&self) -> Result<bool, ImportError> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// Returns the value that a string represents.
    pub(super) fn parsed<T: FromStr>(&self, expected: &str) -> Result<T, ImportError> {
        self.string()?.parse().ok().ok_or_else(|| self.expected(expected))
    }

    /// Returns the value of one of some keywords.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ImportError> {
        let known = words.iter().find(|(word, _)| self.value.as_str() == Some(word));
        let names: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        known.map(|(_, value)| *value).ok_or_else(|| self.expected(names.join(" or ")))
    }

    pub(super) fn expected(&self, expected: impl fmt::Display) -> ImportError {
        self.error(format_args!("found {}, expected {expected}", describe(self.value)))
    }

    pub(super) fn error(&self, message: impl fmt::Display) -> ImportError {
        self.error_at(&self.path, message)
    }

    /// Returns an error about a place below the value.
    pub(super) fn error_below(&self, below: &str, message: impl fmt::Display) -> ImportError {
        self.error_at(&format!("{}{below}", self.path), message)
    }

    fn error_at(&self, path: &str, message: impl fmt::Display) -> ImportError {
        if path.is_empty() {
            return ImportError::format(self.file, message);
        }
        ImportError::value(self.file, path, message)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Describes a value in an error: scalars as they are written, objects and lists by their type.
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

/// Returns the beginning of a text, for messages.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
