//! Prepares the interface for receivers that use the kernel's stack.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result};
use vxtap_tests::capture;

use super::decapsulation::PORT;

/// Name of the kernel's VXLAN device.
pub(crate) const VXLAN_DEVICE: &str = "vxlan0";

/// Turns GRO on.
///
/// A veth takes frames that its peer redirects by XDP only if it has an XDP program or GRO
/// (`veth_xdp_xmit` of `drivers/net/veth.c`); for NICs GRO is on by default.
pub(crate) fn turn_gro_on(interface: &str) -> Result<()> {
    capture(Command::new("ethtool").args(["-K", interface, "gro", "on"]))
        .with_context(|| format!("cannot turn GRO on for {interface}"))?;
    Ok(())
}

/// Makes the kernel take datagrams to `local` from any source: adds the address, with the prefix
/// length of its /8, and turns the reverse path filter off.
pub(crate) fn take_datagrams(interface: &str, local: Ipv4Addr) -> Result<()> {
    let shown = ip(&["-o", "-4", "address", "show", "dev", interface])?;
    if !shown.contains(&format!(" {local}/")) {
        ip(&["address", "add", &format!("{local}/8"), "dev", interface])?;
    }
    // The stricter of the two counts (ip-sysctl of the kernel's documentation).
    for name in ["all", interface] {
        write_switch(&format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0")?;
    }
    Ok(())
}

/// The kernel's VXLAN device; removed when dropped.
#[derive(Debug)]
pub(crate) struct Vxlan {
    /// Command that made the device.
    pub(crate) command: String,
}

impl Vxlan {
    /// Makes the device with `id VNI` for one VNI, as tutorials do, and with `external`, which
    /// takes every VNI, for several.
    pub(crate) fn make(interface: &str, first_vni: u32, vni_count: u32) -> Result<Self> {
        let (vni, port) = (first_vni.to_string(), PORT.to_string());
        let kind =
            if vni_count == 1 { vec!["id", &vni, "dev", interface] } else { vec!["external"] };
        let add = [&["link", "add", VXLAN_DEVICE, "type", "vxlan"], &kind[..], &["dstport", &port]]
            .concat();
        ip(&add).context("cannot make the VXLAN device")?;
        let device = Self { command: format!("ip {}", add.join(" ")) };
        // Its own neighbour discovery would join the frames that are counted.
        write_switch(&format!("/proc/sys/net/ipv6/conf/{VXLAN_DEVICE}/disable_ipv6"), "1")?;
        ip(&["link", "set", VXLAN_DEVICE, "up"])?;
        Ok(device)
    }
}

impl Drop for Vxlan {
    fn drop(&mut self) {
        if let Err(error) = ip(&["link", "delete", VXLAN_DEVICE]) {
            eprintln!("vxbench: {error:#}");
        }
    }
}

fn ip(args: &[&str]) -> Result<String> {
    capture(Command::new("ip").args(args))
}

/// Writes a sysctl; a kernel without that protocol has no such switch.
fn write_switch(path: &str, value: &str) -> Result<()> {
    match fs::write(path, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("cannot write {path}")),
    }
}
