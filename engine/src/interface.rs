//! Queries network interfaces over netlink.
//!
//! Asked over netlink (`RTM_GETLINK`, rtnetlink(7)), so that the answer is about the network
//! namespace of the calling thread. Nothing is cached.

mod netlink;
mod own_addresses;

use std::io;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
    LinkXdp, State as OperState,
};

pub(crate) use netlink::set_link;
pub(crate) use own_addresses::OwnAddresses;

/// A network interface, as it was when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index, from 1. Another interface may get the same name later, but not the same index.
    pub index: u32,
    /// Largest packet in bytes, Ethernet header not included.
    pub mtu: u32,
    /// `true` if it is up and, as far as its driver can tell, has a carrier.
    pub is_up: bool,
    /// Identifier of the XDP program that is attached, in whatever mode and by whomever.
    pub xdp_program: Option<u32>,
    /// `true` if its packets begin with an Ethernet header. Those of a TUN device or an IP tunnel
    /// do not.
    pub has_ethernet_header: bool,
    /// Tunnel that the interface is an end of, so that its packets have none any more: "vxlan",
    /// "geneve" and the like.
    pub tunnel: Option<&'static str>,
    /// Places of the interface among others.
    pub(crate) stack: Stack,
}

/// Places of an interface among others, by their indices in the same namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    /// The interface that it receives from: of a VLAN, a macvlan or an ipvlan.
    below: Option<u32>,
    /// The bridge, bond, team or VRF that it belongs to.
    controller: Option<u32>,
}

/// Reason why there are no facts about an interface.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// No interface of that name, in this network namespace.
    #[error("there is no network interface {name:?}; choose one of: {}", present.join(", "))]
    Missing {
        /// The requested value.
        name: String,
        /// Names of the interfaces that there are, in the kernel's order.
        present: Vec<String>,
    },
    /// The interface was there and has gone.
    #[error("the network interface with index {index} has gone; start again when it is back")]
    Gone {
        /// The requested value.
        index: u32,
    },
    /// The kernel gave no answer, or none that can be read.
    #[error(
        "the kernel does not list its network interfaces ({source}); check that netlink sockets are allowed here"
    )]
    Netlink {
        /// The error.
        source: io::Error,
    },
}

impl Interface {
    /// Finds an interface by its name.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::Missing`], or [`InterfaceError::Netlink`] if the kernel cannot be asked.
    pub fn find(name: &str) -> Result<Self, InterfaceError> {
        let mut present = all()?;
        match present.iter().position(|interface| interface.name == name) {
            Some(i) => Ok(present.swap_remove(i)),
            None => Err(InterfaceError::Missing {
                name: name.to_owned(),
                present: present.into_iter().map(|interface| interface.name).collect(),
            }),
        }
    }

    /// Finds an interface by its index.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::Gone`], or [`InterfaceError::Netlink`] if the kernel cannot be asked.
    pub fn with_index(index: u32) -> Result<Self, InterfaceError> {
        let found = all()?.into_iter().find(|interface| interface.index == index);
        found.ok_or(InterfaceError::Gone { index })
    }

    /// Returns the addresses of the interface and of the interfaces on top of it, with their
    /// broadcast addresses: the destinations that an engine takes unless
    /// [`Capture::destinations`](crate::config::Capture::destinations) says otherwise. Empty if the
    /// interface has none but an IPv6 link-local one; an engine then takes any destination.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::Netlink`] if the kernel cannot be asked.
    pub fn own_addresses(&self) -> Result<Vec<IpAddr>, InterfaceError> {
        let own = OwnAddresses::of(self.index, &all()?)?;
        Ok(if own.is_empty() { Vec::new() } else { own.all() })
    }
}

/// Returns all interfaces of the network namespace, in the kernel's order.
///
/// # Errors
///
/// [`InterfaceError::Netlink`] if the kernel cannot be asked.
// One request serves both ways to look one up, and the error that names the others.
pub fn all() -> Result<Vec<Interface>, InterfaceError> {
    links().map_err(|source| InterfaceError::Netlink { source })
}

fn links() -> io::Result<Vec<Interface>> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    netlink::dump(RouteNetlinkMessage::GetLink(link), |message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(facts(&link)),
        _ => None,
    })
}

fn facts(link: &LinkMessage) -> Interface {
    let mut interface = Interface {
        name: String::new(),
        index: link.header.index,
        mtu: 0,
        is_up: link.header.flags.contains(LinkFlags::Up),
        xdp_program: None,
        has_ethernet_header: matches!(
            link.header.link_layer_type,
            LinkLayerType::Ether | LinkLayerType::Loopback
        ),
        tunnel: None,
        stack: Stack::default(),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            // Virtual interfaces often have no idea: Unknown.
            LinkAttribute::OperState(state) => {
                interface.is_up &= matches!(state, OperState::Up | OperState::Unknown);
            }
            LinkAttribute::Xdp(xdp) => interface.xdp_program = xdp.iter().find_map(program_id),
            LinkAttribute::LinkInfo(info) => interface.tunnel = info.iter().find_map(tunnel),
            _ => {}
        }
    }
    interface.stack = stack(link);
    interface
}

