//! Creates the TAP interface of an output.

use std::fs::{self, File};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};
use rustix::io::Errno;

use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use crate::interface::{Interface, set_link};
use crate::sys::{open_tap, switch_offloads_off};

/// Opens the device of a TAP interface in the calling thread's network namespace and sets it up.
/// The MTU is `mtu` bytes, but at least 1500. The interface has no addresses: the kernel sends and
/// answers nothing there and does not pass on received packets. It is deleted when the file is
/// closed, unless it existed before.
///
/// Without `CAP_NET_ADMIN` the interface has to exist, for this user, and to be set up already.
///
/// # Errors
///
/// A sentence with the remedy.
pub(super) fn open(name: &str, mtu: u32) -> io::Result<File> {
    let device = open_tap(name).map_err(|error| explain(error, name))?;
    let mtu = mtu.clamp(1500, TAP_MTU_MAX);
    match set_up(name, mtu) {
        Err(error) if is_denied(&error) => check_set_up(name, mtu)?,
        result => result?,
    }
    Ok(device)
}

fn set_up(name: &str, mtu: u32) -> io::Result<()> {
    switch_offloads_off(name)?;
    // Set before the interface is up: then the kernel would add an IPv6 address and send requests.
    set_sysctl(&no_ipv6(name))?;
    // No route leads to an interface without addresses, so that the reverse path filter drops all
    // received packets before they reach a service of this host.
    set_sysctl(&reverse_path_filter(name))?;
    let mut link = LinkMessage::default();
    link.header.flags = LinkFlags::Up | LinkFlags::Noarp;
    link.header.change_mask = link.header.flags;
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    link.attributes.push(LinkAttribute::Mtu(mtu));
    set_link(link)
}

/// Checks an interface that this user may not set up: it has to be up, and the kernel may neither
/// send there nor deliver anything from there. Its offloads stay as they are: they do not change
/// frames that a program writes one by one.
fn check_set_up(name: &str, mtu: u32) -> io::Result<()> {
    let is_up = is_soon_up(name)?;
    let is_set = |path: &str| match fs::read_to_string(sysctl(path)) {
        Ok(value) => value.trim() == "1",
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_up && is_set(&no_ipv6(name)) && is_set(&reverse_path_filter(name)) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it is not set up, for which CAP_NET_ADMIN is needed; as root: sysctl net.ipv6.conf.{name}.disable_ipv6=1 \
         net.ipv4.conf.{name}.rp_filter=1; ip link set {name} up arp off mtu {mtu}"
    )))
}

/// Waits for an interface to have a carrier, which the kernel sees some time after it was opened;
/// returns whether it is up then.
fn is_soon_up(name: &str) -> io::Result<bool> {
    let begin = Instant::now();
    loop {
        let is_up = Interface::find(name).map_err(io::Error::other)?.is_up;
        if is_up || begin.elapsed() >= CARRIER_TIMEOUT {
            return Ok(is_up);
        }
        thread::sleep(CARRIER_TIMEOUT / 100);
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Returns the error of opening the TAP interface with a remedy.
fn explain(error: io::Error, name: &str) -> io::Error {
    let sentence = match Errno::from_io_error(&error) {
        Some(Errno::INVAL) if Interface::find(name).is_ok() => {
            "it is there and is no TAP interface: take another name".to_owned()
        }
        Some(Errno::BUSY) => "another program has it open".to_owned(),
        Some(Errno::NOENT | Errno::NODEV) => {
            "/dev/net/tun is missing: load the kernel module `tun`".to_owned()
        }
        Some(Errno::ACCESS) => {
            "this user may not open /dev/net/tun: as root, chmod 0666 /dev/net/tun".to_owned()
        }
        Some(Errno::PERM) => format!(
            "this needs CAP_NET_ADMIN, or a TAP interface made for this user: ip tuntap add {name} mode tap user {}",
            user_name()
        ),
        _ => return error,
    };
    io::Error::new(error.kind(), sentence)
}

/// Returns the name of the user that this process runs as, or the number without one.
fn user_name() -> String {
    let user = User::from_uid(geteuid()).ok().flatten();
    user.map_or_else(|| geteuid().to_string(), |user| user.name)
}

fn no_ipv6(name: &str) -> String {
    format!("ipv6/conf/{name}/disable_ipv6")
}

fn reverse_path_filter(name: &str) -> String {
    format!("ipv4/conf/{name}/rp_filter")
}

fn sysctl(path: &str) -> String {
    format!("/proc/sys/net/{path}")
}

/// Sets a network sysctl to 1 if it exists. Those of IPv6 do not if IPv6 is disabled.
fn set_sysctl(path: &str) -> io::Result<()> {
    match fs::write(sysctl(path), "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Longest wait for the carrier of an interface: the kernel looks at most once in a second
/// ([`net/core/link_watch.c`](https://github.com/torvalds/linux/blob/v6.12/net/core/link_watch.c)).
const CARRIER_TIMEOUT: Duration = Duration::from_millis(1500);

/// Largest MTU of a TAP interface: 65535 less the Ethernet header
/// (<https://github.com/torvalds/linux/blob/v6.12/drivers/net/tun.c>).
const TAP_MTU_MAX: u32 = 65_521;
