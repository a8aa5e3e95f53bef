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

use super::item::Item;
use super::model::Mirror;
use super::values::{self, AWS_RULE};
use super::{ImportError, Input, json_error, text};
use resolve::{Resolver, Unknown};
use resources::Class;
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
    mirror.merged()
}

fn read_template(document: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    if !document.value().is_object() {
        return Err(document.expected("a template with Resources"));
    }
    let file = document.file();
    let template = Template::new(document, mirror)?;
    // A transform among the resources has been reported.
    for (name, resource) in template.resources.iter().filter(|it| it.0 != "Fn::Transform") {
        let resource = Item::new(file, resource, name.clone());
        let Err(error) = read_resource(&template, name, &resource, mirror) else { continue };
        if resource.word_of("Type") == Some("AWS::EC2::TrafficMirrorFilterRule") {
            template.leave_out_rules_of_any_filter(true, &error, mirror);
        }
        mirror.left_out.object(name, error);
    }
    Ok(())
}

fn read_resource(
    template: &Template<'_>,
    name: &str,
    resource: &Item<'_>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let kind = resource.id("Type")?;
    mirror.seen.count(&kind);
    let Some(kind) = resources::kind(&kind) else { return Ok(()) };
    let mut resolver = Resolver::new(template);
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
    let is_certain = exists.is_ok();
    let fault = match (exists, faults.first()) {
        (Err(unknown), _) => Some(error_of(&known, "Condition", &unknown)),
        (_, Some((key, unknown))) => Some(error_of(&known, key, unknown)),
        _ => None,
    };
    match (fault, kind.class) {
        (None, _) => {}
        // An interface is known by its name, with or without addresses.
        (Some(_), Class::Interface) if is_certain => {
            for (key, unknown) in &faults {
                mirror.left_out.say(error_of(&known, key, unknown));
            }
        }
        (Some(error), Class::Rule) => {
            leave_out_rule(template, &known, mirror, &error);
            return Ok(());
        }
        (Some(error), _) => return Err(error),
    }
    (kind.read)(&known, name, &resolver.assumptions, mirror)
}

fn error_of(resource: &Item<'_>, key: &str, unknown: &Unknown) -> ImportError {
    resource.error_below(&format!(".{key}{}", unknown.path), &unknown.reason)
}

/// Leaves out a rule. Any filter of the template may be its own if that is not known either.
fn leave_out_rule(
    template: &Template<'_>,
    rule: &Item<'_>,
    mirror: &mut Mirror,
    error: &ImportError,
) {
    let may_accept = values::may_accept(rule, &AWS_RULE);
    match rule.word_of("TrafficMirrorFilterId") {
        Some(filter) => mirror.left_out.rule(filter, may_accept, error),
        None => template.leave_out_rules_of_any_filter(may_accept, error, mirror),
    }
}
