//! Reader of the output of `aws ec2 describe-...`, `create-...` and `modify-...`.
//!
//! Property names and types: the EC2 API model of botocore 1.44.5.

mod mirror;
mod network;
mod pages;

use serde_json::Value;

use super::error::ImportError;
use super::input::{Input, json_error, text};
use super::item::Item;
use super::left_out::Class;
use super::model::Mirror;
use super::values::{self, AWS_SESSION};
use pages::Pages;

/// Names of the lists that belong to a mirror, for messages.
pub(super) const MIRROR_LISTS: &str = "TrafficMirrorFilters, TrafficMirrorFilterRules, \
                                       TrafficMirrorSessions and TrafficMirrorTargets";

/// A kind of objects.
struct Kind {
    /// Name of the list that has them in the output of `describe-...`.
    list: &'static str,
    /// Name of the one object in the output of `create-...` and `modify-...`.
    one: Option<&'static str>,
    /// Property that identifies an object.
    id: &'static str,
    class: Class,
    read: fn(&Item<'_>, &mut Mirror) -> Result<(), ImportError>,
}

const KINDS: &[Kind] = &[
    Kind {
        list: "TrafficMirrorFilters",
        one: Some("TrafficMirrorFilter"),
        id: "TrafficMirrorFilterId",
        class: Class::Filter,
        read: mirror::filter,
    },
    Kind {
        list: "TrafficMirrorFilterRules",
        one: Some("TrafficMirrorFilterRule"),
        id: "TrafficMirrorFilterRuleId",
        class: Class::Rule,
        read: |item, mirror| mirror::filter_rule(item, None, mirror),
    },
    Kind {
        list: "TrafficMirrorSessions",
        one: Some("TrafficMirrorSession"),
        id: "TrafficMirrorSessionId",
        class: Class::Session,
        read: mirror::session,
    },
    Kind {
        list: "TrafficMirrorTargets",
        one: Some("TrafficMirrorTarget"),
        id: "TrafficMirrorTargetId",
        class: Class::Other,
        read: mirror::target,
    },
    Kind {
        list: "NetworkInterfaces",
        one: Some("NetworkInterface"),
        id: "NetworkInterfaceId",
        class: Class::Interface,
        read: network::interface,
    },
    Kind {
        list: "Reservations",
        one: None,
        id: "ReservationId",
        class: Class::Other,
        read: network::reservation,
    },
    Kind {
        list: "Instances",
        one: None,
        id: "InstanceId",
        class: Class::Other,
        read: network::instance,
    },
    Kind { list: "Vpcs", one: Some("Vpc"), id: "VpcId", class: Class::Other, read: network::vpc },
    Kind {
        list: "Subnets",
        one: Some("Subnet"),
        id: "SubnetId",
        class: Class::Other,
        read: network::subnet,
    },
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
    Ok(mirror.merged())
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
            pages.add(kind.list, kind.class, goes_on, document.file());
        } else if let Some(kind) = KINDS.iter().find(|kind| kind.one == Some(key)) {
            read_object(&document.required(key)?, kind, mirror);
        } else if key != "ResponseMetadata" && has_content(value) {
            let objects = value.as_array().map_or(1, Vec::len);
            mirror.seen.count(key, objects, false);
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
    mirror.seen.count(kind.list, 1, kind.class.is_mirror());
    let Err(error) = (kind.read)(item, mirror) else { return };
    let id = item.word_of(kind.id);
    match kind.class {
        Class::Rule => mirror::leave_out_rule(item, None, &error, mirror),
        Class::Session => {
            let session = values::left_out_session(item, &AWS_SESSION, id);
            mirror.left_out.session(session, error);
        }
        // Its rules may be those of any filter.
        Class::Filter if id.is_none() => mirror.left_out.rule(None, true, error),
        _ => mirror.left_out.object(id.unwrap_or_default(), error),
    }
}
