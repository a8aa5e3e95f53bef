//! Selection of the sessions that send to one target.

use std::collections::{BTreeSet, HashSet};

use super::error::ImportError;
use super::left_out::LeftOut;
use super::model::{MirrorSession, MirrorTarget};

/// Selection of sessions.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only sessions that send to this target: its id, or the id or ARN of the interface, load
    /// balancer or endpoint behind it.
    pub target: Option<String>,
}

/// Beginning of the identifiers that AWS gives to targets.
const ID_START: &str = "tmt-";

/// Returns the sessions that send to the requested target. Those of which that is not known are
/// left out: their frames may arrive there too.
pub(super) fn to_target(
    sessions: Vec<MirrorSession>,
    targets: &[MirrorTarget],
    options: &Options,
    left_out: &mut LeftOut,
) -> Result<Vec<MirrorSession>, ImportError> {
    let Some(wanted) = &options.target else { return Ok(sessions) };
    let targets = Targets::new(wanted, targets, &sessions);
    let all: BTreeSet<_> = sessions.iter().filter_map(|it| it.target.clone()).collect();
    let (mut taken, mut unknown) = (Vec::new(), Vec::new());
    for session in sessions {
        match targets.is_wanted(session.target.as_ref()) {
            Some(true) => taken.push(session),
            Some(false) => {}
            None => unknown.push(session),
        }
    }
    if taken.is_empty() {
        return Err(none_sends(wanted, &all, &unknown));
    }
    for session in unknown {
        let what = match &session.target {
            Some(target) => format!("what is behind its target {target}"),
            None => "its target".to_owned(),
        };
        let id = &session.id;
        left_out.session(
            session.left_out(),
            format_args!(
                "session {id}: {what} is not in the input, and only sessions that send to {wanted} are requested"
            ),
        );
    }
    Ok(taken)
}

struct Targets<'t> {
    wanted: &'t String,
    /// The request is the identifier of a target, not what is behind one.
    is_id: bool,
    /// Identifiers of the targets whose destination is the requested one.
    of_destination: HashSet<&'t String>,
    /// Identifiers of the targets whose destination is known.
    known: HashSet<&'t String>,
}

impl<'t> Targets<'t> {
    fn new(wanted: &'t String, targets: &'t [MirrorTarget], sessions: &[MirrorSession]) -> Self {
        let known: HashSet<_> = targets.iter().map(|target| &target.id).collect();
        let is_named = |session: &MirrorSession| session.target.as_ref() == Some(wanted);
        let of_destination = targets.iter().filter(|target| target.destination == *wanted);
        Self {
            wanted,
            is_id: wanted.starts_with(ID_START)
                || known.contains(wanted)
                || sessions.iter().any(is_named),
            of_destination: of_destination.map(|target| &target.id).collect(),
            known,
        }
    }

    /// Returns whether a session with the target is requested, if that is known.
    fn is_wanted(&self, target: Option<&String>) -> Option<bool> {
        let target = target?;
        if target == self.wanted || self.of_destination.contains(target) {
            return Some(true);
        }
        (self.is_id || self.known.contains(target)).then_some(false)
    }
}

/// Returns the error for a request that selects no session.
fn none_sends(wanted: &str, all: &BTreeSet<String>, unknown: &[MirrorSession]) -> ImportError {
    let all = listed(all.iter()).unwrap_or_else(|| "none".to_owned());
    let no_target = unknown.iter().filter(|it| it.target.is_none()).map(|it| &it.id);
    let no_target = listed(no_target).map(|it| format!("the target of {it}"));
    let targets: BTreeSet<_> = unknown.iter().filter_map(|it| it.target.as_ref()).collect();
    let targets = listed(targets.into_iter()).map(|it| format!("what is behind {it}"));
    let missing: Vec<_> = no_target
        .into_iter()
        .chain(targets)
        .map(|what| format!("; {what} is not in the input"))
        .collect();
    let missing = missing.concat();
    ImportError::whole(format_args!(
        "no session sends to the target {wanted}; targets are {all}{missing}"
    ))
}

fn listed<'n>(names: impl Iterator<Item = &'n String>) -> Option<String> {
    let names: Vec<_> = names.map(String::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
