//! Direction of a mirrored frame.

/// Direction in which a frame crosses the mirrored interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Away from the mirrored interface.
    Egress = 0,
    /// Towards it.
    Ingress = 1,
}

impl Direction {
    pub(crate) const fn from_bit(bit: u8) -> Option<Self> {
        match bit {
            0 => Some(Self::Egress),
            1 => Some(Self::Ingress),
            _ => None,
        }
    }

    pub(crate) const fn opposite(self) -> Self {
        match self {
            Self::Egress => Self::Ingress,
            Self::Ingress => Self::Egress,
        }
    }
}
