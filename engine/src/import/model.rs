//! Model of a mirror: every importer fills it, and the configuration is written from it.
//!
//! References between the parts are the identifiers of the source (`tmf-0a1`,
//! `aws_ec2_traffic_mirror_filter.web`, a logical name of a template), unresolved: filters, rules,
//! sessions and interfaces come in any order and from any number of files.

use std::collections::BTreeMap;
use std::{fmt, mem};

use ipnet::{IpNet, Ipv4Net};

use super::interface::{MirrorInterface, combined};
use super::item::Place;
use super::left_out::{LeftOut, LeftOutSession, Seen};
use crate::config::{Action, Direction, PortRange};

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mirror {
    pub(super) filters: Vec<MirrorFilter>,
    pub(super) rules: Vec<MirrorRule>,
    pub(super) sessions: Vec<MirrorSession>,
    pub(super) targets: Vec<MirrorTarget>,
    pub(super) interfaces: Vec<MirrorInterface>,
    /// Interfaces as their instances list them, with fewer properties: used for those that
    /// `interfaces` does not have.
    pub(super) instance_interfaces: Vec<MirrorInterface>,
    pub(super) vpcs: Vec<VpcPrefix>,
    /// The VPC of each subnet.
    pub(super) subnets: BTreeMap<String, String>,
    pub(super) left_out: LeftOut,
    pub(super) seen: Seen,
}

impl Mirror {
    /// Adds a prefix of a VPC; files may overlap.
    pub(super) fn add_vpc_prefix(&mut self, vpc: &str, prefix: Ipv4Net, assumptions: &[String]) {
        let assumptions = assumptions.to_vec();
        let prefix = VpcPrefix { vpc: vpc.to_owned(), prefix, assumptions };
        if !self.vpcs.contains(&prefix) {
            self.vpcs.push(prefix);
        }
    }

    /// Removes duplicates, as files may overlap, and sorts by identifier. Leaves out objects whose
    /// descriptions differ.
    pub(super) fn merged(mut self) -> Self {
        let left_out = &mut self.left_out;
        for id in merge(&mut self.filters, |it| &it.id).into_keys() {
            left_out.object(&id, twice("filter", &id));
        }
        for (id, rules) in merge(&mut self.rules, |it| &it.id) {
            for rule in rules {
                left_out.rule(Some(&rule.filter), rule.may_accept(), twice("rule", &id));
            }
        }
        for (id, sessions) in merge(&mut self.sessions, |it| &it.id) {
            for session in sessions {
                left_out.session(session.left_out(), twice("session", &id));
            }
        }
        for id in merge(&mut self.targets, |it| &it.id).into_keys() {
            left_out.object(&id, twice("target", &id));
        }
        self.merge_interfaces();
        self
    }

    fn merge_interfaces(&mut self) {
        let (interfaces, mut contradictory) = combined(mem::take(&mut self.interfaces));
        // The descriptions of instances are not used for these.
        let has_own = |id: &String| {
            contradictory.contains(id) || interfaces.binary_search_by(|it| it.id.cmp(id)).is_ok()
        };
        self.instance_interfaces.retain(|it| !has_own(&it.id));
        let (of_instances, more) = combined(mem::take(&mut self.instance_interfaces));
        contradictory.extend(more);
        for id in contradictory {
            self.left_out.object(&id, twice("interface", &id));
        }
        (self.interfaces, self.instance_interfaces) = (interfaces, of_instances);
    }

    /// Leaves out an object that the configuration cannot have.
    pub(super) fn remove(&mut self, object: &Object, reason: impl fmt::Display) {
        match object {
            Object::Interface(id) => {
                self.interfaces.retain(|it| it.id != *id);
                self.instance_interfaces.retain(|it| it.id != *id);
                self.left_out.object(id, reason);
            }
            Object::Filter(id) => {
                self.filters.retain(|it| it.id != *id);
                self.left_out.object(id, reason);
            }
            Object::Rule(id) => {
                for rule in self.rules.extract_if(.., |it| it.id == *id) {
                    self.left_out.rule(Some(&rule.filter), rule.may_accept(), &reason);
                }
            }
            Object::Session(id) => {
                for session in self.sessions.extract_if(.., |it| it.id == *id) {
                    self.left_out.session(session.left_out(), &reason);
                }
            }
        }
    }
}

/// An object of the configuration, by its identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Interface(String),
    Filter(String),
    Rule(String),
    Session(String),
}

/// Leaves one description of each object, sorted by identifier; removes and returns the objects
/// that have several different ones.
fn merge<T: PartialEq>(
    things: &mut Vec<T>,
    id: impl Fn(&T) -> &String,
) -> BTreeMap<String, Vec<T>> {
    let mut by_id: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for thing in things.drain(..) {
        let descriptions = by_id.entry(id(&thing).clone()).or_default();
        if !descriptions.contains(&thing) {
            descriptions.push(thing);
        }
    }
    let (one, several): (BTreeMap<_, _>, BTreeMap<_, _>) =
        by_id.into_iter().partition(|(_, descriptions)| descriptions.len() == 1);
    things.extend(one.into_values().flatten());
    several
}

/// Returns the sentence about two descriptions of an object that differ.
fn twice(what: &str, id: &str) -> String {
    format!("the {what} {id} is described twice, and not the same way")
}

/// A mirror filter without its rules.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MirrorFilter {
    pub(super) id: String,
    pub(super) place: Place,
    /// The `Name` tag, else the description: for a comment.
    pub(super) label: Option<String>,
    /// `true` if the network service `amazon-dns` is listed.
    pub(super) amazon_dns: bool,
    /// Assumptions made while reading, one sentence each: they become comments of the
    /// configuration.
    pub(super) assumptions: Vec<String>,
}

/// A rule of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MirrorRule {
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) filter: String,
    pub(super) direction: Direction,
    /// 1 or more.
    pub(super) number: u32,
    pub(super) action: Action,
    /// IANA protocol number; `None` is any.
    pub(super) protocol: Option<u8>,
    /// Without host bits, of one family with `destination`.
    pub(super) source: IpNet,
    pub(super) destination: IpNet,
    /// Only with TCP and UDP.
    pub(super) source_ports: Option<PortRange>,
    pub(super) destination_ports: Option<PortRange>,
    pub(super) label: Option<String>,
    pub(super) assumptions: Vec<String>,
}

impl MirrorRule {
    pub(super) fn may_accept(&self) -> bool {
        self.action == Action::Accept
    }
}

/// A mirror session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MirrorSession {
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) label: Option<String>,
    /// Identifier of the mirrored interface.
    pub(super) interface: String,
    pub(super) filter: String,
    pub(super) target: Option<String>,
    /// 1 to 32766; 1 is evaluated first.
    pub(super) number: Option<u16>,
    /// Bytes after the VXLAN header; `None` is all.
    pub(super) packet_length: Option<u32>,
    /// 0 to `0xFF_FFFF`; `None` if the input does not have it: such a session is left out and
    /// reported.
    pub(super) vni: Option<u32>,
    pub(super) assumptions: Vec<String>,
}

impl MirrorSession {
    /// Returns what counts of the session once it is left out.
    pub(super) fn left_out(&self) -> LeftOutSession {
        LeftOutSession::new(&self.id, self.vni)
    }
}

/// An IPv4 prefix in force of a VPC.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VpcPrefix {
    pub(super) vpc: String,
    pub(super) prefix: Ipv4Net,
    pub(super) assumptions: Vec<String>,
}

/// Destination of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MirrorTarget {
    pub(super) id: String,
    /// The identifier or ARN of the interface, load balancer or endpoint.
    pub(super) destination: String,
}
