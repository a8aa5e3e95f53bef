//! Reader of CloudFormation templates, YAML or JSON.
//!
//! Values that the template alone does not determine are not guessed: what depends on them is left
//! out. Parameters are taken at their defaults, which becomes a comment.
//!
//! Resource types and properties: the CloudFormation template reference, `AWS::EC2::TrafficMirror*`
//! and `AWS::EC2::NetworkInterface`.

mod conditions;
mod for_each;
mod functions;
mod resolve;
mod resources;
mod scalar;
mod template;
mod yaml;

use serde_json::Value;

use super::error::ImportError;
use super::input::{Input, json_error, text};
use super::item::Item;
use super::left_out::Class;
use super::model::Mirror;
use super::values::{self, AWS_RULE, AWS_SESSION};
use resolve::{Resolver, Unknown};
use template::Template;

/// Resource types that belong to a mirror, for messages.
pub(super) const MIRROR_RESOURCES: &str = "AWS::EC2::TrafficMirrorFilter, \
                                           TrafficMirrorFilterRule, TrafficMirrorSession and \
                                           TrafficMirrorTarget";

pub(super) fn read(inputs: &[Input]) -> Result<Mirror, ImportError> {
    let mut mirror = Mirror::default();
    for input in inputs {
        let text = text(input)?;
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(&text).map_err(|error| json_error(&input.name, &error))?
        } else {
            yaml::parse(&input.name, &text)?
        };
        read_template(&Item::new(&input.name, &document, String::new()), &mut mirror)?;
    }
    Ok(mirror.merged())
}

fn read_template(document: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    if !document.value().is_object() {
        return Err(document.expected("a template with Resources"));
    }
    let Some(all) = document.get("Resources")? else {
        return Err(document.error("no Resources, which every CloudFormation template has"));
    };
    let Value::Object(resources) = all.value() else {
        return Err(all.expected("a map of resources"));
    };
    let file = document.file();
    let mut template = Template::new(document);
    for_each::expand(&mut template, file, resources, mirror);
    template.report_transforms(document, mirror);
    // A transform among the resources has been reported.
    for (name, resource) in template.resources.iter().filter(|it| it.0 != "Fn::Transform") {
        let resource = Item::new(file, resource, name.clone());
        if let Err(error) = read_resource(&template, name, &resource, mirror) {
            let kind = resource.word_of("Type");
            if kind.is_none() {
                mirror.seen.count("a resource without a type", 1, false);
            }
            let class = kind.and_then(resources::kind).map(|kind| kind.class);
            let nothing = Item::new(file, &Value::Null, name.clone());
            leave_out(class, &nothing, name, &error, mirror);
        }
    }
    Ok(())
}

/// Reads a resource, or leaves it out.
///
/// # Errors
///
/// If none of its properties is known.
fn read_resource(
    template: &Template<'_>,
    name: &str,
    resource: &Item<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let kind_name = resource.id("Type")?;
    let kind = resources::kind(&kind_name);
    mirror.seen.count(&kind_name, 1, kind.is_some_and(|kind| kind.class.is_mirror()));
    let Some(kind) = kind else { return Ok(()) };
    let mut resolver = Resolver::new(template, template.defaults_of(name));
    let exists = match resource.optional_string("Condition")? {
        Some(condition) => resolver.condition(&condition),
        None => Ok(true),
    };
    if matches!(exists, Ok(false)) {
        let mut why = resolver.assumptions;
        why.insert(0, "not created, as its condition does not hold".to_owned());
        mirror.left_out.object(name, resource.error(why.join("; ")));
        return Ok(());
    }
    // Absent properties are like empty ones: a required one is then reported as missing.
    let none = Value::Null;
    let properties = resource.get("Properties")?.map_or(&none, |it| it.value());
    let properties = Item::new(resource.file(), properties, name.to_owned());
    let (values, mut faults) = resolver.properties(&properties, kind.keys)?;
    faults.retain(|(key, _)| !kind.quiet.contains(key));
    let known = Item::new(resource.file(), &values, name.to_owned());
    // An interface is known by its name, with or without addresses.
    if kind.class == Class::Interface && exists.is_ok() {
        for (key, unknown) in faults.drain(..) {
            let error = error_of(&known, key, &unknown);
            mirror.left_out.note(format_args!("{error}; the interface is taken without it"));
        }
    }
    let read = match (exists, faults.first()) {
        (Err(unknown), _) => Err(error_of(&known, "Condition", &unknown)),
        (_, Some((key, unknown))) => Err(error_of(&known, key, unknown)),
        _ => (kind.read)(&known, name, &resolver.assumptions, mirror),
    };
    if let Err(error) = read {
        leave_out(Some(kind.class), &known, name, &error, mirror);
    }
    Ok(())
}

fn error_of(resource: &Item<'_>, key: &str, unknown: &Unknown) -> ImportError {
    resource.error_below(&format!(".{key}{}", unknown.path), &unknown.reason)
}

/// Leaves out a resource, with what follows for others from the properties that are known.
fn leave_out(
    class: Option<Class>,
    known: &Item<'_>,
    name: &str,
    error: &ImportError,
    mirror: &mut Mirror,
) {
    let left_out = &mut mirror.left_out;
    match class {
        // Without a type, it may be a rule too.
        Some(Class::Rule) | None => {
            let filter = known.word_of("TrafficMirrorFilterId");
            left_out.rule(filter, values::may_accept(known, &AWS_RULE), error);
        }
        Some(Class::Session) => {
            left_out.session(values::left_out_session(known, &AWS_SESSION, Some(name)), error);
        }
        _ => left_out.object(name, error),
    }
}
