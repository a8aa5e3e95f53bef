//! Joins the objects of a mirror by their identifiers and sorts them independently of the order of
//! the input. Unusable objects are left out and reported.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ipnet::Ipv4Net;

use super::error::ImportError;
use super::interface::MirrorInterface;
use super::left_out::LeftOut;
use super::model::{Mirror, MirrorFilter, MirrorRule};
use super::sessions::{Parts, UsableSession, usable};
use super::target::Options;
use super::target::to_target;
use super::vpc::Vpcs;

/// Content of the configuration, in its order.
pub(super) struct Assembled {
    /// Mirrored interfaces with the prefixes of their VPCs, by identifier.
    pub(super) interfaces: Vec<(MirrorInterface, Vec<Ipv4Net>)>,
    /// Filters by identifier, each with its rules: ingress first, then by number.
    pub(super) filters: Vec<(MirrorFilter, Vec<MirrorRule>)>,
    /// Sessions by interface, then by number.
    pub(super) sessions: Vec<UsableSession>,
    pub(super) left_out: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// `dns_remedy` says how the prefixes of VPCs get into the input.
pub(super) fn assemble(
    mirror: Mirror,
    options: &Options,
    dns_remedy: &str,
) -> Result<Assembled, ImportError> {
    let Mirror { filters, rules, sessions, targets, instance_interfaces, interfaces, .. } = mirror;
    let (vpcs, mut left_out) = (Vpcs::new(mirror.vpcs, mirror.subnets), mirror.left_out);
    let sessions = to_target(sessions, &targets, options, &mut left_out)?;
    let interfaces: BTreeMap<_, _> = instance_interfaces
        .into_iter()
        .chain(interfaces)
        .map(|interface| (interface.id.clone(), interface))
        .collect();
    // Before the sessions: they are taken without a filter of which a rule is left out.
    let filters = with_rules(filters, rules, &mut left_out);
    let parts = Parts { filters: &filters, interfaces: &interfaces };
    let mut sessions = usable(sessions, &parts, &mut left_out);
    let with_dns: HashSet<_> =
        filters.iter().filter(|it| it.0.amazon_dns).map(|it| it.0.id.as_str()).collect();
    let has_dns =
        |it: &&mut UsableSession| it.filter.as_deref().is_some_and(|it| with_dns.contains(it));
    let with_dns = sessions.iter_mut().filter(has_dns);
    vpcs.note_unknown_dns(with_dns, &interfaces, dns_remedy, &mut left_out);
    if sessions.is_empty() && !filters.is_empty() {
        left_out.note("no session is left: everything that arrives is undeclared traffic");
    }
    let mirrored: BTreeSet<_> = sessions
        .iter()
        .filter(|it| it.has_interface)
        .map(|it| it.session.interface.clone())
        .collect();
    let mirrored = interfaces.into_iter().filter(|(id, _)| mirrored.contains(id));
    let interfaces = mirrored.map(|(_, it)| vpcs.described(it)).collect();
    let (left_out, notes) = left_out.into_sentences();
    Ok(Assembled { interfaces, filters, sessions, left_out, notes })
}

/// Returns the filters, each with its rules.
fn with_rules(
    mut filters: Vec<MirrorFilter>,
    mut rules: Vec<MirrorRule>,
    left_out: &mut LeftOut,
) -> Vec<(MirrorFilter, Vec<MirrorRule>)> {
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
        let rules = with_own_numbers(&rules, left_out);
        if let Some(lack) = left_out.lack(&filter.id) {
            filter.assumptions.push(format!("It {lack}."));
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
    joined
}

/// Leaves out those of the sorted rules of a filter that have the same number: which of them comes
/// first is not known.
fn with_own_numbers(rules: &[MirrorRule], left_out: &mut LeftOut) -> Vec<MirrorRule> {
    let mut own = Vec::new();
    for same in
        rules.chunk_by(|one, two| (one.direction, one.number) == (two.direction, two.number))
    {
        let [MirrorRule { filter, direction, number, .. }, _, ..] = same else {
            own.extend_from_slice(same);
            continue;
        };
        let ids: Vec<_> = same.iter().map(|rule| rule.id.as_str()).collect();
        let ids = ids.join(", ");
        left_out.rule(
            Some(filter),
            same.iter().any(MirrorRule::may_accept),
            format_args!("rules {ids} of filter {filter}: each is {direction} rule {number}, so that their order is not known"),
        );
    }
    own
}
