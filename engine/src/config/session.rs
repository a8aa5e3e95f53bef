//! Declared mirror sessions, and the treatment of all other traffic.

use std::fmt;
use std::net::IpAddr;

use super::Config;
use super::capture_checks::check_source;
use super::error::{Problem, Violation};
use super::key::{Entry, KeyPath};
use super::keyword::{Keyword, keyword_of};
use super::limit::Limit;
use super::name::{Declared, check_name};
use super::output::{Output, OutputKind};
use super::unique::Seen;
use crate::vni::Vni;

/// Name of the session of all undeclared traffic; no declared session may have it.
pub const DEFAULT_SESSION_NAME: &str = "default";

pub(super) const VNI: Limit = Limit::Range(Vni::MIN.get() as u64, Vni::MAX.get() as u64);
/// Lengths that an IP packet allows a frame.
pub(super) const PACKET_LENGTH: Limit = Limit::Range(1, 65_535);
/// IEEE 802.1Q reserves 0 and 4095.
pub(super) const VLAN: Limit = Limit::Range(1, 4094);
/// Range of `SessionNumber` in the EC2 API.
pub(super) const SESSION_NUMBER: Limit = Limit::Range(1, 32_766);

/// A declared mirror session. Table `[[session]]` of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Name, 1 to 255 bytes without control characters, different from those of the other sessions
    /// and from [`DEFAULT_SESSION_NAME`].
    pub name: String,
    /// VXLAN network identifier, 0 to 16777215. A wrong one makes the mirror's traffic count as
    /// unknown.
    pub vni: u32,
    /// Outer source address that the mirror sends from; `None`: any source. If two sessions have
    /// the same VNI, the one with a source takes precedence.
    pub source: Option<IpAddr>,
    /// Id of the mirrored [`Eni`](super::Eni), from which directions are inferred; `None`: unknown.
    pub eni: Option<String>,
    /// Name of the [`Filter`](super::Filter) that is applied to the session's frames; `None`: all
    /// of them pass.
    pub filter: Option<String>,
    /// Name of the [`VxlanProfile`](super::VxlanProfile) of the mirror; `None`: its reserved bits
    /// have no meaning.
    pub vxlan_profile: Option<String>,
    /// Bytes of each frame that are kept, counted from the end of the VXLAN header, 1 to 65535;
    /// `None`: all.
    pub packet_length: Option<u32>,
    /// Session number at the mirror, 1 to 32766, unique among the sessions of an ENI: the mirror
    /// evaluates their filters in this order. `None`: unknown. Only explanations use it; a frame's
    /// VNI and source identify its session.
    pub number: Option<u16>,
    /// VLAN ID of the session's frames at outputs with VLAN tags, 1 to 4094; `None`: frames are not
    /// tagged. Sessions may share one.
    pub vlan: Option<u16>,
    /// Names of the outputs that get the session's frames; `None`: all of them.
    pub outputs: Option<Vec<String>>,
}

/// Treatment of traffic of a pair of source and VNI that no session declares. Key
/// `sessions.unknown` of the file. Each such pair is counted in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownSessions {
    /// Frames go to the outputs as part of the default session.
    #[default]
    Pass,
    /// Frames are dropped; without a declared session these are all frames.
    Drop,
}

/// Treatment of a frame whose direction cannot be inferred, in a session with a filter. Key
/// `sessions.unknown_direction` of the file. Such frames are counted in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownDirection {
    /// The frame passes if the ingress rules or the egress rules accept it.
    #[default]
    Either,
    /// The frame passes.
    Accept,
    /// The frame is dropped.
    Reject,
}

impl Keyword for UnknownSessions {
    const KEYWORDS: &'static [(&'static str, Self)] = &[("pass", Self::Pass), ("drop", Self::Drop)];
}

impl fmt::Display for UnknownSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(keyword_of(*self))
    }
}

impl Keyword for UnknownDirection {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("either", Self::Either), ("accept", Self::Accept), ("reject", Self::Reject)];
}

impl fmt::Display for UnknownDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(keyword_of(*self))
    }
}

/// `filters` are the names of the filters.
pub(super) fn check_sessions(config: &Config, filters: &Declared<'_>) -> Result<(), Violation> {
    let Config { enis, vxlan_profiles, sessions, outputs, .. } = config;
    let references = References {
        filters,
        enis: Declared::new("the id of an [[eni]]", enis.iter().map(|eni| eni.id.as_str())),
        vxlan_profiles: Declared::new(
            "the name of a [[vxlan_profile]]",
            vxlan_profiles.iter().map(|profile| profile.name.as_str()),
        ),
        outputs: Declared::new(
            "the name of an [[output]]",
            outputs.iter().map(|output| output.name.as_str()),
        ),
    };
    let mut names = Seen::default();
    let mut identities = Identities::default();
    for (position, session) in sessions.iter().enumerate() {
        let entry = Entry { section: "session", position };
        check_name(&session.name, &mut names, entry, "name")?;
        if session.name == DEFAULT_SESSION_NAME {
            let allowed =
                "another name, because this is the session of everything that is not declared";
            return Err(
                Problem::refused(format_args!("{:?}", session.name), allowed).at(entry.key("name"))
            );
        }
        check_numbers(session, entry)?;
        check_vlan(session, outputs).map_err(|problem| problem.at(entry.key("vlan")))?;
        references.check(session, entry)?;
        identities.add(session, entry)?;
    }
    Ok(())
}

