//! Expands `Fn::ForEach` among the resources.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-foreach.html>

use serde_json::{Map, Value};

use super::resolve::Resolver;
use super::template::Template;

/// Maximum number of passes through the loops of a template, which may have 500 resources.
const PASSES_MAX: usize = 5_000;
/// Maximum depth of loops, as in CloudFormation.
const DEPTH_MAX: usize = 5;

/// A loop that cannot be expanded.
pub(super) struct Failure<'v> {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) body: &'v Value,
}

/// Returns the resources with loops expanded, and the loops of the template that cannot be.
pub(super) fn expand<'v>(
    template: &Template<'_>,
    resources: &'v Map<String, Value>,
) -> (Map<String, Value>, Vec<Failure<'v>>) {
    let (mut expanded, mut failures) = (Map::new(), Vec::new());
    let mut passes = 0;
    for (name, body) in resources {
        let mut expansion = Expansion { template, passes, made: Vec::new() };
        let added = expansion.add(name, body, 0).and_then(|()| {
            let again = expansion.made.iter().find(|(name, _)| expanded.contains_key(name));
            again.map_or(Ok(()), |(name, _)| Err(format!("makes the resource {name} again")))
        });
        passes = expansion.passes;
        match added {
            Ok(()) => expanded.extend(expansion.made),
            Err(reason) => failures.push(Failure { name: name.clone(), reason, body }),
        }
    }
    (expanded, failures)
}

struct Expansion<'t> {
    template: &'t Template<'t>,
    passes: usize,
    /// Resources of a loop, or the one that is none.
    made: Vec<(String, Value)>,
}

impl Expansion<'_> {
    fn add(&mut self, name: &str, body: &Value, depth: usize) -> Result<(), String> {
        if !name.starts_with("Fn::ForEach") {
            self.made.push((name.to_owned(), body.clone()));
            return Ok(());
        }
        let Some([Value::String(variable), collection, Value::Object(template)]) =
            body.as_array().map(Vec::as_slice)
        else {
            return Err("a loop is a list of a name, a collection and a map".to_owned());
        };
        if depth == DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} loops inside each other"));
        }
        for value in self.collection(collection)? {
            self.passes += 1;
            if self.passes > PASSES_MAX {
                return Err(format!("more than {PASSES_MAX} resources"));
            }
            let substitution = Substitution::new(variable, &value);
            for (name, body) in template {
                let (name, body) = (substitution.text(name), substitution.value(body));
                self.add(&name, &body, depth + 1)?;
            }
        }
        Ok(())
    }

    fn collection(&self, collection: &Value) -> Result<Vec<String>, String> {
        let resolved = Resolver::new(self.template).resolve(collection);
        let resolved = resolved.map_err(|unknown| unknown.reason)?;
        let list = resolved.as_ref().and_then(Value::as_array);
        let list = list.ok_or_else(|| "its collection is not a list".to_owned())?;
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err("its collection has something else than texts".to_owned()),
        };
        list.iter().map(text).collect()
    }
}

/// Replaces the variable of a loop by its value.
struct Substitution<'s> {
    variable: &'s str,
    value: &'s str,
    /// `${Variable}`, replaced by the value.
    plain: String,
    /// `&{Variable}`, replaced by the value's letters and digits, as names have no others.
    letters: String,
}

impl<'s> Substitution<'s> {
    fn new(variable: &'s str, value: &'s str) -> Self {
        let (plain, letters) = (format!("${{{variable}}}"), format!("&{{{variable}}}"));
        Self { variable, value, plain, letters }
    }

    fn text(&self, text: &str) -> String {
        let letters: String = self.value.chars().filter(char::is_ascii_alphanumeric).collect();
        text.replace(&self.plain, self.value).replace(&self.letters, &letters)
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(list) => list.iter().map(|it| self.value(it)).collect(),
            Value::Object(object) if self.is_reference(object) => {
                Value::String(self.value.to_owned())
            }
            Value::Object(object) => {
                let members = object.iter();
                Value::Object(members.map(|(key, it)| (self.text(key), self.value(it))).collect())
            }
            other => other.clone(),
        }
    }

    fn is_reference(&self, object: &Map<String, Value>) -> bool {
        object.len() == 1 && object.get("Ref").is_some_and(|name| name == self.variable)
    }
}
