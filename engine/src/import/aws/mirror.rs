//! Filters, rules, sessions and targets of the AWS CLI's output.

use serde_json::Value;

use crate::config::Direction;
use crate::import::error::ImportError;
use crate::import::item::Item;
use crate::import::model::{Mirror, MirrorFilter, MirrorTarget};
use crate::import::values::{self, AWS_RULE, AWS_SESSION};

/// Leaves out a rule of the filter that it names, and of the filter whose list has it, if any.
pub(super) fn leave_out_rule(
    item: &Item<'_>,
    of: Option<&str>,
    error: &ImportError,
    mirror: &mut Mirror,
) {
    let may_accept = values::may_accept(item, &AWS_RULE);
    let named = item.word_of("TrafficMirrorFilterId");
    for filter in [named.or(of), of.or(named)] {
        mirror.left_out.rule(filter, may_accept, error);
    }
}

pub(super) fn filter(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorFilterId")?;
    let item = item.clone().named(&id);
    for (list, direction) in
        [("IngressFilterRules", Direction::Ingress), ("EgressFilterRules", Direction::Egress)]
    {
        for element in item.list(list)? {
            if let Err(error) = filter_rule(&element, Some((&id, direction)), mirror) {
                leave_out_rule(&element, Some(&id), &error, mirror);
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
pub(super) fn filter_rule(
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
        leave_out_rule(&item, Some(of), &error, mirror);
        return Ok(());
    }
    values::add_rule(&item, &AWS_RULE, &id, &filter, mirror);
    Ok(())
}

pub(super) fn session(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
    let id = item.id("TrafficMirrorSessionId")?;
    let item = item.clone().named(&id);
    mirror.sessions.push(values::session(&item, &AWS_SESSION, &id, label(&item, "Tags")?)?);
    Ok(())
}

pub(super) fn target(item: &Item<'_>, mirror: &mut Mirror) -> Result<(), ImportError> {
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
pub(super) fn label(item: &Item<'_>, tags: &str) -> Result<Option<String>, ImportError> {
    for tag in item.list(tags)? {
        if tag.get("Key")?.is_some_and(|key| key.value() == "Name") {
            return tag.optional_string("Value");
        }
    }
    item.optional_string("Description")
}
