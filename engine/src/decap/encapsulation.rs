//! The tunnel headers around a frame, and their encoding in the flags of a descriptor.

/// The tunnel headers around a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// VXLAN or VXLAN-GPE.
    Vxlan,
    /// GENEVE.
    Geneve,
    /// VXLAN in UDP and IP in GENEVE: a mirror that comes through a Gateway Load Balancer.
    GeneveVxlan,
}

impl std::fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Vxlan => "VXLAN",
            Self::Geneve => "GENEVE",
            Self::GeneveVxlan => "VXLAN in GENEVE",
        })
    }
}

/// The first header of an inner frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// An IPv4 or IPv6 header: the tunnel carries packets.
    Ip,
}

/// The tunnel headers and the kind of inner frame, as flags of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncapFlags(u16);

impl EncapFlags {
    /// VXLAN with Ethernet inside: no bit is set.
    pub(crate) const VXLAN: Self = Self(0);
    /// GENEVE with Ethernet inside.
    pub(super) const GENEVE: Self = Self(Self::IN_GENEVE);

    const IN_GENEVE: u16 = 1 << 3;
    const NESTED: u16 = 1 << 4;
    const IP: u16 = 1 << 5;
    const RESERVED: u16 = 1 << 6;
    const ALL: u16 = Self::IN_GENEVE | Self::NESTED | Self::IP | Self::RESERVED;

    /// Sets the flag for an IP packet inside.
    pub(super) const fn with_ip(self) -> Self {
        Self(self.0 | Self::IP)
    }

    /// Sets the flags for a VXLAN tunnel that itself lies in GENEVE.
    pub(super) const fn in_geneve(self) -> Self {
        Self(self.0 | Self::IN_GENEVE | Self::NESTED)
    }

    /// Sets the flag for reserved bits of the tunnel header that are set.
    pub(super) const fn with_reserved_bits(self) -> Self {
        Self(self.0 | Self::RESERVED)
    }

    /// Returns the flags in the bits of a descriptor that are kept for them: 3 to 6.
    #[inline]
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// Returns the tunnel flags in a descriptor's flags.
    #[inline]
    pub(crate) const fn of_bits(flags: u16) -> Self {
        Self(flags & Self::ALL)
    }

    pub(crate) const fn encapsulation(self) -> Encapsulation {
        match self.0 & (Self::IN_GENEVE | Self::NESTED) {
            0 => Encapsulation::Vxlan,
            Self::IN_GENEVE => Encapsulation::Geneve,
            _ => Encapsulation::GeneveVxlan,
        }
    }

    #[inline]
    pub(crate) const fn link(self) -> Link {
        if self.0 & Self::IP == 0 { Link::Ethernet } else { Link::Ip }
    }

    pub(crate) const fn has_reserved_bits(self) -> bool {
        self.0 & Self::RESERVED != 0
    }
}
