//! The sections of a template.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::for_each;
use super::resources::is_of_mirror;
use crate::import::ImportError;
use crate::import::item::Item;
use crate::import::model::Mirror;

/// Transforms that change nothing of a mirror, or are followed here.
const TRANSFORMS: &[&str] = &[
    "AWS::LanguageExtensions",
    "AWS::Serverless-2016-10-31",
    "AWS::SecretsManager-2020-07-23",
    "AWS::SecretsManager-2024-09-16",
    "AWS::CodeDeployBlueGreen",
];

pub(super) struct Template<'v> {
    /// With the loops expanded.
    pub(super) resources: Map<String, Value>,
    pub(super) parameters: Option<&'v Map<String, Value>>,
    pub(super) mappings: Option<&'v Map<String, Value>>,
    pub(super) conditions: Option<&'v Map<String, Value>>,
}

impl<'v> Template<'v> {
    /// Reads the sections and expands loops; those of a mirror that cannot be expanded are left
    /// out.
    pub(super) fn new(document: &Item<'v>, mirror: &mut Mirror) -> Result<Self, ImportError> {
        let all = document.required("Resources")?;
        let Value::Object(resources) = all.value() else {
            return Err(all.expected("a map of resources"));
        };
        let section = |name| document.value().get(name).and_then(Value::as_object);
        let mut template = Self {
            resources: Map::new(),
            parameters: section("Parameters"),
            mappings: section("Mappings"),
            conditions: section("Conditions"),
        };
        let (resources, failures) = for_each::expand(&template, resources);
        template.resources = resources;
        for failure in failures.iter().filter(|failure| is_of_mirror(failure.body)) {
            let name = Item::new(document.file(), failure.body, failure.name.clone());
            let error = name.error(&failure.reason);
            template.leave_out_rules_of_any_filter(true, &error, mirror);
        }
        report_transforms(document, &template.resources, mirror);
        Ok(template)
    }

    /// Leaves out rules that may belong to any filter of the template.
    pub(super) fn leave_out_rules_of_any_filter(
        &self,
        may_accept: bool,
        reason: &ImportError,
        mirror: &mut Mirror,
    ) {
        mirror.left_out.say(reason);
        for (name, resource) in &self.resources {
            if resource.get("Type").is_some_and(|kind| kind == "AWS::EC2::TrafficMirrorFilter") {
                mirror.left_out.rule(name, may_accept, reason);
            }
        }
    }
}

/// Says which transforms are not followed: they may add anything to the template.
fn report_transforms(document: &Item<'_>, resources: &Map<String, Value>, mirror: &mut Mirror) {
    let mut transforms: Vec<String> = Vec::new();
    match document.value().get("Transform") {
        Some(Value::Array(list)) => transforms.extend(list.iter().map(name_of)),
        Some(value) if !value.is_null() => transforms.push(name_of(value)),
        _ => {}
    }
    transforms.retain(|name| !TRANSFORMS.contains(&name.as_str()));
    let inner = resources.get("Fn::Transform").into_iter();
    transforms.extend(inner.map(|value| format!("Fn::Transform {}", name_of(value))));
    let file = document.file();
    for name in transforms {
        let sentence: &dyn Display =
            &format_args!("{file}: the transform {name} is not followed; it may change resources");
        mirror.left_out.say(sentence);
    }
}

fn name_of(transform: &Value) -> String {
    let name = transform.get("Name").unwrap_or(transform);
    name.as_str().unwrap_or("without a name").to_owned()
}
