//! Tunnel protocols and their UDP ports.

use std::fmt;
use std::str::FromStr;

use super::keyword::{Keyword, keyword_of};

/// UDP port that IANA assigned to VXLAN (RFC 7348 section 5), the one that AWS sends mirrored
/// traffic to.
pub const VXLAN_PORT: u16 = 4789;
/// UDP port that IANA assigned to VXLAN-GPE.
pub const VXLAN_GPE_PORT: u16 = 4790;
/// UDP port that IANA assigned to GENEVE (RFC 8926 section 3.3), the one that AWS's Gateway Load
/// Balancer sends to.
pub const GENEVE_PORT: u16 = 6081;

/// A kind of tunnel header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// RFC 7348: an Ethernet frame inside.
    #[default]
    Vxlan,
    /// Draft-ietf-nvo3-vxlan-gpe: VXLAN whose header names the inner protocol, Ethernet or IP.
    VxlanGpe,
    /// RFC 8926: Ethernet or IP inside. A Gateway Load Balancer puts VXLAN into it, which is
    /// decapsulated too.
    Geneve,
}

impl Tunnel {
    /// Returns the tunnel that a port carries unless the configuration names another.
    pub const fn of_port(number: u16) -> Self {
        match number {
            GENEVE_PORT => Self::Geneve,
            VXLAN_GPE_PORT => Self::VxlanGpe,
            _ => Self::Vxlan,
        }
    }
}

impl Keyword for Tunnel {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("vxlan", Self::Vxlan), ("vxlan-gpe", Self::VxlanGpe), ("geneve", Self::Geneve)];
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(keyword_of(*self))
    }
}

/// A UDP destination port and its tunnel. In the file a number, or `"TUNNEL:PORT"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TunnelPort {
    /// The port, 1 to 65535, host byte order.
    pub number: u16,
    /// The tunnel header behind the UDP header.
    pub tunnel: Tunnel,
}

impl TunnelPort {
    /// Returns the port with the tunnel that IANA assigned it to; VXLAN if it is assigned to none.
    pub const fn new(number: u16) -> Self {
        Self { number, tunnel: Tunnel::of_port(number) }
    }
}

impl From<u16> for TunnelPort {
    fn from(number: u16) -> Self {
        Self::new(number)
    }
}

/// Writes the port as in the file, with the tunnel only if it is not the port's assigned one.
impl fmt::Display for TunnelPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, tunnel } = self;
        if *tunnel == Tunnel::of_port(*number) {
            write!(f, "{number}")
        } else {
            write!(f, "{tunnel}:{number}")
        }
    }
}

/// Not a port of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a port, or a port behind \"vxlan:\", \"vxlan-gpe:\" or \"geneve:\"")]
pub struct InvalidTunnelPort;

impl FromStr for TunnelPort {
    type Err = InvalidTunnelPort;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = |digits: &str| match digits.parse() {
            Ok(number @ 1..) if !digits.starts_with('+') => Ok(number),
            _ => Err(InvalidTunnelPort),
        };
        match text.split_once(':') {
            Some((word, digits)) => {
                let known = Tunnel::KEYWORDS.iter().find(|(name, _)| *name == word);
                let (_, tunnel) = known.ok_or(InvalidTunnelPort)?;
                Ok(Self { number: port(digits)?, tunnel: *tunnel })
            }
            None => port(text).map(Self::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_says_its_tunnel_only_where_it_is_not_the_assigned_one() {
        for text in ["4789", "6081", "4790", "8472", "geneve:4789", "vxlan:6081", "vxlan-gpe:8472"]
        {
            let port: TunnelPort = text.parse().unwrap();
            assert_eq!(port.to_string(), text);
        }
        assert_eq!("geneve:6081".parse::<TunnelPort>().unwrap().to_string(), "6081");
        assert_eq!(TunnelPort::new(6081).tunnel, Tunnel::Geneve);
        for text in
            ["", "0", "65536", "gre:1", "geneve:", "geneve:0", ":1", "+1", "vxlan:+1", "vxlan: 1"]
        {
            assert_eq!(text.parse::<TunnelPort>(), Err(InvalidTunnelPort), "{text:?}");
        }
    }
}
