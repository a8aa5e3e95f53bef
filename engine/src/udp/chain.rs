//! The descriptors of one datagram.

use crate::xsk::ProducerRing;

/// Most chunks of a datagram: 65 535 bytes with their headers in chunks of 2048 bytes, and one that
/// is part full.
const LEN_MAX: usize = 40;

/// The descriptors of a datagram, to be put into the RX ring together.
pub(super) struct Chain {
    descriptors: [libc::xdp_desc; LEN_MAX],
    len: usize,
}

impl Chain {
    /// A datagram whose headers, of `len` bytes, are at `addr`; its payload comes behind them.
    pub(super) fn starting_at(addr: u64, len: usize) -> Self {
        let none = libc::xdp_desc { addr: 0, len: 0, options: 0 };
        let mut chain = Self { descriptors: [none; LEN_MAX], len: 0 };
        chain.descriptors[0] = libc::xdp_desc { addr, len: bytes(len), options: 0 };
        chain
    }

    /// Adds a piece of payload: the first one behind the headers, each further one in a chunk of
    /// its own.
    pub(super) fn add(&mut self, addr: u64, len: usize) {
        if self.len == 0 {
            self.descriptors[0].len += bytes(len);
        } else {
            self.descriptors[self.len] = libc::xdp_desc { addr, len: bytes(len), options: 0 };
            self.descriptors[self.len - 1].options = libc::XDP_PKT_CONTD;
        }
        self.len += 1;
    }

    /// Puts all into the ring, which has room for them.
    pub(super) fn submit(&self, rx: &mut ProducerRing<libc::xdp_desc>) {
        let mut descriptors = self.descriptors[..self.len].iter().copied();
        let submitted = rx.submit(bytes(self.len), || descriptors.next());
        debug_assert_eq!(submitted as usize, self.len, "the ring has room");
    }
}

fn bytes(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
