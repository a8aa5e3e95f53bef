//! Queries network interfaces over netlink.
//!
//! Asked over netlink (`RTM_GETLINK`, rtnetlink(7)), so that the answer is about the network
//! namespace of the calling thread. Nothing is cached, and nothing is changed here.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkMessage, LinkXdp, State as OperState,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

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
}

/// Returns all interfaces of the network namespace, in the kernel's order.
///
/// # Errors
///
/// [`InterfaceError::Netlink`] if the kernel cannot be asked.
// One request serves both ways to look one up, and the error that names the others.
pub fn all() -> Result<Vec<Interface>, InterfaceError> {
    dump().map_err(|source| InterfaceError::Netlink { source })
}

fn dump() -> io::Result<Vec<Interface>> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let socket = request(RouteNetlinkMessage::GetLink(link), NLM_F_DUMP)?;
    let mut interfaces = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if read_messages(&datagram, &mut interfaces)? == Dump::Ended {
            return Ok(interfaces);
        }
    }
}

/// Sends a request about links; the answer is to be read from the socket.
pub(crate) fn request(request: RouteNetlinkMessage, flags: u16) -> io::Result<Socket> {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    Ok(socket)
}

#[derive(PartialEq, Eq)]
enum Dump {
    GoesOn,
    Ended,
}

/// Reads the messages of one datagram of the answer.
fn read_messages(mut datagram: &[u8], interfaces: &mut Vec<Interface>) -> io::Result<Dump> {
    while !datagram.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram)
            .map_err(io::Error::other)?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(Dump::Ended),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                interfaces.push(facts(&link));
            }
            _ => {}
        }
        // Messages are padded to four bytes; the last one's padding may be missing.
        let message_len = usize::try_from(message.header.length).map_err(io::Error::other)?;
        datagram = datagram.get(message_len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Dump::GoesOn)
}

fn facts(link: &LinkMessage) -> Interface {
    let mut interface = Interface {
        name: String::new(),
        index: link.header.index,
        mtu: 0,
        is_up: link.header.flags.contains(LinkFlags::Up),
        xdp_program: None,
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
            _ => {}
        }
    }
    interface
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
