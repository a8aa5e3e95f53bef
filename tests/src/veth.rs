//! Veth pairs with several queues between two network namespaces.

use std::iter;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::process::{capture, capture_with_input};
use crate::{NetNs, TIMEOUT, wait_until};

/// Packets that a transmit queue of the sender holds while the receiver is behind.
///
/// Without a queueing discipline veth drops packets that do not fit into its 256-entry ring. With
/// one, kernels from 6.16 on push back (`NETDEV_TX_BUSY` in
/// <https://github.com/torvalds/linux/blob/v6.16/drivers/net/veth.c>); the sender then blocks on
/// its send buffer. A lower limit makes the discipline itself drop packets: this one is above the
/// number of packets that the default send buffer of 208 KiB holds.
const SENDER_QUEUE_LEN: &str = "10000";

/// Destination of the generator's IPv4 datagrams: a second address of the receiving end, so that it
/// takes them.
const GENERATOR_TARGET: &str = "10.0.0.2/32";

/// One end of a pair, in its namespace.
#[derive(Debug)]
pub struct Side {
    /// Namespace of the interface.
    pub netns: NetNs,
    /// Interface name.
    pub interface: &'static str,
    /// MAC address.
    pub mac: [u8; 6],
    /// IPv4 address, in a /24 that both ends share.
    pub address: Ipv4Addr,
}

/// A veth pair that is up, between a sender and a receiver; removed when dropped.
#[derive(Debug)]
pub struct Veth {
    /// The end that sends mirrored traffic: `vxtx0`, transmit checksum offload off.
    pub sender: Side,
    /// The end that receives it: `vxrx0`.
    pub receiver: Side,
}

/// Settings of a pair.
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
    /// Makes two test namespaces and joins them by a pair with `queues` queues and an MTU for
    /// 1500-byte inner frames with their tunnel headers.
    ///
    /// # Errors
    /// As [`Veth::join`].
    pub fn pair(queues: u32) -> Result<Self> {
        Self::join(NetNs::new()?, NetNs::new()?, VethOptions { queues, ..VethOptions::default() })
    }

    /// Joins two namespaces and waits for the carrier.
    ///
    /// Neighbour entries are permanent, so that no ARP joins the frames that a test counts. The
    /// sender's transmit checksum offload is off: packets of the kernel have whole checksums, as on
    /// a wire.
    ///
    /// # Errors
    /// When `ip`, `tc` or `ethtool` fails; the text has its standard error.
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
        let count = format!("numrxqueues {queues} numtxqueues {queues}");
        let add = format!(
            "link add {} {count} type veth peer name {} netns {} {count}",
            receiver.interface,
            sender.interface,
            sender.netns.name()
        );
        let target = format!("address add {GENERATOR_TARGET} dev {}", receiver.interface);
        let set_up = receiver.set_up(&sender, mtu);
        receiver
            .netns
            .ip_batch(&[vec![add], set_up, vec![target]].concat())
            .context("cannot make the veth pair")?;
        sender.netns.ip_batch(&sender.set_up(&receiver, mtu))?;
        sender.send_like_a_wire(queues)?;
        for side in [&sender, &receiver] {
            wait_until(&format!("the carrier of {}", side.interface), TIMEOUT, || side.is_up())?;
        }
        Ok(Self { sender, receiver })
    }
}

impl Side {
    /// Returns the MAC address as text.
    pub fn mac_text(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }

    /// Sets a kernel parameter of the namespace, `NAME=VALUE`.
    ///
    /// # Panics
    /// When sysctl(8) fails.
    pub fn sysctl(&self, assignment: &str) {
        let mut sysctl = self.netns.command("sysctl");
        capture(sysctl.args(["-w", assignment])).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Returns `true` if the interface is up and has its carrier.
    pub fn is_up(&self) -> bool {
        let shown = self.netns.ip(&["-o", "link", "show", "dev", self.interface]);
        shown.is_ok_and(|line| line.contains("state UP"))
    }

    /// Returns the commands of `ip` that set the addresses, the neighbour and the MTU, and bring
    /// the interface up.
    fn set_up(&self, peer: &Self, mtu: u32) -> Vec<String> {
        let (device, mac, peer_mac) = (self.interface, self.mac_text(), peer.mac_text());
        vec![
            format!("link set {device} address {mac} mtu {mtu} up"),
            format!("address add {}/24 dev {device}", self.address),
            format!("neigh add {} lladdr {peer_mac} dev {device} nud permanent", peer.address),
        ]
    }

    /// Turns transmit offloads off and gives each transmit queue a discipline that waits for the
    /// receiver.
    fn send_like_a_wire(&self, queues: u32) -> Result<()> {
        let device = self.interface;
        capture(self.netns.command("ethtool").args(["-K", device, "tx", "off"]))?;
        let replace = |place: &str, discipline: &str| {
            format!("qdisc replace dev {device} {place} {discipline}")
        };
        let wait = format!("pfifo limit {SENDER_QUEUE_LEN}");
        let lines = match queues {
            1 => vec![replace("root", &wait)],
            _ => iter::once(replace("root handle 1:", "mq"))
                .chain((1..=queues).map(|queue| replace(&format!("parent 1:{queue:x}"), &wait)))
                .collect(),
        };
        let mut tc = self.netns.command("tc");
        capture_with_input(tc.args(["-batch", "-"]), &lines.join("\n")).map(drop)
    }
}
