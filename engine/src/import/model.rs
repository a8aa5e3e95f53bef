//! A mirror as its owner's tools describe it: what every importer reads into, and what the
//! configuration is written from.
//!
//! References between the parts are the identifiers of the source (`tmf-0a1`,
//! `aws_ec2_traffic_mirror_filter.web`, a logical name of a template), unresolved: filters, rules,
//! sessions and interfaces come in any order and from any number of files.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::ImportError;
use crate::config::{Action, Direction, MacAddress, PortRange};

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mirror {
    pub(super) filters: Vec<Filter>,
    pub(super) rules: Vec<Rule>,
    pub(super) sessions: Vec<Session>,
    pub(super) targets: Vec<Target>,
    pub(super) interfaces: Vec<Interface>,
    /// IPv4 prefixes of VPCs, with the VPC's identifier.
    pub(super) vpcs: Vec<(String, Ipv4Net)>,
    /// What the input holds and the configuration will not, a sentence each.
    pub(super) left_out: Vec<String>,
}

impl Mirror {
    /// The same with each thing once, as files may overlap, and in an order that is not that of the
    /// input.
    ///
    /// # Errors
    ///
    /// If something is described twice in different ways.
    pub(super) fn merged(mut self) -> Result<Self, ImportError> {
        merge(&mut self.filters, |it| &it.id, "filter")?;
        merge(&mut self.rules, |it| &it.id, "rule")?;
        merge(&mut self.sessions, |it| &it.id, "session")?;
        merge(&mut self.targets, |it| &it.id, "target")?;
        merge(&mut self.interfaces, |it| &it.id, "interface")?;
        self.left_out.sort();
        self.left_out.dedup();
        Ok(self)
    }
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
            return Err(ImportError::whole(format_args!(
                "the {what} {id} is described twice, and not the same way"
            )));
        }
    }
    things.dedup();
    Ok(())
}

/// A mirror filter without its rules.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) id: String,
    /// The `Name` tag, else the description: for a comment.
    pub(super) label: Option<String>,
    /// Whether the network service `amazon-dns` is listed.
    pub(super) amazon_dns: bool,
    /// Assumptions made while reading, a sentence each: they become comments of the configuration.
    pub(super) assumptions: Vec<String>,
}

/// A rule of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) id: String,
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
pub(super) struct Session {
    pub(super) id: String,
    pub(super) label: Option<String>,
    /// Identifier of the mirrored interface.
    pub(super) interface: String,
    pub(super) filter: String,
    pub(super) target: Option<String>,
    /// 1 to 32766; 1 is asked first.
    pub(super) number: Option<u16>,
    /// Bytes after the VXLAN header; `None` is all.
    pub(super) packet_length: Option<u32>,
    /// 0 to `0xFF_FFFF`; `None` when the source does not know it: such a session is left out and
    /// reported.
    pub(super) vni: Option<u32>,
    pub(super) assumptions: Vec<String>,
}

/// Where a session sends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) id: String,
    /// The identifier or ARN of the interface, load balancer or endpoint.
    pub(super) destination: String,
}

/// A network interface, mirrored or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Interface {
    pub(super) id: String,
    pub(super) label: Option<String>,
    pub(super) mac: Option<MacAddress>,
    /// The primary private address, from which the interface's mirrored traffic comes.
    pub(super) primary: Option<IpAddr>,
    /// All its addresses and delegated prefixes, the primary one first; see [`in_order`].
    pub(super) addresses: Vec<IpNet>,
    pub(super) vpc: Option<String>,
    pub(super) assumptions: Vec<String>,
}

/// An interface's addresses and prefixes, each once and the primary one first. The others are
/// sorted: tools list them in any order.
pub(super) fn in_order(primary: Option<IpAddr>, mut others: Vec<IpNet>) -> Vec<IpNet> {
    let primary = primary.map(IpNet::from);
    others.retain(|other| Some(*other) != primary);
    others.sort_unstable();
    others.dedup();
    primary.into_iter().chain(others).collect()
}
