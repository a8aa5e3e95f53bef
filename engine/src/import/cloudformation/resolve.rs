//! Resolves the references of a template, as far as the template alone determines them.

use std::mem;

use serde_json::{Map, Value};

use super::template::Template;
use crate::import::error::ImportError;
use crate::import::item::{Item, shortened};

/// Maximum number of values that are looked at for a resource; guards against references that
/// multiply.
const STEPS_MAX: u32 = 10_000;
/// Maximum number of references and conditions that lead to each other; guards against circles.
const JUMPS_MAX: u32 = 16;

/// The reason for which a value is not known.
#[derive(Debug)]
pub(super) struct Unknown {
    /// Path below the property.
    pub(super) path: String,
    pub(super) reason: String,
}

impl Unknown {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { path: String::new(), reason: reason.into() }
    }

    fn below(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }
}

/// A value, or none for `AWS::NoValue`: the property is then absent.
pub(super) type Resolved = Result<Option<Value>, Unknown>;

/// Resolves the properties of a resource.
pub(super) struct Resolver<'t> {
    pub(super) template: &'t Template<'t>,
    /// A sentence for each parameter that was taken at its default.
    pub(super) assumptions: Vec<String>,
    steps: u32,
    jumps: u32,
    /// The value becomes part of a text, where an identifier that a stack gives is not known.
    in_text: bool,
}

/// Values of properties, and the properties that are not known.
type Properties<'k> = (Value, Vec<(&'k str, Unknown)>);

impl<'t> Resolver<'t> {
    /// `assumptions` are there already.
    pub(super) fn new(template: &'t Template<'t>, assumptions: &[String]) -> Self {
        let assumptions = assumptions.to_vec();
        Self { template, assumptions, steps: 0, jumps: 0, in_text: false }
    }

    fn assume(&mut self, sentence: String) {
        if !self.assumptions.contains(&sentence) {
            self.assumptions.push(sentence);
        }
    }

    /// Returns the requested properties of a resource.
    pub(super) fn properties<'k>(
        &mut self,
        properties: &Item<'_>,
        keys: &[&'k str],
    ) -> Result<Properties<'k>, ImportError> {
        let object = match properties.value() {
            Value::Null => return Ok((Value::Object(Map::new()), Vec::new())),
            Value::Object(object) => object,
            _ => return Err(properties.expected("an object")),
        };
        if let Some(name) = object.keys().find(|key| key.starts_with("Fn::")) {
            return Err(properties.error(cannot(name).reason));
        }
        let (mut resolved, mut faults) = (Map::new(), Vec::new());
        for key in keys {
            let Some(value) = object.get(*key) else { continue };
            match self.resolve(value) {
                Ok(Some(value)) => drop(resolved.insert((*key).to_owned(), value)),
                Ok(None) => {}
                Err(unknown) => faults.push((*key, unknown)),
            }
        }
        Ok((Value::Object(resolved), faults))
    }

    pub(super) fn resolve(&mut self, value: &Value) -> Resolved {
        self.step()?;
        match value {
            Value::Object(object) => match function(object) {
                Some((name, argument)) => self.call(name, argument),
                None => self.members(object),
            },
            Value::Array(list) => {
                let mut resolved = Vec::new();
                for (at, element) in list.iter().enumerate() {
                    let element = self.resolve(element);
                    resolved.extend(element.map_err(|it| it.below(&format!("[{at}]")))?);
                }
                Ok(Some(Value::Array(resolved)))
            }
            Value::String(text) => known_text(text.clone()).map(Some),
            other => Ok(Some(other.clone())),
        }
    }

    /// Counts a value or a condition that is looked at.
    pub(super) fn step(&mut self) -> Result<(), Unknown> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Unknown::new("too many references"));
        }
        Ok(())
    }

    fn members(&mut self, object: &Map<String, Value>) -> Resolved {
        let mut resolved = Map::new();
        for (key, value) in object {
            let value = self.resolve(value).map_err(|it| it.below(&format!(".{key}")))?;
            resolved.extend(value.map(|value| (key.clone(), value)));
        }
        Ok(Some(Value::Object(resolved)))
    }

    fn call(&mut self, name: &str, argument: &Value) -> Resolved {
        match name {
            "Ref" => self.reference(argument),
            "Fn::GetAtt" => self.attribute(argument),
            "Fn::If" => self.branch(argument),
            "Fn::Sub" => self.substituted(argument),
            "Fn::Join" => self.joined(argument),
            "Fn::Split" => self.split(argument),
            "Fn::Select" => self.selected(argument),
            "Fn::FindInMap" => self.mapped(argument),
            other => Err(cannot(other)),
        }
    }

    /// Follows a reference within the template.
    pub(super) fn jump<T>(
        &mut self,
        follow: impl FnOnce(&mut Self) -> Result<T, Unknown>,
    ) -> Result<T, Unknown> {
        if self.jumps == JUMPS_MAX {
            return Err(Unknown::new("its references lead to each other, or too far"));
        }
        self.jumps += 1;
        let followed = follow(self);
        self.jumps -= 1;
        followed
    }

    /// Resolves a value that becomes part of a text.
    pub(super) fn text(&mut self, value: &Value) -> Result<String, Unknown> {
        let outer = mem::replace(&mut self.in_text, true);
        let resolved = self.resolve(value);
        self.in_text = outer;
        match resolved? {
            Some(Value::String(text)) => Ok(text),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(value)) => Ok(value.to_string()),
            _ => Err(Unknown::new("found a list, an object or nothing where a text is expected")),
        }
    }

    /// Resolves `Ref`: to the logical name of a resource, or to the default of a parameter.
    pub(super) fn reference(&mut self, argument: &Value) -> Resolved {
        let Value::String(name) = argument else {
            let reason = "Ref is not followed by the name of a resource or parameter";
            return Err(Unknown::new(reason));
        };
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if self.template.resources.contains_key(name) {
            return self.identifier(name, || cannot(&format!("Ref {name} in a text")));
        }
        let parameter = self.template.parameters.and_then(|parameters| parameters.get(name));
        let parameter = parameter.ok_or_else(|| cannot(&format!("Ref {name}")))?;
        let value = default_of(name, parameter)?;
        let default = parameter.get("Default").unwrap_or(&Value::Null);
        self.assume(format!("parameter {name} taken at its default {default}"));
        Ok(Some(value))
    }

    /// Returns the logical name in the place of the identifier that a stack gives.
    fn identifier(&self, name: &str, unknown: impl FnOnce() -> Unknown) -> Resolved {
        if self.in_text { Err(unknown()) } else { Ok(Some(Value::String(name.to_owned()))) }
    }

    /// Resolves `Fn::GetAtt` of an identifier, or of what is a property of the resource too; other
    /// attributes are unknown before the resource exists.
    pub(super) fn attribute(&mut self, argument: &Value) -> Resolved {
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
        let Some((name, attribute)) = parts else {
            let reason = "Fn::GetAtt is not followed by the name of a resource and of an attribute";
            return Err(Unknown::new(reason));
        };
        let unknown = || cannot(&format!("Fn::GetAtt {name}.{attribute}"));
        let resource = self.template.resources.get(name).ok_or_else(unknown)?;
        let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default();
        let property = match (kind, attribute) {
            ("AWS::EC2::VPC" | "AWS::EC2::Subnet", "CidrBlock") => "CidrBlock",
            ("AWS::EC2::Subnet", "VpcId") => "VpcId",
            ("AWS::EC2::NetworkInterface", "PrimaryPrivateIpAddress") => "PrivateIpAddress",
            ("AWS::EC2::VPC", "VpcId") | ("AWS::EC2::Subnet", "SubnetId") | (_, "Id") => {
                return self.identifier(name, unknown);
            }
            _ => return Err(unknown()),
        };
        let property = resource.get("Properties").and_then(|all| all.get(property));
        for sentence in self.template.defaults_of(name) {
            self.assume(sentence.clone());
        }
        self.jump(|it| it.resolve(property.ok_or_else(unknown)?))
    }
}

