//! The addresses at which a host takes packets that arrive at an interface.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};

use super::{Interface, InterfaceError, netlink};

/// The addresses of an interface, and of the interfaces that get its packets: VLANs, macvlans and
/// ipvlans on top of it, the bridge, bond, team or VRF that it belongs to.
///
/// The kernel takes datagrams to the addresses of its other interfaces as well, and to the
/// multicast groups that it has joined; these are not in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnAddresses {
    /// Addresses of hosts, in order.
    pub(crate) hosts: BTreeSet<IpAddr>,
    /// Broadcast addresses of their networks.
    pub(crate) broadcasts: BTreeSet<Ipv4Addr>,
}

impl OwnAddresses {
    /// Returns the addresses of an interface of the calling thread's network namespace, which is
    /// one of `all`.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::Netlink`] if the kernel cannot be asked.
    pub(crate) fn of(index: u32, all: &[Interface]) -> Result<Self, InterfaceError> {
        let members = members(index, all);
        let read = |message| match message {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        };
        let addresses =
            netlink::dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), read)
                .map_err(|source| InterfaceError::Netlink { source })?;
        let mut own = Self::default();
        addresses
            .iter()
            .filter(|address| members.contains(&address.header.index))
            .for_each(|address| own.add(address));
        Ok(own)
    }

    fn add(&mut self, message: &AddressMessage) {
        let (mut address, mut local) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(it) => address = Some(*it),
                AddressAttribute::Local(it) => local = Some(*it),
                AddressAttribute::Broadcast(it) => drop(self.broadcasts.insert(*it)),
                _ => {}
            }
        }
        // On a point-to-point link the first one is that of the other end.
        let Some(own) = local.or(address) else { return };
        self.hosts.insert(own);
        // The kernel takes packets to the last address of a network as broadcasts, whether it was
        // given or not (`fib_add_ifaddr` in net/ipv4/fib_frontend.c).
        if let (IpAddr::V4(own), len @ 0..=30) = (own, message.header.prefix_len) {
            let host_bits = u32::MAX.checked_shr(u32::from(len)).unwrap_or_default();
            self.broadcasts.insert(Ipv4Addr::from_bits(own.to_bits() | host_bits));
        }
    }

    /// Returns whether no packet of another network is addressed to the interface: it has no
    /// address, or only the link-local one that each interface gives itself (RFC 4291, section
    /// 2.5.6).
    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.iter().all(|address| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        })
    }

    /// Returns all of them, IPv4 addresses of hosts first.
    pub(crate) fn all(&self) -> Vec<IpAddr> {
        let broadcasts = self.broadcasts.iter().copied().map(IpAddr::V4);
        self.hosts.iter().copied().chain(broadcasts).collect()
    }
}

/// Returns the indices of an interface and of those that get its packets.
fn members(index: u32, all: &[Interface]) -> BTreeSet<u32> {
    let mut members = BTreeSet::from([index]);
    loop {
        let more = all.iter().flat_map(|interface| {
            let gets = interface.stack.below.is_some_and(|below| members.contains(&below));
            let controller = interface.stack.controller;
            let controller = controller.filter(|_| members.contains(&interface.index));
            [gets.then_some(interface.index), controller]
        });
        let more: Vec<_> = more.flatten().filter(|index| !members.contains(index)).collect();
        if more.is_empty() {
            return members;
        }
        members.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkMessage;

    use super::super::{Stack, facts};
    use super::*;

    fn message(prefix_len: u8, attributes: Vec<AddressAttribute>) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.prefix_len = prefix_len;
        message.attributes = attributes;
        message
    }

    fn own(messages: &[AddressMessage]) -> OwnAddresses {
        let mut own = OwnAddresses::default();
        for message in messages {
            own.add(message);
        }
        own
    }

    #[test]
    fn the_own_end_of_a_link_counts_and_the_broadcast_address_of_its_network() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let lan = message(
            24,
            vec![
                AddressAttribute::Address(address("10.0.0.7")),
                AddressAttribute::Local(address("10.0.0.7")),
            ],
        );
        let link = message(
            32,
            vec![
                AddressAttribute::Address(address("10.9.0.1")),
                AddressAttribute::Local(address("10.9.0.2")),
            ],
        );
        let six = message(64, vec![AddressAttribute::Address(address("2001:db8::7"))]);
        assert_eq!(
            own(&[six, lan, link]).all(),
            ["10.0.0.7", "10.9.0.2", "2001:db8::7", "10.0.0.255"].map(address)
        );
    }

    #[test]
    fn an_interface_with_its_link_local_address_alone_has_none() {
        let six = |text: &str| {
            message(64, vec![AddressAttribute::Address(text.parse::<IpAddr>().unwrap())])
        };
        assert!(own(&[]).is_empty());
        assert!(own(&[six("fe80::1")]).is_empty());
        assert!(!own(&[six("fe80::1"), six("fd00::1")]).is_empty());
    }

    #[test]
    fn the_interfaces_on_top_of_one_another_are_members() {
        let interface = |index, below, controller| {
            let mut interface = facts(&LinkMessage::default());
            (interface.index, interface.stack) = (index, Stack { below, controller });
            interface
        };
        // eth0 in a bond, with a VLAN on it in a bridge; eth1 with a VLAN of its own.
        let all = [
            interface(1, None, Some(3)),
            interface(2, None, None),
            interface(3, None, None),
            interface(4, Some(3), Some(5)),
            interface(5, None, None),
            interface(6, Some(2), None),
        ];
        assert_eq!(members(1, &all), BTreeSet::from([1, 3, 4, 5]));
        assert_eq!(members(2, &all), BTreeSet::from([2, 6]));
    }
}
