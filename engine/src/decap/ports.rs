//! Maps UDP ports to the tunnels that they carry.

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

    /// Returns the first VXLAN port, whose datagrams take the fast path; 0, which no datagram has,
    /// if there is none.
    #[inline]
    pub(crate) const fn plain(&self) -> u16 {
        self.plain
    }

    /// Returns the tunnel that the port carries. A port that is not configured is not steered here,
    /// except shortly after a reload.
    pub(super) fn tunnel(&self, number: u16) -> Tunnel {
        let found = self.all.iter().find(|port| port.number == number);
        found.map_or(Tunnel::of_port(number), |port| port.tunnel)
    }

    /// Returns whether the port carries VXLAN, by the configuration or by its number.
    pub(super) fn is_vxlan(&self, number: u16) -> bool {
        number == VXLAN_PORT || self.all.contains(&TunnelPort { number, tunnel: Tunnel::Vxlan })
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::new(&[TunnelPort::new(VXLAN_PORT)])
    }
}
