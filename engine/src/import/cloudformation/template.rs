//! The sections of a template.

use std::collections::HashMap;

use serde_json::{Map, Value};

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
    /// A sentence for each parameter at its default that decided about a loop, by the names of the
    /// resources that the loop made.
    pub(super) loop_defaults: HashMap<String, Vec<String>>,
    pub(super) parameters: Option<&'v Map<String, Value>>,
    pub(super) mappings: Option<&'v Map<String, Value>>,
    pub(super) conditions: Option<&'v Map<String, Value>>,
}

impl<'v> Template<'v> {
    /// Reads the sections without the resources.
    pub(super) fn new(document: &Item<'v>) -> Self {
        let section = |name| document.value().get(name).and_then(Value::as_object);
        Self {
            resources: Map::new(),
            loop_defaults: HashMap::new(),
            parameters: section("Parameters"),
            mappings: section("Mappings"),
            conditions: section("Conditions"),
        }
    }

    /// Returns the sentences about the defaults that decided whether the resource is made.
    pub(super) fn defaults_of(&self, resource: &str) -> &[String] {
        self.loop_defaults.get(resource).map_or(&[], Vec::as_slice)
    }

    /// Reports the transforms that are not followed. They may add anything to the template, such as
    /// a rule.
    pub(super) fn report_transforms(&self, document: &Item<'_>, mirror: &mut Mirror) {
        let mut transforms: Vec<String> = Vec::new();
        match document.value().get("Transform") {
            Some(Value::Array(list)) => transforms.extend(list.iter().map(name_of)),
            Some(value) if !value.is_null() => transforms.push(name_of(value)),
            _ => {}
        }
        transforms.retain(|name| !TRANSFORMS.contains(&name.as_str()));
        let inner = self.resources.get("Fn::Transform").into_iter();
        transforms.extend(inner.map(|value| format!("Fn::Transform {}", name_of(value))));
        let file = document.file();
        for name in transforms {
            let sentence =
                format!("{file}: the transform {name} is not followed; it may change resources");
            mirror.left_out.rule(None, true, sentence);
        }
    }
}

fn name_of(transform: &Value) -> String {
    let name = transform.get("Name").unwrap_or(transform);
    name.as_str().unwrap_or("without a name").to_owned()
}
