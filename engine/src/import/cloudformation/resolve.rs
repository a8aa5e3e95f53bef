//! Resolves the references of a template, as far as the template alone determines them.

use serde_json::{Map, Value};

use crate::import::ImportError;
use crate::import::item::Item;

/// A template's resources and parameters.
pub(super) struct Template<'v> {
    pub(super) resources: &'v Map<String, Value>,
    pub(super) parameters: Option<&'v Map<String, Value>>,
}

impl Template<'_> {
    /// Returns the requested properties of a resource with their references resolved. `assumptions`
    /// gets a sentence for each parameter that was taken at its default.
    pub(super) fn properties(
        &self,
        properties: &Item<'_>,
        keys: &[&str],
        assumptions: &mut Vec<String>,
    ) -> Result<Value, ImportError> {
        let mut resolved = Map::new();
        for key in keys {
            if let Some(item) = properties.get(key)? {
                resolved.insert((*key).to_owned(), self.resolve(&item, assumptions)?);
            }
        }
        Ok(Value::Object(resolved))
    }

    fn resolve(
        &self,
        item: &Item<'_>,
        assumptions: &mut Vec<String>,
    ) -> Result<Value, ImportError> {
        match item.value() {
            Value::Object(object) if object.len() == 1 => {
                let (name, argument) =
                    object.iter().next().unwrap_or_else(|| unreachable!("one entry"));
                match name.as_str() {
                    "Ref" => self.reference(item, argument, assumptions),
                    "Fn::GetAtt" => self.attribute(item, argument),
                    "Condition" => Err(cannot(item, "Condition")),
                    name if name.starts_with("Fn::") => Err(cannot(item, name)),
                    _ => self.members(item, object, assumptions),
                }
            }
            Value::Object(object) => self.members(item, object, assumptions),
            Value::Array(_) => {
                let elements = item.elements()?;
                elements.iter().map(|element| self.resolve(element, assumptions)).collect()
            }
            other => Ok(other.clone()),
        }
    }

    fn members(
        &self,
        item: &Item<'_>,
        object: &Map<String, Value>,
        assumptions: &mut Vec<String>,
    ) -> Result<Value, ImportError> {
        let mut resolved = Map::new();
        for key in object.keys() {
            if let Some(member) = item.get(key)? {
                resolved.insert(key.clone(), self.resolve(&member, assumptions)?);
            }
        }
        Ok(Value::Object(resolved))
    }

    /// Resolves `Ref`: to the logical name of a resource, or to the default of a parameter.
    fn reference(
        &self,
        item: &Item<'_>,
        argument: &Value,
        assumptions: &mut Vec<String>,
    ) -> Result<Value, ImportError> {
        let Value::String(name) = argument else {
            return Err(item.error("Ref is not followed by the name of a resource or parameter"));
        };
        if self.resources.contains_key(name.as_str()) {
            return Ok(Value::String(name.to_owned()));
        }
        let Some(parameter) = self.parameters.and_then(|parameters| parameters.get(name)) else {
            return Err(cannot(item, &format!("Ref {name}")));
        };
        let Some(default) = parameter.get("Default") else {
            return Err(item.error(format_args!(
                "Ref {name} is a parameter without a default; write the value in its place"
            )));
        };
        let sentence = format!("parameter {name} taken at its default {default}");
        if !assumptions.contains(&sentence) {
            assumptions.push(sentence);
        }
        Ok(default.clone())
    }

    /// Resolves `Fn::GetAtt` of the identifier of a resource; other attributes are unknown before
    /// the resource exists.
    fn attribute(&self, item: &Item<'_>, argument: &Value) -> Result<Value, ImportError> {
        let parts = match argument {
            Value::String(text) => text.split_once('.'),
            Value::Array(parts) => match &parts[..] {
                [Value::String(resource), Value::String(attribute)] => {
                    Some((&**resource, &**attribute))
                }
                _ => None,
            },
            _ => None,
        };
        let Some((resource, attribute)) = parts else {
            return Err(item.error(
                "Fn::GetAtt is not followed by the name of a resource and of an attribute",
            ));
        };
        if attribute == "Id" && self.resources.contains_key(resource) {
            return Ok(Value::String(resource.to_owned()));
        }
        Err(cannot(item, &format!("Fn::GetAtt {resource}.{attribute}")))
    }
}

fn cannot(item: &Item<'_>, function: &str) -> ImportError {
    item.error(format_args!(
        "{function} cannot be resolved from the template alone; write the value in its place"
    ))
}
