//! Reader of the output of `aws ec2 describe-...`, `create-...` and `modify-...`.
//!
//! Property names and types: the EC2 API model of botocore 1.44.5.

mod network;

use std::collections::BTreeMap;

use serde_json::Value;

use super::item::Item;
use super::model::{Mirror, MirrorFilter, MirrorTarget};
use super::values::{self, AWS_RULE, AWS_SESSION};
use super::{ImportError, Input, json_error, text};
use crate::config::Direction;

/// Names of the lists that belong to a mirror, for messages.
pub(super) const MIRROR_LISTS: &str = "TrafficMirrorFilters, TrafficMirrorFilterRules, \
                                       TrafficMirrorSessions and TrafficMirrorTargets";

/// A kind of objects.
struct Kind {
    /// Name of the list that has them in the output of `describe-...`.
    list: &'static str,
    /// Name of the one object in the output of `create-...` and `modify-...`.
    one: &'static str,
    /// Property that identifies an object.
    id: &'static str,
    read: fn(&Item<'_>, &mut Mirror) -> Result<(), ImportError>,
}

const KINDS: &[Kind] = &[
    Kind {
        list: "TrafficMirrorFilters",
        one: "TrafficMirrorFilter",
        id: "TrafficMirrorFilterId",
        read: filter,
    },
    Kind {
        list: "TrafficMirrorFilterRules",
        one: "TrafficMirrorFilterRule",
        id: "TrafficMirrorFilterRuleId",
        read: |item, mirror| filter_rule(item, None, mirror),
    },
    Kind {
        list: "TrafficMirrorSessions",
        one: "TrafficMirrorSession",
        id: "TrafficMirrorSessionId",
        read: session,
    },
    Kind {
        list: "TrafficMirrorTargets",
        one: "TrafficMirrorTarget",
        id: "TrafficMirrorTargetId",
        read: target,
    },
    Kind {
        list: "NetworkInterfaces",
        one: "NetworkInterface",
        id: "NetworkInterfaceId",
        read: network::interface,
    },
    Kind { list: "Reservations", one: "", id: "ReservationId", read: network::reservation },
    Kind { list: "Instances", one: "", id: "InstanceId", read: network::instance },
    Kind { list: "Vpcs", one: "Vpc", id: "VpcId", read: network::vpc },
    Kind { list: "Subnets", one: "Subnet", id: "SubnetId", read: network::subnet },
];

pub(super) fn read(inputs: &[Input]) -> Result<Mirror, ImportError> {
    let mut mirror = Mirror::default();
    let mut pages = Pages::default();
    for input in inputs {
        let text = text(input)?;
        let is_json = text.trim_start().starts_with(['{', '[']);
        let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        for document in documents {
            let document = document.map_err(|error| match json_error(&input.name, &error) {
                ImportError::Format { file, message } if !is_json => ImportError::Format {
                    file,
                    message: format!("{message}; the AWS CLI prints JSON with `--output json`"),
                },
                error => error,
            })?;
            let document = Item::new(&input.name, &document, String::new());
            read_document(&document, &mut mirror, &mut pages)?;
        }
    }
    pages.report(&mut mirror);
    mirror.merged()
}

fn read_document(
    document: &Item<'_>,
    mirror: &mut Mirror,
    pages: &mut Pages,
) -> Result<(), ImportError> {
    let Value::Object(object) = document.value() else {
        return Err(
            document.expected("an object, as `aws ec2 describe-... --output json` prints it")
        );
    };
    let goes_on = document.get("NextToken")?.is_some();
    for (key, value) in object {
        if let Some(kind) = KINDS.iter().find(|kind| kind.list == key) {
            for item in document.list(key)? {
                read_object(&item, kind, mirror);
            }
            pages.add(kind.list, goes_on, document.file());
        } else if let Some(kind) = KINDS.iter().find(|kind| kind.one == key) {
            read_object(&document.required(key)?, kind, mirror);
        } else if key != "ResponseMetadata" && has_content(value) {
            mirror.seen.count(key);
            let file = document.file();
            mirror.left_out.say(format_args!("{file}: {key}: not read, no part of a mirror"));
        }
    }
    Ok(())
}

/// Returns `true` for lists and objects with something in them; scalars, such as a `ClientToken`,
/// describe the call.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => false,
    }
}

