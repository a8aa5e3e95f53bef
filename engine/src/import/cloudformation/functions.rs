//! Functions whose result the template determines.

use serde_json::{Map, Value};

use super::resolve::{Resolved, Resolver, Unknown, cannot, known_text};

/// Maximum length of a text in bytes; guards against texts that repeat each other.
const TEXT_BYTES_MAX: usize = 64 << 10;

impl Resolver<'_> {
    /// Resolves `Fn::If`, if its condition is known.
    pub(super) fn branch(&mut self, argument: &Value) -> Resolved {
        let Some([Value::String(condition), then, otherwise]) =
            argument.as_array().map(Vec::as_slice)
        else {
            return Err(cannot("Fn::If"));
        };
        let holds = self.condition(condition)?;
        self.resolve(if holds { then } else { otherwise })
    }

    /// Resolves `Fn::Sub`, in both of its forms.
    pub(super) fn substituted(&mut self, argument: &Value) -> Resolved {
        let none = Map::new();
        let (text, variables) = match argument {
            Value::String(text) => (text, &none),
            Value::Array(parts) => match &parts[..] {
                [Value::String(text), Value::Object(variables)] => (text, variables),
                _ => return Err(cannot("Fn::Sub")),
            },
            _ => return Err(cannot("Fn::Sub")),
        };
        // One name alone may stand for a resource.
        if let Some(name) = only_name(text) {
            return match variables.get(name) {
                Some(value) => self.resolve(value),
                None => self.named(name),
            };
        }
        let (mut result, mut rest) = (String::new(), text.as_str());
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| cannot("Fn::Sub"))?;
            result.push_str(before);
            if let Some(literal) = name.strip_prefix('!') {
                result.extend(["${", literal, "}"]);
            } else {
                let value = match variables.get(name.trim()) {
                    Some(value) => self.text(value)?,
                    None => self.text(&call_of(name.trim()))?,
                };
                result.push_str(&value);
            }
            check_length(&result)?;
            rest = after;
        }
        result.push_str(rest);
        known_text(result).map(Some)
    }

    /// Resolves a name as in `${Resource}` or `${Resource.Attribute}`.
    fn named(&mut self, name: &str) -> Resolved {
        self.resolve(&call_of(name))
    }

    /// Resolves `Fn::Join`.
    pub(super) fn joined(&mut self, argument: &Value) -> Resolved {
        let Some([Value::String(separator), list]) = argument.as_array().map(Vec::as_slice) else {
            return Err(cannot("Fn::Join"));
        };
        let list = self.list(list, "Fn::Join")?;
        let mut result = String::new();
        for (at, part) in list.iter().enumerate() {
            result.push_str(if at == 0 { "" } else { separator });
            result.push_str(&self.text(part)?);
            check_length(&result)?;
        }
        known_text(result).map(Some)
    }

    /// Resolves `Fn::Split`.
    pub(super) fn split(&mut self, argument: &Value) -> Resolved {
        let Some([Value::String(separator), text]) = argument.as_array().map(Vec::as_slice) else {
            return Err(cannot("Fn::Split"));
        };
        if separator.is_empty() {
            return Err(cannot("Fn::Split"));
        }
        let text = self.text(text)?;
        Ok(Some(text.split(separator.as_str()).map(Value::from).collect()))
    }

    /// Resolves `Fn::Select`.
    pub(super) fn selected(&mut self, argument: &Value) -> Resolved {
        let Some([index, list]) = argument.as_array().map(Vec::as_slice) else {
            return Err(cannot("Fn::Select"));
        };
        let index = self.text(index)?;
        let list = self.list(list, "Fn::Select")?;
        let element = index.parse().ok().and_then(|index: usize| list.get(index));
        let reason = || Unknown::new(format!("Fn::Select: the list has no element {index}"));
        self.resolve(element.ok_or_else(reason)?)
    }

    /// Returns the elements of a list: those of a literal one as they are written.
    fn list(&mut self, list: &Value, function: &str) -> Result<Vec<Value>, Unknown> {
        let resolved = if list.is_array() { Some(list.clone()) } else { self.resolve(list)? };
        match resolved {
            Some(Value::Array(list)) => Ok(list),
            _ => Err(Unknown::new(format!("{function}: found no list"))),
        }
    }

    /// Resolves `Fn::FindInMap`.
    pub(super) fn mapped(&mut self, argument: &Value) -> Resolved {
        let (names, default) = match argument.as_array().map(Vec::as_slice) {
            Some([map, first, second]) => ([map, first, second], None),
            Some([map, first, second, default]) => {
                ([map, first, second], default.get("DefaultValue"))
            }
            _ => return Err(cannot("Fn::FindInMap")),
        };
        let mut keys = Vec::new();
        for name in names {
            keys.push(self.text(name)?);
        }
        let mut found = self.template.mappings.and_then(|mappings| mappings.get(&keys[0]));
        for key in &keys[1..] {
            found = found.and_then(|value| value.get(key));
        }
        match (found, default) {
            (Some(value), _) => self.resolve(value),
            (None, Some(default)) => self.resolve(default),
            (None, None) => {
                let keys = keys.join(", ");
                Err(Unknown::new(format!("Fn::FindInMap: the template has no {keys}")))
            }
        }
    }
}

/// Returns the name of a text that is `${Name}` and nothing else.
fn only_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    (!name.starts_with('!') && !name.contains(['$', '}'])).then_some(name.trim())
}

/// Returns the call that a name within `Fn::Sub` stands for.
fn call_of(name: &str) -> Value {
    let function = if name.contains('.') { "Fn::GetAtt" } else { "Ref" };
    Value::Object(Map::from_iter([(function.to_owned(), Value::from(name))]))
}

fn check_length(text: &str) -> Result<(), Unknown> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Unknown::new(format!("a text of more than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(())
}
