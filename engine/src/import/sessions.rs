//! Decides which sessions are usable: those whose frames can be recognised.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::interface::MirrorInterface;
use super::left_out::LeftOut;
use super::model::{MirrorFilter, MirrorRule, MirrorSession};

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
    /// Sorted by identifier.
    pub(super) filters: &'m [(MirrorFilter, Vec<MirrorRule>)],
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
    let mut usable: Vec<_> =
        sessions.into_iter().filter_map(|it| with_pair(it, parts, left_out)).collect();
    leave_out_equal(&mut usable, left_out);
    leave_out_like_left_out(&mut usable, left_out);
    take_without_equal_numbers(&mut usable, left_out);
    for session in &mut usable {
        session.add_filter(parts, left_out);
        session.note_any_source(parts, left_out);
    }
    usable
}

/// Finds the VNI and the source of a session.
fn with_pair(
    session: MirrorSession,
    parts: &Parts<'_>,
    left_out: &mut LeftOut,
) -> Option<UsableSession> {
    let Some(vni) = session.vni else {
        let id = &session.id;
        left_out.session(
            session.left_out(),
            format_args!("session {id}: its VNI is not in the input; set its virtual network ID, or import from what runs"),
        );
        return None;
    };
    let interface = parts.interfaces.get(&session.interface);
    let (source, has_interface) = (interface.and_then(|it| it.primary), interface.is_some());
    Some(UsableSession { vni, source, filter: None, has_interface, session })
}

/// Leaves out the sessions whose frames have the same VNI and source as those of another one: one
/// of them would get the frames of the other.
fn leave_out_equal(sessions: &mut Vec<UsableSession>, left_out: &mut LeftOut) {
    let mut by_pair: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for UsableSession { vni, source, session, .. } in &*sessions {
        by_pair.entry((*vni, *source)).or_default().push(session.id.clone());
    }
    sessions.retain(|UsableSession { vni, source, session, .. }| {
        let ids = &by_pair[&(*vni, *source)];
        if ids.len() == 1 {
            return true;
        }
        let (from, remedy) = match source {
            Some(source) => (source.to_string(), "give them different VNIs"),
            None => (
                "an unknown source".to_owned(),
                "add a description of the mirrored interfaces, or give the sessions different VNIs",
            ),
        };
        let ids = ids.join(", ");
        left_out.session(
            session.left_out(),
            format_args!("sessions {ids}: each has VNI {vni} from {from}, so that their frames cannot be told apart; {remedy}"),
        );
        false
    });
}

/// Leaves out the sessions from any source that would get the frames of a session that is left out
/// already.
fn leave_out_like_left_out(sessions: &mut Vec<UsableSession>, left_out: &mut LeftOut) {
    sessions.retain(|UsableSession { vni, source, session, .. }| {
        let MirrorSession { id, interface, .. } = session;
        let others = left_out.others(Some(*vni), id, interface);
        if source.is_some() || others.is_empty() {
            return true;
        }
        let sentence = format!(
            "session {id}: it has VNI {vni} from an unknown source, so that its frames cannot be told apart from \
             those of {}, left out as well; add a description of the interface {interface}, or give the sessions \
             different VNIs",
            enumerated(&others)
        );
        left_out.session(session.left_out(), sentence);
        false
    });
}

/// Takes the number from sessions of an interface that have the same one: it is the order in which
/// the mirror evaluates them, which is then not known.
fn take_without_equal_numbers(sessions: &mut [UsableSession], left_out: &mut LeftOut) {
    let place = |it: &UsableSession| (it.session.interface.clone(), it.session.number);
    for same in sessions.chunk_by_mut(|one, two| place(one) == place(two)) {
        let [UsableSession { has_interface: true, session: first, .. }, _, ..] = &*same else {
            continue;
        };
        let (interface, Some(number)) = (first.interface.clone(), first.number) else { continue };
        let ids: Vec<_> = same.iter().map(|it| it.session.id.as_str()).collect();
        let ids = ids.join(", ");
        left_out.note(format_args!(
            "sessions {ids} of {interface}: each has number {number}, so that their order is not known: taken without it"
        ));
        for UsableSession { session, .. } in same {
            session.number = None;
            let sentence = "another session of the interface too: taken without it";
            session.assumptions.push(format!("number {number} is that of {sentence}"));
        }
    }
}

impl UsableSession {
    /// Adds the filter, or says why not. The mirror has filtered already: without a filter, no
    /// frame of the session is lost.
    fn add_filter(&mut self, parts: &Parts<'_>, left_out: &mut LeftOut) {
        let MirrorSession { id, filter, .. } = &self.session;
        let Some(why) = unusable(filter, parts, left_out) else {
            self.filter = Some(filter.clone());
            return;
        };
        let sentence = format!("its filter {filter} {why}: all that the mirror sends passes");
        left_out.note(format_args!("session {id}: {sentence}"));
        self.session.assumptions.push(sentence);
    }

    /// Says that the frames of a session without a source are known by their VNI alone.
    fn note_any_source(&mut self, parts: &Parts<'_>, left_out: &mut LeftOut) {
        let (vni, MirrorSession { id, interface, .. }) = (self.vni, &self.session);
        if self.source.is_some() {
            return;
        }
        let what = match parts.interfaces.get(interface) {
            Some(_) => "has no primary address in the input",
            None if left_out.has_id(interface) => "is left out",
            None => "is not in the input",
        };
        left_out.note(format_args!(
            "session {id}: {interface} {what}: known by VNI {vni} alone, from any source; set its source, or add a \
             description of the interface with its private address"
        ));
        let others = left_out.others(None, id, interface);
        if !others.is_empty() {
            let others = enumerated(&others);
            left_out.note(format_args!(
                "session {id}: takes VNI {vni} from any source, so that frames of {others}, whose VNI is not known, \
                 count as its own if they have it"
            ));
        }
        let sentence = format!("{interface} {what}: known by the VNI alone, from any source");
        self.session.assumptions.push(sentence);
    }
}

/// Returns the reason for which a filter would drop what the mirror accepts, if there is one.
fn unusable(filter: &str, parts: &Parts<'_>, left_out: &LeftOut) -> Option<&'static str> {
    if left_out.has_id(filter) {
        return Some("is left out");
    }
    let Ok(at) = parts.filters.binary_search_by(|(it, _)| it.id.as_str().cmp(filter)) else {
        return Some("is not in the input");
    };
    let (found, rules) = &parts.filters[at];
    // With such a filter a mirror sends nothing: its rules are elsewhere, if frames arrive.
    let is_empty = rules.is_empty() && !found.amazon_dns;
    left_out.lack(filter).or(is_empty.then_some("has no rule in the input"))
}

/// Returns the first names, and how many more there are.
fn enumerated(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
