//! Model of a mirror: every importer fills it, and the configuration is written from it.
//!
//! References between the parts are the identifiers of the source (`tmf-0a1`,
//! `aws_ec2_traffic_mirror_filter.web`, a logical name of a template), unresolved: filters, rules,
//! sessions and interfaces come in any order and from any number of files.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::{IpNet, Ipv4Net};

use super::ImportError;
use super::interface::{MirrorInterface, combined};
use super::item::Place;
use super::left_out::{LeftOut, Seen};
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
    /// IPv4 prefixes in force of VPCs, with the VPC's identifier.
    pub(super) vpcs: Vec<(String, Ipv4Net)>,
    /// The VPC of each subnet.
    pub(super) subnets: BTreeMap<String, String>,
    pub(super) left_out: LeftOut,
    pub(super) seen: Seen,
}

impl Mirror {
    /// Adds a prefix of a VPC; files may overlap.
    pub(super) fn add_vpc_prefix(&mut self, vpc: &str, prefix: Ipv4Net) {
        let vpc = (vpc.to_owned(), prefix);
        if !self.vpcs.contains(&vpc) {
            self.vpcs.push(vpc);
        }
    }

    /// Removes duplicates, as files may overlap, and sorts by identifier.
    ///
    /// # Errors
    ///
    /// If two descriptions of an object differ.
    pub(super) fn merged(mut self) -> Result<Self, ImportError> {
        merge(&mut self.filters, |it| &it.id, "filter")?;
        merge(&mut self.rules, |it| &it.id, "rule")?;
        merge(&mut self.sessions, |it| &it.id, "session")?;
        merge(&mut self.targets, |it| &it.id, "target")?;
        self.interfaces = combined(self.interfaces)?;
        self.instance_interfaces = combined(self.instance_interfaces)?;
        Ok(self)
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
                    let may_accept = rule.action == Action::Accept;
                    self.left_out.rule(&rule.filter, may_accept, &reason);
                }
            }
            Object::Session(id) => {
                self.sessions.retain(|it| it.id != *id);
                self.left_out.object(id, reason);
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

fn merge<T: PartialEq>(
    things: &mut Vec<T>,
    id: impl Fn(&T) -> &String,
    what: &str,
) -> Result<(), ImportError> {
    things.sort_by(|one, two| id(one).cmp(id(two)));
    for pair in things.windows(2) {
        if id(&pair[0]) == id(&pair[1]) && pair[0] != pair[1] {
            let id = id(&pair[0]);
            return Err(ImportError::twice(what, id));
        }
    }
    things.dedup();
    Ok(())
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

/// Destination of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MirrorTarget {
    pub(super) id: String,
    /// The identifier or ARN of the interface, load balancer or endpoint.
    pub(super) destination: String,
}
