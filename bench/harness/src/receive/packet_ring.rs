//! Receivers `tpacket` and `packet`: a packet socket with a `TPACKET_V3` ring through libpcap, as
//! Suricata, Zeek and tcpdump use it, on the kernel's VXLAN device or on the NIC itself.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use clap::Args;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture};

use super::app::Application;
use super::background::{Receive, WAIT_MS};
use super::decapsulation;
use super::interface_setup::{self, VXLAN_DEVICE, Vxlan};

/// Frames between two updates of the shared counts.
const BATCH: usize = 256;
/// Bytes of the ring.
const RING: i32 = 64 << 20;
/// Bytes kept of a frame: all, up to the largest MTU of EC2.
const SNAP_LEN: i32 = 9216;

/// The kernel's VXLAN device and a `TPACKET_V3` ring on it
#[derive(Debug, Clone, Args)]
pub struct VxlanOptions {
    /// Interface that the traffic arrives at
    #[arg(long, short, default_value = "vxrx0")]
    pub interface: String,
    /// Outer destination address, added to the interface if missing
    #[arg(long, default_value = "10.0.0.2")]
    pub local: Ipv4Addr,
    /// First VNI of the traffic
    #[arg(long, default_value_t = 100)]
    pub vni: u32,
    /// Number of VNIs: 1 makes the device for that VNI, more make it `external`, which takes them
    /// all and costs more
    #[arg(long, default_value_t = 8)]
    pub vni_count: u32,
}

/// A `TPACKET_V3` ring on the interface itself, with decapsulation by the receiver
#[derive(Debug, Clone, Args)]
pub struct NicOptions {
    /// Interface that the traffic arrives at
    #[arg(long, short, default_value = "vxrx0")]
    pub interface: String,
}

/// A packet socket and its device.
pub(super) struct PacketRing {
    // Before the device: closed first.
    capture: Capture<Active>,
    device: Option<Vxlan>,
}

impl PacketRing {
    /// Makes the kernel's VXLAN device and opens a ring on it.
    pub(super) fn on_vxlan(options: &VxlanOptions) -> Result<Self> {
        interface_setup::turn_gro_on(&options.interface)?;
        interface_setup::take_datagrams(&options.interface, options.local)?;
        let device = Vxlan::make(&options.interface, options.vni, options.vni_count)?;
        Ok(Self { capture: open(VXLAN_DEVICE)?, device: Some(device) })
    }

    /// Opens a ring on the interface; a kernel filter admits only VXLAN.
    pub(super) fn on_nic(options: &NicOptions) -> Result<Self> {
        interface_setup::turn_gro_on(&options.interface)?;
        let mut capture = open(&options.interface)?;
        capture
            .filter(&format!("udp dst port {}", decapsulation::PORT), true)
            .context("cannot set the filter")?;
        Ok(Self { capture, device: None })
    }

    fn wait(&self) -> Result<()> {
        // A closed ring would have ended the capture.
        let fd = self.capture.as_fd();
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::from(WAIT_MS)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error).context("poll failed"),
        }
    }
}

fn open(interface: &str) -> Result<Capture<Active>> {
    let capture = Capture::from_device(interface)?
        .promisc(true)
        .snaplen(SNAP_LEN)
        .buffer_size(RING)
        // Longest time for which the kernel keeps a block that is not full.
        .timeout(WAIT_MS.into())
        .open()
        .with_context(|| format!("cannot capture on {interface}"))?;
    // libpcap would wait for frames without end.
    Ok(capture.setnonblock()?)
}

impl Receive for PacketRing {
    fn about(&self) -> String {
        let ring = format!("libpcap, TPACKET_V3, {} MiB, poll", RING >> 20);
        match &self.device {
            Some(device) => format!("`{}`, {ring}", device.command),
            None => {
                format!(
                    "{ring}, kernel filter `udp dst port {}`, own decapsulation",
                    decapsulation::PORT
                )
            }
        }
    }

    fn batch(&mut self, app: &mut Application) -> Result<()> {
        let taken = if self.device.is_some() {
            self.capture.dispatch(Some(BATCH), |packet| app.frame(packet.data))
        } else {
            self.capture.dispatch(Some(BATCH), |packet| {
                match decapsulation::inner_of_frame(packet.data) {
                    Some(inner) => app.frame(inner),
                    None => app.foreign(),
                }
            })
        };
        if taken.context("the capture ended")? == 0 { self.wait() } else { Ok(()) }
    }

    fn lost(&mut self) -> Result<Option<u64>> {
        let stat = self.capture.stats()?;
        Ok(Some(stat.dropped.into()))
    }
}
