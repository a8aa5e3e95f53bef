//! Which UDP port carries which tunnel.

use crate::config::{Tunnel, TunnelPort, VXLAN_PORT};

/// The ports of a configuration, for the data path.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    all: Box<[TunnelPort]>,
    plain: u16,
}

impl Ports {
    pub(crate) fn new(ports: &[TunnelPort]) -> Self {
        let first = ports.iter().find(|port| port.tunnel == Tunnel::Vxlan);
        Self { all: ports.into(), plain: first.map_or(0, |port| port.number) }
    }

    /// The first VXLAN port, whose datagrams take the short way; 0, which no datagram has, if there
    /// is none.
    #[inline]
    pub(crate) const fn plain(&self) -> u16 {
        self.plain
    }

    /// What the port carries. What is not configured reaches nobody, but for what a reload may have
    /// changed.
    pub(super) fn tunnel(&self, number: u16) -> Tunnel {
        let found = self.all.iter().find(|port| port.number == number);
        found.map_or(Tunnel::of_port(number), |port| port.tunnel)
    }

    /// Whether the configuration says that the port carries VXLAN.
    pub(super) fn is_vxlan(&self, number: u16) -> bool {
        number == VXLAN_PORT || self.all.contains(&TunnelPort { number, tunnel: Tunnel::Vxlan })
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::new(&[TunnelPort::new(VXLAN_PORT)])
    }
}
