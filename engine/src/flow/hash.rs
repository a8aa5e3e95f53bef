//! A hash that both directions of a flow share.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::{Addresses, Flow, Ports};
use crate::session::SessionId;

impl Flow {
    /// Returns a hash that all frames of the flow in this session share, in both directions. Other
    /// flows, and the same flow in another session, have another hash except by collision. Workers
    /// that use the same `seed` agree.
    ///
    /// The hash of a fragment leaves out ports and protocol, so that all fragments of a packet
    /// share it. It differs from that of the flow's whole packets.
    #[inline]
    pub(crate) fn hash(&self, session: SessionId, seed: u64) -> u64 {
        let mut hasher = FixedState::with_seed(seed).build_hasher();
        let (protocol, ports) = match self.ports {
            _ if self.is_fragment => (0, Ports { source: 0, destination: 0 }),
            ports => (self.protocol, ports.unwrap_or(Ports { source: 0, destination: 0 })),
        };
        hasher.write_u64(
            u64::from(session.0) << 16 | u64::from(protocol) << 8 | u64::from(self.is_fragment),
        );
        match self.addresses {
            Addresses::V4 { source, destination } => {
                let end = |address: u32, port: u16| u64::from(address) << 16 | u64::from(port);
                let (one, two) = (end(source, ports.source), end(destination, ports.destination));
                hasher.write_u64(one.min(two));
                hasher.write_u64(one.max(two));
            }
            Addresses::V6 { source, destination } => {
                let (one, two) = ((source, ports.source), (destination, ports.destination));
                for (address, port) in [one.min(two), one.max(two)] {
                    hasher.write_u128(address);
                    hasher.write_u16(port);
                }
            }
        }
        hasher.finish()
    }
}
