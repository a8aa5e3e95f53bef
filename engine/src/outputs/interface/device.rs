//! Creates the TAP interface of an output.

use std::fs::{self, File};
use std::io;

use netlink_packet_core::{NLM_F_ACK, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use crate::interface::request;
use crate::sys::{open_tap, switch_offloads_off};

/// Opens the device of a TAP interface that is up, for packets of `mtu` bytes (1500 at least),
/// without addresses: the kernel neither asks nor answers anything there, and keeps what arrives to
/// itself. In the calling thread's network namespace; the interface is gone with the file, unless
/// it was there.
pub(super) fn open(name: &str, mtu: u32) -> io::Result<File> {
    let device = open_tap(name)?;
    switch_offloads_off(name)?;
    // Before it is up: an IPv6 address, and the questions about it, come with that.
    set_sysctl(&format!("ipv6/conf/{name}/disable_ipv6"))?;
    // No source is behind an interface without addresses, so that nothing of what arrives there
    // reaches a service of this host.
    set_sysctl(&format!("ipv4/conf/{name}/rp_filter"))?;
    let mut link = LinkMessage::default();
    link.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    link.header.change_mask = link.header.flags;
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    link.attributes.push(LinkAttribute::Mtu(mtu.clamp(1500, TAP_MTU_MAX)));
    let socket = request(RouteNetlinkMessage::SetLink(link), NLM_F_ACK)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(device),
    }
}

/// Sets a setting of the network to 1, if it is there: without IPv6 its settings are not.
fn set_sysctl(path: &str) -> io::Result<()> {
    match fs::write(format!("/proc/sys/net/{path}"), "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `drivers/net/tun.c`: 65535 less the Ethernet header.
const TAP_MTU_MAX: u32 = 65_521;
