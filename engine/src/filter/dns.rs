//! Recognises traffic with Amazon's DNS server.
//!
//! The server answers at two addresses in every VPC and at the address two above the base of each
//! of the VPC's IPv4 prefixes.
//! <https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html>

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::{Eni, TCP, UDP};
use crate::flow::{Addresses, Flow};

const SERVER_V4: u32 = Ipv4Addr::new(169, 254, 169, 253).to_bits();
const SERVER_V6: u128 = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x253).to_bits();
const PORT: u16 = 53;

/// IPv4 addresses of the server besides the ones that it has in every VPC.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Servers(Box<[u32]>);

impl Servers {
    /// Returns the servers in the VPC of an interface.
    pub(crate) fn new(eni: &Eni) -> Self {
        Self(eni.vpc_prefixes.iter().map(|prefix| prefix.network().to_bits() + 2).collect())
    }

    /// Returns whether the packet is a query to the server or an answer from it: TCP or UDP, and
    /// port 53 at the server's side. Port 53 is assumed for a fragment without ports.
    #[inline]
    pub(crate) fn is_traffic(&self, flow: &Flow) -> bool {
        if !matches!(flow.protocol, TCP | UDP) {
            return false;
        }
        let (is_source_port, is_destination_port) = flow
            .ports
            .map_or((true, true), |ports| (ports.source == PORT, ports.destination == PORT));
        let is_server = |is_port: bool, has_address: &dyn Fn() -> bool| is_port && has_address();
        match flow.addresses {
            Addresses::V4 { source, destination } => {
                is_server(is_source_port, &|| self.has(source))
                    || is_server(is_destination_port, &|| self.has(destination))
            }
            Addresses::V6 { source, destination } => {
                is_server(is_source_port, &|| source == SERVER_V6)
                    || is_server(is_destination_port, &|| destination == SERVER_V6)
            }
        }
    }

    #[inline]
    fn has(&self, address: u32) -> bool {
        address == SERVER_V4 || self.0.contains(&address)
    }
}
