//! Decides which sessions are usable: those whose frames can be recognised.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use super::interface::MirrorInterface;
use super::left_out::LeftOut;
use super::model::MirrorSession;

/// A session whose frames can be recognised.
pub(super) struct UsableSession {
    pub(super) session: MirrorSession,
    pub(super) vni: u32,
    /// `None`: the interface is not in the input.
    pub(super) source: Option<IpAddr>,
    /// `None`: the filter is not known, or not completely, so that all frames pass.
    pub(super) filter: Option<String>,
    pub(super) has_interface: bool,
}

/// The objects that sessions refer to.
pub(super) struct Parts<'m> {
    pub(super) filters: HashSet<&'m str>,
    pub(super) interfaces: &'m BTreeMap<String, MirrorInterface>,
}

/// Returns the usable sessions, sorted by interface and number.
pub(super) fn usable(
    mut sessions: Vec<MirrorSession>,
    parts: &Parts<'_>,
    left_out: &mut LeftOut,
) -> Vec<UsableSession> {
    sessions.sort_by(|one, two| {
        (&one.interface, one.number, &one.id).cmp(&(&two.interface, two.number, &two.id))
    });
    let sessions = sessions.into_iter().filter_map(|it| one(it, parts, left_out)).collect();
    distinct(sessions, left_out)
}

/// Finds what a session refers to.
fn one(
    mut session: MirrorSession,
    parts: &Parts<'_>,
    left_out: &mut LeftOut,
) -> Option<UsableSession> {
    let (id, filter) = (session.id.clone(), session.filter.clone());
    let Some(vni) = session.vni else {
        left_out.say(format_args!(
            "session {id}: its VNI is not in the input; set its virtual network ID, or import from what runs"
        ));
        return None;
    };
    let why = if left_out.is_incomplete(&filter) {
        Some("lacks a rule that is left out")
    } else if left_out.has_id(&filter) {
        Some("is left out")
    } else if !parts.filters.contains(filter.as_str()) {
        Some("is not in the input")
    } else {
        None
    };
    // The mirror has filtered already: without a filter, no frame of the session is lost.
    if let Some(why) = why {
        let sentence = format!("its filter {filter} {why}: all that the mirror sends passes");
        left_out.say(format_args!("session {id}: {sentence}"));
        session.assumptions.push(sentence);
    }
    let interface = parts.interfaces.get(&session.interface);
    let source = interface.and_then(|interface| interface.primary);
    if source.is_none() {
        let what = match interface {
            Some(_) => "has no primary address in the input",
            None if left_out.has_id(&session.interface) => "is left out",
            None => "is not in the input",
        };
        let interface = &session.interface;
        session
            .assumptions
            .push(format!("{interface} {what}: known by the VNI alone, from any source"));
    }
    let filter = Some(filter).filter(|_| why.is_none());
    Some(UsableSession { vni, source, filter, has_interface: interface.is_some(), session })
}

/// Leaves out the sessions whose frames have the same VNI and source as those of another one: one
/// of them would get the frames of the other.
fn distinct(sessions: Vec<UsableSession>, left_out: &mut LeftOut) -> Vec<UsableSession> {
    let mut by_pair: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for UsableSession { vni, source, session, .. } in &sessions {
        by_pair.entry((*vni, *source)).or_default().push(session.id.clone());
    }
    by_pair.retain(|_, ids| ids.len() > 1);
    for ((vni, source), ids) in &by_pair {
        let (from, remedy) = match source {
            Some(source) => (source.to_string(), "give them different VNIs"),
            None => (
                "an unknown source".to_owned(),
                "add a description of the mirrored interfaces, or give the sessions different VNIs",
            ),
        };
        left_out.say(format_args!(
            "sessions {}: each has VNI {vni} from {from}, so that their frames cannot be told apart; {remedy}",
            ids.join(", ")
        ));
    }
    let is_alone = |it: &UsableSession| !by_pair.contains_key(&(it.vni, it.source));
    sessions.into_iter().filter(is_alone).collect()
}
