//! Prefixes of VPCs, by which the VPC's DNS server is recognised.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::interface::MirrorInterface;
use super::left_out::LeftOut;
use super::model::VpcPrefix;
use super::sessions::UsableSession;

pub(super) struct Vpcs {
    /// IPv4 prefixes of each VPC.
    prefixes: BTreeMap<String, BTreeSet<Ipv4Net>>,
    /// Assumptions about the prefixes of each VPC.
    assumptions: BTreeMap<String, BTreeSet<String>>,
    /// The VPC of each subnet.
    of_subnets: BTreeMap<String, String>,
}

impl Vpcs {
    pub(super) fn new(vpcs: Vec<VpcPrefix>, of_subnets: BTreeMap<String, String>) -> Self {
        let mut prefixes: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut assumptions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for each in vpcs {
            assumptions.entry(each.vpc.clone()).or_default().extend(each.assumptions);
            prefixes.entry(each.vpc).or_default().insert(each.prefix);
        }
        Self { prefixes, assumptions, of_subnets }
    }

    /// Returns the identifier of the interface's VPC: its own property, or that of its subnet.
    fn vpc<'v>(&'v self, interface: &'v MirrorInterface) -> Option<&'v String> {
        let of_subnet = || self.of_subnets.get(interface.subnet.as_ref()?);
        interface.vpc.as_ref().or_else(of_subnet)
    }

    /// Returns the prefixes of the interface's VPC; none if they are not in the input.
    fn prefixes(&self, interface: &MirrorInterface) -> Vec<Ipv4Net> {
        let prefixes = self.vpc(interface).and_then(|vpc| self.prefixes.get(vpc));
        prefixes.into_iter().flatten().copied().collect()
    }

    /// Returns the interface with the prefixes of its VPC, and the assumptions about them among its
    /// own.
    pub(super) fn described(
        &self,
        mut interface: MirrorInterface,
    ) -> (MirrorInterface, Vec<Ipv4Net>) {
        let prefixes = self.prefixes(&interface);
        let assumptions = self.vpc(&interface).and_then(|vpc| self.assumptions.get(vpc));
        let more: Vec<_> = assumptions
            .into_iter()
            .flatten()
            .filter(|it| !interface.assumptions.contains(it))
            .cloned()
            .collect();
        interface.assumptions.extend(more);
        (interface, prefixes)
    }

    /// Says of which sessions the DNS server is not known, although their filter includes it.
    pub(super) fn note_unknown_dns<'s>(
        &self,
        sessions: impl Iterator<Item = &'s mut UsableSession>,
        interfaces: &BTreeMap<String, MirrorInterface>,
        remedy: &str,
        left_out: &mut LeftOut,
    ) {
        let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for UsableSession { session, .. } in sessions {
            let interface = interfaces.get(&session.interface);
            if interface.is_some_and(|interface| !self.prefixes(interface).is_empty()) {
                continue;
            }
            let vpc = interface.and_then(|interface| self.vpc(interface));
            let subnet = interface.and_then(|interface| interface.subnet.as_ref());
            let reason = match (vpc, subnet) {
                (Some(vpc), _) => format!("the prefixes of {vpc} are not in the input"),
                (None, Some(subnet)) => format!("the VPC of {subnet} is not in the input"),
                (None, None) => "the VPC of the interface is not in the input".to_owned(),
            };
            session.assumptions.push(format!("{reason}: its DNS server is not recognised"));
            by_reason.entry(reason).or_default().push(session.id.clone());
        }
        for (reason, sessions) in by_reason {
            let sessions = enumerated(&sessions);
            left_out.note(format_args!(
                "amazon-dns of {sessions}: {reason}, so that the DNS server at the VPC's base address plus 2 is not \
                 recognised and its traffic passes only where a rule accepts it; {remedy}"
            ));
        }
    }
}

/// Returns the first names, and how many there are.
fn enumerated(sessions: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = sessions[..sessions.len().min(SHOWN)].join(", ");
    match sessions.len() {
        0 | 1 => format!("session {shown}"),
        len if len <= SHOWN => format!("sessions {shown}"),
        len => format!("{len} sessions ({shown}, ...)"),
    }
}
