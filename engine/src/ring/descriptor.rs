//! The descriptor of a frame in an output ring.

use crate::config::Direction;
use crate::decap::{EncapFlags, Link};

/// One frame, or one part of a frame that lies in several chunks. 32 bytes, so that two share a
/// cache line. Source and VNI are not repeated here, since the outer headers lie in the chunk right
/// in front of the frame. Native byte order.
///
/// ```text
///   chunk: ... | outer Ethernet | outer IP | UDP | tunnel header | inner frame ... |
///                               ^ addr - outer_len               ^ addr            ^ addr + len
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub(crate) struct Descriptor {
    /// Arrival, in nanoseconds since 1970-01-01 UTC.
    pub(crate) timestamp_ns: u64,
    /// Offset of the first byte in the worker's UMEM.
    pub(crate) addr: u64,
    /// Bytes in this chunk.
    pub(crate) len: u32,
    /// Bytes of the whole inner frame before it was cut.
    pub(crate) original_len: u32,
    /// The session's id.
    pub(crate) session: u32,
    /// Bytes from the start of the outer IP header to `addr`; 0 in all parts but the first.
    pub(crate) outer_len: u16,
    /// Bits [`Self::CONTINUES`], [`Self::INGRESS`], [`Self::EGRESS`] and those of [`EncapFlags`];
    /// all others zero.
    pub(crate) flags: u16,
}

impl Descriptor {
    /// The frame goes on in the next descriptor.
    pub(crate) const CONTINUES: u16 = 1 << 0;

    /// The frame goes to the mirrored interface. At most one of this and [`Self::EGRESS`] is set.
    pub(crate) const INGRESS: u16 = 1 << 1;
    /// The frame comes from the mirrored interface.
    pub(crate) const EGRESS: u16 = 1 << 2;

    /// Sets the direction of a descriptor that has none yet.
    #[inline]
    pub(crate) const fn set_direction(&mut self, direction: Direction) {
        self.flags |= match direction {
            Direction::Ingress => Self::INGRESS,
            Direction::Egress => Self::EGRESS,
        };
    }

    /// Returns the direction, if it is known.
    #[inline]
    pub(crate) const fn direction(&self) -> Option<Direction> {
        match self.flags & (Self::INGRESS | Self::EGRESS) {
            Self::INGRESS => Some(Direction::Ingress),
            Self::EGRESS => Some(Direction::Egress),
            _ => None,
        }
    }

    /// Returns the encapsulation that the frame came in.
    #[inline]
    pub(crate) const fn encap(&self) -> EncapFlags {
        EncapFlags::of_bits(self.flags)
    }

    /// Returns the kind of header that the frame begins with.
    #[inline]
    pub(crate) const fn link(&self) -> Link {
        self.encap().link()
    }

    /// Returns whether the frame goes on in the next descriptor.
    #[inline]
    pub(crate) const fn continues(&self) -> bool {
        self.flags & Self::CONTINUES != 0
    }
}

const _: () = assert!(size_of::<Descriptor>() == 32);
