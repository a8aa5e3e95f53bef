//! Identity of a mirror session on the wire.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use vxtap_ebpf::parse::Source;

use super::Vni;

/// Outer source address and VNI. Its text is `vni-102@10.0.1.3`: in tables, in file names, as the
/// name of an interface in captures, and as an argument of `vxtap tail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceVni {
    /// Source address of the outer IP header: in AWS the primary address of the mirrored ENI.
    pub source: IpAddr,
    /// VNI of the tunnel header.
    pub vni: Vni,
}

impl fmt::Display for SourceVni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, vni } = self;
        f.pad(&format!("vni-{vni}@{source}"))
    }
}

/// Error for a text that is not a VNI and a source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a VNI and a source address such as vni-102@10.0.1.3")]
pub struct InvalidSourceVni;

impl FromStr for SourceVni {
    type Err = InvalidSourceVni;

    fn from_str(text: &str) -> Result<Self, InvalidSourceVni> {
        let pair = text.strip_prefix("vni-").and_then(|rest| rest.split_once('@'));
        let (vni, source) = pair.ok_or(InvalidSourceVni)?;
        let vni = vni.bytes().all(|byte| byte.is_ascii_digit()).then(|| vni.parse().ok());
        let vni = vni.flatten().and_then(Vni::new);
        let source = source.parse().ok().ok_or(InvalidSourceVni)?;
        Ok(Self { source, vni: vni.ok_or(InvalidSourceVni)? })
    }
}

/// Source and VNI in the form in which tables are searched. Almost all mirrors are IPv4, and their
/// keys fit into one machine word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SessionKey {
    /// Address in bits 24 to 55, VNI in bits 0 to 23.
    V4(u64),
    /// Address and VNI.
    V6([u8; 16], u32),
}

impl SessionKey {
    #[inline]
    pub(crate) const fn new(source: Source, vni: Vni) -> Self {
        match source {
            Source::V4(address) => {
                Self::V4((u32::from_be_bytes(address) as u64) << 24 | vni.get() as u64)
            }
            Source::V6(address) => Self::V6(address, vni.get()),
        }
    }

    /// Returns source and VNI.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fields of 32 and 24 bits are taken apart"
    )]
    pub(super) fn source_vni(self) -> SourceVni {
        let (source, vni) = match self {
            Self::V4(bits) => {
                (Ipv4Addr::from_bits((bits >> 24) as u32).into(), bits as u32 & Vni::MAX.get())
            }
            Self::V6(address, vni) => (Ipv6Addr::from(address).into(), vni),
        };
        SourceVni { source, vni: Vni::new(vni).unwrap_or_default() }
    }

    /// Returns the source address if it is an IPv4 address.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the 32 bits of the address are taken")]
    pub(crate) const fn v4(self) -> Option<u32> {
        match self {
            Self::V4(bits) => Some((bits >> 24) as u32),
            Self::V6(..) => None,
        }
    }

    /// Returns the source address if it is an IPv6 address.
    #[inline]
    pub(crate) const fn v6(self) -> Option<u128> {
        match self {
            Self::V4(_) => None,
            Self::V6(address, _) => Some(u128::from_be_bytes(address)),
        }
    }

    /// Returns whether both are the same IPv4 key; `false` for IPv6.
    #[inline]
    pub(crate) const fn is_same_v4(self, other: Self) -> bool {
        matches!((self, other), (Self::V4(one), Self::V4(two)) if one == two)
    }

    /// Returns the VNI.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest 24 bits are taken")]
    pub(super) const fn vni(self) -> u32 {
        match self {
            Self::V4(bits) => bits as u32 & Vni::MAX.get(),
            Self::V6(_, vni) => vni,
        }
    }
}

impl From<SourceVni> for SessionKey {
    fn from(pair: SourceVni) -> Self {
        let source = match pair.source {
            IpAddr::V4(address) => Source::V4(address.octets()),
            IpAddr::V6(address) => Source::V6(address.octets()),
        };
        Self::new(source, pair.vni)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_and_the_bytes_on_the_wire_make_the_same_key() {
        let vni = Vni::new(77).unwrap();
        let pair = SourceVni { source: "10.1.2.3".parse().unwrap(), vni };
        assert_eq!(SessionKey::from(pair), SessionKey::new(Source::V4([10, 1, 2, 3]), vni));
        assert_eq!(SessionKey::from(pair).source_vni(), pair);
        let address: Ipv6Addr = "2001:db8::5".parse().unwrap();
        let pair = SourceVni { source: address.into(), vni };
        assert_eq!(SessionKey::from(pair), SessionKey::new(Source::V6(address.octets()), vni));
        assert_eq!(SessionKey::from(pair).source_vni(), pair);
        assert_eq!(pair.to_string(), "vni-77@2001:db8::5");
    }

    #[test]
    fn the_text_of_a_pair_is_read_again_and_nothing_else_is() {
        for text in ["vni-0@10.0.1.3", "vni-16777215@2001:db8::5"] {
            assert_eq!(text.parse::<SourceVni>().unwrap().to_string(), text);
        }
        let others = ["", "web", "vni-1", "vni-@::1", "vni-+1@::1", "vni-16777216@::1", "vni-1@x"];
        for text in others {
            assert_eq!(text.parse::<SourceVni>(), Err(InvalidSourceVni), "{text}");
        }
    }
}