/// Values by which mirrors and frames identify sessions: each stands once.
#[derive(Default)]
struct Identities<'c> {
    pairs: Seen<(Option<IpAddr>, u32)>,
    numbers: Seen<(&'c str, u16)>,
}

impl<'c> Identities<'c> {
    fn add(&mut self, session: &'c Session, entry: Entry) -> Result<(), Violation> {
        let Session { vni, source, eni, number, .. } = session;
        let key = |position| entry.sibling(position).path();
        self.pairs
            .insert((*source, *vni), entry.position, Pair { vni: *vni, source: *source }, key)
            .map_err(|problem| problem.between(vec![entry.key("vni"), entry.key("source")]))?;
        let (Some(eni), Some(number)) = (eni, number) else { return Ok(()) };
        let found = format_args!("session number {number} of {eni}");
        self.numbers
            .insert((eni, *number), entry.position, found, key)
            .map_err(|problem| problem.between(vec![entry.key("number"), entry.key("eni")]))
    }
}

/// Displays the pair that identifies a frame's session.
struct Pair {
    vni: u32,
    source: Option<IpAddr>,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Some(source) => write!(f, "VNI {} from {source}", self.vni),
            None => write!(f, "VNI {} from any source", self.vni),
        }
    }
}

/// Checks that a session has a VLAN if one of its outputs tells sessions apart by their VLAN.
fn check_vlan(session: &Session, outputs: &[Output]) -> Result<(), Problem> {
    if session.vlan.is_some() {
        return Ok(());
    }
    let is_tagged = |output: &&Output| {
        matches!(output.kind, OutputKind::Interface { vlan_tags: true, .. })
            && session.outputs.as_ref().is_none_or(|names| names.contains(&output.name))
    };
    match outputs.iter().find(is_tagged) {
        Some(output) => {
            let allowed = format!("{VLAN}, as output `{}` has vlan_tags", output.name);
            Err(Problem::Missing { allowed })
        }
        None => Ok(()),
    }
}

fn check_numbers(session: &Session, entry: Entry) -> Result<(), Violation> {
    let Session { vni, source, packet_length, number, vlan, .. } = session;
    let at = |field| move |problem: Problem| problem.at(entry.key(field));
    VNI.check(*vni).map_err(at("vni"))?;
    if let Some(source) = *source {
        check_source(source).map_err(at("source"))?;
    }
    if let Some(length) = *packet_length {
        PACKET_LENGTH.check(length).map_err(at("packet_length"))?;
    }
    if let Some(number) = *number {
        SESSION_NUMBER.check(number).map_err(at("number"))?;
    }
    if let Some(vlan) = *vlan {
        VLAN.check(vlan).map_err(at("vlan"))?;
    }
    Ok(())
}

/// Names that sessions may refer to.
struct References<'c> {
    enis: Declared<'c>,
    filters: &'c Declared<'c>,
    vxlan_profiles: Declared<'c>,
    outputs: Declared<'c>,
}

impl References<'_> {
    fn check(&self, session: &Session, entry: Entry) -> Result<(), Violation> {
        for (field, declared, name) in [
            ("eni", &self.enis, &session.eni),
            ("filter", self.filters, &session.filter),
            ("vxlan_profile", &self.vxlan_profiles, &session.vxlan_profile),
        ] {
            let Some(name) = name else { continue };
            declared.check(name, || entry.key(field))?;
        }
        self.check_outputs(session, || entry.key("outputs"))
    }

    fn check_outputs(&self, session: &Session, key: impl Fn() -> KeyPath) -> Result<(), Violation> {
        let Some(outputs) = &session.outputs else { return Ok(()) };
        if outputs.is_empty() {
            let allowed = "a list of outputs; leave `outputs` out for all of them";
            return Err(Problem::refused("an empty list", allowed).at(key()));
        }
        let mut seen = Seen::default();
        for (position, output) in outputs.iter().enumerate() {
            self.outputs.check(output, || key().index(position))?;
            seen.insert(output, position, format_args!("{output:?}"), |first| key().index(first))
                .map_err(|problem| problem.at(key().index(position)))?;
        }
        Ok(())
    }
}