/// Returns the name of the tunnel whose end an interface is.
const fn tunnel(info: &LinkInfo) -> Option<&'static str> {
    match info {
        LinkInfo::Kind(InfoKind::Vxlan) => Some("vxlan"),
        LinkInfo::Kind(InfoKind::Geneve) => Some("geneve"),
        LinkInfo::Kind(InfoKind::GreTap | InfoKind::GreTap6) => Some("gretap"),
        _ => None,
    }
}

fn stack(link: &LinkMessage) -> Stack {
    let mut stack = Stack::default();
    let (mut link_index, mut receives_from, mut is_elsewhere) = (None, false, false);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Controller(index) => stack.controller = Some(*index),
            LinkAttribute::Link(index) => link_index = Some(*index),
            LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
            LinkAttribute::LinkInfo(info) => receives_from = info.iter().any(is_on_top),
            _ => {}
        }
    }
    // That of a veth is its peer, and that of a tunnel the interface of its outer packets.
    stack.below = link_index.filter(|_| receives_from && !is_elsewhere);
    stack
}

/// Returns whether interfaces of the kind get the packets of the one below unchanged.
const fn is_on_top(info: &LinkInfo) -> bool {
    matches!(info, LinkInfo::Kind(InfoKind::Vlan | InfoKind::MacVlan | InfoKind::IpVlan))
}

/// With programs in several modes at once there is no `ProgId`, and the first of the others has to
/// do.
const fn program_id(xdp: &LinkXdp) -> Option<u32> {
    match xdp {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_facts() {
        let lo = Interface::find("lo").unwrap();
        assert_eq!((lo.name.as_str(), lo.index, lo.xdp_program), ("lo", 1, None));
        assert!(lo.has_ethernet_header && lo.tunnel.is_none());
        assert!(lo.mtu >= 1500, "{lo:?}");
        assert_eq!(Interface::with_index(1).unwrap(), lo);
    }

    #[test]
    fn a_missing_interface_is_answered_with_those_that_there_are() {
        let error = Interface::find("nosuch0").unwrap_err();
        let InterfaceError::Missing { name, present } = &error else { panic!("{error}") };
        assert_eq!(name, "nosuch0");
        assert!(present.contains(&"lo".to_owned()), "{present:?}");
        let known = InterfaceError::Missing {
            name: "eth9".into(),
            present: vec!["lo".into(), "eth0".into()],
        };
        assert_eq!(
            known.to_string(),
            "there is no network interface \"eth9\"; choose one of: lo, eth0"
        );
        assert!(matches!(
            Interface::with_index(u32::MAX),
            Err(InterfaceError::Gone { index: u32::MAX })
        ));
    }

    #[test]
    fn a_program_is_seen_in_whatever_mode_it_is_attached() {
        for xdp in
            [LinkXdp::ProgId(7), LinkXdp::DrvProgId(7), LinkXdp::SkbProgId(7), LinkXdp::HwProgId(7)]
        {
            let mut link = LinkMessage::default();
            link.attributes.push(LinkAttribute::Xdp(vec![LinkXdp::Flags(0), xdp]));
            assert_eq!(facts(&link).xdp_program, Some(7));
        }
    }

    #[test]
    fn a_tun_device_has_no_ethernet_header_and_a_tunnel_is_named() {
        let mut link = LinkMessage::default();
        link.header.link_layer_type = LinkLayerType::None;
        assert!(!facts(&link).has_ethernet_header);
        link.header.link_layer_type = LinkLayerType::Ether;
        link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vxlan)]));
        let vxlan = facts(&link);
        assert_eq!((vxlan.has_ethernet_header, vxlan.tunnel), (true, Some("vxlan")));
    }

    #[test]
    fn only_what_receives_from_an_interface_of_this_namespace_is_on_top_of_it() {
        for (kind, elsewhere, below) in [
            (InfoKind::Vlan, false, Some(3)),
            (InfoKind::MacVlan, true, None),
            (InfoKind::Veth, false, None),
            (InfoKind::Vxlan, false, None),
        ] {
            let mut link = LinkMessage::default();
            link.attributes.push(LinkAttribute::Link(3));
            link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind.clone())]));
            if elsewhere {
                link.attributes.push(LinkAttribute::LinkNetNsId(0));
            }
            assert_eq!(facts(&link).stack, Stack { below, controller: None }, "{kind:?}");
        }
    }

    #[test]
    fn an_interface_without_carrier_is_not_up() {
        for (flags, state, is_up) in [
            (LinkFlags::Up, OperState::Up, true),
            (LinkFlags::Up, OperState::Unknown, true),
            (LinkFlags::Up, OperState::Down, false),
            (LinkFlags::empty(), OperState::Down, false),
        ] {
            let mut link = LinkMessage::default();
            link.header.flags = flags;
            link.attributes.push(LinkAttribute::OperState(state));
            assert_eq!(facts(&link).is_up, is_up, "{flags:?} {state:?}");
        }
    }
}
