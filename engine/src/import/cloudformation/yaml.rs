//! Parses YAML into a JSON tree. The short forms of functions, `!Ref X` and `!GetAtt A.B`, become
//! the long ones, `{"Ref": "X"}` and `{"Fn::GetAtt": "A.B"}`, so that one reader serves both
//! formats.
//!
//! YAML that CloudFormation does not accept is refused: aliases, several documents, repeated keys.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html>

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};

use super::scalar;
use crate::import::error::ImportError;

/// Maximum nesting depth of lists and maps; templates have about ten levels.
const DEPTH_MAX: usize = 128;
const TOO_DEEP: &str = "too many lists and maps inside each other";

/// A map or list whose end was not read yet.
enum Unfinished {
    Map { map: Map<String, Value>, key: Option<String>, function: Option<String> },
    List { list: Vec<Value>, function: Option<String> },
}

/// Reads one document.
pub(super) fn parse(file: &str, text: &str) -> Result<Value, ImportError> {
    let mut tree = Tree { file, unfinished: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(file, &error))?;
        tree.take(event, &span)?;
    }
    tree.root.ok_or_else(|| ImportError::format(file, "the file is empty"))
}

fn syntax(file: &str, error: &ScanError) -> ImportError {
    let (line, column) = (error.marker().line(), error.marker().col() + 1);
    let what = match error.info() {
        // The parser's own limit, reached while it looks ahead in lists.
        "recursion limit exceeded" => TOO_DEEP.to_owned(),
        what => format!("not YAML: {what}"),
    };
    ImportError::format(file, format_args!("line {line}, column {column}: {what}"))
}

struct Tree<'f> {
    file: &'f str,
    unfinished: Vec<Unfinished>,
    root: Option<Value>,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), ImportError> {
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                if let Some(Unfinished::Map { map, key: key @ None, .. }) =
                    self.unfinished.last_mut()
                {
                    if map.contains_key(&*text) {
                        return Err(self.error(span, &format!("the key {text:?} stands twice")));
                    }
                    *key = Some(text.into_owned());
                    return Ok(());
                }
                value
            }
            Event::MappingStart(_, tag) => {
                let function = function(tag.as_deref());
                return self.push(Unfinished::Map { map: Map::new(), key: None, function }, span);
            }
            Event::SequenceStart(_, tag) => {
                let function = function(tag.as_deref());
                return self.push(Unfinished::List { list: Vec::new(), function }, span);
            }
            Event::MappingEnd | Event::SequenceEnd => match self.unfinished.pop() {
                Some(Unfinished::Map { map, function, .. }) => called(function, Value::Object(map)),
                Some(Unfinished::List { list, function }) => called(function, Value::Array(list)),
                None => return Ok(()),
            },
            Event::Alias(_) => {
                return Err(self.error(span, "aliases (*name) are not read, write the value"));
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                return Err(self.error(span, "a second document; a template is one"));
            }
            _ => return Ok(()),
        };
        self.place(value);
        Ok(())
    }

    fn push(&mut self, unfinished: Unfinished, span: &Span) -> Result<(), ImportError> {
        if let Some(Unfinished::Map { key: None, .. }) = self.unfinished.last() {
            return Err(self.error(span, "found a list or map where a key is expected"));
        }
        if self.unfinished.len() >= DEPTH_MAX {
            return Err(self.error(span, TOO_DEEP));
        }
        self.unfinished.push(unfinished);
        Ok(())
    }

    /// Adds a complete value to its parent.
    fn place(&mut self, value: Value) {
        match self.unfinished.last_mut() {
            None => self.root = Some(value),
            Some(Unfinished::List { list, .. }) => list.push(value),
            Some(Unfinished::Map { map, key, .. }) => {
                map.insert(key.take().unwrap_or_default(), value);
            }
        }
    }

    fn error(&self, span: &Span, message: &str) -> ImportError {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        ImportError::format(self.file, format_args!("line {line}, column {column}: {message}"))
    }
}

/// Converts a scalar: plain ones may be numbers, booleans or null.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let string = || Value::String(text.to_owned());
    if let Some(function) = function(tag) {
        return called(Some(function), string());
    }
    let is_plain = match tag.map(|tag| tag.suffix.as_str()) {
        // `!!str` and the non-specific tag `!` make a text of it.
        Some(suffix) => matches!(suffix, "int" | "bool" | "null" | "float"),
        None => style == ScalarStyle::Plain,
    };
    if is_plain { scalar::plain(text) } else { string() }
}

/// Returns the long name of the function that a tag calls.
fn function(tag: Option<&Tag>) -> Option<String> {
    let Tag { handle, suffix } = tag?;
    match (handle.as_str(), suffix.as_str()) {
        ("!", "Ref" | "Condition") => Some(suffix.clone()),
        ("!", name) => Some(format!("Fn::{name}")),
        _ => None,
    }
}

fn called(function: Option<String>, argument: Value) -> Value {
    match function {
        Some(function) => Value::Object(Map::from_iter([(function, argument)])),
        None => argument,
    }
}
