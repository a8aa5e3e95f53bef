//! Joins the objects of a mirror by their identifiers and sorts them independently of the order of
//! the input. Unusable objects are left out and reported.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::Ipv4Net;

use super::model::{
    Mirror, MirrorFilter, MirrorInterface, MirrorRule, MirrorSession, MirrorTarget,
};
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

/// A session whose frames can be recognised.
pub(super) struct UsableSession {
    pub(super) session: MirrorSession,
    pub(super) vni: u32,
    /// `None`: the interface is not in the input.
    pub(super) source: Option<IpAddr>,
    pub(super) has_interface: bool,
}

pub(super) fn assemble(mirror: Mirror, options: &Options) -> Result<Assembled, ImportError> {
    let Mirror { filters, rules, sessions, targets, interfaces, vpcs, mut left_out } = mirror;
    let known: HashSet<_> = filters.iter().map(|filter| filter.id.clone()).collect();
    let sessions = to_target(sessions, &targets, options)?;
    let interfaces: BTreeMap<_, _> =
        interfaces.into_iter().map(|interface| (interface.id.clone(), interface)).collect();
    let sessions = usable(sessions, &known, &interfaces, &mut left_out);
    check_numbers(&sessions)?;
    let mirrored: BTreeSet<_> = sessions
        .iter()
        .filter(|it| it.has_interface)
        .map(|it| it.session.interface.clone())
        .collect();
    let of_vpc = |vpc: &Option<String>| {
        let prefixes = vpcs
            .iter()
            .filter(|(id, _)| Some(id) == vpc.as_ref())
            .map(|(_, prefix)| prefix.trunc());
        prefixes.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let mirrored = interfaces.into_iter().filter(|(id, _)| mirrored.contains(id));
    Ok(Assembled {
        interfaces: mirrored.map(|(_, it)| (it.clone(), of_vpc(&it.vpc))).collect(),
        filters: with_rules(filters, rules, &mut left_out)?,
        sessions,
        left_out,
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

/// Returns the usable sessions, sorted by interface and number.
fn usable(
    mut sessions: Vec<MirrorSession>,
    filters: &HashSet<String>,
    interfaces: &BTreeMap<String, MirrorInterface>,
    left_out: &mut Vec<String>,
) -> Vec<UsableSession> {
    sessions.sort_by(|one, two| {
        (&one.interface, one.number, &one.id).cmp(&(&two.interface, two.number, &two.id))
    });
    let (mut usable, mut pairs) = (Vec::new(), HashMap::new());
    for mut session in sessions {
        let id = session.id.clone();
        let Some(vni) = session.vni else {
            left_out.push(format!(
                "session {id}: its VNI is not in the input; set its virtual network ID, or import from what runs"
            ));
            continue;
        };
        if !filters.contains(&session.filter) {
            left_out
                .push(format!("session {id}: its filter {} is not in the input", session.filter));
            continue;
        }
        let interface = interfaces.get(&session.interface);
        let source = interface.and_then(|interface| interface.primary);
        if source.is_none() {
            let what = if interface.is_some() {
                "has no primary address in the input"
            } else {
                "is not in the input"
            };
            session.assumptions.push(format!(
                "{} {what}: known by the VNI alone, from any source",
                session.interface
            ));
        }
        if let Some(first) = pairs.insert((vni, source), id.clone()) {
            let from = source.map_or_else(|| "any source".to_owned(), |source| source.to_string());
            left_out.push(format!("session {id}: VNI {vni} from {from} is that of {first} too"));
            pairs.insert((vni, source), first);
            continue;
        }
        usable.push(UsableSession { vni, source, has_interface: interface.is_some(), session });
    }
    usable
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
    left_out: &mut Vec<String>,
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
    for filter in filters {
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
        joined.push((filter, rules));
    }
    for rule in by_filter.into_values().flatten() {
        left_out.push(format!("rule {}: its filter {} is not in the input", rule.id, rule.filter));
    }
    Ok(joined)
}
