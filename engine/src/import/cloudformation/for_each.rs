//! Expands `Fn::ForEach` among the resources.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-foreach.html>

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::resolve::Resolver;
use super::resources::{has_class, is_of_mirror};
use super::template::Template;
use crate::import::item::Item;
use crate::import::left_out::{Class, LeftOutSession};
use crate::import::model::Mirror;

/// Maximum number of passes through the loops of a template, which may have 500 resources.
const PASSES_MAX: usize = 5_000;
/// Maximum depth of loops, as in CloudFormation.
const DEPTH_MAX: usize = 5;

/// Adds resources to a template, with loops expanded. Loops that make a part of a mirror and cannot
/// be expanded are left out.
pub(super) fn expand(
    template: &mut Template<'_>,
    file: &str,
    resources: &Map<String, Value>,
    mirror: &mut Mirror,
) {
    let (mut expanded, mut defaults) = (Map::new(), HashMap::new());
    let mut passes = 0;
    for (name, body) in resources {
        let mut expansion = Expansion { template, passes, made: Vec::new() };
        let added = expansion.add(name, body, &[], 0).and_then(|()| {
            let again = expansion.made.iter().find(|it| expanded.contains_key(&it.name));
            again.map_or(Ok(()), |it| Err(format!("makes the resource {} again", it.name)))
        });
        passes = expansion.passes;
        if let Err(reason) = added {
            leave_out(&Item::new(file, body, name.clone()), name, &reason, mirror);
            continue;
        }
        for made in expansion.made {
            defaults.insert(made.name.clone(), made.defaults);
            expanded.insert(made.name, made.body);
        }
    }
    (template.resources, template.loop_defaults) = (expanded, defaults);
}

fn leave_out(body: &Item<'_>, name: &str, reason: &str, mirror: &mut Mirror) {
    if !is_of_mirror(body.value()) {
        return;
    }
    let has = |class| has_class(body.value(), class);
    let error = body.error(reason);
    let is_mirror = [Class::Filter, Class::Rule, Class::Session].into_iter().any(has);
    mirror.seen.count("Fn::ForEach", 1, is_mirror);
    mirror.left_out.rule(None, has(Class::Rule), &error);
    if has(Class::Session) {
        let name = format!("a session of {name}");
        let session = LeftOutSession { name, ..LeftOutSession::new("", None) };
        mirror.left_out.session(session, &error);
    }
}

/// A resource of a loop, or one of none.
struct Made {
    name: String,
    body: Value,
    /// A sentence for each parameter at its default that decided about the loop.
    defaults: Vec<String>,
}

struct Expansion<'t> {
    template: &'t Template<'t>,
    passes: usize,
    made: Vec<Made>,
}

impl Expansion<'_> {
    /// Adds a resource, or those of a loop; `defaults` are those of the loops around it.
    fn add(
        &mut self,
        name: &str,
        body: &Value,
        defaults: &[String],
        depth: usize,
    ) -> Result<(), String> {
        if !name.starts_with("Fn::ForEach") {
            let (name, body, defaults) = (name.to_owned(), body.clone(), defaults.to_vec());
            self.made.push(Made { name, body, defaults });
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
        let mut resolver = Resolver::new(self.template, defaults);
        let values = collected(&mut resolver, collection)?;
        for value in values {
            self.passes += 1;
            if self.passes > PASSES_MAX {
                return Err(format!("more than {PASSES_MAX} resources"));
            }
            let substitution = Substitution::new(variable, &value);
            for (name, body) in template {
                let (name, body) = (substitution.text(name), substitution.value(body));
                self.add(&name, &body, &resolver.assumptions, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Returns the values of a collection.
fn collected(resolver: &mut Resolver<'_>, collection: &Value) -> Result<Vec<String>, String> {
    let found = resolver.resolve(collection).map_err(|unknown| unknown.reason)?;
    let list = found.as_ref().and_then(Value::as_array);
    let list = list.ok_or_else(|| "its collection is not a list".to_owned())?;
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("its collection has something else than texts".to_owned()),
    };
    list.iter().map(text).collect()
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
