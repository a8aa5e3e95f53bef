//! Two namespaces joined by a veth pair with several queues.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::capture;
use crate::{NetNs, wait_until};

/// How long a fresh pair may take to have its carrier; it takes milliseconds.
const CARRIER_TIMEOUT: Duration = Duration::from_secs(10);

/// Packets that a transmit queue of the sender holds while the receiver is behind.
///
/// Without a queueing discipline veth drops what its 256-entry ring cannot take. With one, kernels
/// from 6.16 on push back (`drivers/net/veth.c`, `NETDEV_TX_BUSY`); the sender then blocks on its
/// send buffer. Too low: the discipline itself drops. The value is above what the default send
/// buffer of 208 KiB can fill.
const SENDER_QUEUE_LEN: &str = "10000";

/// One end of the pair, in its namespace.
#[derive(Debug)]
pub struct Side {
    /// The namespace the interface is in.
    pub netns: NetNs,
    /// Interface name.
    pub interface: &'static str,
    /// MAC address.
    pub mac: [u8; 6],
    /// IPv4 address, in a /24 that both ends share.
    pub address: Ipv4Addr,
}

/// A veth pair that is up, from a sender to a receiver; removed when dropped.
#[derive(Debug)]
pub struct Veth {
    /// Where mirrored traffic is made: `vxtx0`, transmit checksum offload off.
    pub sender: Side,
    /// Where it is received: `vxrx0`.
    pub receiver: Side,
}

/// How a pair is made.
#[derive(Debug, Clone, Copy)]
pub struct VethOptions {
    /// RX and TX queues of each end, at least 1.
    pub queues: u32,
    /// MTU of both ends in bytes, 68 to 65535.
    pub mtu: u32,
}

impl Default for VethOptions {
    fn default() -> Self {
        Self { queues: 2, mtu: 1600 }
    }
}

impl Veth {
    /// Makes two test namespaces and joins them by a pair with `queues` queues and an MTU that
    /// takes a 1500-byte inner frame with its tunnel headers.
    ///
    /// # Errors
    /// As [`Veth::join`].
    pub fn pair(queues: u32) -> Result<Self> {
        Self::join(NetNs::new()?, NetNs::new()?, VethOptions { queues, ..VethOptions::default() })
    }

    /// Joins two namespaces and waits for the carrier.
    ///
    /// Neighbour entries are permanent, so that no ARP joins the frames that a test counts. The
    /// sender's transmit checksum offload is off: what the kernel sends there has its checksum in
    /// the packet, as on a wire.
    ///
    /// # Errors
    /// When `ip`, `tc` or `ethtool` refuses, with what it said.
    pub fn join(sender: NetNs, receiver: NetNs, options: VethOptions) -> Result<Self> {
        let VethOptions { queues, mtu } = options;
        let sender = Side {
            netns: sender,
            interface: "vxtx0",
            mac: [2, 0, 0, 0, 0, 1],
            address: Ipv4Addr::new(192, 0, 2, 1),
        };
        let receiver = Side {
            netns: receiver,
            interface: "vxrx0",
            mac: [2, 0, 0, 0, 0, 2],
            address: Ipv4Addr::new(192, 0, 2, 2),
        };
        let (queues, mtu) = (queues.to_string(), mtu.to_string());
        let count = ["numrxqueues", &queues, "numtxqueues", &queues];
        let add =
            [&["link", "add", receiver.interface], &count[..], &["type", "veth", "peer"]].concat();
        let peer = [&["name", sender.interface, "netns", sender.netns.name()], &count[..]].concat();
        receiver.netns.ip(&[add, peer].concat()).context("cannot make the veth pair")?;

        receiver.configure(&sender, &mtu)?;
        sender.configure(&receiver, &mtu)?;
        sender.send_like_a_wire(&queues)?;
        for side in [&sender, &receiver] {
            wait_until(&format!("the carrier of {}", side.interface), CARRIER_TIMEOUT, || {
                side.is_up()
            })?;
        }
        Ok(Self { sender, receiver })
    }
}

impl Side {
    /// MAC address as text.
    pub fn mac_text(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }

    /// Sets a kernel parameter of the namespace, `NAME=VALUE`.
    ///
    /// # Panics
    /// When it is refused.
    pub fn sysctl(&self, assignment: &str) {
        let mut sysctl = self.netns.command("sysctl");
        capture(sysctl.args(["-w", assignment])).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Whether the interface is up and has its carrier.
    pub fn is_up(&self) -> bool {
        let shown = self.netns.ip(&["-o", "link", "show", "dev", self.interface]);
        shown.is_ok_and(|line| line.contains("state UP"))
    }

    /// Sets the addresses, the neighbour and the MTU, and brings the interface up.
    fn configure(&self, peer: &Self, mtu: &str) -> Result<()> {
        let (mac, peer_mac) = (self.mac_text(), peer.mac_text());
        let address = format!("{}/24", self.address);
        let peer_address = peer.address.to_string();
        let device = self.interface;
        self.netns.ip(&["link", "set", device, "address", &mac, "mtu", mtu, "up"])?;
        self.netns.ip(&["address", "add", &address, "dev", device])?;
        self.netns.ip(&[
            "neigh",
            "add",
            &peer_address,
            "lladdr",
            &peer_mac,
            "dev",
            device,
            "nud",
            "permanent",
        ])?;
        Ok(())
    }

    /// Turns the transmit offload off and gives each transmit queue a discipline that waits for the
    /// receiver.
    fn send_like_a_wire(&self, queues: &str) -> Result<()> {
        let device = self.interface;
        capture(self.netns.command("ethtool").args(["-K", device, "tx", "off"]))?;
        if queues == "1" {
            return self.add_discipline(&["root"], &["pfifo", "limit", SENDER_QUEUE_LEN]);
        }
        self.add_discipline(&["root", "handle", "1:"], &["mq"])?;
        for queue in 1..=queues.parse::<u32>()? {
            self.add_discipline(
                &["parent", &format!("1:{queue:x}")],
                &["pfifo", "limit", SENDER_QUEUE_LEN],
            )?;
        }
        Ok(())
    }

    fn add_discipline(&self, place: &[&str], discipline: &[&str]) -> Result<()> {
        let mut tc: Command = self.netns.command("tc");
        tc.args(["qdisc", "replace", "dev", self.interface]).args(place).args(discipline);
        capture(&mut tc).map(drop)
    }
}
