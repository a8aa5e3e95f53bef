//! Model of a mirror: every importer fills it, and the configuration is written from it.
//!
//! References between the parts are the identifiers of the source (`tmf-0a1`,
//! `aws_ec2_traffic_mirror_filter.web`, a logical name of a template), unresolved: filters, rules,
//! sessions and interfaces come in any order and from any number of files.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::ImportError;
use crate::config::{Action, Direction, MacAddress, PortRange};

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mirror {
    pub(super) filters: Vec<MirrorFilter>,
    pub(super) rules: Vec<MirrorRule>,
    pub(super) sessions: Vec<MirrorSession>,
    pub(super) targets: Vec<MirrorTarget>,
    pub(super) interfaces: Vec<MirrorInterface>,
    /// IPv4 prefixes of VPCs, with the VPC's identifier.
    pub(super) vpcs: Vec<(String, Ipv4Net)>,
    /// Parts of the input that will not be in the configuration, one sentence each.
    pub(super) left_out: Vec<String>,
}

impl Mirror {
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
pub(super) struct MirrorFilter {
    pub(super) id: String,
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

/// A network interface, mirrored or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MirrorInterface {
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

/// Returns an interface's addresses and prefixes without duplicates, the primary one first. The
/// others are sorted, as tools list them in any order.
pub(super) fn in_order(primary: Option<IpAddr>, mut others: Vec<IpNet>) -> Vec<IpNet> {
    let primary = primary.map(IpNet::from);
    others.retain(|other| Some(*other) != primary);
    others.sort_unstable();
    others.dedup();
    primary.into_iter().chain(others).collect()
}
