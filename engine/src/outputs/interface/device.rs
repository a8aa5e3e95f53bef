//! Creates the TAP interface of an output.

use std::fs::{self, File};
use std::io;

use netlink_packet_core::{NLM_F_ACK, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use crate::interface::request;
use crate::sys::{open_tap, switch_offloads_off};

/// Opens the device of a TAP interface in the calling thread's network namespace and sets it up.
/// The MTU is `mtu` bytes, but at least 1500. The interface has no addresses: the kernel sends and
/// answers nothing there and does not pass on received packets. It is deleted when the file is
/// closed, unless it existed before.
pub(super) fn open(name: &str, mtu: u32) -> io::Result<File> {
    let device = open_tap(name)?;
    switch_offloads_off(name)?;
    // Set before the interface is up: then the kernel would add an IPv6 address and send requests.
    set_sysctl(&format!("ipv6/conf/{name}/disable_ipv6"))?;
    // No route leads to an interface without addresses, so that the reverse path filter drops all
    // received packets before they reach a service of this host.
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

/// Sets a network sysctl to 1 if it exists. Those of IPv6 do not if IPv6 is disabled.
fn set_sysctl(path: &str) -> io::Result<()> {
    match fs::write(format!("/proc/sys/net/{path}"), "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Largest MTU of a TAP interface: 65535 less the Ethernet header
/// (<https://github.com/torvalds/linux/blob/v6.12/drivers/net/tun.c>).
const TAP_MTU_MAX: u32 = 65_521;
