//! Declared mirror sessions, and the treatment of all other traffic.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use super::Config;
use super::capture::check_source;
use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::keyword::{Keyword, keyword_of};
use super::limit::Limit;
use super::name::{check_name, check_reference};
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

pub(super) fn check_sessions(config: &Config) -> Result<(), Violation> {
    let Config { enis, filters, vxlan_profiles, sessions, outputs, .. } = config;
    let declared = Declared {
        enis: enis.iter().map(|eni| eni.id.as_str()).collect(),
        filters: filters.iter().map(|filter| filter.name.as_str()).collect(),
        vxlan_profiles: vxlan_profiles.iter().map(|profile| profile.name.as_str()).collect(),
        outputs: outputs.iter().map(|output| output.name.as_str()).collect(),
    };
    let mut names = Seen::default();
    let mut pairs = Seen::default();
    let mut numbers = Seen::default();
    for (position, session) in sessions.iter().enumerate() {
        let key = KeyPath::top("session").index(position);
        let Session { name, vni, source, eni, number, .. } = session;
        check_name(name, &mut names, key.key("name"))?;
        if name == DEFAULT_SESSION_NAME {
            let allowed =
                "another name, because this is the session of everything that is not declared";
            return Err(Problem::refused(format_args!("{name:?}"), allowed).at(key.key("name")));
        }
        check_numbers(session, &key)?;
        check_vlan(session, outputs).map_err(|problem| problem.at(key.key("vlan")))?;
        declared.check(session, &key)?;
        let from = source.map_or_else(|| "any source".to_owned(), |source| source.to_string());
        pairs
            .insert((source, vni), key.clone(), format_args!("VNI {vni} from {from}"))
            .map_err(|problem| problem.between(vec![key.key("vni"), key.key("source")]))?;
        if let (Some(eni), Some(number)) = (eni, number) {
            numbers
                .insert(
                    (eni, number),
                    key.clone(),
                    format_args!("session number {number} of {eni}"),
                )
                .map_err(|problem| problem.between(vec![key.key("number"), key.key("eni")]))?;
        }
    }
    Ok(())
}

/// Checks that a session has a VLAN if one of its outputs tells sessions apart by their VLAN.
fn check_vlan(session: &Session, outputs: &[Output]) -> Result<(), Problem> {
    let is_tagged = |output: &&Output| {
        let gets = session.outputs.as_ref().is_none_or(|names| names.contains(&output.name));
        gets && matches!(output.kind, OutputKind::Interface { vlan_tags: true, .. })
    };
    match outputs.iter().find(is_tagged).filter(|_| session.vlan.is_none()) {
        Some(output) => {
            let allowed = format!("{VLAN}, as output `{}` has vlan_tags", output.name);
            Err(Problem::Missing { allowed })
        }
        None => Ok(()),
    }
}

fn check_numbers(session: &Session, key: &KeyPath) -> Result<(), Violation> {
    let Session { vni, source, packet_length, number, vlan, .. } = session;
    VNI.check(*vni).map_err(|problem| problem.at(key.key("vni")))?;
    if let Some(source) = *source {
        check_source(source).map_err(|problem| problem.at(key.key("source")))?;
    }
    if let Some(length) = *packet_length {
        PACKET_LENGTH.check(length).map_err(|problem| problem.at(key.key("packet_length")))?;
    }
    if let Some(number) = *number {
        SESSION_NUMBER.check(number).map_err(|problem| problem.at(key.key("number")))?;
    }
    if let Some(vlan) = *vlan {
        VLAN.check(vlan).map_err(|problem| problem.at(key.key("vlan")))?;
    }
    Ok(())
}

/// Names that sessions may refer to.
struct Declared<'c> {
    enis: HashSet<&'c str>,
    filters: HashSet<&'c str>,
    vxlan_profiles: HashSet<&'c str>,
    outputs: HashSet<&'c str>,
}

impl Declared<'_> {
    fn check(&self, session: &Session, key: &KeyPath) -> Result<(), Violation> {
        if let Some(eni) = &session.eni
            && !self.enis.contains(eni.as_str())
        {
            let allowed = "the id of an [[eni]] of this configuration";
            return Err(Problem::refused(format_args!("{eni:?}"), allowed).at(key.key("eni")));
        }
        if let Some(filter) = &session.filter {
            let is_declared = self.filters.contains(filter.as_str());
            check_reference(filter, is_declared, "filter", &key.key("filter"))?;
        }
        if let Some(profile) = &session.vxlan_profile {
            let is_declared = self.vxlan_profiles.contains(profile.as_str());
            check_reference(profile, is_declared, "vxlan_profile", &key.key("vxlan_profile"))?;
        }
        self.check_outputs(session, &key.key("outputs"))
    }

    fn check_outputs(&self, session: &Session, key: &KeyPath) -> Result<(), Violation> {
        let Some(outputs) = &session.outputs else { return Ok(()) };
        if outputs.is_empty() {
            let allowed = "a list of outputs; leave `outputs` out for all of them";
            return Err(Problem::refused("an empty list", allowed).at(key.clone()));
        }
        let mut seen = Seen::default();
        for (position, output) in outputs.iter().enumerate() {
            let key = key.index(position);
            check_reference(output, self.outputs.contains(output.as_str()), "output", &key)?;
            let found = format_args!("{output:?}");
            seen.insert(output, key.clone(), found).map_err(|problem| problem.at(key))?;
        }
        Ok(())
    }
}
