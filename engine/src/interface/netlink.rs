//! Requests to the kernel over netlink (rtnetlink(7)), and its answers.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Changes an interface of the calling thread's network namespace.
///
/// # Errors
///
/// The kernel's refusal.
pub(crate) fn set_link(link: LinkMessage) -> io::Result<()> {
    let socket = request(RouteNetlinkMessage::SetLink(link), NLM_F_ACK)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}

/// Asks for all objects of a kind, and returns what `read` makes of each.
pub(super) fn dump<T>(
    kind: RouteNetlinkMessage,
    read: impl Fn(RouteNetlinkMessage) -> Option<T>,
) -> io::Result<Vec<T>> {
    let socket = request(kind, NLM_F_DUMP)?;
    let mut objects = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if read_messages(&datagram, &read, &mut objects)? == Dump::Ended {
            return Ok(objects);
        }
    }
}

/// Sends a request; the answer is to be read from the socket.
fn request(request: RouteNetlinkMessage, flags: u16) -> io::Result<Socket> {
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
fn read_messages<T>(
    mut datagram: &[u8],
    read: impl Fn(RouteNetlinkMessage) -> Option<T>,
    objects: &mut Vec<T>,
) -> io::Result<Dump> {
    while !datagram.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram)
            .map_err(io::Error::other)?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(Dump::Ended),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(message) => objects.extend(read(message)),
            _ => {}
        }
        // Messages are padded to four bytes; the last one's padding may be missing.
        let message_len = usize::try_from(message.header.length).map_err(io::Error::other)?;
        datagram = datagram.get(message_len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Dump::GoesOn)
}
