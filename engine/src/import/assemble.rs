//! Joins the objects of a mirror by their identifiers and sorts them independently of the order of
//! the input. Unusable objects are left out and reported.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ipnet::Ipv4Net;

use super::interface::MirrorInterface;
use super::left_out::LeftOut;
use super::model::{Mirror, MirrorFilter, MirrorRule, MirrorSession, MirrorTarget};
use super::sessions::{Parts, UsableSession, usable};
use super::vpc::Vpcs;
use super::{ImportError, Options};

/// Content of the configuration, in its order.
pub(super) struct Assembled {
    /// Mirrored interfaces with the prefixes of their VPCs, by identifier.
    pub(super) interfaces: Vec<(MirrorInterface, Vec<Ipv4Net>)>,
    /// Filters by identifier, each with its rules: ingress first, then by number.
    pub(super) filters: Vec<(MirrorFilter, Vec<MirrorRule>)>,
    /// Sessions by interface, then by number.
    pub(super) sessions: Vec<UsableSession>,
    pub(super) left_out: Vec<String>,
}

/// `dns_remedy` says how the prefixes of VPCs get into the input.
pub(super) fn assemble(
    mirror: Mirror,
    options: &Options,
    dns_remedy: &str,
) -> Result<Assembled, ImportError> {
    let Mirror { filters, rules, sessions, targets, instance_interfaces, interfaces, .. } = mirror;
    let (vpcs, mut left_out) = (Vpcs::new(mirror.vpcs, mirror.subnets), mirror.left_out);
    let sessions = to_target(sessions, &targets, options)?;
    let interfaces: BTreeMap<_, _> = instance_interfaces
        .into_iter()
        .chain(interfaces)
        .map(|interface| (interface.id.clone(), interface))
        .collect();
    let parts = Parts {
        filters: filters.iter().map(|filter| filter.id.as_str()).collect(),
        interfaces: &interfaces,
    };
    let mut sessions = usable(sessions, &parts, &mut left_out);
    check_numbers(&sessions)?;
    let dns_filters: HashSet<_> =
        filters.iter().filter(|filter| filter.amazon_dns).map(|it| it.id.clone()).collect();
    let has_dns = |it: &&mut UsableSession| {
        it.filter.as_ref().is_some_and(|filter| dns_filters.contains(filter))
    };
    let with_dns = sessions.iter_mut().filter(has_dns);
    vpcs.note_unknown_dns(with_dns, &interfaces, dns_remedy, &mut left_out);
    let mirrored: BTreeSet<_> = sessions
        .iter()
        .filter(|it| it.has_interface)
        .map(|it| it.session.interface.clone())
        .collect();
    let mirrored = interfaces.into_iter().filter(|(id, _)| mirrored.contains(id));
    Ok(Assembled {
        interfaces: mirrored.map(|(_, it)| (it.clone(), vpcs.prefixes(&it))).collect(),
        filters: with_rules(filters, rules, &mut left_out)?,
        sessions,
        left_out: left_out.into_sentences(),
    })
}

/// Returns the sessions that send to the requested target.
fn to_target(
    sessions: Vec<MirrorSession>,
    targets: &[MirrorTarget],
    options: &Options,
) -> Result<Vec<MirrorSession>, ImportError> {
    let Some(wanted) = &options.target else { return Ok(sessions) };
    let ids: HashSet<&String> = targets
        .iter()
        .filter(|target| target.destination == *wanted)
        .map(|target| &target.id)
        .chain([wanted])
        .collect();
    let all: BTreeSet<_> = sessions.iter().filter_map(|session| session.target.clone()).collect();
    let sessions: Vec<_> = sessions
        .into_iter()
        .filter(|session| session.target.as_ref().is_some_and(|target| ids.contains(target)))
        .collect();
    if sessions.is_empty() {
        let all = all.into_iter().collect::<Vec<_>>().join(", ");
        let all = if all.is_empty() { "none".to_owned() } else { all };
        return Err(ImportError::whole(format_args!(
            "no session sends to the target {wanted}; targets are {all}"
        )));
    }
    Ok(sessions)
}

/// Checks that the sessions of an interface have different numbers, as the mirror evaluates them in
/// this order.
fn check_numbers(sessions: &[UsableSession]) -> Result<(), ImportError> {
    for pair in sessions.windows(2).filter(|pair| pair[0].has_interface) {
        let [one, two] = [&pair[0].session, &pair[1].session];
        if (&one.interface, one.number) == (&two.interface, two.number) {
            return Err(ImportError::whole(format_args!(
                "interface {}: the sessions {} and {} have the same number",
                one.interface, one.id, two.id
            )));
        }
    }
    Ok(())
}

/// Returns the filters, each with its rules.
fn with_rules(
    mut filters: Vec<MirrorFilter>,
    mut rules: Vec<MirrorRule>,
    left_out: &mut LeftOut,
) -> Result<Vec<(MirrorFilter, Vec<MirrorRule>)>, ImportError> {
    filters.sort_by(|one, two| one.id.cmp(&two.id));
    rules.sort_by(|one, two| {
        (one.direction, one.number, &one.id).cmp(&(two.direction, two.number, &two.id))
    });
    let mut by_filter: BTreeMap<String, Vec<MirrorRule>> = BTreeMap::new();
    for rule in rules {
        by_filter.entry(rule.filter.clone()).or_default().push(rule);
    }
    let mut joined = Vec::new();
    for mut filter in filters {
        let rules = by_filter.remove(&filter.id).unwrap_or_default();
        for pair in rules.windows(2) {
            if (pair[0].direction, pair[0].number) == (pair[1].direction, pair[1].number) {
                let (direction, number) = (pair[0].direction, pair[0].number);
                return Err(ImportError::whole(format_args!(
                    "filter {}: the rules {} and {} are both {direction} rule {number}",
                    filter.id, pair[0].id, pair[1].id
                )));
            }
        }
        if left_out.is_incomplete(&filter.id) {
            filter.assumptions.push("It is not complete: a rule of it is left out.".to_owned());
        }
        joined.push((filter, rules));
    }
    for rule in by_filter.into_values().flatten() {
        // The reason is said already.
        if left_out.has_id(&rule.filter) {
            continue;
        }
        left_out
            .say(format_args!("rule {}: its filter {} is not in the input", rule.id, rule.filter));
    }
    Ok(joined)
}