/// Reads an object, or leaves it out.
fn read_object(item: &Item<'_>, kind: &Kind, mirror: &mut Mirror) {
    mirror.seen.count(kind.list);
    let id = item.word_of(kind.id).unwrap_or_default();
    if let Err(error) = (kind.read)(item, mirror) {
        mirror.left_out.object(id, error);
    }
}

/// The files in which a list goes on elsewhere, and the lists whose end was read.
#[derive(Default)]
struct Pages(BTreeMap<&'static str, (bool, Vec<String>)>);

impl Pages {
    fn add(&mut self, list: &'static str, goes_on: bool, file: &str) {
        let (has_end, files) = self.0.entry(list).or_default();
        if goes_on {
            files.push(file.to_owned());
        } else {
            *has_end = true;
        }
    }

    fn report(self, mirror: &mut Mirror) {
        for (list, (_, files)) in self.0.into_iter().filter(|(_, (has_end, _))| !has_end) {
            for file in files {
                mirror.left_out.say(format_args!(
                    "{file}: {list} goes on (NextToken): without --max-items and --no-paginate the AWS CLI prints all of it"
                ));
            }
        }
    }
}

fn filter(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorFilterId")?;
    let item = item.clone().named(&id);
    for (list, direction) in
        [("IngressFilterRules", Direction::Ingress), ("EgressFilterRules", Direction::Egress)]
    {
        for element in item.list(list)? {
            if let Err(error) = filter_rule(&element, Some((&id, direction)), mirror) {
                mirror.left_out.rule(&id, true, error);
            }
        }
    }
    let filter = MirrorFilter {
        place: item.place(),
        label: label(&item, "Tags")?,
        amazon_dns: values::has_amazon_dns(&item.list("NetworkServices")?)?,
        assumptions: Vec::new(),
        id,
    };
    mirror.filters.push(filter);
    Ok(())
}

/// Adds a rule; `of` is the filter and direction of the list that contains it, if any.
fn filter_rule(
    item: &Item<'_>,
    of: Option<(&str, Direction)>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let filter = match (item.optional_string("TrafficMirrorFilterId")?, of) {
        (Some(filter), _) => filter,
        (None, Some((filter, _))) => filter.to_owned(),
        (None, None) => {
            item.clone().named_by("TrafficMirrorFilterRuleId").id("TrafficMirrorFilterId")?
        }
    };
    // Nothing refers to a rule: without an identifier it gets one of its own properties.
    let id = item.optional_string("TrafficMirrorFilterRuleId")?.unwrap_or_else(|| {
        let direction = item.word_of("TrafficDirection").unwrap_or("rule");
        let number = item.value().get("RuleNumber").unwrap_or(&Value::Null);
        format!("{filter} {direction} {number}")
    });
    let item = item.clone().named(&id);
    let direction = item.word_of("TrafficDirection").unwrap_or_default();
    if let Some((of, list)) = of
        && (filter != of
            || (matches!(direction, "ingress" | "egress") && direction != list.to_string()))
    {
        let error = item.error(format_args!(
            "stands in the {list} list of {of}, but is an {direction} rule of {filter}"
        ));
        mirror.left_out.rule(&filter, values::may_accept(&item, &AWS_RULE), &error);
        mirror.left_out.rule(of, values::may_accept(&item, &AWS_RULE), &error);
        return Ok(());
    }
    values::add_rule(&item, &AWS_RULE, &id, &filter, mirror);
    Ok(())
}

fn session(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorSessionId")?;
    let item = item.clone().named(&id);
    mirror.sessions.push(values::session(&item, &AWS_SESSION, &id, label(&item, "Tags")?)?);
    Ok(())
}

fn target(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorTargetId")?;
    let item = item.clone().named(&id);
    for key in ["NetworkInterfaceId", "NetworkLoadBalancerArn", "GatewayLoadBalancerEndpointId"] {
        if let Some(destination) = item.optional_string(key)? {
            mirror.targets.push(MirrorTarget { id, destination });
            return Ok(());
        }
    }
    Err(item.error("has neither an interface nor a load balancer nor an endpoint"))
}

/// Returns the tag `Name`, else the description.
fn label(item: &Item<'_>, tags: &str) -> Result<Option<String>, ImportError> {
    for tag in item.list(tags)? {
        if tag.get("Key")?.is_some_and(|key| key.value() == "Name") {
            return tag.optional_string("Value");
        }
    }
    item.optional_string("Description")
}
