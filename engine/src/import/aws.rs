//! Reader of the output of `aws ec2 describe-...`.
//!
//! Property names and types: the EC2 API model of botocore 1.44.5.

use serde_json::Value;

use super::item::Item;
use super::model::{Mirror, MirrorFilter, MirrorInterface, MirrorSession, MirrorTarget, in_order};
use super::values::{self, AWS_RULE, address, prefix, rule};
use super::{ImportError, Input, json_error, text};
use crate::config::Direction;

/// Names of the lists that are read, and of other members that documents may have.
const KNOWN: &str = "TrafficMirrorFilters, TrafficMirrorFilterRules, TrafficMirrorSessions, TrafficMirrorTargets, \
                     NetworkInterfaces and Vpcs";
const BESIDE: &[&str] = &["NextToken", "ResponseMetadata"];

pub(super) fn read(inputs: &[Input]) -> Result<Mirror, ImportError> {
    let mut mirror = Mirror::default();
    for input in inputs {
        let documents = serde_json::Deserializer::from_str(text(input)?).into_iter::<Value>();
        for document in documents {
            let document = document.map_err(|error| json_error(&input.name, &error))?;
            read_document(&Item::new(&input.name, &document, String::new()), &mut mirror)?;
        }
    }
    mirror.merged()
}

fn read_document(document: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let Value::Object(object) = document.value() else {
        return Err(
            document.expected("an object, as `aws ec2 describe-... --output json` prints it")
        );
    };
    for key in object.keys() {
        let read = match key.as_str() {
            "TrafficMirrorFilters" => filter,
            "TrafficMirrorFilterRules" => lone_rule,
            "TrafficMirrorSessions" => session,
            "TrafficMirrorTargets" => target,
            "NetworkInterfaces" => interface,
            "Vpcs" => vpc,
            other if BESIDE.contains(&other) => continue,
            other => {
                let message = format!("unknown list {other:?}: known are {KNOWN}");
                return Err(ImportError::format(document.file(), message));
            }
        };
        for item in document.list(key)? {
            read(item, mirror)?;
        }
    }
    if document.get("NextToken")?.is_some() {
        mirror.left_out.push(format!(
            "{}: the list goes on (NextToken): without --max-items and --no-paginate the AWS CLI prints all of it",
            document.file()
        ));
    }
    Ok(())
}

fn filter(item: Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorFilterId")?;
    let item = item.named(&id);
    for (list, direction) in
        [("IngressFilterRules", Direction::Ingress), ("EgressFilterRules", Direction::Egress)]
    {
        for element in item.list(list)? {
            add_rule(element, Some((&id, direction)), mirror)?;
        }
    }
    let filter = MirrorFilter {
        label: label(&item, "Tags")?,
        amazon_dns: values::has_amazon_dns(&item.list("NetworkServices")?)?,
        assumptions: Vec::new(),
        id,
    };
    mirror.filters.push(filter);
    Ok(())
}

fn lone_rule(item: Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    add_rule(item, None, mirror)
}

/// Adds a rule; `of` is the filter and direction of the list that contains it, if any.
fn add_rule(
    item: Item<'_>,
    of: Option<(&String, Direction)>,
    mirror: &mut Mirror,
) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorFilterRuleId")?;
    let item = item.named(&id);
    let filter = match (item.get("TrafficMirrorFilterId")?, of) {
        (Some(filter), _) => filter.string()?.to_owned(),
        (None, Some((filter, _))) => filter.clone(),
        (None, None) => {
            return Err(item.required("TrafficMirrorFilterId").expect_err("it is not there"));
        }
    };
    let rule = rule(&item, &AWS_RULE, &id, &filter)?;
    if let Some((of, direction)) = of
        && (rule.direction != direction || rule.filter != *of)
    {
        return Err(item.error(format_args!(
            "stands in the {direction} list of {of}, but is an {} rule of {}",
            rule.direction, rule.filter
        )));
    }
    mirror.rules.push(rule);
    Ok(())
}

fn session(item: Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorSessionId")?;
    let item = item.named(&id);
    let session = MirrorSession {
        label: label(&item, "Tags")?,
        interface: item.id("NetworkInterfaceId")?,
        filter: item.id("TrafficMirrorFilterId")?,
        target: item.optional_string("TrafficMirrorTargetId")?,
        number: Some(values::session_number(&item.required("SessionNumber")?)?),
        packet_length: item
            .get("PacketLength")?
            .map_or(Ok(None), |item| values::packet_length(&item))?,
        vni: item.get("VirtualNetworkId")?.map(|item| values::vni(&item)).transpose()?,
        assumptions: Vec::new(),
        id,
    };
    mirror.sessions.push(session);
    Ok(())
}

fn target(item: Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorTargetId")?;
    let item = item.named(&id);
    for key in ["NetworkInterfaceId", "NetworkLoadBalancerArn", "GatewayLoadBalancerEndpointId"] {
        if let Some(destination) = item.optional_string(key)? {
            mirror.targets.push(MirrorTarget { id, destination });
            return Ok(());
        }
    }
    Err(item.error("has neither an interface nor a load balancer nor an endpoint"))
}

fn interface(item: Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("NetworkInterfaceId")?;
    let item = item.named(&id);
    let mut assumptions = Vec::new();
    let primary = item.get("PrivateIpAddress")?.map(|item| address(&item)).transpose()?;
    let mut others = Vec::new();
    for (list, key) in
        [("PrivateIpAddresses", "PrivateIpAddress"), ("Ipv6Addresses", "Ipv6Address")]
    {
        for element in item.list(list)? {
            others.push(address(&element.required(key)?)?.into());
        }
    }
    for (list, key) in [("Ipv4Prefixes", "Ipv4Prefix"), ("Ipv6Prefixes", "Ipv6Prefix")] {
        for element in item.list(list)? {
            others.push(prefix(&element.required(key)?, &mut assumptions)?);
        }
    }
    assumptions.sort();
    let interface = MirrorInterface {
        label: label(&item, "TagSet")?,
        mac: item
            .get("MacAddress")?
            .map(|item| item.parsed("a MAC address such as \"02:aa:bb:cc:dd:01\""))
            .transpose()?,
        primary,
        addresses: in_order(primary, others),
        vpc: item.optional_string("VpcId")?,
        assumptions,
        id,
    };
    mirror.interfaces.push(interface);
    Ok(())
}

fn vpc(item: Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("VpcId")?;
    let item = item.named(&id);
    let mut blocks: Vec<_> = item.get("CidrBlock")?.into_iter().collect();
    for association in item.list("CidrBlockAssociationSet")? {
        blocks.extend(association.get("CidrBlock")?);
    }
    for block in blocks {
        let vpc = (id.clone(), block.parsed("an IPv4 prefix such as \"10.0.0.0/16\"")?);
        if !mirror.vpcs.contains(&vpc) {
            mirror.vpcs.push(vpc);
        }
    }
    Ok(())
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
