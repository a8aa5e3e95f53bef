//! Filters, rules, sessions and targets. Their attributes have the same names in hashicorp/aws and
//! hashicorp/awscc.
//!
//! <https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/ec2_traffic_mirror_session>
//! and its neighbours.

use super::resource::{Reader, Resource};
use crate::import::error::ImportError;
use crate::import::item::Item;
use crate::import::left_out::Class;
use crate::import::model::{Mirror, MirrorFilter, MirrorTarget};
use crate::import::values::{self, RuleKeys, SessionKeys};

const FILTER: &str = "traffic_mirror_filter_id";

const RULE: RuleKeys = RuleKeys {
    direction: "traffic_direction",
    number: "rule_number",
    action: "rule_action",
    protocol: "protocol",
    source: "source_cidr_block",
    destination: "destination_cidr_block",
    source_ports: "source_port_range",
    destination_ports: "destination_port_range",
    from: "from_port",
    to: "to_port",
    label: "description",
};

const SESSION: SessionKeys = SessionKeys {
    interface: "network_interface_id",
    filter: FILTER,
    target: "traffic_mirror_target_id",
    number: "session_number",
    packet_length: "packet_length",
    vni: "virtual_network_id",
};

/// Returns the reader of a type of resources, and what follows from one that is left out.
pub(super) fn reader(kind: &str) -> Option<(Class, Reader)> {
    let kind = kind.strip_prefix("aws_ec2_").or_else(|| kind.strip_prefix("awscc_ec2_"))?;
    Some(match kind {
        "traffic_mirror_filter" => (Class::Filter, filter),
        "traffic_mirror_filter_rule" => (Class::Rule, filter_rule),
        "traffic_mirror_session" => (Class::Session, session),
        "traffic_mirror_target" => (Class::Other, target),
        _ => return None,
    })
}

/// Leaves out a resource that cannot be read or is not in force, with what follows for others.
pub(super) fn leave_out(resource: &Item<'_>, error: ImportError, mirror: &mut Mirror) {
    let values = resource.get("values").ok().flatten().unwrap_or_else(|| resource.clone());
    let id = values.word_of("id").or_else(|| resource.word_of("address"));
    let left_out = &mut mirror.left_out;
    let kind = resource.word_of("type");
    match kind.map(|kind| reader(kind).map_or(Class::Other, |it| it.0)) {
        // Without a type, it may be a rule too.
        Some(Class::Rule) | None => {
            left_out.rule(values.word_of(FILTER), values::may_accept(&values, &RULE), error);
        }
        Some(Class::Session) => {
            let mut session = values::left_out_session(&values, &SESSION, id);
            session.vni = given(session.vni);
            if resource.word_of("deposed_key").is_some() {
                session.replaced_on = values.word_of(SESSION.interface).map(str::to_owned);
            }
            left_out.session(session, error);
        }
        _ => left_out.object(id.unwrap_or_default(), error),
    }
}

/// Returns the VNI, if one is set: Terraform writes 0 for what is not.
fn given(vni: Option<u32>) -> Option<u32> {
    vni.filter(|&vni| vni != 0)
}

fn filter(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let Resource { id, values, .. } = resource;
    resource.check_known(&["network_services"])?;
    mirror.filters.push(MirrorFilter {
        id: id.clone(),
        place: values.place(),
        label: label(values)?,
        amazon_dns: values::has_amazon_dns(&values.list("network_services")?)?,
        assumptions: Vec::new(),
    });
    Ok(())
}

fn filter_rule(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let Resource { id, values, .. } = resource;
    let Some(filter) = values.optional_string(FILTER)? else {
        return Err(resource.not_known(FILTER));
    };
    resource.check_known(&[
        RULE.direction,
        RULE.number,
        RULE.action,
        RULE.protocol,
        RULE.source,
        RULE.destination,
        RULE.source_ports,
        RULE.destination_ports,
    ])?;
    values::add_rule(values, &RULE, id, &filter, mirror);
    Ok(())
}

fn session(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let Resource { id, values, .. } = resource;
    for key in [SESSION.interface, SESSION.filter] {
        if values.get(key)?.is_none() {
            return Err(resource.not_known(key));
        }
    }
    resource.check_known(&[SESSION.number, SESSION.packet_length])?;
    let mut session = values::session(values, &SESSION, id, label(values)?)?;
    session.vni = given(session.vni);
    mirror.sessions.push(session);
    Ok(())
}

fn target(resource: &Resource<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    for key in
        ["network_interface_id", "network_load_balancer_arn", "gateway_load_balancer_endpoint_id"]
    {
        if let Some(destination) = resource.values.optional_string(key)? {
            mirror.targets.push(MirrorTarget { id: resource.id.clone(), destination });
            break;
        }
    }
    Ok(())
}

/// Returns the tag `Name`, else the description. Tags are an object in hashicorp/aws, a list of
/// keys and values in hashicorp/awscc.
pub(super) fn label(values: &Item<'_>) -> Result<Option<String>, ImportError> {
    let name = match values.get("tags")? {
        Some(tags) if tags.value().is_array() => {
            let mut name = None;
            for tag in tags.elements()? {
                if tag.get("key")?.is_some_and(|key| key.value() == "Name") {
                    name = tag.optional_string("value")?;
                }
            }
            name
        }
        Some(tags) => tags.optional_string("Name")?,
        None => None,
    };
    match name {
        Some(name) => Ok(Some(name)),
        None => values.optional_string("description"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_resources_have_no_reader() {
        assert!(reader("awscc_ec2_traffic_mirror_session").is_some());
        for kind in ["aws_instance", "aws_ec2_fleet", "traffic_mirror_session", ""] {
            assert!(reader(kind).is_none(), "{kind}");
        }
    }
}