/// Returns the function that an object calls, and its argument. An object with other members
/// beside a function is a call too, which then has no argument.
fn function(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let is_function = |name: &str| name.starts_with("Fn::");
    match object.iter().next() {
        Some((name, argument)) if object.len() == 1 => (matches!(&**name, "Ref" | "Condition")
            || is_function(name))
        .then_some((name, argument)),
        _ => object.keys().find(|name| is_function(name)).map(|name| (&**name, &Value::Null)),
    }
}

/// Returns the value of a parameter that has its default.
fn default_of(name: &str, parameter: &Value) -> Result<Value, Unknown> {
    let kind = parameter.get("Type").and_then(Value::as_str).unwrap_or("String");
    let Some(default) = parameter.get("Default").filter(|default| !default.is_null()) else {
        return Err(Unknown::new(format!(
            "Ref {name} is a parameter without a default; write the value in its place"
        )));
    };
    if kind.starts_with("AWS::SSM::Parameter::Value") {
        return Err(Unknown::new(format!(
            "Ref {name} is what the parameter store of Systems Manager has under {default}; write the value in its place"
        )));
    }
    let text = match default {
        Value::String(text) => known_text(text.clone())?,
        Value::Number(_) | Value::Bool(_) => Value::String(default.to_string()),
        _ => {
            let reason = format!("the default of the parameter {name} is neither text nor number");
            return Err(Unknown::new(reason));
        }
    };
    let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
    Ok(match text {
        Value::String(text) if is_list => {
            text.split(',').map(|part| Value::from(part.trim())).collect()
        }
        _ => default.clone(),
    })
}

/// Returns a text that has no dynamic reference.
pub(super) fn known_text(text: String) -> Result<Value, Unknown> {
    if text.contains("{{resolve:") {
        let reference = format!("the dynamic reference {:?}", shortened(&text));
        return Err(cannot(&reference));
    }
    Ok(Value::String(text))
}

pub(super) fn cannot(function: &str) -> Unknown {
    Unknown::new(format!(
        "{function} cannot be resolved from the template alone; write the value in its place"
    ))
}
