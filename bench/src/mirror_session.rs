//! A mirror session, and how it is written.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A mirror session as it appears on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MirrorSession {
    /// Outer source address: the mirrored interface's primary address.
    pub source: IpAddr,
    /// VXLAN network identifier, 0 to 16 777 215.
    pub vni: u32,
}

impl MirrorSession {
    /// Returns `count` sessions whose addresses and VNIs go up by one, starting with `source` and
    /// `vni`.
    ///
    /// Addresses wrap at the end of the family's range; VNIs do not, and
    /// [`Profile::check`](crate::Profile::check) refuses those above 24 bits.
    pub fn numbered(count: u32, source: IpAddr, vni: u32) -> Vec<Self> {
        let address = |i: u32| match source {
            IpAddr::V4(first) => IpAddr::V4(first.to_bits().wrapping_add(i).into()),
            IpAddr::V6(first) => IpAddr::V6(first.to_bits().wrapping_add(u128::from(i)).into()),
        };
        (0..count).map(|i| Self { source: address(i), vni: vni.saturating_add(i) }).collect()
    }
}

impl fmt::Display for MirrorSession {
    /// Writes it as [`MirrorSession::from_str`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.source, self.vni)
    }
}

impl FromStr for MirrorSession {
    type Err = SessionTextError;

    /// Reads `SOURCE=VNI`, for example `10.0.1.5=100`.
    fn from_str(text: &str) -> Result<Self, SessionTextError> {
        let unreadable = || SessionTextError { text: text.to_owned() };
        let (source, vni) = text.split_once('=').ok_or_else(unreadable)?;
        let source = source.parse().ok().ok_or_else(unreadable)?;
        let vni = vni.parse().ok().ok_or_else(unreadable)?;
        Ok(Self { source, vni })
    }
}

/// Text that is not `SOURCE=VNI`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is no session: write SOURCE=VNI, for example 10.0.1.5=100")]
pub struct SessionTextError {
    text: String,
}
